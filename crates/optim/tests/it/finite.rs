//! Updates notice what is not finite, in gradients and in what they make of them (P-25).

use ndarray::{Array1, ArrayD, Axis, Slice};
use optim::{Mean, OptimizerState, Schedule, Sgd, SparseGradient};

use crate::support::{Boxed, all, at_work, column};

/// Enough for several tiles.
const LARGE: usize = (1 << 15) + 345;

/// One dense update; whether it was found finite.
fn dense(optimizer: Boxed<f32>, gradient: &Array1<f32>, divisor: f32, step: usize) -> bool {
    let length = gradient.len();
    let state = at_work(optimizer, &[length]);
    let mut state = state.side_by_side(2, |first, second| {
        second();
        first();
    });
    let mut memory = Array1::from_elem(length * step, 0.5);
    let mut w = memory.slice_axis_mut(Axis(0), Slice::new(0, None, step as isize)).into_dyn();
    let gradient = Mean { sum: gradient.view(), divisor };
    state.apply_dense("w", w.view_mut(), &gradient).expect("it fits");
    state.is_finite()
}

/// One sparse update; whether it was found finite.
fn sparse(optimizer: Boxed<f32>, rows: &[f64], step: usize) -> bool {
    let mut state = at_work(optimizer, &[5, 1]);
    let mut memory = ArrayD::from_elem([5, step].as_slice(), 0.5);
    let mut w = memory.slice_axis_mut(Axis(1), Slice::new(0, None, step as isize));
    let rows = column::<f32>(rows);
    let gradient = SparseGradient { indices: &[3, 0, 3], rows: rows.view() };
    state.apply_sparse("w", w.view_mut(), gradient).expect("it fits");
    state.is_finite()
}

#[test]
fn one_number_that_is_not_finite_is_noticed_by_every_optimizer() {
    #[track_caller]
    fn check(other: f32) {
        for which in 0..all::<f32>().len() {
            let optimizer = || all::<f32>().swap_remove(which);
            let name = optimizer().name();
            for (divisor, step) in [(1.0, 1), (2.0, 1), (1.0, 2)] {
                let gradient = Array1::from_elem(LARGE, 1e-3);
                assert!(dense(optimizer(), &gradient, divisor, step), "{name}");
                for place in [0, LARGE - 1] {
                    let mut gradient = gradient.clone();
                    gradient[place] = other;
                    assert!(!dense(optimizer(), &gradient, divisor, step), "{name}: {other}");
                }
                assert!(sparse(optimizer(), &[0.1, 0.2, 0.3], step), "{name}");
                assert!(!sparse(optimizer(), &[0.1, 0.2, other.into()], step), "{name}: {other}");
            }
        }
    }
    check(f32::NAN);
    check(f32::INFINITY);
    check(f32::NEG_INFINITY);
}

#[test]
fn it_is_noticed_in_each_part_of_a_large_update() {
    let mut gradient = Array1::from_elem(1 << 19, 1e-3);
    assert!(dense(Box::new(Sgd::new(0.1)), &gradient, 1.0, 1));
    for place in [0, (1 << 19) - 1] {
        let before = std::mem::replace(&mut gradient[place], f32::NAN);
        assert!(!dense(Box::new(Sgd::new(0.1)), &gradient, 1.0, 1), "{place}");
        gradient[place] = before;
    }
}

#[test]
fn a_result_that_overflows_is_noticed_also_in_a_slot_alone() {
    let gradient = Array1::from_elem(3, 1e30);
    let rate = Schedule::from(1e20);
    assert!(!dense(Box::new(Sgd::new(rate)), &gradient, 1.0, 1));
    // The square of the gradient is infinite, so that the variable would never move again.
    assert!(!dense(Box::new(optim::Adam::new(0.1)), &gradient, 1.0, 1));
}

#[test]
fn what_was_noticed_stays_until_a_restore() {
    let mut state = OptimizerState::<f32>::new(Sgd::new(0.1)).expect("a good rate");
    state.add_variable("w", &[1]).expect("a new name");
    let saved = state.state().into_iter().map(|(name, it)| (name, it.into_owned())).collect();
    let mut w = ArrayD::zeros([1].as_slice());
    for (gradient, finite) in [(1.0, true), (f32::NAN, false), (1.0, false)] {
        let gradient = ArrayD::from_elem([1].as_slice(), gradient);
        state.apply_dense("w", w.view_mut(), &gradient).expect("it fits");
        assert_eq!(state.is_finite(), finite);
    }
    state.restore(&saved).expect("it is its own");
    assert!(state.is_finite());
}

/// SGD goes over a long tile from two places at once.
#[test]
fn sgd_updates_and_looks_at_each_number_of_a_tile_of_any_length() {
    #[track_caller]
    fn check(length: usize) {
        let gradient = Array1::from_iter((0..length).map(|i| i as f32));
        let mut state = OptimizerState::new(Sgd::new(0.5)).expect("valid");
        state.add_variable("w", &[length]).expect("it is the first");
        let mut w = ArrayD::from_elem([length].as_slice(), 1.0);
        state.apply_dense("w", w.view_mut(), &gradient).expect("it fits");
        assert!(w.iter().zip(&gradient).all(|(&x, &g)| x == 1.0 - 0.5 * g), "{length}");
        for place in [0, length / 2 - 1, length / 2, length - 2, length - 1] {
            let mut gradient = gradient.clone();
            gradient[place] = f32::NAN;
            assert!(!dense(Box::new(Sgd::new(0.5)), &gradient, 1.0, 1), "{place} of {length}");
        }
    }
    check(3);
    check((1 << 13) - 1);
    check(1 << 13);
    check((1 << 13) + 1);
    check((1 << 13) + 2);
}
