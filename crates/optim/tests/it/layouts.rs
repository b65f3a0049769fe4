//! Views of any layout give the same bits as contiguous ones: variables, gradients, rows.

use ndarray::{Array, ArrayD, ArrayViewMutD, Axis, IxDyn, ShapeBuilder, Slice};
use optim::OptimizerState;

use crate::support::{all, at_work, bits, dense_step, sparse_step};

fn numbers(shape: &[usize], seed: f64) -> ArrayD<f64> {
    let n = shape.iter().product();
    let elements = (0..n).map(|k| (k as f64 * 0.37 + seed).sin()).collect();
    ArrayD::from_shape_vec(IxDyn(shape), elements).expect("as many as the shape has")
}

/// How to lay out elements in memory.
type Copy = fn(&ArrayD<f64>) -> ArrayD<f64>;
/// How to see the elements in that memory.
type View = fn(&mut ArrayD<f64>) -> ArrayViewMutD<'_, f64>;

const LAYOUTS: [(&str, Copy, View); 4] = [
    ("column major", column_major, |memory| memory.view_mut()),
    ("reversed", reversed_copy, |memory| reversed(memory.view_mut())),
    ("every second", spread, |memory| memory.slice_each_axis_mut(|_| Slice::new(0, None, 2))),
    (
        "an axis added and removed",
        |a| a.clone(),
        |memory| memory.view_mut().insert_axis(Axis(0)).index_axis_move(Axis(0), 0),
    ),
];

fn column_major(elements: &ArrayD<f64>) -> ArrayD<f64> {
    let mut memory = Array::zeros(IxDyn(elements.shape()).f());
    memory.assign(elements);
    memory
}

fn reversed(mut view: ArrayViewMutD<'_, f64>) -> ArrayViewMutD<'_, f64> {
    for axis in 0..view.ndim() {
        view.invert_axis(Axis(axis));
    }
    view
}

fn reversed_copy(elements: &ArrayD<f64>) -> ArrayD<f64> {
    let mut memory = ArrayD::zeros(elements.shape());
    reversed(memory.view_mut()).assign(elements);
    memory
}

fn spread(elements: &ArrayD<f64>) -> ArrayD<f64> {
    let shape: Vec<usize> = elements.shape().iter().map(|n| n * 2).collect();
    let mut memory = ArrayD::from_elem(shape, 9.0);
    memory.slice_each_axis_mut(|_| Slice::new(0, None, 2)).assign(elements);
    memory
}

fn run(
    mut state: OptimizerState<f64>,
    shape: &[usize],
    mut step: impl FnMut(&mut OptimizerState<f64>, ArrayViewMutD<'_, f64>, f64),
    (memory, view): (&mut ArrayD<f64>, View),
) -> Vec<u64> {
    for k in 0..3 {
        step(&mut state, view(memory), f64::from(k));
        state.finish_step();
    }
    let result = view(memory).to_owned();
    assert_eq!(result.shape(), shape);
    bits(&state, &result)
}

#[track_caller]
fn check_dense(shape: &[usize]) {
    for n in 0..all::<f64>().len() {
        let make = || at_work(all().remove(n), shape);
        let (mut expected_state, mut expected) = (make(), numbers(shape, 0.5));
        for k in 0..3 {
            dense_step(&mut expected_state, &mut expected, numbers(shape, f64::from(k)).view());
        }
        let expected = bits(&expected_state, &expected);
        for (of_gradient, copy_gradient, view_gradient) in LAYOUTS {
            for (of_variable, copy_variable, view_variable) in LAYOUTS {
                let mut memory = copy_variable(&numbers(shape, 0.5));
                let actual = run(
                    make(),
                    shape,
                    |state, w, k| {
                        let mut gradient = copy_gradient(&numbers(shape, k));
                        let gradient = view_gradient(&mut gradient);
                        state.apply_dense("w", w, &gradient.view()).expect("the shapes fit");
                    },
                    (&mut memory, view_variable),
                );
                assert_eq!(actual, expected, "{of_variable} variable, {of_gradient} gradient");
            }
        }
    }
}

#[test]
fn dense_in_any_layout() {
    // also with more elements than a tile has, without axes, and without elements.
    for shape in [&[4, 3, 2][..], &[7], &[], &[0], &[3, 0, 2], &[1, 5], &[23, 101]] {
        check_dense(shape);
    }
}

#[track_caller]
fn check_sparse(indices: &[i64], shape: &[usize]) {
    let rows_shape = [&[indices.len()], &shape[1..]].concat();
    for n in 0..all::<f64>().len() {
        let make = || at_work(all().remove(n), shape);
        let (mut expected_state, mut expected) = (make(), numbers(shape, 0.5));
        for k in 0..3 {
            let rows = numbers(&rows_shape, f64::from(k));
            sparse_step(&mut expected_state, &mut expected, indices, rows.view());
        }
        let expected = bits(&expected_state, &expected);
        for (of_rows, copy_rows, view_rows) in LAYOUTS {
            for (of_variable, copy_variable, view_variable) in LAYOUTS {
                let mut memory = copy_variable(&numbers(shape, 0.5));
                let actual = run(
                    make(),
                    shape,
                    |state, w, k| {
                        let mut rows = copy_rows(&numbers(&rows_shape, k));
                        let rows = view_rows(&mut rows);
                        let gradient = optim::SparseGradient { indices, rows: rows.view() };
                        state.apply_sparse("w", w, gradient).expect("the gradient fits");
                    },
                    (&mut memory, view_variable),
                );
                assert_eq!(actual, expected, "{of_variable} variable, {of_rows} rows");
            }
        }
    }
}

#[test]
fn sparse_in_any_layout() {
    //
    for indices in [&[0, 2, 3][..], &[3, 0, 3], &[]] {
        check_sparse(indices, &[4, 3, 2]);
        check_sparse(indices, &[4]);
    }
}
