//! Every optimizer at the edges of its number type: decays next to one, rates and epsilons that
//! round to zero or to infinity, gradients that are zero or whose squares are.
//!
//! What rounds to a number that the formula cannot take is refused; with all others nothing ever
//! becomes NaN, and where a gradient that stays the same gives a closed form, that is the result.

use ndarray::{ArrayD, arr0};
use optim::{
    Adagrad, Adam, AdamW, Ftrl, LazyAdam, Momentum, Optimizer, OptimizerState, Real, RmsProp,
    Schedule, Sgd,
};
use proptest::prelude::*;
use proptest::sample::select;

use crate::support::{Boxed, dense_step};

const STEPS: i32 = 30;

const FRACTIONS: &[f64] = &[
    0.0,
    1e-50,
    1e-20,
    0.5,
    0.9,
    0.999,
    0.9999999,
    0.99999994,
    0.99999997,
    0.99999999,
    1.0 - 1e-15,
    1.0 - f64::EPSILON / 2.0,
];
const SMALL: &[f64] =
    &[5e-324, 1e-320, 1e-300, 1e-50, 1e-46, 1e-45, 1e-40, 1e-39, 1e-38, 1e-30, 1e-10, 1e-3, 1.0];
const LARGE: &[f64] = &[1e10, 1e38, 3.4e38, 3.5e38, 1e39, 1e300, 1.7e308];
const GRADIENTS: &[f64] = &[0.0, 1e-45, 1e-40, 1e-30, 1e-20, 1e-3, 1.0, -3.0, 700.0];

/// The numbers of a case; each optimizer takes those that it has.
#[derive(Clone, Debug)]
struct Numbers {
    rate: f64,
    first: f64,
    second: f64,
    epsilon: f64,
    strength: f64,
}

fn numbers() -> impl Strategy<Value = Numbers> {
    let anything = || prop_oneof![4 => select(SMALL), 1 => select(LARGE), 1 => Just(0.0)];
    let rate = anything();
    (rate, select(FRACTIONS), select(FRACTIONS), anything(), anything()).prop_map(
        |(rate, first, second, epsilon, strength)| Numbers {
            rate,
            first,
            second,
            epsilon,
            strength,
        },
    )
}

/// Every optimizer with these numbers, and whether they are numbers for it.
fn optimizers<T: Real>(numbers: &Numbers) -> Vec<(Boxed<T>, bool)> {
    let Numbers { rate, first, second, epsilon, strength } = *numbers;
    let finite = |number: f64| T::of(number).is_finite();
    let below_one = |number: f64| T::of(number).wide() < 1.0;
    let above = |number: f64| T::of(number).wide() > 0.0 && finite(number);
    let corrected = rate / (1.0 - T::of(first).wide());
    let adam = finite(rate)
        && below_one(first)
        && below_one(second)
        && above(epsilon)
        && finite(corrected);
    let decays = finite(rate) && below_one(first) && below_one(second) && above(epsilon);
    vec![
        (Box::new(Sgd::new(rate)), finite(rate)),
        (Box::new(Momentum::new(rate, first)), finite(rate) && below_one(first)),
        (Box::new(Momentum::new(rate, first).nesterov(true)), finite(rate) && below_one(first)),
        (Box::new(Adam::new(rate).beta1(first).beta2(second).epsilon(epsilon)), adam),
        (Box::new(LazyAdam::new(rate).beta1(first).beta2(second).epsilon(epsilon)), adam),
        (
            Box::new(
                AdamW::new(rate).beta1(first).beta2(second).epsilon(epsilon).weight_decay(strength),
            ),
            adam && finite(strength) && finite(rate * strength),
        ),
        (
            Box::new(Adagrad::new(rate).initial_accumulator_value(epsilon)),
            finite(rate) && above(epsilon),
        ),
        (Box::new(RmsProp::new(rate).decay(first).momentum(second).epsilon(epsilon)), decays),
        (
            Box::new(
                RmsProp::new(rate).decay(first).momentum(second).epsilon(epsilon).centered(true),
            ),
            decays,
        ),
        (
            Box::new(Ftrl::new(rate).initial_accumulator_value(epsilon).l1(strength).l2(strength)),
            finite(rate) && finite(epsilon) && finite(2.0 * strength),
        ),
        (
            Box::new(Ftrl::new(rate).learning_rate_power(-first).l2_shrinkage(strength)),
            finite(rate) && finite(2.0 * strength),
        ),
    ]
}

