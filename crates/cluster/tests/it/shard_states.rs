//! A run's state on any number of shards: nothing is lost between them and one process.

use std::sync::Arc;

use cluster::driver::placement::Placement;
use cluster::driver::shard::{AverageSettings, Shard, ShardSettings, ShardState, gather, scatter};
use proptest::prelude::*;
use sync_replicas::checkpoint::TrainingState;
use sync_replicas::driver::Generation;
use sync_replicas::engine::Positions;
use sync_replicas::{SyncReplicas, Variables};

use crate::support::{
    Boxed, contribution, gradients, joined, optimizers, shapes, shards, stage, variables,
};

fn settings() -> ShardSettings {
    let averages = AverageSettings { decay: 0.5, variables: Some(vec!["w".into(), "b".into()]) };
    ShardSettings { averages: Some(averages), ..Default::default() }
}

/// A trainer's state after some steps, as it would be in a checkpoint.
fn trained(which: usize, steps: u64) -> TrainingState<f32> {
    let trainer = SyncReplicas::new(optimizers().remove(which))
        .moving_average(0.5)
        .variables_to_average(["w", "b"])
        .build(variables())
        .expect("the numbers fit");
    let mut replica = trainer.replica(0.into()).expect("a seat");
    for number in 0..steps {
        let open = replica.next_step().expect("no wait").expect("it goes on");
        open.push(gradients(number)).expect("it fits");
    }
    drop(replica);
    trainer.training_state().expect("it is whole")
}

fn placed(which: usize, count: usize) -> (Placement, Vec<Shard<f32>>) {
    let initial = variables();
    let placement = Placement::new(&shapes(&initial), 4, count);
    let make = move || -> Boxed<f32> { optimizers().remove(which) };
    let shards = shards(&placement, &initial, make, &settings());
    (placement, shards)
}

#[track_caller]
fn same(got: &TrainingState<f32>, expected: &TrainingState<f32>) {
    assert_eq!(got.global_step, expected.global_step);
    assert_eq!(got.generation, expected.generation);
    assert_eq!(got.variables.sha256(), expected.variables.sha256());
    assert_eq!(got.optimizer, expected.optimizer);
    assert_eq!(got.optimizer_state, expected.optimizer_state);
    assert_eq!(got.averages, expected.averages);
    assert_eq!(got.positions, expected.positions);
}

fn step(shards: &mut [Shard<f32>], number: u64) {
    for shard in shards {
        let generation = shard.snapshot().generation;
        let id = contribution(0, number + 1);
        stage(shard, id, &gradients(number), 64);
        shard.admit(id, 0, None).expect("it is staged");
        shard.apply(None, true, (number as i64 + 1).into(), generation).expect("it fits");
    }
}

/// A restored shard sends its values as they lie in memory, so they lie as their indices say.
#[test]
fn a_state_laid_out_by_columns_is_restored_in_the_order_of_its_indices() {
    let (placement, mut shards) = placed(0, 2);
    let states = scatter(&placement, &trained(0, 2)).expect("it fits");
    let mut turned = 0;
    for (shard, state) in shards.iter_mut().zip(&states) {
        let mut columns = state.clone();
        for (_, array) in &mut columns.tensors {
            let by_columns = array.t().as_standard_layout().into_owned().reversed_axes();
            turned += usize::from(!by_columns.is_standard_layout());
            *array = Arc::new(by_columns);
        }
        shard.restore(&columns).expect("it fits");
        assert_eq!(shard.state(), *state);
        let snapshot = shard.snapshot();
        assert!(snapshot.variables.arrays().iter().all(|array| array.is_standard_layout()));
    }
    assert_ne!(turned, 0, "no tensor has columns");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn gathering_what_was_scattered_gives_all_back(
        which in 0_usize..3,
        steps in 0_u64..4,
        count in 1_usize..8,
    ) {
        let expected = trained(which, steps);
        let (placement, mut shards) = placed(which, count);
        let states = scatter(&placement, &expected).expect("it fits");
        let positions = expected.positions.clone();
        same(&gather(&placement, &states, positions.clone()).expect("it fits"), &expected);
        for (shard, state) in shards.iter_mut().zip(&states) {
            shard.restore(state).expect("it fits");
            prop_assert_eq!(&shard.state(), state);
        }
        let states: Vec<_> = shards.iter().map(Shard::state).collect();
        same(&gather(&placement, &states, positions).expect("it fits"), &expected);
    }

    /// One process, then some shards, then other shards: the bits of one process all the way.
    #[test]
    fn a_run_that_moves_between_numbers_of_shards_goes_on_as_if_it_had_not(
        which in 0_usize..3,
        first in 1_usize..6,
        second in 1_usize..6,
    ) {
        let expected = trained(which, 6);
        let mut state = trained(which, 2);
        for (count, numbers) in [(first, 2..4), (second, 4..6)] {
            let (placement, mut shards) = placed(which, count);
            let states = scatter(&placement, &state).expect("it fits");
            for (shard, state) in shards.iter_mut().zip(&states) {
                shard.restore(state).expect("it fits");
                shard.begin_generation(Generation::new(9), state.global_step);
            }
            numbers.for_each(|number| step(&mut shards, number));
            prop_assert_eq!(shards[0].snapshot().generation, Generation::new(9));
            let moved = shards[0].snapshot().global_step.get() - state.global_step.get();
            prop_assert_eq!(moved, 2);
            prop_assert_eq!(joined(&placement, &shards).len(), variables().len());
            let states: Vec<_> = shards.iter().map(Shard::state).collect();
            state = gather(&placement, &states, expected.positions.clone()).expect("it fits");
            state.generation = expected.generation;
        }
        same(&state, &expected);
    }
}

