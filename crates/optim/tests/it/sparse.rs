//! Sparse gradients: repeated and unsorted indices, untouched rows, and what is refused.

use ndarray::{Array2, ArrayD, Axis, IxDyn, array};
use optim::{
    Adagrad, Adam, AdamW, ApplyError, BuiltIn, Ftrl, Groups, LazyAdam, Momentum, OptimizerState,
    RmsProp, Sgd, SparseGradient,
};
use proptest::prelude::*;

use crate::support::{all, at_work, bits, close, column, dense_step, sparse_step};

const ROWS: usize = 6;
const WIDTH: usize = 3;

fn start() -> ArrayD<f64> {
    let elements =
        Array2::from_shape_fn((ROWS, WIDTH), |(i, j)| (i * WIDTH + j) as f64 * 0.1 - 0.7);
    elements.into_dyn()
}

fn rows(values: &[f64]) -> ArrayD<f64> {
    let shape = IxDyn(&[values.len() / WIDTH, WIDTH]);
    ArrayD::from_shape_vec(shape, values.to_vec()).expect("whole rows")
}

/// The same gradient, dense: the plain model of what a sparse one means.
fn scattered(indices: &[i64], rows: &ArrayD<f64>) -> ArrayD<f64> {
    let mut dense = ArrayD::zeros(IxDyn(&[ROWS, WIDTH]));
    for (row, &index) in rows.outer_iter().zip(indices) {
        let mut sum = dense.index_axis_mut(Axis(0), index as usize);
        sum += &row;
    }
    dense
}

type Step = (Vec<i64>, Vec<f64>);

fn step(indices: impl Strategy<Value = Vec<i64>>) -> impl Strategy<Value = Step> {
    indices.prop_flat_map(|indices| {
        let n = indices.len() * WIDTH;
        (Just(indices), proptest::collection::vec(-2.0..2.0, n))
    })
}

fn any_indices() -> impl Strategy<Value = Vec<i64>> {
    proptest::collection::vec(0..ROWS as i64, 0..12)
}

fn all_rows() -> impl Strategy<Value = Vec<i64>> {
    Just((0..ROWS as i64).collect::<Vec<_>>()).prop_shuffle()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn all_rows_sparse_is_dense(steps in proptest::collection::vec(step(all_rows()), 1..4)) {
        // bit for bit, whatever the order of the rows.
        for (one, other) in all::<f64>().into_iter().zip(all::<f64>()) {
            let mut sparse = at_work(one, &[ROWS, WIDTH]);
            let mut dense = at_work(other, &[ROWS, WIDTH]);
            let (mut w, mut x) = (start(), start());
            for (indices, values) in &steps {
                let rows = rows(values);
                sparse_step(&mut sparse, &mut w, indices, rows.view());
                dense_step(&mut dense, &mut x, scattered(indices, &rows).view());
            }
            prop_assert_eq!(bits(&sparse, &w), bits(&dense, &x));
        }
    }

    #[test]
    fn repeated_is_aggregated(steps in proptest::collection::vec(step(any_indices()), 1..4)) {
        // bit for bit, because rows of one index are summed in the order in which they came.
        for (one, other) in all::<f64>().into_iter().zip(all::<f64>()) {
            let mut raw = at_work(one, &[ROWS, WIDTH]);
            let mut merged = at_work(other, &[ROWS, WIDTH]);
            let (mut w, mut x) = (start(), start());
            for (indices, values) in &steps {
                let rows = rows(values);
                let mut present = indices.clone();
                present.sort_unstable();
                present.dedup();
                let kept: Vec<usize> = present.iter().map(|&index| index as usize).collect();
                let sums = scattered(indices, &rows).select(Axis(0), &kept);
                sparse_step(&mut raw, &mut w, indices, rows.view());
                sparse_step(&mut merged, &mut x, &present, sums.view());
            }
            prop_assert_eq!(bits(&raw, &w), bits(&merged, &x));
        }
    }

    #[test]
    fn untouched_rows_see_a_zero_or_nothing((indices, values) in step(any_indices())) {
        // Adam makes a dense step with zeros; all others leave the rows alone.
        for (one, other) in all::<f64>().into_iter().zip(all::<f64>()) {
            let name = one.name();
            let mut sparse = at_work(one, &[ROWS, WIDTH]);
            let mut dense = at_work(other, &[ROWS, WIDTH]);
            let (mut w, mut x) = (start(), start());
            let rows = rows(&values);
            sparse_step(&mut sparse, &mut w, &indices, rows.view());
            dense_step(&mut dense, &mut x, scattered(&indices, &rows).view());
            for row in 0..ROWS {
                let touched = indices.contains(&(row as i64));
                let moved = touched || ["adam", "adam_w"].contains(&name);
                let model = if moved { x.clone() } else { start() };
                let expected = model.index_axis(Axis(0), row);
                prop_assert_eq!(w.index_axis(Axis(0), row), expected, "{} row {}", name, row);
            }
        }
    }
}

