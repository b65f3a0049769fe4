//! Clipping against slow references: number types, magnitudes from one end of their range to the
//! other, shapes and layouts.
//!
//! A norm of *n* elements is a sum of *n* squares, each off by *ε/2*, or where it underflows by as
//! little against a sum that does not; its root halves the error. So it is within *(2 n + 4) ε* of
//! itself, *ε* that of `f64`; a scaled element is off by as much, and by one rounding to its own
//! type, or by that type's smallest number.

use ndarray::ArrayD;
use optim::{Real, clip_by_global_norm, clip_by_norm, clip_by_value};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::numerics::{Layout, array, layout, shape};

#[derive(Clone, Debug)]
struct Case {
    gradients: Vec<(Vec<usize>, Layout)>,
    /// Taken in turn.
    numbers: Vec<f64>,
    /// The power of two of all numbers, from -1 to 1 for the ends of the range.
    scale: f64,
    /// The norm to clip to, as a part of the norm.
    part: f64,
    range: (f64, f64),
}

fn case() -> impl Strategy<Value = Case> {
    let scale = prop_oneof![4 => Just(0.0), 1 => -1.0..1.0_f64];
    let number = prop_oneof![8 => -1.0..1.0_f64, 1 => Just(0.0)];
    let part = prop_oneof![3 => 0.0001..1.0_f64, 1 => 1.0..3.0_f64];
    let gradients = vec((shape(), layout()), 0..4);
    (gradients, vec(number, 1..40), scale, part, (-1.0..1.0_f64, 0.0..1.0_f64)).prop_map(
        |(gradients, numbers, scale, part, (min, width))| Case {
            gradients,
            numbers,
            scale,
            part,
            range: (min, min + width),
        },
    )
}

/// √Σ x², with the largest taken out, summed from the smallest on.
fn slow_norm(mut elements: Vec<f64>) -> f64 {
    elements.iter_mut().for_each(|x| *x = x.abs());
    elements.sort_by(f64::total_cmp);
    let largest = elements.last().copied().unwrap_or_default();
    if largest == 0.0 {
        return 0.0;
    }
    largest * elements.iter().map(|x| (x / largest).powi(2)).sum::<f64>().sqrt()
}

fn check_norm<T: Real>(case: &Case, power: f64) {
    let scale = (case.scale * power).exp2();
    let of = |k: usize| T::of(case.numbers[k % case.numbers.len()] * scale);
    let layouts = case.gradients.iter();
    let before: Vec<ArrayD<T>> = layouts.map(|(shape, layout)| array(shape, *layout, of)).collect();
    let all: Vec<f64> = before.iter().flatten().map(|x| x.wide()).collect();
    let off = (2.0 * all.len() as f64 + 4.0) * f64::EPSILON;
    let expected = slow_norm(all);
    let max_norm = if expected > 0.0 { expected * case.part } else { case.part };
    if max_norm < f64::MIN_POSITIVE {
        return;
    }

    let mut after = before.clone();
    let norm = match after.as_mut_slice() {
        [one] => clip_by_norm(one.view_mut(), max_norm),
        many => {
            let mut views: Vec<_> = many.iter_mut().map(|array| array.view_mut()).collect();
            clip_by_global_norm(&mut views, max_norm)
        }
    };
    let norm = norm.expect("finite numbers");
    assert!((norm - expected).abs() <= off * expected, "norm {norm} for {expected}");
    let smallest = T::min_positive_value().wide() * T::epsilon().wide();
    let factor = f64::min(1.0, case.part);
    for (x, real) in before.iter().flatten().zip(after.iter().flatten()) {
        if case.part > 1.0 + off {
            assert_eq!(x, real, "it was small enough");
        }
        let expected = x.wide() * factor;
        let error = (real.wide() - expected).abs();
        let allowed = (2.0 * off + T::epsilon().wide()) * expected.abs() + smallest;
        assert!(error <= allowed, "{real} for {expected}, {error} > {allowed}");
    }
}

fn check_value<T: Real>(case: &Case) {
    let (min, max) = case.range;
    for (shape, layout) in &case.gradients {
        let of = |k: usize| T::of(case.numbers[k % case.numbers.len()]);
        let before = array(shape, *layout, of);
        let mut after = before.clone();
        clip_by_value(after.view_mut(), min, max).expect("a range");
        for (x, real) in before.iter().zip(&after) {
            let (min, max) = (T::of(min), T::of(max));
            let expected = match () {
                () if *x < min => min,
                () if *x > max => max,
                () => *x,
            };
            assert_eq!(*real, expected, "{x} into [{min}, {max}]");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(256)
    })]

    #[test]
    fn clipping_is_its_slow_reference(case in case()) {
        //
        check_norm::<f32>(&case, 120.0);
        check_norm::<f64>(&case, 1000.0);
        check_value::<f32>(&case);
        check_value::<f64>(&case);
    }
}
