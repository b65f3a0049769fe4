//! Moving averages against their definition: a weighted sum over everything that ever came.
//!
//! The weight of a value is *1 − d* of its own update times *d* of every later one; the start has
//! the product of all, and where the starting zero is divided out, the sum is divided by the
//! weights of the values alone. With *M* the largest magnitude that came, an update rounds fewer
//! than 8 times, each by at most *ε/2 M*, and no later one enlarges an error: after *t* updates
//! that is *4 t ε M*. The weight of a starting zero, *P*, is off by *t ε* of an `f64`, which
//! counts *2 M / (1 − P)* times in the step that it scales.

use optim::{ExponentialMovingAverage, Real};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::numerics::{Layout, array, layout, shape};

#[derive(Clone, Debug)]
struct Case {
    decay: f64,
    /// Start at zero rather than at the variable; with the zero divided out.
    zeros: Option<bool>,
    shape: Vec<usize>,
    layout: Layout,
    /// Of each update: its number, and numbers taken in turn; the first is the variable's start.
    updates: Vec<(Option<u64>, Vec<f64>)>,
}

fn case() -> impl Strategy<Value = Case> {
    let decay = prop_oneof![8 => 0.0..0.9999_f64, 1 => Just(0.0), 1 => Just(1.0)];
    // Of any size, so that an old value can be large beside a new one.
    let number = (-1.0e3..1.0e3_f64, prop_oneof![4 => Just(0), 1 => -30..30_i32])
        .prop_map(|(number, exponent)| number * 10_f64.powi(exponent));
    let update = (prop::option::of(0..200_u64), vec(number, 1..20));
    (decay, any::<Option<bool>>(), shape(), layout(), vec(update, 2..30)).prop_map(
        |(decay, zeros, shape, layout, updates)| Case { decay, zeros, shape, layout, updates },
    )
}

/// The average of those values with their decays, and how far a real one may be off.
fn slow(start: Option<f64>, debias: bool, came: &[(f64, f64)], epsilon: f64) -> (f64, f64) {
    let (mut sum, mut weights, mut weight) = (0.0, 0.0, 1.0);
    for (decay, x) in came.iter().rev() {
        sum += weight * (1.0 - decay) * x;
        weights += weight * (1.0 - decay);
        weight *= decay;
    }
    sum += weight * start.unwrap_or_default();
    if debias && weights > 0.0 {
        sum /= weights;
    }
    // What an update rounds decays from then on, and with a decay of zero nothing is rounded.
    let (mut allowed, mut largest) = (0.0, start.unwrap_or_default().abs());
    for (decay, x) in came {
        largest = f64::max(largest, x.abs());
        allowed *= decay;
        allowed += if *decay > 0.0 { 4.0 * epsilon * largest } else { 0.0 };
    }
    let mut zero_weight = 1.0;
    for (t, (decay, _)) in (1..).zip(came).filter(|_| debias) {
        zero_weight *= decay;
        if zero_weight < 1.0 {
            let off = f64::from(t) * f64::EPSILON / (1.0 - zero_weight);
            allowed += 2.0 * largest * off * (1.0 - decay) / (1.0 - zero_weight);
        }
    }
    (sum, allowed)
}

fn check<T: Real>(case: &Case) {
    let averages = ExponentialMovingAverage::<T>::new(case.decay).expect("a fraction");
    let mut averages = averages.zero_debias(case.zeros == Some(true));
    let value = |t: usize| {
        let numbers = &case.updates[t].1;
        array(&case.shape, case.layout, |k| T::of(numbers[k % numbers.len()]))
    };
    let start = value(0);
    match case.zeros {
        None => averages.add("x", start.view()).expect("a new name"),
        Some(_) => averages.add_zeros("x", &case.shape).expect("a new name"),
    }
    let mut came = vec![Vec::new(); start.len()];
    for t in 1..case.updates.len() {
        let num_updates = case.updates[t].0;
        let value = value(t);
        averages.apply("x", value.view(), num_updates).expect("it was added");
        let decay = num_updates
            .map_or(case.decay, |k| f64::min(case.decay, (1.0 + k as f64) / (10.0 + k as f64)));
        let real = averages.average("x").expect("it was added");
        let elements = came.iter_mut().zip(&value).zip(real.iter().zip(&start));
        for ((came, x), (real, start)) in elements {
            came.push((decay, x.wide()));
            let start = case.zeros.is_none().then(|| start.wide());
            let debias = case.zeros == Some(true);
            let (expected, allowed) = slow(start, debias, came, T::epsilon().wide());
            let error = (real.wide() - expected).abs();
            assert!(error <= allowed, "{t}: {real} for {expected}, {error} > {allowed}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(256)
    })]

    #[test]
    fn an_average_is_its_weighted_sum(case in case()) {
        //
        check::<f32>(&case);
        check::<f64>(&case);
    }
}
