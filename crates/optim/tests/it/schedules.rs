//! Learning-rate schedules: values, text, and what is refused.

use optim::Schedule;
use proptest::prelude::*;

use crate::support::close;

#[track_caller]
fn check(text: &str, expected: &[(u64, f64)]) {
    let schedule: Schedule = text.parse().expect("a valid schedule");
    for &(step, rate) in expected {
        close(&format!("{text} at {step}"), schedule.at(step), rate, 1e-12, 1e-15);
    }
    let again: Schedule = schedule.to_string().parse().expect("it reads what it wrote");
    assert_eq!(again, schedule, "{schedule}");
}

#[test]
fn values() {
    //
    let half = 0.5_f64.sqrt();
    check("0.1", &[(0, 0.1), (u64::MAX, 0.1)]);
    check(" 1e-3 ", &[(5, 0.001)]);
    check(
        "exponential:initial=2,decay=0.5,every=10",
        &[(0, 2.0), (5, 2.0 * half), (10, 1.0), (20, 0.5), (u64::MAX, 0.0)],
    );
    check(
        "exponential:initial=2,decay=0.5,every=10,staircase=true",
        &[(0, 2.0), (9, 2.0), (10, 1.0), (19, 1.0), (20, 0.5)],
    );
    check(
        "inverse-time: initial=2, decay=0.5, every=10",
        &[(0, 2.0), (5, 1.6), (10, 2.0 / 1.5), (20, 1.0)],
    );
    check("inverse-time:initial=2,decay=0.5,every=10,staircase=true", &[(9, 2.0), (20, 1.0)]);
    check(
        "polynomial:initial=1,end=0.2,steps=10",
        &[(0, 1.0), (5, 0.6), (10, 0.2), (11, 0.2), (u64::MAX, 0.2)],
    );
    check("polynomial:initial=1,end=0,steps=10,power=2", &[(0, 1.0), (5, 0.25), (10, 0.0)]);
    check("cosine:initial=2,steps=8", &[(0, 2.0), (2, 1.0 + half), (4, 1.0), (8, 0.0), (100, 0.0)]);
    check("cosine:initial=2,steps=8,alpha=0.5", &[(0, 2.0), (4, 1.5), (9, 1.0)]);
    // A boundary is the last step of the value before it.
    check(
        "piecewise:values=1/0.5/0.1,boundaries=100/200",
        &[(0, 1.0), (100, 1.0), (101, 0.5), (200, 0.5), (201, 0.1)],
    );
    check("piecewise:values=0.5,boundaries=", &[(0, 0.5), (9, 0.5)]);
    check("warm-up:steps=4,then=0.8", &[(0, 0.2), (2, 0.6), (3, 0.8), (4, 0.8)]);
    // What follows sees the same step, also while it is warmed up to.
    check(
        "warm-up:steps=2,then=exponential:initial=8,decay=0.5,every=1",
        &[(0, 4.0), (1, 4.0), (2, 2.0), (3, 1.0)],
    );
}

#[test]
fn the_last_steps_keep_their_digits() {
    // a step before the end, where 1 - progress and 1 + cos cancel.
    for steps in [1_000_000_u64, 1 << 40] {
        let left = 1.0 / steps as f64;
        let at = |text: String| text.parse::<Schedule>().expect("a valid schedule").at(steps - 1);
        let wave = (std::f64::consts::FRAC_PI_2 * left).powi(2);
        close("cosine", at(format!("cosine:initial=1,steps={steps}")), wave, 1e-11, 0.0);
        let line = at(format!("polynomial:initial=1,end=0,steps={steps}"));
        close("polynomial", line, left, 1e-15, 0.0);
    }
}

#[track_caller]
fn check_refused(text: &str, message: &str) {
    let error = text.parse::<Schedule>().expect_err("it is refused");
    assert_eq!(error.to_string(), message, "{text}");
}

#[test]
fn text_that_is_no_schedule() {
    //
    let kinds = "expected a number, exponential, inverse-time, polynomial, cosine, piecewise, or \
                 warm-up";
    check_refused("", &format!("\"\" is no schedule; {kinds}"));
    check_refused("fast", &format!("\"fast\" is no schedule; {kinds}"));
    check_refused("linear:initial=1", &format!("\"linear\" is no schedule; {kinds}"));
    check_refused("cosine:steps=9", "cosine schedule needs initial=...");
    check_refused("cosine:", "expected name=value in cosine schedule, found \"\"");
    check_refused("cosine:0.1", "expected name=value in cosine schedule, found \"0.1\"");
    let known = "it takes each of initial, steps, alpha once";
    check_refused(
        "cosine:initial=1,step=9",
        &format!("cosine schedule takes no \"step\" here; {known}"),
    );
    check_refused(
        "cosine:initial=1,initial=2,steps=9",
        &format!("cosine schedule takes no \"initial\" here; {known}"),
    );
    check_refused(
        "cosine:initial=high,steps=9",
        "cosine schedule: initial must be a number, but is \"high\"",
    );
    check_refused(
        "cosine:initial=1,steps=-9",
        "cosine schedule: steps must be a count of steps, but is \"-9\"",
    );
    check_refused(
        "exponential:initial=1,decay=1,every=1,staircase=yes",
        "exponential schedule: staircase must be true or false, but is \"yes\"",
    );
    check_refused("warm-up:steps=3", "warm-up schedule needs then=...");
    check_refused(
        "warm-up:steps=3,then=warm-up:steps=4,then=1",
        "warm-up schedule: then must be a schedule without a warm-up, but is \
         \"warm-up:steps=4,then=1\"",
    );
}

