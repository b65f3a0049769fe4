//! The reference's own numbers: 44 runs of its optimizers, dense and sparse, f32 and f64.
//!
//! The reference rounds hyper-parameters to f32 also for f64 variables; here they are not rounded,
//! so that f64 runs agree to about seven digits only (E-25).

use std::collections::BTreeMap;

use ndarray::{ArrayD, array};
use optim::{Adagrad, Adam, Ftrl, LazyAdam, Momentum, Optimizer, Real, RmsProp, Sgd};
use serde_json::Value;

use crate::support::{Boxed, at_work, close, column, dense_step, sparse_step};

/// The reference's run names, and the optimizers that have to give the same numbers.
fn optimizer<T: Real>(run: &str) -> Boxed<T> {
    match run {
        "SGD_lr2" => Box::new(Sgd::new(2.0)),
        "Momentum_lr2_m09" => Box::new(Momentum::new(2.0, 0.9)),
        "Nesterov_lr2_m09" => Box::new(Momentum::new(2.0, 0.9).nesterov(true)),
        "Adam_default" => Box::new(Adam::new(1e-3)),
        "Adam_lr01_b09_b099_e1" => Box::new(Adam::new(0.1).beta1(0.9).beta2(0.99).epsilon(0.1)),
        "LazyAdam_default" => Box::new(LazyAdam::new(1e-3)),
        "Adagrad_lr3" => Box::new(Adagrad::new(3.0)),
        "RMSProp_lr01" => Box::new(RmsProp::new(0.1)),
        "RMSProp_lr01_m05_centered" => Box::new(RmsProp::new(0.1).momentum(0.5).centered(true)),
        "Ftrl_lr3" => Box::new(Ftrl::new(3.0)),
        "Ftrl_lr3_l1_001_l2_2" => Box::new(Ftrl::new(3.0).l1(0.001).l2(2.0)),
        _ => panic!("a run that nobody mapped: {run}"),
    }
}

type Run = (Vec<Vec<f64>>, BTreeMap<String, Vec<f64>>);

fn runs() -> BTreeMap<String, Run> {
    let read = |value: &Value| -> Vec<f64> {
        serde_json::from_value(value.clone()).expect("a list of numbers")
    };
    let all: BTreeMap<String, Value> =
        serde_json::from_str(include_str!("goldens.json")).expect("a map of runs");
    let run = |(name, run): (String, Value)| {
        let steps = run["variable"].as_array().expect("steps").iter().map(read).collect();
        let slots = run["slots"].as_object().expect("slots").iter();
        (name, (steps, slots.map(|(slot, values)| (slot.clone(), read(values))).collect()))
    };
    all.into_iter().map(run).collect()
}

#[track_caller]
fn check<T: Real>(name: &str, sparse: bool, (steps, slots): &Run) {
    let start: &[f64] = if sparse { &[1.0, 2.0, 3.0, 4.0] } else { &[1.0, 2.0] };
    let mut w: ArrayD<T> = column(start);
    let run = name.split('/').next().expect("a name has parts");
    let mut state = at_work::<T>(optimizer(run), w.shape());
    let compare = |what: &str, actual: ndarray::ArrayViewD<'_, T>, expected: &[f64]| {
        for (actual, &expected) in actual.iter().zip(expected) {
            close(&format!("{name} {what}"), actual.wide(), expected, 3e-5, 1e-6);
        }
    };
    for (n, expected) in steps.iter().enumerate() {
        if sparse {
            let pushed: [(&[i64], &[f64]); 3] =
                [(&[2, 0, 2], &[0.1, 0.2, 0.3]), (&[1], &[0.5]), (&[], &[])];
            let (indices, values) = pushed[n];
            sparse_step(&mut state, &mut w, indices, column(values).view());
        } else {
            let gradient = column([[0.1, -0.2], [0.3, 0.0], [-0.05, 1.5]][n].as_slice());
            dense_step(&mut state, &mut w, gradient.view());
        }
        compare(&format!("after step {n}"), w.view(), expected);
    }
    for (slot, expected) in slots {
        compare(slot, state.slot("w", slot).expect("the reference's slot name"), expected);
    }
}

#[test]
fn every_run_gives_the_numbers_of_the_reference() {
    //
    let runs = runs();
    assert_eq!(runs.len(), 44);
    for (name, run) in &runs {
        let sparse = name.ends_with("/sparse");
        match name.contains("/float32/") {
            true => check::<f32>(name, sparse, run),
            false => check::<f64>(name, sparse, run),
        }
    }
}