#[test]
fn rows_across_the_ends_of_tiles() {
    // more elements than a tile has, and rows that do not divide it.
    let shape = [700, 7];
    let touched: Vec<i64> = (0..700).filter(|k| k % 3 != 1).rev().collect();
    let wave = |i: usize, j: usize| ((i * 7 + j) as f64 * 0.37).sin();
    let row_of = |position: usize| touched[position] as usize;
    let rows = Array2::from_shape_fn((touched.len(), 7), |(n, j)| wave(row_of(n), j)).into_dyn();
    let expected =
        Array2::from_shape_fn((700, 7), |(i, j)| if i % 3 == 1 { 0.0 } else { wave(i, j) });
    for name in ["adam", "adam_w"] {
        let make = || {
            let optimizer = all::<f64>().into_iter().find(|optimizer| optimizer.name() == name);
            at_work(optimizer.expect("it is one of all"), &shape)
        };
        let (mut sparse, mut dense) = (make(), make());
        let (mut w, mut x) =
            (ArrayD::from_elem(&shape[..], 0.5), ArrayD::from_elem(&shape[..], 0.5));
        sparse_step(&mut sparse, &mut w, &touched, rows.view());
        dense_step(&mut dense, &mut x, expected.view().into_dyn());
        assert_eq!(bits(&sparse, &w), bits(&dense, &x), "{name}");
    }
}

#[test]
fn every_optimizer_takes_a_repeated_index_as_one() {
    // [1, 1] with 0.1 and 0.1 is [1] with 0.2, over three steps.
    for (one, other) in all::<f64>().into_iter().zip(all::<f64>()) {
        let (mut twice, mut once) = (at_work(one, &[3, 1]), at_work(other, &[3, 1]));
        let (mut w, mut x) = (column(&[1.0, 2.0, 3.0]), column(&[1.0, 2.0, 3.0]));
        for _ in 0..3 {
            sparse_step(&mut twice, &mut w, &[1, 1], column(&[0.1, 0.1]).view());
            sparse_step(&mut once, &mut x, &[1], column(&[0.2]).view());
        }
        assert_eq!(bits(&twice, &w), bits(&once, &x));
    }
}

#[test]
fn an_empty_gradient_moves_rows_for_adam_only() {
    // R-14, E-24: moments decay in all rows for Adam, in none for LazyAdam.
    let mut adam = at_work::<f64>(Box::new(Adam::new(1e-3)), &[4, 1]);
    let mut lazy = at_work::<f64>(Box::new(LazyAdam::new(1e-3)), &[4, 1]);
    let (mut w, mut x) = (column(&[1.0, 2.0, 3.0, 4.0]), column(&[1.0, 2.0, 3.0, 4.0]));
    for (indices, values) in [(&[2][..], &[0.4][..]), (&[], &[])] {
        sparse_step(&mut adam, &mut w, indices, column(values).view());
        sparse_step(&mut lazy, &mut x, indices, column(values).view());
    }
    close("adam", w[[2, 0]], 2.998329943740, 1e-8, 0.0);
    close("lazy adam", x[[2, 0]], 2.999, 1e-8, 0.0);
    assert_eq!((w[[0, 0]], x[[0, 0]]), (1.0, 1.0));
}

#[test]
fn higher_rank_rows_and_rows_without_elements() {
    //
    let mut state = at_work::<f64>(Box::new(Sgd::new(1.0)), &[2, 2, 2]);
    let mut w = ArrayD::zeros(vec![2, 2, 2]);
    let ones = ArrayD::ones(vec![2, 2, 2]);
    sparse_step(&mut state, &mut w, &[1, 1], ones.view());
    assert_eq!(w.sum(), -8.0);
    assert_eq!(w.index_axis(Axis(0), 0).sum(), 0.0);

    for optimizer in all::<f64>() {
        let mut state = at_work(optimizer, &[3, 0]);
        let mut w = ArrayD::zeros(vec![3, 0]);
        sparse_step(&mut state, &mut w, &[2, 0, 2], ArrayD::zeros(vec![3, 0]).view());
    }
}