#[track_caller]
fn refuse(change: impl Fn(&mut ShardState<f32>), expected: &str) {
    let (_, mut shards) = placed(2, 1);
    step(&mut shards, 0);
    let before = shards[0].state();
    let mut other = before.clone();
    other.global_step = 77.into();
    change(&mut other);
    let error = shards[0].restore(&other).expect_err("it does not fit").to_string();
    assert!(error.contains(expected), "{error}");
    assert_eq!(shards[0].state(), before, "something was restored");
}

#[test]
fn a_state_that_does_not_fit_changes_nothing() {
    refuse(|state| state.optimizer = "sgd".into(), "the optimizer is adam here and sgd there");
    refuse(|state| state.averages = false, "averages are kept here but not there");
    refuse(|state| drop(state.tensors.pop()), "expected the tensors");
    refuse(|state| state.tensors.swap(0, 1), "expected the tensors");
    refuse(|state| drop(state.scalars.pop()), "the saved state has no");
    refuse(|state| state.counters.push(("optimizer/x".into(), 1)), "is not known here");
}

/// Over the network numbers have names and no order.
#[test]
fn numbers_may_come_in_any_order() {
    let (placement, mut shards) = placed(2, 2);
    step(&mut shards, 0);
    let mut states: Vec<_> = shards.iter().map(Shard::state).collect();
    assert!(states[1].scalars.len() > 1, "{:?}", states[1].scalars);
    states[1].scalars.reverse();
    gather(&placement, &states, Positions::default()).expect("they count the same");
}

#[test]
fn states_that_do_not_fit_each_other_are_not_gathered() {
    let (placement, mut shards) = placed(1, 2);
    let states = |shards: &[Shard<f32>]| shards.iter().map(Shard::state).collect::<Vec<_>>();
    let check = |states: &[ShardState<f32>], expected: &str| {
        let error = gather(&placement, states, Positions::default())
            .expect_err("they do not fit")
            .to_string();
        assert!(error.contains(expected), "{error}");
    };
    check(&states(&shards)[..1], "expected the states of 2 shards, got 1");
    let mut lacking = states(&shards);
    lacking[1].tensors.remove(0);
    check(&lacking, "expected `variable/");
    step(&mut shards[..1], 0);
    check(&states(&shards), "or they count differently");
    let (placement, shards) = placed(2, 2);
    let mut states: Vec<_> = shards.iter().map(Shard::state).collect();
    states[1].scalars.reverse();
    states[1].counters.reverse();
    gather(&placement, &states, Positions::default())
        .expect("the order of numbers does not matter");
    let mut other = trained(1, 1);
    other.variables = Variables::new().with("w", ndarray::arr1(&[0.0_f32])).expect("a name");
    let error = scatter(&placement, &other).expect_err("other variables").to_string();
    assert!(error.contains("expected the variables"), "{error}");
    let mut other = trained(1, 1);
    let entry = other.optimizer_state.values().next_back().expect("a slot").clone();
    other.optimizer_state.insert("w/x/momentum".into(), entry);
    let error = scatter(&placement, &other).expect_err("a stray slot").to_string();
    assert!(error.contains("belongs to no variable here"), "{error}");
}