#[test]
fn two_variables_of_gradient_descent() {
    // R-14, GradientDescent Basic: rate 3, [1, 2] and [3, 4] with [0.1, 0.1] and [0.01, 0.01].
    let mut state = at_work::<f64>(Box::new(Sgd::new(3.0)), &[2]);
    state.add_variable("b", &[2]).expect("a new name");
    let (mut w, mut b) = (array![1.0, 2.0].into_dyn(), array![3.0, 4.0].into_dyn());
    state.apply_dense("w", w.view_mut(), &array![0.1, 0.1]).expect("it fits");
    state.apply_dense("b", b.view_mut(), &array![0.01, 0.01]).expect("it fits");
    let expected = [0.7, 1.7, 2.97, 3.97];
    for (actual, expected) in w.iter().chain(&b).zip(expected) {
        close("descent", *actual, expected, 1e-15, 0.0);
    }
}

#[test]
fn two_variables_of_momentum() {
    // R-14, Momentum Basic: rate 2, momentum 0.9, the same gradients twice.
    let mut state = at_work::<f64>(Box::new(Momentum::new(2.0, 0.9)), &[2]);
    state.add_variable("b", &[2]).expect("a new name");
    let (mut w, mut b) = (array![1.0, 2.0].into_dyn(), array![3.0, 4.0].into_dyn());
    let table =
        [([0.8, 1.8], [2.98, 3.98], 0.1, 0.01), ([0.42, 1.42], [2.942, 3.942], 0.19, 0.019)];
    for (expected_w, expected_b, slot_w, slot_b) in table {
        state.apply_dense("w", w.view_mut(), &array![0.1, 0.1]).expect("it fits");
        state.apply_dense("b", b.view_mut(), &array![0.01, 0.01]).expect("it fits");
        state.finish_step();
        for n in 0..2 {
            close("w", w[n], expected_w[n], 1e-14, 0.0);
            close("b", b[n], expected_b[n], 1e-14, 0.0);
        }
        close("w/momentum", state.slot("w", "momentum").expect("a slot")[0], slot_w, 1e-14, 0.0);
        close("b/momentum", state.slot("b", "momentum").expect("a slot")[0], slot_b, 1e-14, 0.0);
    }
}

/// Which rows have a gradient, what each of its elements is, and all rows after every step.
type Rows<'a> = (&'a [i64], f64, &'a [f64], &'a [&'a [f64]]);

#[test]
fn rows_of_two_variables() {
    // R-14, Sparse of the same two tests: rows without a gradient stay as they are.
    #[track_caller]
    fn check(optimizer: Boxed<f64>, (indices, gradient, start, expected): Rows<'_>) {
        let mut state = at_work(optimizer, &[start.len(), 1]);
        let mut w = column(start);
        for expected in expected {
            let rows = column(&vec![gradient; indices.len()]);
            sparse_step(&mut state, &mut w, indices, rows.view());
            for (actual, expected) in w.iter().zip(*expected) {
                close("w", *actual, *expected, 1e-14, 0.0);
            }
        }
    }
    let sgd = || Box::new(Sgd::new(3.0));
    check(sgd(), (&[0], 0.1, &[1.0, 2.0], &[&[0.7, 2.0]]));
    check(sgd(), (&[1], 0.01, &[3.0, 4.0], &[&[3.0, 3.97]]));
    let momentum = || Box::new(Momentum::new(2.0, 0.9));
    let zeros = [[0.0, -0.2, 0.0, 0.0], [0.0, -0.58, 0.0, 0.0]];
    check(momentum(), (&[1], 0.1, &[0.0; 4], &[&zeros[0], &zeros[1]]));
    let ones = [[1.0, 1.0, 0.98, 0.98], [1.0, 1.0, 0.942, 0.942]];
    check(momentum(), (&[2, 3], 0.01, &[1.0; 4], &[&ones[0], &ones[1]]));
}

#[test]
fn names_are_those_of_the_reference() {
    //
    let table: [(Boxed<f32>, &str, &[&str]); 5] = [
        (Box::new(Sgd::new(1.0)), "sgd", &[]),
        (Box::new(Momentum::new(1.0, 0.5)), "momentum", &["momentum"]),
        (Box::new(Adam::new(1.0)), "adam", &["m", "v"]),
        (Box::new(Adagrad::new(1.0)), "adagrad", &["accumulator"]),
        (Box::new(Ftrl::new(1.0)), "ftrl", &["accum", "linear"]),
    ];
    for (optimizer, name, slots) in table {
        assert_eq!(optimizer.name(), name);
        assert_eq!(at_work(optimizer, &[1]).slot_names().collect::<Vec<_>>(), slots);
    }
}