#[track_caller]
fn check_refused(shape: &[usize], indices: &[i64], rows: &[usize], expected: ApplyError) {
    for optimizer in all::<f64>() {
        let mut state = at_work(optimizer, shape);
        let mut w = ArrayD::from_elem(shape, 0.5);
        let before = bits(&state, &w);
        let rows = ArrayD::<f64>::ones(rows);
        let gradient = SparseGradient { indices, rows: rows.view() };
        assert_eq!(state.apply_sparse("w", w.view_mut(), gradient), Err(expected.clone()));
        assert_eq!(bits(&state, &w), before, "something changed");
    }
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    //
    let out = |position, index| ApplyError::IndexOutOfRange { position, index, rows: 3 };
    let rows = |expected: &[usize], actual: &[usize]| ApplyError::RowsShape {
        expected: expected.to_vec(),
        actual: actual.to_vec(),
    };
    check_refused(&[3, 2], &[0, 3], &[2, 2], out(1, 3));
    check_refused(&[3, 2], &[-1], &[1, 2], out(0, -1));
    check_refused(&[3, 2], &[0, 1, i64::MAX], &[3, 2], out(2, i64::MAX));
    check_refused(&[3, 2], &[i64::MIN, 1], &[2, 2], out(0, i64::MIN));
    check_refused(&[3, 2], &[0, 1], &[1, 2], rows(&[2, 2], &[1, 2]));
    check_refused(&[3, 2], &[0, 1], &[2, 3], rows(&[2, 2], &[2, 3]));
    check_refused(&[3, 2], &[0, 1], &[2], rows(&[2, 2], &[2]));
    check_refused(&[3, 2], &[], &[], rows(&[0, 2], &[]));
    check_refused(&[], &[0], &[1], ApplyError::NoRows);
}

#[test]
fn messages_say_what_was_expected_and_what_came() {
    let error = ApplyError::IndexOutOfRange { position: 4, index: -2, rows: 10 };
    assert_eq!(error.to_string(), "indices[4] = -2 is not in [0, 10)");
    let error = ApplyError::RowsShape { expected: vec![2, 3], actual: vec![2] };
    assert_eq!(error.to_string(), "the gradient's rows have shape [2], but must have shape [2, 3]");
}

#[test]
fn half_precision_rows_widen() {
    //
    let rows = array![[0.5_f32, 1.5], [2.0, 4.0], [0.25, 0.0]].mapv(half::f16::from_f32);
    for (indices, expected) in [
        (&[0, 1, 2], array![[-0.5_f32, -1.5], [-2.0, -4.0], [-0.25, 0.0]]),
        (&[2, 0, 2], array![[-2.0, -4.0], [0.0, 0.0], [-0.75, -1.5]]),
    ] {
        let mut state = at_work::<f32>(Box::new(Sgd::new(1.0)), &[3, 2]);
        let mut w = ArrayD::zeros(vec![3, 2]);
        let gradient = SparseGradient { indices, rows: rows.view().into_dyn() };
        state.apply_sparse("w", w.view_mut(), gradient).expect("it fits");
        assert_eq!(w, expected.into_dyn());
    }
}

/// P-17: who moves rows that no gradient names does not get a table, and is told who does.
#[test]
fn tables_are_for_optimizers_that_touch_named_rows_alone() {
    #[track_caller]
    fn check(optimizer: impl Into<BuiltIn>, instead: &str) {
        let state = OptimizerState::<f32>::new(optimizer.into()).expect("it fits");
        let refused = state.check_table("users").err().map(|it| it.to_string());
        let refused = refused.unwrap_or_default();
        assert_eq!(refused.is_empty(), instead.is_empty(), "{refused}");
        assert!(refused.ends_with(instead), "{refused}");
    }
    check(Sgd::new(0.1), "");
    check(Adagrad::new(0.1), "");
    check(Ftrl::new(0.1), "");
    check(LazyAdam::new(0.1), "");
    check(RmsProp::new(0.1), "");
    check(RmsProp::new(0.1).centered(true), "");
    check(RmsProp::new(0.1).momentum(0.5), "take rmsprop without momentum");
    check(Momentum::new(0.1, 0.9), "take sgd, adagrad or lazy_adam");
    check(Adam::new(0.1), "take lazy_adam");
    check(AdamW::new(0.1), "take lazy_adam, which has no weight decay");
    let groups = Groups::new(RmsProp::new(0.1));
    check(groups.clone().group(["w"], RmsProp::new(0.1).momentum(0.5)), "");
    check(groups.group(["users"], RmsProp::new(0.1).momentum(0.5)), "rmsprop without momentum");
}
