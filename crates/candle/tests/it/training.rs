//! Trainings of models in candle, in threads.

use std::time::Duration;

use candle_core::{Device, Module, Tensor};
use candle_nn::{Activation, linear, loss, seq};
use optim::{Adam, LazyAdam, Sgd};
use sync_replicas::options::SummationOrder;
use sync_replicas::{Hooks, ReplicaId, SyncReplicas, Table};
use sync_replicas_candle::{Batches, CandleModel, embedding};

type Pair = (Tensor, Tensor);

fn curve() -> Pair {
    let x = Tensor::arange(-32_f32, 32.0, &Device::Cpu).and_then(|it| it.affine(1.0 / 16.0, 0.0));
    let x = x.and_then(|it| it.reshape((64, 1))).expect("a column");
    let y = x.sqr().expect("as many");
    (x, y)
}

fn net() -> CandleModel<candle_nn::Sequential, Pair> {
    CandleModel::new(
        |vb| {
            let hidden = linear(1, 16, vb.pp("hidden"))?;
            Ok(seq().add(hidden).add(Activation::Silu).add(linear(16, 1, vb.pp("out"))?))
        },
        |net, (x, y): &Pair, pass| {
            if pass.replica() == ReplicaId::new(3) {
                pass.pause(Duration::from_secs(3600))?;
            }
            loss::mse(&net.forward(x)?, y)
        },
    )
}

/// P-5, P-13: the slow one would need an hour for a batch.
#[test]
fn a_curve_is_learned_and_a_slow_replica_is_not_waited_for() {
    let model = net();
    let trainer = SyncReplicas::new(Adam::new(0.02)).replicas_to_aggregate(2).total_num_replicas(4);
    let trainer = trainer.build(model.variables().expect("it builds")).expect("it fits");
    let data = Batches::new(curve(), 16).expect("it fits");
    let hooks = Hooks::new().stop_at_step(400);
    let report = trainer.fit(&model, |_| data.clone(), hooks).expect("it trains");
    assert_eq!(report.updates, 400);
    let net = model.module(&trainer.snapshot().variables).expect("they are its own");
    let (x, y) = curve();
    let error =
        net.forward(&x).and_then(|it| loss::mse(&it, &y)).and_then(|it| it.to_scalar::<f32>());
    assert!(error.expect("a number") < 0.02);
}

/// P-14: in replica order, the bits are those of any other run.
#[test]
fn two_runs_in_replica_order_end_with_the_same_bits() {
    let run = || {
        let model = CandleModel::new(
            |vb| linear(1, 1, vb.pp("line")),
            |net, (x, y): &Pair, _| loss::mse(&net.forward(x)?, y),
        );
        let trainer = SyncReplicas::new(Sgd::new(0.1))
            .replicas_to_aggregate(3)
            .order(SummationOrder::Replica)
            .build(model.variables().expect("it builds"))
            .expect("it fits");
        let data = Batches::new(curve(), 16).expect("it fits");
        let hooks = Hooks::new().stop_at_step(50);
        trainer.fit(&model, |_| data.clone(), hooks).expect("it trains");
        trainer.snapshot().variables.sha256()
    };
    assert_eq!(run(), run());
}

/// words that no batch has keep their first values to the bit.
#[test]
fn an_embedding_trains_the_rows_that_batches_have() {
    let model = CandleModel::new(
        |vb| embedding(100, 4, vb.pp("words")),
        |net, words: &Tensor, _| (net.forward(words)? - 1.0)?.sqr()?.mean_all(),
    );
    let first = model.variables().expect("it builds");
    let trainer = SyncReplicas::new(LazyAdam::new(0.1)).replicas_to_aggregate(2);
    let trainer = trainer.build(first.clone()).expect("it fits");
    let words = Tensor::new(&[3_u32, 70, 3], &Device::Cpu).expect("a vector");
    let data = |_| std::iter::repeat(words.clone());
    trainer.fit(&model, data, Hooks::new().stop_at_step(200)).expect("it trains");
    let trained = trainer.snapshot();
    let rows = |all: &sync_replicas::Variables<f32>, row: usize| {
        all.matrix("words.weight").expect("is known").row(row).to_owned()
    };
    for row in 0..100 {
        let (before, now) = (rows(&first, row), rows(&trained.variables, row));
        match row {
            3 | 70 => assert!(now.iter().all(|it| (it - 1.0).abs() < 0.05), "{row}: {now}"),
            _ => assert_eq!(before, now, "{row}"),
        }
    }
}

/// P-17.
#[test]
fn rows_of_a_table_are_trained_by_key() {
    let model = CandleModel::new(
        |vb| vb.get(1, "offset"),
        |offset, (_, y): &Pair, pass| {
            let rows = pass.rows("items")?.squeeze(1)?;
            rows.broadcast_add(offset)?.sub(y)?.sqr()?.mean_all()
        },
    )
    .keys(|(keys, _): &Pair| {
        sync_replicas::Keys::new().of("items", keys.to_vec1().unwrap_or_default())
    });
    let variables = model.variables().expect("it builds");
    let variables = variables.with_table(Table::new("items", 1)).expect("one name");
    let trainer = SyncReplicas::new(Sgd::new(0.2)).replicas_to_aggregate(2);
    let trainer = trainer.build(variables).expect("it fits");
    let keys = Tensor::new(&[-9_i64, 1 << 40], &Device::Cpu).expect("a vector");
    let y = Tensor::new(&[2_f32, -3.0], &Device::Cpu).expect("a vector");
    let data = |_| std::iter::repeat((keys.clone(), y.clone()));
    trainer.fit(&model, data, Hooks::new().stop_at_step(300)).expect("it trains");
    let offset = trainer.snapshot().variables.vector("offset").expect("is known")[0];
    let rows = trainer.lookup("items", &[-9, 1 << 40]).expect("it is a table");
    assert!(
        (rows[[0, 0]] + offset - 2.0).abs() < 0.01 && (rows[[1, 0]] + offset + 3.0).abs() < 0.01
    );
}

/// Each replica fails by itself, and the training says why.
#[test]
fn a_module_that_cannot_be_built_again_ends_the_training_with_its_reason() {
    let builds = std::sync::atomic::AtomicUsize::new(0);
    let model = CandleModel::new(
        move |vb| {
            let width = 1 + builds.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            linear(width, 1, vb.pp("line"))
        },
        |net, (x, y): &Pair, _| loss::mse(&net.forward(x)?, y),
    );
    let trainer = SyncReplicas::new(Sgd::new(0.1)).replicas_to_aggregate(2);
    let trainer = trainer.build(model.variables().expect("it builds")).expect("it fits");
    let data = Batches::new(curve(), 16).expect("it fits");
    let error = trainer.fit(&model, |_| data.clone(), Hooks::new().stop_at_step(5));
    let error = sync_replicas::driver::describe(&error.expect_err("no replica has its shape"));
    assert!(error.contains("`line.weight` has shape [1, "), "{error}");
}
