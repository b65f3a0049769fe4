//! Sparse gradients of a table: their indices are keys.

use accum_core::{
    GlobalStep, IndexedSlices, PartialShape, Reduction, SparseAccumulator, SparseIndex,
    SparseOptions, SparseSums, Sums,
};

use ndarray::array;

use crate::sparse::{Columns, SUMMATIONS, check, column};

/// P-17: keys are any numbers, and as many gradients are counted as had one.
#[test]
fn keys_are_any_numbers() {
    let options = SparseOptions { index: SparseIndex::Key, ..SparseOptions::default() };
    let (low, high) = (i64::MIN, i64::MAX);
    let pushes: [Columns<'_>; 3] =
        [(&[3, high, -5], &[1.0, 2.0, 3.0]), (&[-5, low, -5], &[1.0, 4.0, 1.0]), (&[7], &[8.0])];
    let out: Columns<'_> = (&[low, -5, 3, 7, high], &[4.0, 2.5, 1.0, 8.0, 2.0]);
    check(Reduction::Mean, options, &pushes, out);
    for summation in SUMMATIONS {
        let options = SparseOptions { summation, ..options };
        let mut sums =
            SparseSums::<f32>::new(PartialShape::of([None, Some(1)]), Reduction::Mean, options);
        for (key, (indices, values)) in (0..).zip(&pushes) {
            sums.add(column(indices, values).into(), key).expect("it fits");
        }
        let sum = sums.drain(GlobalStep::default()).expect("three are held");
        let (slices, counts) = sum.into_counted();
        assert_eq!(slices.indices, out.0);
        assert_eq!(counts, [1, 2, 1, 1, 1], "{summation:?}");
    }
    let slices = IndexedSlices::by_key(vec![-5], array![[1.0_f32]]).expect("a row a key");
    assert_eq!(slices, column(&[-5], &[1.0]));
    assert!(IndexedSlices::by_key(vec![-5, 1], array![[1.0_f32]]).is_err());
    // Rows of an array are none of these.
    let mut rows = SparseAccumulator::<f32>::new(PartialShape::unknown(), Reduction::Mean);
    assert!(rows.apply(column(&[-5], &[1.0]), 0).is_err());
}
