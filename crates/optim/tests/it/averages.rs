//! Exponential moving averages.

use ndarray::{ArrayD, arr0, array};
use optim::{ExponentialMovingAverage, MovingAverageError, RestoreError, StateMap, StateValue};

use crate::support::close;

fn number(value: f64) -> ArrayD<f64> {
    arr0(value).into_dyn()
}

/// Applies each value with its number of updates, and compares the average after each.
#[track_caller]
fn check(mut averages: ExponentialMovingAverage<f64>, steps: &[(f64, Option<u64>, f64)]) {
    for &(value, num_updates, expected) in steps {
        averages.apply("x", number(value).view(), num_updates).expect("it was added");
        let average = averages.average("x").expect("it was added")[[]];
        close("average", average, expected, 1e-14, 1e-15);
    }
}

fn starting_at(decay: f64, value: f64) -> ExponentialMovingAverage<f64> {
    let mut averages = ExponentialMovingAverage::new(decay).expect("a fraction");
    averages.add("x", number(value).view()).expect("a new name");
    averages
}

fn starting_at_zero(decay: f64, zero_debias: bool) -> ExponentialMovingAverage<f64> {
    let averages = ExponentialMovingAverage::new(decay).expect("a fraction");
    let mut averages = averages.zero_debias(zero_debias);
    averages.add_zeros("x", &[]).expect("a new name");
    averages
}

#[test]
fn the_reference_numbers() {
    // R-16, E-26; decay 0.25; assign_moving_average, whose [10, 11] and [1, 2] give [3.25, 4.25].
    let steps = [(-0.2, None, -0.02), (-0.4, None, -0.058), (-0.6, None, -0.1122)];
    check(starting_at(0.9, 0.0), &steps);
    check(starting_at(0.25, 10.0), &[(10.0, None, 10.0), (10.0, None, 10.0)]);
    check(starting_at(0.25, 30.0), &[(30.0, None, 30.0), (30.0, None, 30.0)]);
    check(starting_at(0.25, 10.0), &[(1.0, None, 3.25)]);
    check(starting_at(0.25, 11.0), &[(2.0, None, 4.25)]);
    check(starting_at(0.25, 10.0), &[(20.0, None, 17.5)]);
    check(starting_at_zero(0.25, false), &[(40.0, None, 30.0), (40.0, None, 37.5)]);
}

#[test]
fn the_number_of_updates_slows_the_start() {
    // d = min(decay, (1 + k) / (10 + k)).
    let d = 2.0 / 11.0;
    check(starting_at(0.25, 10.0), &[(20.0, Some(1), 10.0 * d + 20.0 * (1.0 - d))]);
    check(starting_at(0.25, 10.0), &[(20.0, Some(0), 10.0 * 0.1 + 20.0 * 0.9)]);
    check(starting_at(0.25, 10.0), &[(20.0, Some(3), 17.5), (20.0, Some(u64::MAX), 19.375)]);
}

#[test]
fn the_starting_zero_is_divided_out() {
    // the weighted mean of what came, with weights (1 − d) dᵗ⁻ⁱ.
    let d: f64 = 0.9;
    let biased = [0.1 * 5.0, 0.9 * 0.1 * 5.0 - 0.1];
    let expected = [biased[0] / (1.0 - d), biased[1] / (1.0 - d * d)];
    check(starting_at_zero(d, true), &[(5.0, None, expected[0]), (-1.0, None, expected[1])]);
    // A constant is its own average from the start, also when the decay changes on the way.
    check(
        starting_at_zero(0.99, true),
        &[(7.0, Some(0), 7.0), (7.0, Some(1), 7.0), (7.0, None, 7.0), (7.0, Some(40), 7.0)],
    );
    // With the ends of the range: nothing moves, or everything does.
    check(starting_at_zero(1.0, true), &[(7.0, None, 0.0), (7.0, None, 0.0)]);
    check(starting_at_zero(0.0, true), &[(7.0, None, 7.0), (3.0, None, 3.0)]);
}

#[test]
fn a_start_at_the_variable_has_no_bias_to_divide_out() {
    //
    let mut averages = ExponentialMovingAverage::new(0.9).expect("a fraction").zero_debias(true);
    averages.add("x", number(0.0).view()).expect("a new name");
    check(averages, &[(-0.2, None, -0.02), (-0.4, None, -0.058), (-0.6, None, -0.1122)]);
}

