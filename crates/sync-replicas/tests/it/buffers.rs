//! Gradient buffers that go round, and variables that are published while a reader holds them.

use std::time::Duration;

use ndarray::{Array1, ArrayD, Axis, Slice};
use optim::{Adam, Sgd};
use sync_replicas::error::VariableError;
use sync_replicas::options::{StepTimeout, SummationOrder};
use sync_replicas::{
    Gradients, Outcome, Replica, ReplicaId, Step, SyncReplicas, Trainer, Variables,
};

const LENGTH: usize = 2000;

fn variables() -> Variables<f32> {
    let ramp = Array1::from_iter((0..LENGTH).map(|n| n as f32 * 1e-3));
    Variables::new().with("w", ramp).expect("one name")
}

fn trainer(replicas: usize, needed: usize) -> Trainer<f32> {
    SyncReplicas::new(Sgd::new(0.5))
        .replicas_to_aggregate(needed)
        .total_num_replicas(replicas)
        .build(variables())
        .expect("the numbers fit")
}

fn join(trainer: &Trainer<f32>, id: u64) -> Replica<f32> {
    trainer.replica(ReplicaId::new(id)).expect("it is free")
}

fn next(replica: &mut Replica<f32>) -> Step<'_, f32> {
    replica.next_step().expect("nobody is overdue").expect("training goes on")
}

/// A buffer of the step, and where it lies.
fn buffer(step: &Step<'_, f32>) -> (ArrayD<f32>, *const f32) {
    let mut buffer = step.buffer("w").expect("it is a variable");
    buffer.fill(1.0);
    let place = buffer.as_ptr();
    (buffer, place)
}

/// Whether the next buffer was used before: a new one is zero. Its place alone would not tell,
/// since freed memory is soon allocated again.
fn one_is_free(step: &Step<'_, f32>) -> bool {
    step.buffer("w").expect("it is a variable").iter().all(|element| *element == 1.0)
}

#[test]
fn a_buffer_has_its_variables_shape_and_is_there_again_once_applied() {
    let trainer = trainer(1, 1);
    let mut replica = join(&trainer, 0);
    for nth in 0..3 {
        let step = next(&mut replica);
        let buffer = buffer(&step).0;
        assert_eq!(buffer.shape(), [LENGTH]);
        assert!(matches!(step.buffer("b"), Err(VariableError::Unknown { .. })));
        step.push(Gradients::new().dense("w", buffer)).expect("it fits");
        assert!(one_is_free(&next(&mut replica)), "after {nth}");
    }
}

#[test]
fn a_buffer_comes_back_from_a_stale_push() {
    // what is not added is not lost either
    let trainer = trainer(2, 1);
    let (mut fast, mut slow) = (join(&trainer, 0), join(&trainer, 1));
    let late = next(&mut slow);
    let (gradient, place) = buffer(&late);
    next(&mut fast).push(Gradients::new().dense("w", Array1::ones(LENGTH))).expect("it fits");
    let outcome = late.push(Gradients::new().dense("w", gradient)).expect("late is no error");
    assert!(matches!(outcome, Outcome::Stale { .. }), "{outcome:?}");
    assert_eq!(buffer(&next(&mut fast)).1, place);
}

#[test]
fn a_buffer_comes_back_from_a_duplicate_push() {
    // P-14: A = 2 of N = 3, so that a backup computes share 0 a second time
    let trainer = SyncReplicas::new(Sgd::new(0.5))
        .replicas_to_aggregate(2)
        .total_num_replicas(3)
        .order(SummationOrder::Replica)
        // So long the third replica waits for the second one's share, which never comes.
        .step_timeout(StepTimeout::After(Duration::from_millis(100)))
        .build(variables())
        .expect("the numbers fit");
    let [mut own, mut other, mut backup] = [0, 1, 2].map(|id| join(&trainer, id));
    let (first, _second, again) = (next(&mut own), next(&mut other), next(&mut backup));
    let gradient = buffer(&again).0;
    first.push(Gradients::new().dense("w", Array1::ones(LENGTH))).expect("it fits");
    let outcome = again.push(Gradients::new().dense("w", gradient)).expect("it is no error");
    assert!(matches!(outcome, Outcome::Duplicate { share: 0 }), "{outcome:?}");
    assert!(one_is_free(&next(&mut backup)));
}

#[test]
fn a_buffer_comes_back_from_a_refused_push() {
    // P-11: what was refused for another variable's gradient is free, the first push's also
    let variables = variables().with("b", Array1::zeros(2)).expect("another name");
    let trainer = SyncReplicas::new(Sgd::new(0.5)).build(variables).expect("the numbers fit");
    let mut replica = join(&trainer, 0);
    for length in [3, 2, 3, 2] {
        let step = next(&mut replica);
        let gradients = Gradients::new().dense("w", buffer(&step).0);
        let pushed = step.push(gradients.dense("b", Array1::ones(length)));
        assert_eq!(pushed.is_ok(), length == 2, "{pushed:?}");
        assert!(one_is_free(&next(&mut replica)), "after {length}");
    }
}