/// What is refused, and that no number of an optimizer at work is NaN.
fn check<T: Real>(numbers: &Numbers, gradients: &[f64]) {
    for (optimizer, fits) in optimizers::<T>(numbers) {
        let what = format!("{optimizer:?} of {}", std::any::type_name::<T>());
        let state = OptimizerState::new(optimizer);
        assert_eq!(state.is_ok(), fits, "{what}: {:?}", state.err());
        let Ok(mut state) = state else { continue };
        // Products of what is large leave the type's range, as they must.
        if numbers.rate > 1.0 || numbers.strength > 1.0 || numbers.epsilon > 1.0 {
            continue;
        }
        state.add_variable("w", &[]).expect("a new name");
        for start in [0.0, 0.7] {
            let mut w: ArrayD<T> = arr0(T::of(start)).into_dyn();
            for &gradient in gradients {
                dense_step(&mut state, &mut w, arr0(T::of(gradient)).view().into_dyn());
                assert!(!w[[]].is_nan(), "{what} at {gradient}");
                if w[[]].is_infinite() {
                    // A step over almost nothing can be longer than all numbers; from there is no
                    // way back.
                    break;
                }
                for slot in state.slot_names() {
                    let value = state.slot("w", slot).expect("it has it")[[]];
                    assert!(!value.is_nan(), "{what}: {slot} at {gradient}");
                }
            }
        }
    }
}

/// Where every gradient is the same, a moment is a part 1 - β^t of it, and the correction takes
/// that part out again: what is left of Adam's step does not depend on the betas.
fn check_adam<T: Real>(numbers: &Numbers, gradient: f64) {
    let Numbers { first, second, .. } = *numbers;
    let (rate, epsilon) = (1e-3, 1e-30);
    let (betas, number) = ([first, second].map(|beta| T::of(beta).wide()), T::epsilon().wide());
    let adam = Adam::new(rate).beta1(first).beta2(second).epsilon(epsilon);
    let Ok(mut state) = OptimizerState::<T>::new(adam) else { return };
    state.add_variable("w", &[]).expect("a new name");
    let mut w: ArrayD<T> = arr0(T::zero()).into_dyn();
    let (mut expected, mut powers) = (0.0, [1.0; 2]);
    for t in 1..=STEPS {
        powers = [powers[0] * betas[0], powers[1] * betas[1]];
        let [left1, left2] = powers.map(|power| 1.0 - power);
        let g = T::of(gradient).wide();
        expected -= rate * g / (g.abs() + T::of(epsilon).wide() / f64::sqrt(left2));
        dense_step(&mut state, &mut w, arr0(T::of(gradient)).view().into_dyn());
        let error = (w[[]].wide() - expected).abs();
        // The powers are rounded once a step, which is much beside what they lack to one.
        let off = 16.0 * number + f64::EPSILON * (1.0 / left1 + 1.0 / left2);
        let allowed = f64::from(t) * off * expected.abs();
        assert!(error <= allowed, "betas {first}, {second}, step {t}: {} for {expected}", w[[]]);
    }
}

