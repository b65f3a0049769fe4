//! Shards in the coordinator's order give the bits of a single process (P-3, P-14).

use std::sync::Arc;

use cluster::NumberFormat;
use cluster::driver::index::VariableIndex;
use cluster::driver::placement::Placement;
use cluster::driver::shard::{AverageSettings, ShardError, ShardSettings};
use sync_replicas::driver::Generation;
use sync_replicas::engine::Admission;
use sync_replicas::options::SummationOrder;
use sync_replicas::{ReplicaId, SyncReplicas, Variables};

use crate::support::{
    Boxed, contribution, gradients, joined, optimizers, shapes, shards, stage, variables,
};

const STEPS: u64 = 6;

/// The trainer of one process, fed with the same gradients; variables and their averages.
fn single(optimizer: Boxed<f32>, aggregate: u64) -> (Variables<f32>, Variables<f32>) {
    let trainer = SyncReplicas::new(optimizer)
        .replicas_to_aggregate(aggregate as usize)
        .order(SummationOrder::Replica)
        .moving_average(0.9)
        .build(variables())
        .expect("the numbers fit");
    let mut replicas: Vec<_> =
        (0..aggregate).map(|id| trainer.replica(ReplicaId::new(id)).expect("a seat")).collect();
    for _ in 0..STEPS {
        for replica in &mut replicas {
            let open = replica.next_step().expect("no wait").expect("it goes on");
            let number = open.number();
            open.push(gradients(number)).expect("it fits");
        }
    }
    (trainer.snapshot().variables.clone(), trainer.averages().expect("they are kept"))
}

/// The same on shards; contributions come in the reverse order of their keys if `ordered`.
fn sharded(
    make: impl Fn() -> Boxed<f32>,
    aggregate: u64,
    count: usize,
    admission: Admission,
) -> (Variables<f32>, Variables<f32>) {
    let initial = variables();
    let placement = Placement::new(&shapes(&initial), 4, count);
    let averages = Some(AverageSettings { decay: 0.9, variables: None });
    let settings = ShardSettings { ordered: true, admission, averages, ..Default::default() };
    let mut shards = shards(&placement, &initial, make, &settings);
    for step in 0..STEPS {
        for share in (0..aggregate).rev() {
            let id = contribution(share, step + 1);
            for shard in &mut shards {
                stage(shard, id, &gradients(step * aggregate + share), 24);
                shard.admit(id, share, None).expect("it is staged");
            }
        }
        let closed: Vec<_> = match admission {
            Admission::Together => vec![None],
            // The last variable has no gradient.
            Admission::PerVariable => {
                (0..initial.len() - 1).map(|it| Some(VariableIndex::new(it))).collect()
            }
        };
        for (place, variable) in closed.iter().enumerate() {
            for shard in &mut shards {
                let next = (step as i64 + 1).into();
                let last = place + 1 == closed.len();
                shard.apply(*variable, last, next, Generation::new(1)).expect("it fits");
            }
        }
    }
    let mut averages = Variables::new();
    for (index, (name, _)) in placement.variables().iter().enumerate() {
        let array = placement.join(VariableIndex::new(index), |place| {
            let kept = shards[place.shard].averages().expect("they are kept");
            kept.average(&placement.parts(place.shard)[place.position].name)
                .expect("all are averaged")
        });
        averages = averages.with(name.as_str(), array).expect("a name of its own");
    }
    (joined(&placement, &shards), averages)
}

#[test]
fn any_number_of_shards_gives_the_bits_of_one_process() {
    for which in 0..optimizers().len() {
        for aggregate in [1, 3] {
            let expected = single(optimizers().remove(which), aggregate);
            for count in [1, 2, 3, 7] {
                for admission in [Admission::Together, Admission::PerVariable] {
                    let make = || optimizers().remove(which);
                    let got = sharded(make, aggregate, count, admission);
                    let case = format!("optimizer {which}, A = {aggregate}, {count} shards");
                    assert_eq!(got.0.sha256(), expected.0.sha256(), "{case}");
                    assert_eq!(got.1.sha256(), expected.1.sha256(), "averages, {case}");
                }
            }
        }
    }
}