#[test]
fn only_chosen_variables_have_one() {
    //
    let mut averages = starting_at(0.5, 1.0);
    averages.add("m", array![[1.0, 2.0], [3.0, 4.0]].into_dyn().view()).expect("a new name");
    assert_eq!(averages.variables().collect::<Vec<_>>(), ["x", "m"]);
    assert!(averages.average("y").is_none());

    let transposed = array![[0.0, 0.0], [2.0, 2.0]].reversed_axes().into_dyn();
    averages.apply("m", transposed.view(), None).expect("any layout");
    assert_eq!(
        averages.average("m").expect("it was added"),
        array![[0.5, 2.0], [1.5, 3.0]].into_dyn()
    );

    let name = |name: &str| name.to_owned();
    let before: StateMap<'static, f64> =
        averages.state().into_iter().map(|(name, value)| (name, value.into_owned())).collect();
    let unknown = MovingAverageError::Unknown { name: name("y") };
    assert_eq!(averages.apply("y", number(1.0).view(), None), Err(unknown));
    let duplicate = MovingAverageError::Duplicate { name: name("x") };
    assert_eq!(averages.add("x", number(1.0).view()), Err(duplicate.clone()));
    assert_eq!(averages.add_zeros("x", &[]), Err(duplicate));
    let (expected, actual) = (vec![2, 2], vec![2]);
    let shape = MovingAverageError::Shape { name: name("m"), expected, actual };
    assert_eq!(averages.apply("m", array![1.0, 2.0].into_dyn().view(), None), Err(shape));
    let too_large = MovingAverageError::TooLarge { shape: vec![usize::MAX] };
    assert_eq!(averages.add_zeros("big", &[usize::MAX]), Err(too_large));
    assert_eq!(averages.state(), before, "something changed");
}

#[test]
fn a_decay_is_a_fraction() {
    //
    for (decay, came) in [(-0.1, "-0.1"), (1.5, "1.5"), (f64::NAN, "NaN")] {
        let error = ExponentialMovingAverage::<f32>::new(decay).expect_err("it is refused");
        let message = format!("moving average: decay must be in [0, 1], but {came} was given");
        assert_eq!(error.to_string(), message);
    }
}

#[test]
fn restored_averages_continue_bit_identically() {
    //
    let make = || {
        let mut averages = starting_at(0.9, 0.25).zero_debias(true);
        averages.add_zeros("z", &[]).expect("a new name");
        averages
    };
    let step = |averages: &mut ExponentialMovingAverage<f64>, k: u64| {
        for name in ["x", "z"] {
            let value = number((k as f64).sin());
            averages.apply(name, value.view(), Some(k)).expect("it was added");
        }
    };
    let (mut whole, mut first) = (make(), make());
    (0..10).for_each(|k| step(&mut whole, k));
    (0..5).for_each(|k| step(&mut first, k));
    let mut second = make();
    second.restore(&first.state()).expect("the same averages");
    (5..10).for_each(|k| step(&mut second, k));
    assert_eq!(second.state(), whole.state());
    assert_eq!(
        whole.state().keys().collect::<Vec<_>>(),
        ["x/average", "z/average", "z/zero_weight"]
    );

    let mut saved = whole.state();
    saved["z/zero_weight"] = StateValue::Counter(1);
    let error = second.restore(&saved).expect_err("it is refused");
    assert!(matches!(error, RestoreError::Kind { .. }), "{error}");
    saved.shift_remove("z/zero_weight");
    let error = second.restore(&saved).expect_err("it is refused");
    assert!(matches!(error, RestoreError::Missing { .. }), "{error}");
    assert_eq!(second.state(), whole.state(), "something changed");
}

#[test]
fn a_weight_that_there_cannot_be_is_not_restored() {
    //
    for weight in [f64::NAN, -0.1, 1.1, f64::INFINITY] {
        let averages = ExponentialMovingAverage::<f64>::new(0.5).expect("a fraction");
        let mut averages = averages.zero_debias(true);
        averages.add_zeros("x", &[]).expect("a new name");
        let mut saved: optim::StateMap<'static, f64> =
            averages.state().into_iter().map(|(name, it)| (name, it.into_owned())).collect();
        saved.insert("x/zero_weight".to_owned(), optim::StateValue::Scalar(weight));
        let error = averages.restore(&saved).expect_err("no weight").to_string();
        assert!(error.contains("x/zero_weight") && error.contains("from 0 to 1"), "{error}");
    }
}

#[test]
fn nothing_is_left_without_a_decay() {
    // also of a value beside which the next one is nothing.
    for decay in [0.0, 1e-30] {
        let mut averages = ExponentialMovingAverage::<f32>::new(decay).expect("a fraction");
        averages.add("x", ndarray::arr0(1e30_f32).into_dyn().view()).expect("a new name");
        averages.apply("x", ndarray::arr0(1.0_f32).into_dyn().view(), None).expect("it was added");
        assert_eq!(averages.average("x").expect("it was added")[[]], 1.0);
    }
}
