//! Trainings of models in burn, in threads.

use std::time::Duration;

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor, activation};
use optim::{Adam, Sgd};
use sync_replicas::options::SummationOrder;
use sync_replicas::{Hooks, ReplicaId, SyncReplicas};
use sync_replicas_burn::BurnModel;

type Pair = (Tensor<2>, Tensor<2>);

fn curve() -> Pair {
    let x = Tensor::<1, burn::tensor::Int>::arange(-32..32, &Device::flex()).float();
    let x = (x / 16.0).reshape([64, 1]);
    (x.clone(), x.square())
}

#[derive(Module, Debug)]
struct Net {
    hidden: Linear,
    out: Linear,
}

impl Net {
    fn new(device: &Device) -> Self {
        let linear = |from, to| LinearConfig::new(from, to).init(device);
        Self { hidden: linear(1, 16), out: linear(16, 1) }
    }

    fn loss(&self, (x, y): &Pair) -> Tensor<1> {
        let read = self.out.forward(activation::silu(self.hidden.forward(x.clone())));
        (read - y.clone()).square().mean()
    }
}

/// P-5, P-13: the slow one would need an hour for a batch.
#[test]
fn a_curve_is_learned_and_a_slow_replica_is_not_waited_for() {
    let model = BurnModel::new(&Device::flex(), Net::new, |net, batch, work| {
        if work.replica == ReplicaId::new(3) {
            let _ = work.pause(Duration::from_secs(3600));
        }
        net.loss(batch)
    });
    let trainer = SyncReplicas::new(Adam::new(0.02)).replicas_to_aggregate(2).total_num_replicas(4);
    let trainer = trainer.build(model.variables().expect("it builds")).expect("it fits");
    let data = |_| std::iter::repeat(curve());
    let report = trainer.fit(&model, data, Hooks::new().stop_at_step(400)).expect("it trains");
    assert_eq!(report.updates, 400);
    let net = model.module(&trainer.snapshot().variables).expect("they are its own");
    let error: f32 = net.loss(&curve()).into_scalar();
    assert!(error < 0.02, "{error}");
}

/// P-14: in replica order, the bits are those of any other run.
#[test]
fn two_runs_in_replica_order_end_with_the_same_bits() {
    let run = || {
        let model = BurnModel::new(&Device::flex(), Net::new, |net, batch, _| net.loss(batch));
        let trainer = SyncReplicas::new(Sgd::new(0.1))
            .replicas_to_aggregate(3)
            .order(SummationOrder::Replica)
            .build(model.variables().expect("it builds"))
            .expect("it fits");
        let data = |_| std::iter::repeat(curve());
        trainer.fit(&model, data, Hooks::new().stop_at_step(50)).expect("it trains");
        trainer.snapshot().variables.sha256()
    };
    assert_eq!(run(), run());
}

/// Burn panics where matrices do not fit; each replica fails by itself, and the training says why.
#[test]
fn a_panic_of_burn_ends_the_training_with_its_reason() {
    let model = BurnModel::new(&Device::flex(), Net::new, |net, (x, y): &Pair, _| {
        net.loss(&(x.clone().swap_dims(0, 1), y.clone()))
    });
    let trainer = SyncReplicas::new(Sgd::new(0.1)).replicas_to_aggregate(2);
    let trainer = trainer.build(model.variables().expect("it builds")).expect("it fits");
    let data = |_| std::iter::repeat(curve());
    let error = trainer.fit(&model, data, Hooks::new().stop_at_step(5));
    let error = sync_replicas::driver::describe(&error.expect_err("no replica can compute"));
    assert!(
        error.contains("all 2 replicas failed") && error.contains("expected 1, got 64"),
        "{error}"
    );
}
