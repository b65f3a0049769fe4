//! TensorFlow's own tests of its dense accumulator, row for row, under their names.
//!
//! What waits and what runs in threads is in `waiting.rs`. Invariant: each case is played on
//! every summation, on the plain type, with the numbers of the original test.

use accum_core::{ApplyError, DenseAccumulator, PartialShape, Reduction, TakeError};
use ndarray::{ArrayD, array};

use crate::dense::{SUMMATIONS, options};

/// A call and what must come of it.
enum Call {
    /// A gradient of one element with its local step, which counts or not.
    Push(f64, i64, bool),
    /// The number of gradients held.
    Count(u64),
    SetStep(i64),
    /// What is asked for, and what comes.
    Take(i64, f64),
    /// A number that is refused.
    Refused(i64),
}

use Call::{Count, Push, Refused, SetStep, Take};

#[track_caller]
fn check(row: &str, reduction: Reduction, calls: &[Call]) {
    for summation in SUMMATIONS {
        let mut acc = DenseAccumulator::<f64>::with_options([1], reduction, options(summation));
        for call in calls {
            match *call {
                Push(value, local_step, fresh) => {
                    let applied = acc.apply(array![value], local_step).expect("it fits");
                    assert_eq!(applied.is_accepted(), fresh, "{row}");
                }
                Count(expected) => assert_eq!(acc.num_accumulated(), expected, "{row}"),
                SetStep(step) => drop(acc.set_global_step(step)),
                Take(required, expected) => {
                    let taken = acc.try_take(required).expect("one or more").expect("enough");
                    assert_eq!(taken.into_value()[[0]], expected, "{row}");
                }
                Refused(got) => {
                    assert_eq!(acc.try_take(got).err(), Some(TakeError::NumRequired { got }));
                }
            }
        }
    }
}

//
#[test]
fn one_element() {
    let (mean, sum) = (Reduction::Mean, Reduction::Sum);
    let two = |local_step| [Push(10.0, local_step, true), Push(20.0, local_step, true)];
    check("AccumulatorSizeEmpty", mean, &[Count(0)]);
    check("SetGlobalStep", mean, &[SetStep(1)]);
    check("ApplyGradFloat32", mean, &[Push(10.0, 0, true)]);
    let [a, b] = two(0);
    let [c, d] = two(1);
    check("TakeGradMean", mean, &[a, b, Take(1, 15.0), c, d, Take(1, 15.0)]);
    let [a, b] = two(0);
    let [c, d] = two(1);
    check("TakeGradSum", sum, &[a, b, Take(1, 30.0), c, d, Take(1, 30.0)]);
    for (row, reduction, first, second) in
        [("RepeatedTakeGradMean", mean, 15.0, 25.0), ("RepeatedTakeGradSum", sum, 30.0, 50.0)]
    {
        let [a, b] = two(0);
        let (c, d) = (Push(20.0, 1, true), Push(30.0, 1, true));
        check(row, reduction, &[a, b, Take(1, first), c, d, Take(1, second)]);
    }
    let [a, b] = two(0);
    check("InvalidTakeGrad", mean, &[a, b, Refused(-1), Count(2)]);
    let steps: Vec<_> = (1..4).map(SetStep).collect();
    check("IncrementGlobalStep", mean, &steps);
    check(
        "SizeAfterApplyGrad",
        mean,
        &[Count(0), Push(10.0, 0, true), Count(1), Push(10.0, 0, true), Count(2)],
    );
    let mut calls = vec![Push(10.0, 0, true), Push(10.0, 0, true), Count(2), Take(2, 10.0)];
    calls.extend([Count(0), Push(20.0, 1, true), Push(20.0, 1, true), Count(2)]);
    calls.extend([Push(20.0, 1, true), Push(20.0, 1, true), Count(4), Take(2, 20.0), Count(0)]);
    check("SizeAfterApplyGradAndTakeGrad", mean, &calls);
    for (step, expected) in (1000..).zip([1002.0, 1002.5, 1003.0, 1003.5, 1004.0]) {
        let pushes = (1000_i32..1005).map(|x| Push(f64::from(x), x.into(), i64::from(x) >= step));
        let mut calls = vec![SetStep(step)];
        calls.extend(pushes);
        calls.push(Take(1, expected));
        check("SetGlobalStepPreventsAccumulation", mean, &calls);
    }
}

// Constructor and ConstructorWithShape (a rank that is unknown, and [1, 5, 2, 8]),
// MultipleAccumulators.
#[test]
fn accumulators_stand_alone() {
    for shape in [PartialShape::unknown(), PartialShape::from([1, 5, 2, 8])] {
        let mut acc = DenseAccumulator::<f32>::new(shape, Reduction::Mean);
        assert_eq!((acc.num_accumulated(), acc.global_step().get()), (0, 0));
        acc.apply(ArrayD::ones(&[1, 5, 2, 8][..]), 0).expect("it fits");
    }
    let mut accumulators =
        [(); 4].map(|()| DenseAccumulator::<f32>::new(PartialShape::unknown(), Reduction::Mean));
    for (value, acc) in [10.0, 11.0, 12.0, 13.0].into_iter().zip(&mut accumulators) {
        acc.apply(array![value], 0).expect("it fits");
    }
    let taken = accumulators
        .map(|mut acc| acc.try_take(1).expect("one asked").expect("one held").into_value()[[0]]);
    assert_eq!(taken, [10.0, 11.0, 12.0, 13.0]);
}

// ApplyAndTakeGradWithShape and ApplyGradWithWrongShape with the shape declared;
// DynamicShape and WrongDynamicShape with the first gradient's.
#[test]
fn three_rows_of_two() {
    let gradient = array![[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]];
    for declared in [PartialShape::from([3, 2]), PartialShape::unknown()] {
        for summation in SUMMATIONS {
            let mut acc = DenseAccumulator::<f32>::with_options(
                declared.clone(),
                Reduction::Mean,
                options(summation),
            );
            acc.apply(gradient.clone(), 0).expect("it fits");
            for shape in [[2, 2], [3, 1]] {
                let error = acc.apply(ArrayD::ones(&shape[..]), 0).expect_err("it does not fit");
                assert!(matches!(error, ApplyError::Shape { .. }), "{error}");
            }
            acc.apply(&gradient * 10.0, 0).expect("it fits");
            let taken = acc.try_take(1).expect("one asked").expect("two held");
            let expected = array![[5.5, 11.0], [16.5, 22.0], [27.5, 33.0]];
            assert_eq!(taken.into_value(), expected.into_dyn());
        }
    }
}