#[test]
fn numbers_that_a_schedule_cannot_take() {
    //
    let negative = "must be finite and not negative, but";
    for (text, message) in [
        ("NaN", format!("learning rate: value {negative} NaN was given")),
        ("inf", format!("learning rate: value {negative} inf was given")),
        ("-1", format!("learning rate: value {negative} -1 was given")),
        (
            "exponential:initial=1,decay=0.5,every=0",
            "exponential schedule: every must be at least 1, but 0 was given".to_owned(),
        ),
        (
            "inverse-time:initial=1,decay=-2,every=1",
            format!("inverse-time schedule: decay {negative} -2 was given"),
        ),
        (
            "polynomial:initial=1,end=NaN,steps=1",
            format!("polynomial schedule: end {negative} NaN was given"),
        ),
        (
            "polynomial:initial=1,end=0,steps=1,power=0",
            "polynomial schedule: power must be finite and above zero, but 0 was given".to_owned(),
        ),
        (
            "cosine:initial=1,steps=1,alpha=2",
            "cosine schedule: alpha must be in [0, 1], but 2 was given".to_owned(),
        ),
        (
            "piecewise:values=1/2,boundaries=3/4",
            "piecewise schedule: the number of values must be one more than the number of \
             boundaries, but 2 was given"
                .to_owned(),
        ),
        (
            "piecewise:values=1/2/3,boundaries=4/4",
            "piecewise schedule: boundary must be above the boundary before it, but 4 was given"
                .to_owned(),
        ),
        (
            "warm-up:steps=0,then=1",
            "warm-up schedule: steps must be at least 1, but 0 was given".to_owned(),
        ),
    ] {
        check_refused(text, &message);
    }
    let inner = Box::new(Schedule::WarmUp { steps: 1, then: Box::new(Schedule::Constant(1.0)) });
    let error = Schedule::WarmUp { steps: 1, then: inner }.validate().expect_err("it is refused");
    let message = "warm-up schedule: the number of warm-ups must be 1, but 2 was given";
    assert_eq!(error.to_string(), message);
}

/// Every kind but a warm-up, with counts of steps below this.
pub fn plain(below: u64) -> impl Strategy<Value = Schedule> {
    let (rate, count, flag) = (0.0..1e6_f64, 1..below, any::<bool>());
    let fraction = 0.0..=1.0_f64;
    let power = prop_oneof![1e-3..9.0_f64, (1..9_u8).prop_map(f64::from)];
    prop_oneof![
        rate.clone().prop_map(Schedule::Constant),
        (rate.clone(), fraction.clone(), count.clone(), flag).prop_map(
            |(initial, decay, every, staircase)| {
                Schedule::Exponential { initial, decay, every, staircase }
            }
        ),
        (rate.clone(), rate.clone(), count.clone(), flag).prop_map(
            |(initial, decay, every, staircase)| {
                Schedule::InverseTime { initial, decay, every, staircase }
            }
        ),
        (rate.clone(), rate.clone(), count.clone(), power).prop_map(
            |(initial, end, steps, power)| Schedule::Polynomial { initial, end, steps, power }
        ),
        (rate.clone(), count, fraction).prop_map(|(initial, steps, alpha)| Schedule::Cosine {
            initial,
            steps,
            alpha
        }),
        proptest::collection::btree_map(0..below, rate, 1..5).prop_map(|pieces| {
            let (mut boundaries, values): (Vec<_>, Vec<_>) = pieces.into_iter().unzip();
            boundaries.pop();
            Schedule::Piecewise { boundaries, values }
        }),
    ]
}

proptest! {
    #[test]
    fn valid_ones_are_finite_and_read_back(
        plain in plain(u64::MAX),
        warm_up in proptest::option::of(1..u64::MAX),
        step in any::<u64>(),
    ) {
        //
        let schedule = match warm_up {
            Some(steps) => Schedule::WarmUp { steps, then: Box::new(plain) },
            None => plain,
        };
        schedule.validate().expect("valid numbers");
        for step in [0, 1, step, u64::MAX] {
            let rate = schedule.at(step);
            prop_assert!(rate.is_finite() && rate >= 0.0, "{rate} at {step}");
        }
        let again: Schedule = schedule.to_string().parse().expect("it reads what it wrote");
        prop_assert_eq!(again, schedule);
    }

    #[test]
    fn no_text_panics(text in ".{0,60}", kind in "(exponential|cosine|piecewise|warm-up):.{0,40}") {
        let _ = text.parse::<Schedule>();
        let _ = kind.parse::<Schedule>();
    }
}

#[test]
fn a_polynomial_keeps_the_digits_of_its_smaller_end() {
    // whichever end is the smaller, at its side and between.
    const ENDS: [f64; 6] = [0.0, 1e-300, 1e-10, 0.3, 1e10, 1e300];
    for initial in ENDS {
        for end in ENDS {
            for (power, steps) in [(1.0, 8), (2.0, 8), (1.0, 1 << 40), (2.0, 1 << 40)] {
                let schedule = Schedule::Polynomial { initial, end, steps, power };
                for k in [0, 1, 2, steps / 2, steps - 1, steps, steps + 1] {
                    let part = k.min(steps) as f64 / steps as f64;
                    let left = 1.0 - part;
                    // 1 - left^2 is part (2 - part), which loses nothing.
                    let (left, gone) = match power {
                        1.0 => (left, part),
                        _ => (left * left, part * (2.0 - part)),
                    };
                    let (got, expected) = (schedule.at(k), initial * left + end * gone);
                    let error = (got - expected).abs();
                    assert!(error <= 4e-15 * expected, "{schedule} at {k}: {got}, not {expected}");
                }
            }
        }
    }
}
