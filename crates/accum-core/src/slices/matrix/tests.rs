//! Conversions from and to sprs, on real sparse rows.

use ndarray::{Array2, array};
use sprs::{CsMat, CsVec, TriMat};

use super::*;
use crate::{Reduction, SparseAccumulator};

/// The first six images of the UCI Optical Recognition of Handwritten Digits data (E. Alpaydin and
/// C. Kaynak, 1998; CC BY 4.0): 8 x 8 pixels of 0 to 16, about half of them 0.
const DIGITS: [[u8; 64]; 6] = [
    [
        0, 0, 5, 13, 9, 1, 0, 0, 0, 0, 13, 15, 10, 15, 5, 0, 0, 3, 15, 2, 0, 11, 8, 0, 0, 4, 12, 0,
        0, 8, 8, 0, 0, 5, 8, 0, 0, 9, 8, 0, 0, 4, 11, 0, 1, 12, 7, 0, 0, 2, 14, 5, 10, 12, 0, 0, 0,
        0, 6, 13, 10, 0, 0, 0,
    ],
    [
        0, 0, 0, 12, 13, 5, 0, 0, 0, 0, 0, 11, 16, 9, 0, 0, 0, 0, 3, 15, 16, 6, 0, 0, 0, 7, 15, 16,
        16, 2, 0, 0, 0, 0, 1, 16, 16, 3, 0, 0, 0, 0, 1, 16, 16, 6, 0, 0, 0, 0, 1, 16, 16, 6, 0, 0,
        0, 0, 0, 11, 16, 10, 0, 0,
    ],
    [
        0, 0, 0, 4, 15, 12, 0, 0, 0, 0, 3, 16, 15, 14, 0, 0, 0, 0, 8, 13, 8, 16, 0, 0, 0, 0, 1, 6,
        15, 11, 0, 0, 0, 1, 8, 13, 15, 1, 0, 0, 0, 9, 16, 16, 5, 0, 0, 0, 0, 3, 13, 16, 16, 11, 5,
        0, 0, 0, 0, 3, 11, 16, 9, 0,
    ],
    [
        0, 0, 7, 15, 13, 1, 0, 0, 0, 8, 13, 6, 15, 4, 0, 0, 0, 2, 1, 13, 13, 0, 0, 0, 0, 0, 2, 15,
        11, 1, 0, 0, 0, 0, 0, 1, 12, 12, 1, 0, 0, 0, 0, 0, 1, 10, 8, 0, 0, 0, 8, 4, 5, 14, 9, 0, 0,
        0, 7, 13, 13, 9, 0, 0,
    ],
    [
        0, 0, 0, 1, 11, 0, 0, 0, 0, 0, 0, 7, 8, 0, 0, 0, 0, 0, 1, 13, 6, 2, 2, 0, 0, 0, 7, 15, 0,
        9, 8, 0, 0, 5, 16, 10, 0, 16, 6, 0, 0, 4, 15, 16, 13, 16, 1, 0, 0, 0, 0, 3, 15, 10, 0, 0,
        0, 0, 0, 2, 16, 4, 0, 0,
    ],
    [
        0, 0, 12, 10, 0, 0, 0, 0, 0, 0, 14, 16, 16, 14, 0, 0, 0, 0, 13, 16, 15, 10, 1, 0, 0, 0, 11,
        16, 16, 7, 0, 0, 0, 0, 0, 4, 7, 16, 7, 0, 0, 0, 0, 0, 4, 16, 9, 0, 0, 0, 5, 4, 12, 16, 4,
        0, 0, 0, 9, 16, 16, 10, 0, 0,
    ],
];

/// The digits as columns of a table of 64 pixels (rows) x 6 images: pixels that are 0 in all six
/// images have no entry.
fn by_pixel() -> CsMat<f32> {
    let mut entries = TriMat::new((64, 6));
    for (image, pixels) in DIGITS.iter().enumerate() {
        for (pixel, value) in pixels.iter().enumerate().filter(|(_, value)| **value > 0) {
            entries.add_triplet(pixel, image, f32::from(*value));
        }
    }
    entries.to_csr()
}

fn dense(matrix: &CsMat<f32>) -> Array2<f32> {
    matrix.to_dense()
}

