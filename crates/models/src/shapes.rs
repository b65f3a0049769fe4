//! Shapes that every history of a staleness rule has, whatever counts the steps.
//!
//! Not step by step: two histories are compared, or one with a formula..

use accum_core::test_util::{Act, Kind, Pushed, WIDTH, act};
use accum_core::{Applied, DenseAccumulator, Gate, Reduction};
use ndarray::Array1;
use proptest::prelude::*;

use crate::property;
use crate::run::{Model, Runner};

/// What a history leaves: every mean taken, the step, the count.
type End = (Vec<(Vec<f64>, u64, i64)>, i64, u64);

pub(crate) fn all() -> Vec<Model> {
    vec![
        property!("shapes/two_steps_decide", two_steps_decide),
        property!("shapes/order_hardly_matters", order_hardly_matters),
        property!("shapes/stale_leaves_no_trace", stale_leaves_no_trace),
        property!("shapes/a_take_splits_a_history", a_take_splits_a_history),
        property!("shapes/a_mean_is_of_exactly_n", a_mean_is_of_exactly_n),
    ]
}

fn acts(runner: &Runner) -> impl Strategy<Value = Vec<Act>> + use<> {
    prop::collection::vec(act(Kind::Dense), 1..=runner.longest())
}

/// Does an act to a plain accumulator; what was taken, if it was a take that had enough.
fn play(acc: &mut DenseAccumulator<f64>, act: &Act) -> Option<(Vec<f64>, u64, i64)> {
    match act {
        Act::Push { age, gradient } => {
            let local_step = acc.global_step().get().saturating_add(*age);
            // A gradient that does not fit is refused, and changes nothing.
            let _ = acc.apply(array(gradient), local_step);
        }
        Act::Take { required } | Act::TryTake { required } => {
            let sum = acc.try_take(*required).ok().flatten()?;
            let closed = accum_core::Drained::closed(&sum);
            let mean = sum.into_value().into_iter().collect();
            return Some((mean, closed.count, closed.step.get()));
        }
        Act::SetStep { step } => drop(acc.set_global_step(*step)),
        Act::Poll { .. } | Act::Drop { .. } | Act::Count | Act::Close => {}
    }
    None
}

fn array(gradient: &Pushed) -> Array1<f64> {
    gradient.rows.iter().map(|(_, value)| *value).collect()
}

fn new() -> DenseAccumulator<f64> {
    DenseAccumulator::new([WIDTH as usize], Reduction::Mean)
}

fn end(mut acc: DenseAccumulator<f64>, acts: &[Act]) -> End {
    let taken = acts.iter().filter_map(|act| play(&mut acc, act)).collect();
    (taken, acc.global_step().get(), acc.num_accumulated())
}

/// Acceptance depends on the local and the global step, and on nothing else.
fn two_steps_decide(runner: &mut Runner) -> Result<(), String> {
    let near = || prop_oneof![3 => -3_i64..4, 1 => any::<i64>()];
    let steps = prop::collection::vec((near(), near()), 1..=runner.longest());
    runner.histories(&steps, Vec::len, |steps| {
        let mut gate = Gate::new();
        for (global, local) in steps {
            gate.set_step(global);
            assert_eq!(gate.admit(local).is_accepted(), local >= global, "{local} at {global}");
        }
    })
}

/// Any order of the same gradients gives the same mean, within n · eps · sum |g|.
fn order_hardly_matters(runner: &mut Runner) -> Result<(), String> {
    let values = prop::collection::vec(-1.0e6_f64..1.0e6, 1..=runner.longest());
    let both = values.prop_flat_map(|values| (Just(values.clone()), Just(values).prop_shuffle()));
    let mean = |values: &[f64]| {
        let mut acc = DenseAccumulator::<f64>::new([1], Reduction::Mean);
        for &value in values {
            acc.apply(Array1::from(vec![value]), 0).expect("one shape");
        }
        acc.try_take(1).expect("one asked").expect("some held").into_value()[[0]]
    };
    runner.histories(
        &both,
        |(values, _)| values.len(),
        |(values, shuffled)| {
            let size: f64 = values.iter().map(|value| value.abs()).sum();
            let tolerance = values.len() as f64 * f64::EPSILON * size;
            let [a, b] = [mean(&values), mean(&shuffled)];
            assert!((a - b).abs() <= tolerance, "{a} and {b}, tolerance {tolerance}");
        },
    )
}

/// A history without its stale gradients ends as it does with them.
fn stale_leaves_no_trace(runner: &mut Runner) -> Result<(), String> {
    let acts = acts(runner);
    runner.histories(&acts, Vec::len, |acts| {
        let mut acc = new();
        let mut fresh = Vec::new();
        for act in &acts {
            let before = acc.num_accumulated();
            play(&mut acc, act);
            let dropped =
                matches!(act, Act::Push { age: ..0, .. }) && acc.num_accumulated() == before;
            if !dropped {
                fresh.push(act.clone());
            }
        }
        assert_eq!(end(new(), &acts), end(new(), &fresh));
    })
}

/// After a take nothing is left of what came before but the step, which never moves by itself.
fn a_take_splits_a_history(runner: &mut Runner) -> Result<(), String> {
    let acts = acts(runner);
    runner.histories(&acts, Vec::len, |acts| {
        let mut acc = new();
        for (at, act) in acts.iter().enumerate() {
            let before = acc.global_step().get();
            let took = play(&mut acc, act).is_some();
            let expected = before.checked_add(i64::from(took));
            let moved = Some(acc.global_step().get());
            assert!(matches!(act, Act::SetStep { .. }) || moved == expected, "{act:?}");
            if took {
                let mut fresh = new();
                fresh.set_global_step(acc.global_step());
                assert_eq!(end(fresh, &acts[at + 1..]), end(acc, &acts[at + 1..]));
                return;
            }
        }
    })
}

/// With no more workers than gradients needed, and no faults, every mean is of exactly that many.
fn a_mean_is_of_exactly_n(runner: &mut Runner) -> Result<(), String> {
    let workers = (1_usize..6, prop::collection::vec(any::<u8>(), 1..=runner.longest()));
    runner.histories(
        &workers,
        |(_, turns)| turns.len(),
        |(n, turns)| {
            let (mut acc, mut local) = (new(), vec![0_i64; n]);
            for turn in turns {
                let worker = usize::from(turn) % n;
                if local[worker] > acc.global_step().get() {
                    continue; // It has pushed, and waits for a token of the next step.
                }
                let step = local[worker];
                let pushed = acc.apply(Array1::from(vec![1.0; WIDTH as usize]), step);
                assert!(matches!(pushed, Ok(Applied::Accepted { .. })), "{pushed:?}");
                local[worker] += 1;
                if let Some(sum) = acc.try_take(n as i64).expect("at least one") {
                    assert_eq!(sum.count(), n as u64);
                }
            }
        },
    )
}
