//! TensorFlow's own tests of its sparse accumulator, row for row, under their names.
//!
//! Rows that `sparse.rs` and `waiting.rs` have name the original there. Invariant: both merges
//! give what the original test expects, because all of its gradients are sorted.

use std::thread;

use accum_core::{
    IndexedSlices, PartialShape, Reduction, SparseAccumulator, SparseConditionalAccumulator,
    SparseOptions, TakeError,
};
use ndarray::{Array, ArrayD, Dimension, array};

use crate::sparse::raw;
use crate::support::Polled;

const MERGES: [fn() -> SparseOptions; 2] = [SparseOptions::default, SparseOptions::reference];

fn slices<D: Dimension>(indices: &[i64], values: Array<f32, D>) -> IndexedSlices<f32> {
    raw(indices, values.into_dyn(), None)
}

fn new(shape: impl Into<PartialShape>, options: SparseOptions) -> SparseAccumulator<f32> {
    SparseAccumulator::with_options(shape.into(), Reduction::Mean, options)
}

// ApplyGradFloat32, SizeEmpty, SetGlobalStep; and ApplyGradtInt32IndicesAndShape, whose
// indices are 64-bit here.
#[test]
fn two_rows_of_three() {
    for options in MERGES {
        let rows = || array![[0.0, 0.0, 1.0], [3.0, 0.0, 4.0]].into_dyn();
        let mut acc = new([3, 3], options());
        assert_eq!((acc.num_accumulated(), acc.set_global_step(0).get()), (0, 0));
        acc.apply(raw(&[0, 2], rows(), None), 0).expect("it fits");
        assert_eq!(acc.num_accumulated(), 1, "ApplyGradFloat32");
        acc.apply(raw(&[0, 2], rows(), Some(&[3, 3])), 0).expect("it fits");
        assert_eq!(acc.num_accumulated(), 2, "ApplyGradtInt32IndicesAndShape");
        let taken = acc.try_take(1).expect("one asked").expect("two held").into_value();
        assert_eq!(taken, raw(&[0, 2], rows(), Some(&[3, 3])));
    }
}

// Constructor and ConstructorWithShape, MultipleAccumulators: each has its own single 1.
#[test]
fn accumulators_stand_alone() {
    let mut accumulators = [(); 4].map(|()| new([2, 2], SparseOptions::default()));
    let cells = [(0, [1.0, 0.0]), (0, [0.0, 1.0]), (1, [1.0, 0.0]), (1, [0.0, 1.0])];
    for ((row, values), acc) in cells.into_iter().zip(&mut accumulators) {
        acc.apply(slices(&[row], array![values]), 0).expect("it fits");
    }
    for ((row, values), mut acc) in cells.into_iter().zip(accumulators) {
        let taken = acc.try_take(1).expect("one asked").expect("one held").into_value();
        assert_eq!(taken, raw(&[row], array![values].into_dyn(), Some(&[2, 2])));
    }
    assert_eq!(new([1, 5, 2, 8], SparseOptions::default()).num_accumulated(), 0);
}

// NonVectorIndices has no counterpart, a list of indices is a vector by its type.
// ZeroDimensionValues, WrongNonEmptyInputValues, EmptyShapeApply.
#[test]
fn input_of_the_wrong_form() {
    for options in MERGES {
        for shape in [PartialShape::unknown(), PartialShape::from([])] {
            for own in [None, Some(&[][..])] {
                let mut acc = new(shape.clone(), options());
                let scalar = raw(&[0], ArrayD::ones(&[][..]), own);
                let error = acc.apply(scalar, 0).expect_err("ZeroDimensionValues").to_string();
                assert!(error.contains("values are a scalar"), "{error}");
                let short = slices(&[0, 1], array![[1.0, 2.0]]);
                let error = acc.apply(short, 0).expect_err("WrongNonEmptyInputValues").to_string();
                assert!(error.contains("1 rows of values for 2 indices"), "{error}");
                assert_eq!(acc.num_accumulated(), 0);
                let fine = raw(&[0], array![1.0].into_dyn(), own);
                assert!(acc.apply(fine, 0).expect("EmptyShapeApply").is_accepted());
            }
        }
    }
}

// ValidateShape, its first half; the second is `the_rows_of_a_cycle_have_one_shape`.
#[test]
fn an_index_beyond_the_declared_rows() {
    for options in MERGES {
        let mut acc = new(PartialShape::of([Some(2), Some(2), None]), options());
        let beyond = slices(&[3], ArrayD::ones(&[1, 2, 2][..]));
        let error = acc.apply(beyond, 0).expect_err("row 3 of 2").to_string();
        assert!(error.contains("index 3 at position 0") && error.contains("2 rows"), "{error}");
        let own = raw(&[0], ArrayD::ones(&[1, 2, 2][..]), Some(&[2, 3, 2]));
        acc.apply(own, 0).expect_err("dimension 1 must be 2");
        let own = raw(&[0], ArrayD::ones(&[1, 2, 2][..]), Some(&[2, 2]));
        acc.apply(own, 0).expect_err("three dimensions must be given");
    }
}

// ParallelApplyGradMean and ParallelApplyGradSum, ten threads with a diagonal each.
#[test]
fn diagonals_from_ten_threads() {
    for (reduction, expected) in [(Reduction::Mean, 55.0), (Reduction::Sum, 550.0)] {
        let acc = SparseConditionalAccumulator::<f32>::new([2, 2], reduction);
        thread::scope(|scope| {
            for x in (1_u8..=10).map(|nth| f32::from(nth) * 10.0) {
                let acc = acc.clone();
                scope.spawn(move || {
                    let diagonal = slices(&[0, 1], array![[x, 0.0], [0.0, x]]);
                    assert!(acc.apply_grad(diagonal, 0).expect("it fits").is_accepted());
                });
            }
        });
        let taken = acc.blocking_take_grad(1).expect("ten are held");
        let diagonal = array![[expected, 0.0], [0.0, expected]].into_dyn();
        assert_eq!((taken.value, taken.count), (raw(&[0, 1], diagonal, Some(&[2, 2])), 10));
    }
}

// ApplyAndBlockingTake, and Cancel.
#[test]
fn a_take_that_waits() {
    let acc = SparseConditionalAccumulator::<f32>::new([], Reduction::Mean);
    let taker = acc.clone();
    let mut take = Polled::new(async move { taker.take_grad(3).await });
    assert!(take.poll().is_none());
    for x in [10.0, 20.0, 30.0] {
        acc.apply_grad(slices(&[0], array![[0.0, x]]), 0).expect("it fits");
    }
    let taken = take.poll().expect("complete").expect("no error");
    assert_eq!(taken.value, raw(&[0], array![[0.0, 20.0]].into_dyn(), Some(&[-1, 2])));

    let acc = SparseConditionalAccumulator::<f32>::new([1, 2, 3], Reduction::Mean);
    thread::scope(|scope| {
        let taker = scope.spawn(|| acc.blocking_take_grad(1));
        acc.close();
        assert_eq!(taker.join().expect("no panic").err(), Some(TakeError::Closed));
    });
}