#[test]
fn a_real_matrix_goes_there_and_back() {
    let matrix = by_pixel();
    let slices = IndexedSlices::from(&matrix);
    let some = (0..64).filter(|pixel| DIGITS.iter().any(|image| image[*pixel] > 0));
    let some: Vec<i64> = some.map(|pixel| pixel as i64).collect();
    assert!(some.len() < 64, "some pixels are always 0");
    assert_eq!(slices.indices, some);
    assert_eq!(slices.values.shape(), [some.len(), 6]);
    assert_eq!(slices.dense_shape, Some(vec![64, 6]));
    slices.check().expect("what is made here fits");
    assert_eq!(slices.to_dense(64).expect("64 rows"), dense(&matrix).into_dyn());
    assert_eq!(slices.to_csmat(64).expect("two dimensions"), matrix);
}

#[test]
fn storage_by_columns_and_views_give_the_same() {
    let matrix = by_pixel();
    let by_columns = matrix.to_csc();
    assert!(by_columns.is_csc());
    assert_eq!(IndexedSlices::from(&by_columns), IndexedSlices::from(&matrix));
    assert_eq!(IndexedSlices::from(&matrix.view()), IndexedSlices::from(&matrix));
    let images = by_pixel().transpose_into();
    let slices = IndexedSlices::from(&images);
    assert_eq!((slices.indices.len(), slices.dense_shape), (6, Some(vec![6, 64])));
}

#[test]
fn real_gradients_average_as_dense_ones_do() {
    // Each image alone, as a gradient of 64 rows of one number: the mean by gradients is the dense
    // one.
    let images = by_pixel().transpose_into().to_csr();
    let options = crate::SparseOptions {
        mean: crate::SparseMean::PerGradient,
        ..crate::SparseOptions::default()
    };
    let mut acc = SparseAccumulator::<f32>::with_options([64], Reduction::Mean, options);
    for image in images.outer_iterator() {
        assert!(acc.apply(IndexedSlices::from(&image), 0).expect("fits").is_accepted());
    }
    let mean = acc.try_take(6).expect("six asked").expect("six held").into_value();
    let expected = dense(&by_pixel()).mean_axis(ndarray::Axis(1)).expect("six columns");
    assert_eq!(mean.to_dense(64).expect("64 rows"), expected.into_dyn());
    let vector = mean.to_csvec(64).expect("one dimension");
    assert_eq!(IndexedSlices::from(&vector), mean);
}

#[test]
fn vectors_go_there_and_back() {
    let vector = CsVec::new(9, vec![1, 4, 8], vec![1.0, 0.0, -2.0]);
    let slices = IndexedSlices::from(&vector);
    assert_eq!(slices.indices, [1, 4, 8]);
    assert_eq!(slices.values, array![1.0, 0.0, -2.0].into_dyn());
    assert_eq!(slices.to_csvec(9).expect("one dimension"), vector);
}

#[test]
fn nothing_is_something() {
    let empty = CsMat::<f64>::zero((5, 3));
    let slices = IndexedSlices::from(&empty);
    assert_eq!((slices.indices.len(), slices.values.shape()), (0, &[0, 3][..]));
    assert_eq!(slices.to_csmat(5).expect("two dimensions"), empty);
    let empty = CsVec::<f64>::empty(4);
    assert_eq!(IndexedSlices::from(&empty).to_csvec(4).expect("one dimension"), empty);
}

#[test]
fn odd_slices_become_well_formed_matrices() {
    let rows = array![[1.0, 0.0], [0.0, 5.0], [2.0, 0.0], [0.0, 0.0]];
    let slices = IndexedSlices::new(vec![3, 0, 3, 2], rows, None).expect("fits");
    let matrix = slices.to_csmat(6).expect("two dimensions");
    assert_eq!((matrix.shape(), matrix.nnz()), ((6, 2), 2));
    assert_eq!((matrix.get(3, 0), matrix.get(0, 1)), (Some(&3.0), Some(&5.0)));
    let flat = IndexedSlices::new(vec![2, 0, 2], array![1.0, 2.0, 3.0], None).expect("fits");
    let vector = flat.to_csvec(3).expect("one dimension");
    assert_eq!(vector, CsVec::new(3, vec![0, 2], vec![2.0, 4.0]));
}

#[test]
fn what_cannot_become_a_matrix_is_an_error() {
    let flat = IndexedSlices::new(vec![2], array![1.0], None).expect("fits");
    let rank = |expected, got| SlicesError::ValuesRank { expected, got };
    assert_eq!(flat.to_csmat(3), Err(rank(2, 1)));
    assert!(matches!(flat.to_csvec(2), Err(SlicesError::IndexOutOfRange { index: 2, .. })));
    let rows = IndexedSlices::new(vec![2], array![[1.0]], None).expect("fits");
    assert_eq!(rows.to_csvec(3), Err(rank(1, 2)));
    assert!(rows.to_csmat(2).is_err());
}