#[test]
fn buffers_in_use_are_different_ones() {
    let trainer = trainer(3, 3);
    let mut replicas = [0, 1, 2].map(|id| join(&trainer, id));
    for _ in 0..3 {
        let mut places: Vec<_> = Vec::new();
        for replica in &mut replicas {
            let step = next(replica);
            let (gradient, place) = buffer(&step);
            places.push(place);
            step.push(Gradients::new().dense("w", gradient)).expect("it fits");
        }
        places.sort();
        places.dedup();
        assert_eq!(places.len(), 3);
    }
}

/// A gradient that depends on the step, the share and the variables.
fn write(gradient: &mut ArrayD<f32>, step: &Step<'_, f32>) {
    let w = step.variables().get("w").expect("it is there");
    gradient.zip_mut_with(w, |gradient, w| *gradient = (w + step.number() as f32).sin());
}

/// Variables and averages after some steps of two replicas.
fn run(buffers: bool, locking: bool, readers: usize) -> (String, String) {
    let trainer = SyncReplicas::new(Adam::new(0.1))
        .replicas_to_aggregate(2)
        .order(SummationOrder::Replica)
        .moving_average(0.5)
        .observe_gradients(true)
        .use_locking(locking)
        .build(variables())
        .expect("the numbers fit");
    let mut replicas = [0, 1].map(|id| join(&trainer, id));
    let mut held = Vec::new();
    for _ in 0..6 {
        held.push((trainer.snapshot(), trainer.snapshot().variables.sha256()));
        held.drain(..held.len().saturating_sub(readers));
        for replica in &mut replicas {
            let step = next(replica);
            let mut gradient = match buffers {
                true => step.buffer("w").expect("it is a variable"),
                false => ArrayD::zeros([LENGTH].as_slice()),
            };
            write(&mut gradient, &step);
            step.push(Gradients::new().dense("w", gradient)).expect("it fits");
        }
        for (snapshot, was) in &held {
            assert_eq!(snapshot.variables.sha256(), *was, "a reader's variables changed");
        }
    }
    let average = trainer.averages().expect("they are kept");
    (trainer.snapshot().variables.sha256(), average.sha256())
}

#[test]
fn neither_buffers_nor_readers_can_be_seen_in_the_numbers() {
    // P-14, R-29: what a buffer or a retired array had before never reaches a sum or a variable
    let expected = run(false, true, 0);
    for buffers in [false, true] {
        for locking in [false, true] {
            for readers in [0, 1, 2, 5] {
                let got = run(buffers, locking, readers);
                assert_eq!(got, expected, "{buffers} {locking} {readers}");
            }
        }
    }
}

#[test]
fn an_update_beside_a_reader_uses_the_array_that_the_reader_before_let_go() {
    // a reader costs no allocation a step
    for locking in [true, false] {
        let trainer = SyncReplicas::new(Sgd::new(0.5)).use_locking(locking);
        let trainer = trainer.build(variables()).expect("the numbers fit");
        let mut replica = join(&trainer, 0);
        let mut places = Vec::new();
        for _ in 0..8 {
            let reader = trainer.snapshot();
            places.push(reader.variables.get("w").expect("it is there").as_ptr());
            let step = next(&mut replica);
            step.push(Gradients::new().dense("w", Array1::ones(LENGTH))).expect("it fits");
            drop(reader);
        }
        places.sort();
        places.dedup();
        assert_eq!(places.len(), 2, "locking {locking}");
    }
}

#[test]
fn a_borrowed_gradient_is_copied_into_a_buffer() {
    let trainer = trainer(1, 1);
    let mut replica = join(&trainer, 0);
    let twice = Array1::<f32>::from_elem(2 * LENGTH, 1.0);
    let every_second = || twice.slice_axis(Axis(0), Slice::new(0, None, 2)).into_dyn();
    for nth in 0..3 {
        let step = next(&mut replica);
        assert_eq!(one_is_free(&step), nth > 0, "the pool has what was pushed before");
        let gradient = step.buffer_of("w", every_second());
        assert_eq!(gradient, Array1::<f32>::ones(LENGTH).into_dyn());
        step.push(Gradients::new().dense("w", gradient)).expect("it fits");
    }
    for (name, gradient) in [("w", twice.view().into_dyn()), ("b", every_second())] {
        let step = next(&mut replica);
        let copied = step.buffer_of(name, gradient.view());
        assert_eq!(copied, gradient);
        step.push(Gradients::new().dense(name, copied)).expect_err("it does not fit");
    }
}