/// Without an order of keys the sum is made as they come, and holds the memory of one gradient.
#[test]
fn arrival_order_sums_as_they_come() {
    let placement = Placement::new(&[("w", vec![2])], 4, 1);
    let initial = Variables::new().with("w", ndarray::arr1(&[0.0_f32, 0.0])).expect("a name");
    let settings = ShardSettings { wire: NumberFormat::Bf16, ..Default::default() };
    let mut shards = shards(&placement, &initial, || Box::new(optim::Sgd::new(1.0)), &settings);
    let shard = &mut shards[0];
    for (replica, value) in [(0, 1.0_f32), (1, 2.0), (2, 6.0)] {
        let id = contribution(replica, 1);
        let pushed = sync_replicas::Gradients::new().dense("w", ndarray::arr1(&[value, 0.5]));
        stage(shard, id, &pushed, 2);
        assert!(shard.staged_bytes() > 0);
        shard.admit(id, 9 - replica, None).expect("it is staged");
        assert_eq!(shard.staged_bytes(), 0);
    }
    shard.apply(None, true, 1.into(), Generation::new(1)).expect("it fits");
    assert_eq!(
        *shard.snapshot().variables.arrays()[0],
        ndarray::arr1(&[-3.0_f32, -0.5]).into_dyn()
    );
}

#[test]
fn a_snapshot_never_changes_and_nobody_sees_half_a_step() {
    let initial = variables();
    let placement = Placement::new(&shapes(&initial), 4, 1);
    let settings = ShardSettings { admission: Admission::PerVariable, ..Default::default() };
    let make = || optimizers().remove(0);
    let mut shards = shards(&placement, &initial, make, &settings);
    let before = shards[0].snapshot();
    let values: Vec<_> = before.variables.arrays().iter().map(|part| (**part).clone()).collect();
    let id = contribution(0, 1);
    stage(&mut shards[0], id, &gradients(1), 8);
    shards[0].admit(id, 0, None).expect("it is staged");
    for variable in 0..5 {
        let shard = &mut shards[0];
        assert!(Arc::ptr_eq(&before, &shard.snapshot()), "published before variable {variable}");
        let (last, variable) = (variable == 4, VariableIndex::new(variable));
        shard.apply(Some(variable), last, 1.into(), Generation::new(1)).expect("it fits");
    }
    let after = shards[0].snapshot();
    assert_eq!(after.global_step.get(), 1);
    assert_ne!(after.variables.arrays()[0], before.variables.arrays()[0]);
    assert!(before.variables.arrays().iter().zip(&values).all(|(now, then)| **now == *then));
    assert!(
        Arc::ptr_eq(&before.variables.arrays()[5], &after.variables.arrays()[5]),
        "it has no gradient: no copy"
    );
}

#[test]
fn what_nobody_reads_is_updated_in_place() {
    let initial = variables();
    let placement = Placement::new(&shapes(&initial), 4, 1);
    let make = || optimizers().remove(0);
    let mut shards = shards(&placement, &initial, make, &ShardSettings::default());
    let place = |shard: &cluster::driver::shard::Shard<f32>| {
        shard.snapshot().variables.arrays()[0].as_ptr()
    };
    let before = place(&shards[0]);
    for (step, held) in [(1, false), (2, true)] {
        let id = contribution(0, step);
        stage(&mut shards[0], id, &gradients(step), 64);
        shards[0].admit(id, 0, None).expect("it is staged");
        let reader = held.then(|| shards[0].snapshot());
        shards[0].apply(None, true, (step as i64).into(), Generation::new(1)).expect("it fits");
        assert_eq!(place(&shards[0]) == before, !held, "step {step}");
        drop(reader);
    }
}

#[test]
fn orders_that_fit_nothing_are_refused() {
    let initial = variables();
    let placement = Placement::new(&shapes(&initial), 4, 1);
    let make = || optimizers().remove(0);
    let mut shards = shards(&placement, &initial, make, &ShardSettings::default());
    let shard = &mut shards[0];
    let id = contribution(4, 2);
    let error = shard.admit(id, 0, None).expect_err("nothing is staged").to_string();
    assert_eq!(
        error,
        "contribution 2 of replica 4 (incarnation 1) is to be admitted, but is not wholly staged \
         here"
    );
    let old = shard.apply(None, true, 1.into(), Generation::new(7));
    assert!(matches!(old, Err(ShardError::Generation { .. })), "{old:?}");
    // Two were staged before either was admitted; the second has other kinds.
    stage(shard, contribution(0, 1), &gradients(0), 64);
    let dense = gradients(1).dense("x", ndarray::arr1(&[0.0_f32]));
    let mut other = sync_replicas::Gradients::new();
    for (name, gradient) in dense.iter().take(6) {
        let gradient =
            if name == "b" { sync_replicas::Gradient::Missing } else { gradient.clone() };
        other = other.with(name.to_owned(), gradient);
    }
    stage(shard, contribution(1, 1), &other, 64);
    shard.admit(contribution(0, 1), 0, None).expect("it is staged");
    let refused = shard.admit(contribution(1, 1), 0, None);
    assert!(matches!(refused, Err(ShardError::Kind { .. })), "{refused:?}");
    shard.apply(None, true, 1.into(), Generation::new(1)).expect("the first is there");
}