/// The same for RMSProp: r is g² but for what is left of the 1 that it starts at.
fn check_rms_prop<T: Real>(numbers: &Numbers, gradient: f64) {
    let (rate, epsilon, decay) = (1e-3, 1e-10, numbers.first);
    let optimizer = RmsProp::new(rate).decay(decay).epsilon(epsilon);
    let Ok(mut state) = OptimizerState::<T>::new(optimizer) else { return };
    state.add_variable("w", &[]).expect("a new name");
    let mut w: ArrayD<T> = arr0(T::zero()).into_dyn();
    let (mut expected, mut power) = (0.0, 1.0);
    for t in 1..=STEPS {
        power *= T::of(decay).wide();
        let g = T::of(gradient).wide();
        let under = power + (1.0 - power) * g * g + epsilon;
        expected -= rate * g / under.sqrt();
        dense_step(&mut state, &mut w, arr0(T::of(gradient)).view().into_dyn());
        let error = (w[[]].wide() - expected).abs();
        // The power is rounded once a step here, and its part of g² with it.
        let off = 16.0 * T::epsilon().wide() + f64::EPSILON * g * g / under;
        let allowed = f64::from(t) * off * expected.abs();
        assert!(error <= allowed, "decay {decay}, step {t}: {} for {expected}", w[[]]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(512)
    })]

    #[test]
    fn nothing_becomes_nan_at_the_edges(
        numbers in numbers(), gradients in prop::collection::vec(select(GRADIENTS), 1..12),
    ) {
        //
        check::<f32>(&numbers, &gradients);
        check::<f64>(&numbers, &gradients);
    }

    #[test]
    fn decays_next_to_one_cancel_out(
        numbers in numbers(), gradient in select(&[1e-3, 0.3, 1.0, -2.0, 700.0][..]),
    ) {
        //
        check_adam::<f32>(&numbers, gradient);
        check_adam::<f64>(&numbers, gradient);
        check_rms_prop::<f32>(&numbers, gradient);
        check_rms_prop::<f64>(&numbers, gradient);
    }
}

#[test]
fn ftrl_stands_still_where_its_rate_is_too_small_to_divide_by() {
    // down a schedule through all denormals to zero, f32 after f64.
    #[track_caller]
    fn check<T: Real>(gradient: f64) {
        let decay = if size_of::<T>() == 4 { 0.5 } else { 1e-3 };
        let rate = Schedule::Exponential { initial: 0.1, decay, every: 1, staircase: false };
        let mut state = OptimizerState::<T>::new(Ftrl::new(rate)).expect("valid numbers");
        state.add_variable("w", &[]).expect("a new name");
        let mut w: ArrayD<T> = arr0(T::of(0.7)).into_dyn();
        for step in 0..160 {
            dense_step(&mut state, &mut w, arr0(T::of(gradient)).view().into_dyn());
            assert!(w[[]].is_finite(), "step {step}: {}", w[[]]);
        }
    }
    for gradient in [0.0, 1e-30, 1e-3, -1.0, 1e6] {
        check::<f32>(gradient);
        check::<f64>(gradient);
    }
    // A gradient that is no number is seen.
    let mut state = OptimizerState::<f32>::new(Ftrl::new(0.1)).expect("valid numbers");
    state.add_variable("w", &[]).expect("a new name");
    let mut w = arr0(0.7_f32).into_dyn();
    dense_step(&mut state, &mut w, arr0(f32::NAN).view().into_dyn());
    assert!(w[[]].is_nan());
}

#[test]
fn an_optimizer_says_what_its_numbers_round_to() {
    //
    #[track_caller]
    fn check(optimizer: impl Optimizer<f32> + 'static, message: &str) {
        let error = OptimizerState::new(optimizer).expect_err("it is refused").to_string();
        assert_eq!(error, message);
    }
    check(
        Adam::new(1e-3).beta2(0.99999999),
        "adam: beta2 must be below 1 also in the variables' number type, but 0.99999999 was given",
    );
    check(
        Adagrad::new(1e-3).initial_accumulator_value(1e-46),
        "adagrad: initial_accumulator_value must be finite and above zero also in the variables' \
         number type, but 0.0000000000000000000000000000000000000000000001 was given",
    );
    check(
        RmsProp::new(1e-3).decay(0.99999999),
        "rmsprop: decay must be 1, or below 1 also in the variables' number type, but 0.99999999 \
         was given",
    );
}
