//! Numbers that a formula cannot take are refused when the state is built, by name.

use optim::{
    Adagrad, Adam, AdamW, BuildError, Ftrl, LazyAdam, Momentum, Optimizer, OptimizerState, RmsProp,
    Schedule, Sgd,
};

#[track_caller]
fn check_refused<O>(optimizer: O, message: &str)
where
    O: Optimizer<f32> + Optimizer<f64> + Clone + 'static,
{
    let error = OptimizerState::<f64>::new(optimizer.clone()).expect_err("it is refused");
    assert_eq!(error.to_string(), message);
    assert!(matches!(error, BuildError::HyperParameter(_)));
    OptimizerState::<f32>::new(optimizer).expect_err("it is refused");
}

#[test]
fn learning_rates() {
    //
    let said = |came| {
        format!("learning rate: value must be finite and not negative, but {came} was given")
    };
    for (rate, came) in
        [(f64::NAN, "NaN"), (f64::INFINITY, "inf"), (f64::NEG_INFINITY, "-inf"), (-0.5, "-0.5")]
    {
        check_refused(Sgd::new(rate), &said(came));
        check_refused(Momentum::new(rate, 0.9), &said(came));
        check_refused(Adam::new(rate), &said(came));
        check_refused(LazyAdam::new(rate), &said(came));
        check_refused(AdamW::new(rate), &said(came));
        check_refused(Adagrad::new(rate), &said(came));
        check_refused(RmsProp::new(rate), &said(came));
        check_refused(Ftrl::new(rate), &said(came));
    }
    let schedule = Schedule::Exponential { initial: 0.1, decay: 1.5, every: 1, staircase: false };
    let message = "exponential schedule: decay must be in [0, 1], but 1.5 was given";
    check_refused(Adam::new(schedule), message);
}

#[test]
fn decays_are_fractions() {
    //
    let below = |owner, parameter, came| {
        format!("{owner}: {parameter} must be in [0, 1), but {came} was given")
    };
    for (value, came) in [(1.0, "1"), (-0.1, "-0.1"), (f64::NAN, "NaN")] {
        check_refused(Adam::new(0.1).beta1(value), &below("adam", "beta1", came));
        check_refused(Adam::new(0.1).beta2(value), &below("adam", "beta2", came));
        check_refused(LazyAdam::new(0.1).beta1(value), &below("lazy_adam", "beta1", came));
        check_refused(LazyAdam::new(0.1).beta2(value), &below("lazy_adam", "beta2", came));
        check_refused(AdamW::new(0.1).beta1(value), &below("adam_w", "beta1", came));
        check_refused(AdamW::new(0.1).beta2(value), &below("adam_w", "beta2", came));
    }
    let within = |owner, parameter, came| {
        format!("{owner}: {parameter} must be in [0, 1], but {came} was given")
    };
    for (value, came) in [(1.1, "1.1"), (-0.1, "-0.1"), (f64::NAN, "NaN")] {
        check_refused(Momentum::new(0.1, value), &within("momentum", "momentum", came));
        check_refused(RmsProp::new(0.1).decay(value), &within("rmsprop", "decay", came));
        check_refused(RmsProp::new(0.1).momentum(value), &within("rmsprop", "momentum", came));
    }
}

#[test]
fn other_numbers() {
    //
    let positive = |owner, parameter| {
        format!("{owner}: {parameter} must be finite and above zero, but 0 was given")
    };
    check_refused(Adam::new(0.1).epsilon(0.0), &positive("adam", "epsilon"));
    check_refused(LazyAdam::new(0.1).epsilon(0.0), &positive("lazy_adam", "epsilon"));
    check_refused(AdamW::new(0.1).epsilon(0.0), &positive("adam_w", "epsilon"));
    check_refused(RmsProp::new(0.1).epsilon(0.0), &positive("rmsprop", "epsilon"));
    let adagrad = Adagrad::new(0.1).initial_accumulator_value(0.0);
    check_refused(adagrad, &positive("adagrad", "initial_accumulator_value"));

    let not_negative = |owner, parameter| {
        format!("{owner}: {parameter} must be finite and not negative, but -1 was given")
    };
    check_refused(AdamW::new(0.1).weight_decay(-1.0), &not_negative("adam_w", "weight_decay"));
    check_refused(Ftrl::new(0.1).l1(-1.0), &not_negative("ftrl", "l1"));
    check_refused(Ftrl::new(0.1).l2(-1.0), &not_negative("ftrl", "l2"));
    check_refused(Ftrl::new(0.1).l2_shrinkage(-1.0), &not_negative("ftrl", "l2_shrinkage"));
    let ftrl = Ftrl::new(0.1).initial_accumulator_value(-1.0);
    check_refused(ftrl, &not_negative("ftrl", "initial_accumulator_value"));
    check_refused(
        Ftrl::new(0.1).learning_rate_power(0.5),
        "ftrl: learning_rate_power must be finite and not above zero, but 0.5 was given",
    );
}

#[test]
fn the_ends_of_the_ranges_are_fine() {
    //
    fn fine(optimizer: impl Optimizer<f32> + 'static) {
        OptimizerState::new(optimizer).expect("valid hyper-parameters");
    }
    fine(Sgd::new(0.0));
    fine(Momentum::new(0.1, 0.0));
    fine(Momentum::new(0.1, 1.0));
    fine(Adam::new(0.1).beta1(0.0).beta2(0.0));
    fine(RmsProp::new(0.1).decay(0.0).momentum(1.0));
    fine(RmsProp::new(0.1).decay(1.0));
    fine(Ftrl::new(0.1).initial_accumulator_value(0.0).learning_rate_power(0.0));
}
