//! Dense accumulators: arithmetic, shapes, steps; how gradients are kept is in `dense_sums.rs`.

use accum_core::{
    Applied, ApplyError, DenseAccumulator, DenseOptions, Element, GlobalStep, HalfSum, LocalStep,
    PartialShape, Reduction, StepOverflow, Summation, TakeError,
};
use half::{bf16, f16};
use ndarray::{ArrayD, arr0, array};

pub(crate) const SUMMATIONS: [Summation; 3] =
    [Summation::Eager, Summation::Held, Summation::Ordered];

pub(crate) fn options(summation: Summation) -> DenseOptions {
    DenseOptions { summation, ..DenseOptions::default() }
}

/// Pushes `(local step, value)`, what is asked for then, and what comes.
type Cycle<'a> = (&'a [(i64, f32)], i64, Option<f32>);

/// Cycle after cycle, whatever the summation.
#[track_caller]
fn check(reduction: Reduction, cycles: &[Cycle<'_>]) {
    for summation in SUMMATIONS {
        let mut acc = DenseAccumulator::<f32>::with_options([1], reduction, options(summation));
        for (pushes, required, expected) in cycles {
            for (local_step, value) in *pushes {
                acc.apply(array![*value], *local_step).expect("every shape fits");
            }
            let taken = acc.try_take(*required).expect("asks for one or more");
            let value = taken.map(|sum| sum.into_value()[[0]]);
            assert_eq!(value, *expected, "{summation:?}");
        }
    }
}

#[test]
fn a_new_one_is_empty_and_at_step_0() {
    // R-1, for shapes known, partly known and unknown
    for shape in
        [PartialShape::from([3, 2]), PartialShape::of([None, Some(2)]), PartialShape::unknown()]
    {
        let mut acc = DenseAccumulator::<f32>::new(shape, Reduction::Mean);
        assert_eq!((acc.global_step().get(), acc.num_accumulated()), (0, 0));
        let gradient = ndarray::Array2::<f32>::ones((3, 2));
        assert_eq!(acc.apply(gradient, 0), Ok(Applied::Accepted { count: 1 }));
    }
}

#[test]
fn takes_the_mean_of_what_is_really_held() {
    // R-3, E-1
    check(Reduction::Mean, &[(&[(0, 1.0), (0, 2.0), (0, 6.0)], 2, Some(3.0))]);
    check(Reduction::Mean, &[(&[(0, 10.0), (0, 20.0)], 1, Some(15.0))]);
    check(Reduction::Mean, &[(&[(0, 10.0)], 2, None), (&[(0, 20.0)], 2, Some(15.0))]);
    let twice: [Cycle<'_>; 2] =
        [(&[(0, 10.0), (0, 20.0)], 1, Some(15.0)), (&[(1, 20.0), (1, 30.0)], 1, Some(25.0))];
    check(Reduction::Mean, &twice);
}

#[test]
fn drops_what_is_late_and_keeps_what_is_early() {
    // R-2, E-2
    check(Reduction::Mean, &[(&[(-1, 7.0)], 1, None), (&[(99, 4.0)], 1, Some(4.0))]);
    check(Reduction::Mean, &[(&[(0, 1.0)], 1, Some(1.0)), (&[(0, 5.0), (1, 2.0)], 1, Some(2.0))]);
}

#[test]
fn division_is_division() {
    // 49 times the reciprocal of 49 is not 1 in f32.
    check(Reduction::Mean, &[(&[(0, 1.0); 49], 49, Some(1.0))]);
}

#[test]
fn nan_and_infinity_pass_through() {
    let mut acc = DenseAccumulator::<f64>::new([2], Reduction::Mean);
    acc.apply(array![f64::NAN, f64::INFINITY], 0).expect("fits");
    acc.apply(array![1.0, f64::NEG_INFINITY], 0).expect("fits");
    let value = acc.try_take(2).expect("two asked").expect("two held").into_value();
    assert!(value.iter().all(|value| value.is_nan()));
}

#[test]
fn setting_the_step_lower_is_allowed_and_keeps_the_gradients() {
    // R-5, E-3
    let mut acc = DenseAccumulator::<f32>::new([1], Reduction::Mean);
    acc.apply(array![2.0], 0).expect("fits");
    assert_eq!(acc.set_global_step(10).get(), 0);
    assert_eq!(acc.set_global_step(3).get(), 10);
    assert_eq!(acc.num_accumulated(), 1);
    assert_eq!(acc.apply(array![4.0], 3), Ok(Applied::Accepted { count: 2 }));
    assert_eq!(acc.set_global_step(-5).get(), 3);
    assert!(acc.apply(array![6.0], -5).expect("fits").is_accepted());
    let sum = acc.try_take(1).expect("one asked").expect("three held");
    assert_eq!((sum.count(), sum.step().get(), acc.global_step().get()), (3, -5, -4));
}

#[test]
fn says_what_became_of_a_push() {
    // P-7
    let mut acc = DenseAccumulator::<f32>::new([1], Reduction::Mean);
    acc.set_global_step(4);
    assert_eq!(acc.apply(array![1.0], 4), Ok(Applied::Accepted { count: 1 }));
    let (local_step, global_step) = (LocalStep::new(3), GlobalStep::new(4));
    assert_eq!(acc.apply(array![1.0], 3), Ok(Applied::Stale { local_step, global_step }));
}

#[test]
fn a_stale_gradient_is_not_looked_at() {
    // R-2, E-4
    for summation in SUMMATIONS {
        let mut acc =
            DenseAccumulator::<f32>::with_options([1], Reduction::Mean, options(summation));
        acc.set_global_step(1);
        assert!(!acc.apply(array![[1.0, 2.0]], 0).expect("no error").is_accepted());
        assert!(acc.apply(array![[1.0, 2.0]], 1).is_err());
    }
}

#[track_caller]
fn refused(declared: PartialShape, first: Option<&[usize]>, got: &[usize], message: &str) {
    for summation in SUMMATIONS {
        let mut acc = DenseAccumulator::<f32>::with_options(
            declared.clone(),
            Reduction::Mean,
            options(summation),
        );
        if let Some(first) = first {
            acc.apply(ArrayD::ones(first), 0).expect("the first fits");
        }
        let before = acc.num_accumulated();
        let error = acc.apply(ArrayD::ones(got), 0).expect_err("does not fit");
        assert!(matches!(error, ApplyError::Shape { .. }));
        assert_eq!(error.to_string(), message);
        assert_eq!(acc.check_shape(got), Err(error.clone()));
        assert_eq!(acc.check(&ArrayD::ones(got).into()), Err(error));
        assert_eq!(acc.num_accumulated(), before);
        let value = acc.try_take(1).expect("one asked").map(|sum| sum.into_value());
        assert_eq!(value, first.map(ArrayD::ones));
    }
}

#[test]
fn a_shape_that_does_not_fit_is_an_error_that_changes_nothing() {
    //
    let known = || PartialShape::from([3, 2]);
    refused(known(), None, &[2, 2], "gradient of shape [2,2] where [3,2] is needed");
    refused(known(), Some(&[3, 2]), &[3, 1], "gradient of shape [3,1] where [3,2] is needed");
    refused(known(), None, &[6], "gradient of shape [6] where [3,2] is needed");
    let open = || PartialShape::of([None, Some(2)]);
    refused(open(), None, &[3, 1], "gradient of shape [3,1] where [?,2] is needed");
    refused(open(), Some(&[3, 2]), &[2, 2], "gradient of shape [2,2] where [3,2] is needed");
    let unknown = PartialShape::unknown;
    refused(unknown(), Some(&[3, 2]), &[2, 2], "gradient of shape [2,2] where [3,2] is needed");
    refused(unknown(), Some(&[]), &[1], "gradient of shape [1] where [] is needed");
}

#[test]
fn an_undeclared_shape_may_change_between_cycles() {
    // E-10
    for shape in [&[3, 2][..], &[2, 2], &[], &[0], &[2, 0, 3]] {
        for summation in SUMMATIONS {
            let mut acc = DenseAccumulator::<f32>::with_options(
                PartialShape::unknown(),
                Reduction::Mean,
                options(summation),
            );
            for first in [ArrayD::ones(&[5][..]), ArrayD::ones(shape)] {
                acc.apply(first.clone(), 9).expect("anything fits");
                acc.apply(&first, 9).expect("the same fits");
                let value = acc.try_take(2).expect("two asked").expect("two held").into_value();
                assert_eq!(value, first);
            }
        }
    }
}

#[test]
fn num_required_below_one_is_an_error() {
    //
    let mut acc = DenseAccumulator::<f32>::new([1], Reduction::Mean);
    acc.apply(array![1.0], 0).expect("fits");
    for got in [0, -1, i64::MIN] {
        assert_eq!(acc.try_take(got).expect_err("too few"), TakeError::NumRequired { got });
    }
    assert_eq!((acc.num_accumulated(), acc.global_step().get()), (1, 0));
}

#[test]
fn the_last_step_cannot_be_taken() {
    // E-22: where TensorFlow's 32-bit step wraps and stalls
    let mut acc = DenseAccumulator::<f32>::new([1], Reduction::Mean);
    acc.set_global_step(i64::MAX);
    acc.apply(array![1.0], i64::MAX).expect("fits");
    let step = GlobalStep::new(i64::MAX);
    let error = acc.try_take(1).expect_err("no step follows");
    assert_eq!(error, TakeError::StepOverflow(StepOverflow { step }));
    assert_eq!((acc.num_accumulated(), acc.global_step()), (1, step));
}

#[track_caller]
fn mean_of_ten<E: Element>(of: impl Fn(f32) -> E, expected: E::Sum) {
    for half_sum in [HalfSum::Single, HalfSum::Reference] {
        for summation in SUMMATIONS {
            let options = DenseOptions { summation, half_sum };
            let mut acc = DenseAccumulator::<E>::with_options([1], Reduction::Mean, options);
            for value in 0..10 {
                acc.apply(array![of(value as f32)], 0).expect("fits");
            }
            let value = acc.try_take(1).expect("one asked").expect("ten held").into_value();
            assert_eq!(value[[0]], expected);
        }
    }
}

#[test]
fn every_number_type() {
    // Dtypes
    mean_of_ten(f16::from_f32, 4.5);
    mean_of_ten(bf16::from_f32, 4.5);
    mean_of_ten(|value| value, 4.5);
    mean_of_ten(f64::from, 4.5);
}

#[test]
fn half_precision_sticks_only_under_the_reference_rule() {
    // R-7, E-8
    let mean = |half_sum, summation| {
        let options = DenseOptions { summation, half_sum };
        let mut acc = DenseAccumulator::<f16>::with_options([1], Reduction::Mean, options);
        for _ in 0..2060 {
            acc.apply(array![f16::ONE], 0).expect("fits");
        }
        acc.try_take(2060).expect("some asked").expect("all held").into_value()[[0]]
    };
    for summation in SUMMATIONS {
        assert_eq!(mean(HalfSum::Single, summation), 1.0);
        let expected = f16::from_f32(2048.0 / 2060.0).to_f32();
        assert_eq!(mean(HalfSum::Reference, summation), expected);
    }
    assert_eq!(DenseOptions::reference().half_sum, HalfSum::Reference); // P-16
}

#[test]
fn scalars_are_fine() {
    let mut acc = DenseAccumulator::<f64>::new([], Reduction::Mean);
    acc.apply(arr0(1.0), 0).expect("fits");
    acc.apply(arr0(2.0), 0).expect("fits");
    let value = acc.try_take(2).expect("two asked").expect("two held").into_value();
    assert_eq!(value, arr0(1.5).into_dyn());
}
