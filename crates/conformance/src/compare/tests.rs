//! The bounds, just inside and just outside.

use ndarray::array;

use super::*;

#[test]
fn bounds_are_those_of_the_format() {
    #[track_caller]
    fn check(tolerance: Tolerance, got: f64, expected: f64, holds: bool) {
        assert_eq!(tolerance.holds(got, expected), holds, "{got} for {expected}, {tolerance:?}");
    }
    let (single, double) = (Dtype::Float32, Dtype::Float64);
    for (tolerance, relative, absolute) in [
        (Tolerance::accumulated(single), 1e-5, 1e-5),
        (Tolerance::accumulated(double), 1e-12, 1e-12),
        (Tolerance::UPDATE, 3e-5, 1e-6),
    ] {
        for sign in [1.0, -1.0] {
            // Above 1 the relative bound is the wider one, at 0 there is only the absolute one.
            check(tolerance, sign * 1e3 * (1.0 + 0.9 * relative), sign * 1e3, true);
            check(tolerance, sign * 1e3 * (1.0 + 1.1 * relative), sign * 1e3, false);
            check(tolerance, sign * 0.9 * absolute, 0.0, true);
            check(tolerance, sign * 1.1 * absolute, 0.0, false);
        }
        check(tolerance, f64::NAN, f64::NAN, true);
        check(tolerance, f64::NAN, 1.0, false);
        check(tolerance, f64::INFINITY, f64::INFINITY, true);
        check(tolerance, f64::INFINITY, f64::MAX, false);
        check(tolerance, 1.0, f64::INFINITY, false);
    }
}

#[test]
fn shapes_are_compared_before_elements() {
    let expected = Tensor(array![1.0, 2.0].into_dyn());
    let check = |got: ndarray::ArrayD<f64>| Tolerance::UPDATE.tensor("v", got.view(), &expected);
    assert_eq!(check(array![1.0, 2.0].into_dyn()), Ok(()));
    let shape = Err("the shape of v is [1, 2], expected [2]".to_owned());
    assert_eq!(check(array![[1.0, 2.0]].into_dyn()), shape);
    assert_eq!(check(array![1.0, 3.0].into_dyn()), Err("v[1] is 3, expected 2".to_owned()));
}
