//! Clipping by value, norm and global norm.

use ndarray::{ArrayD, Axis, array};
use optim::{ClipError, clip_by_global_norm, clip_by_norm, clip_by_value};
use proptest::prelude::*;

use crate::support::close;

#[track_caller]
fn check_norm(elements: &[f64], max_norm: f64, norm: f64, expected: &[f64]) {
    let mut gradient =
        ArrayD::from_shape_vec(vec![elements.len()], elements.to_vec()).expect("a vector");
    let seen = clip_by_norm(gradient.view_mut(), max_norm).expect("finite numbers");
    close("norm", seen, norm, 1e-14, 0.0);
    for (actual, &expected) in gradient.iter().zip(expected) {
        close("element", *actual, expected, 1e-14, 0.0);
    }
}

#[test]
fn by_norm() {
    //
    check_norm(&[3.0, -4.0], 1.0, 5.0, &[0.6, -0.8]);
    check_norm(&[3.0, -4.0], 5.0, 5.0, &[3.0, -4.0]);
    check_norm(&[3.0, -4.0], 9.0, 5.0, &[3.0, -4.0]);
    check_norm(&[0.0, 0.0], 1.0, 0.0, &[0.0, 0.0]);
    check_norm(&[], 1.0, 0.0, &[]);
    // The squares of these leave the range of f64; the norm does not.
    check_norm(&[3e200, 4e200], 1.0, 5e200, &[0.6, 0.8]);
    check_norm(&[3e-200, 4e-200], 1.0, 5e-200, &[3e-200, 4e-200]);
    // And here the factor does; what is left of the gradient does not.
    check_norm(&[3e200, 4e200], 1e-150, 5e200, &[6e-151, 8e-151]);
}

#[test]
fn by_global_norm_over_dense_and_rows_of_any_layout() {
    //
    let mut dense = array![[1.0_f32, 2.0], [2.0, 4.0]].reversed_axes().into_dyn();
    let mut rows = array![0.0_f32, 9.0, 12.0].insert_axis(Axis(0)).into_dyn();
    let mut scalar = ArrayD::from_elem(vec![], 0.0_f32);
    let mut all = [dense.view_mut(), rows.view_mut(), scalar.view_mut()];
    let norm = clip_by_global_norm(&mut all, 2.5).expect("finite numbers");
    close("norm", norm, 250.0_f64.sqrt(), 1e-12, 0.0);
    let factor = 2.5 / 250.0_f64.sqrt();
    close("dense", f64::from(dense[[1, 0]]), 2.0 * factor, 1e-7, 0.0);
    close("rows", f64::from(rows[[0, 2]]), 12.0 * factor, 1e-7, 0.0);
    assert_eq!(clip_by_global_norm::<f32>(&mut [], 1.0), Ok(0.0));
}

#[test]
fn by_value() {
    //
    let mut gradient = array![-3.0, 0.5, 7.0, f64::INFINITY, f64::NAN].into_dyn();
    clip_by_value(gradient.view_mut(), -1.0, 2.0).expect("a range");
    assert_eq!(gradient.iter().take(4).copied().collect::<Vec<_>>(), [-1.0, 0.5, 2.0, 2.0]);
    assert!(gradient[4].is_nan());
    clip_by_value(gradient.view_mut(), f64::NEG_INFINITY, 0.0).expect("half a line is a range");
}

#[test]
fn what_cannot_be_clipped_is_refused_and_changes_nothing() {
    //
    for (min, max) in [(1.0, -1.0), (f64::NAN, 1.0), (0.0, f64::NAN)] {
        let mut gradient = array![5.0].into_dyn();
        let error = clip_by_value(gradient.view_mut(), min, max).expect_err("it is refused");
        assert!(matches!(error, ClipError::Range { .. }));
        assert_eq!(gradient[0], 5.0);
    }
    for max_norm in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let mut gradient = array![5.0].into_dyn();
        let error = clip_by_norm(gradient.view_mut(), max_norm).expect_err("it is refused");
        assert!(matches!(error, ClipError::MaxNorm { .. }));
        assert_eq!(gradient[0], 5.0);
    }
    let (nan, infinity) = (f64::NAN, f64::INFINITY);
    for (bad, seen) in [(nan, "NaN"), (infinity, "inf"), (-infinity, "inf")] {
        let (mut fine, mut other) = (array![5.0].into_dyn(), array![1.0, bad].into_dyn());
        let mut both = [fine.view_mut(), other.view_mut()];
        let error = clip_by_global_norm(&mut both, 1.0).expect_err("it is refused");
        let message = format!(
            "the norm of the gradients is {seen}; look for a diverged loss or a division by zero"
        );
        assert_eq!(error.to_string(), message);
        assert_eq!((fine[0], other[0]), (5.0, 1.0));
    }
}

proptest! {
    #[test]
    fn the_norm_is_never_above_and_small_gradients_stay(
        elements in proptest::collection::vec(-1e3..1e3_f64, 0..40), max_norm in 1e-3..1e4_f64,
    ) {
        //
        let n = elements.len();
        let before = ArrayD::from_shape_vec(vec![n], elements).expect("a vector");
        let mut after = before.clone();
        let norm = clip_by_norm(after.view_mut(), max_norm).expect("finite numbers");
        let left = after.iter().map(|x| x * x).sum::<f64>().sqrt();
        prop_assert!(left <= max_norm * (1.0 + 1e-12));
        if norm <= max_norm {
            prop_assert_eq!(before, after);
        }
    }
}
