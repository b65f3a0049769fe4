//! Each formula against its textbook definition, written out as sums over the whole history of
//! gradients: slow, without slots or tiles, and with compensated sums.

use ndarray::{ArrayD, arr0};
use optim::{
    Adagrad, Adam, AdamW, Ftrl, LazyAdam, Momentum, Optimizer, Real, RmsProp, Schedule, Sgd,
};

use crate::support::{at_work, close, dense_step};

const STEPS: usize = 40;

/// A Kahan sum.
fn sum(values: impl IntoIterator<Item = f64>) -> f64 {
    let (mut sum, mut lost) = (0.0, 0.0);
    for value in values {
        let value = value - lost;
        let next = sum + value;
        lost = (next - sum) - value;
        sum = next;
    }
    sum
}

/// *Σ decayᵗ⁻ⁱ f(gᵢ)* over the gradients up to now.
fn decayed(history: &[f64], decay: f64, f: impl Fn(f64) -> f64) -> f64 {
    let newest = history.len() - 1;
    sum(history.iter().enumerate().map(|(i, &g)| decay.powi((newest - i) as i32) * f(g)))
}

fn gradients() -> Vec<f64> {
    (0..STEPS).map(|k| (k as f64 * 1.7).sin() + 0.3 * (k as f64 * 0.31).cos()).collect()
}

/// Runs the optimizer, and compares with `step`: how far the variable, now `x`, moves down when
/// the gradients up to now are `history`.
#[track_caller]
fn check<O>(optimizer: O, step: impl Fn(&[f64], f64) -> f64)
where
    O: Optimizer<f64> + Optimizer<f32> + Clone + 'static,
{
    run::<f64, O>(&optimizer, &step, 1e-11);
    run::<f32, O>(&optimizer, &step, 1e-4);
}

#[track_caller]
fn run<T: Real, O>(optimizer: &O, step: &dyn Fn(&[f64], f64) -> f64, tolerance: f64)
where
    O: Optimizer<T> + Clone + 'static,
{
    let gradients = gradients();
    let mut state = at_work::<T>(Box::new(optimizer.clone()), &[]);
    let mut w: ArrayD<T> = arr0(T::of(0.7)).into_dyn();
    let mut x = 0.7;
    for t in 1..=STEPS {
        x -= step(&gradients[..t], x);
        dense_step(&mut state, &mut w, arr0(T::of(gradients[t - 1])).view().into_dyn());
        let what = format!("{} after {t} steps", Optimizer::<T>::name(optimizer));
        close(&what, w[[]].wide(), x, tolerance, tolerance);
    }
}

#[test]
fn gradient_descent() {
    //
    check(Sgd::new(0.1), |g, _| 0.1 * g[g.len() - 1]);
}

#[test]
fn a_schedule_sets_each_steps_rate() {
    //
    let schedule = Schedule::Exponential { initial: 0.5, decay: 0.9, every: 1, staircase: false };
    check(Sgd::new(schedule), |g, _| 0.5 * 0.9_f64.powi(g.len() as i32 - 1) * g[g.len() - 1]);
}

#[test]
fn momentum() {
    //
    check(Momentum::new(0.1, 0.8), |g, _| 0.1 * decayed(g, 0.8, |g| g));
}

#[test]
fn nesterov() {
    // x + η μ a(old), then a, then x − η a − η μ a.
    check(Momentum::new(0.1, 0.8).nesterov(true), |g, _| {
        0.1 * (g[g.len() - 1] + 0.8 * decayed(g, 0.8, |g| g))
    });
}

fn adam_step(history: &[f64]) -> f64 {
    let t = history.len() as i32;
    let mean = 0.3 * decayed(history, 0.7, |g| g) / (1.0 - 0.7_f64.powi(t));
    let correction = (1.0 - 0.9_f64.powi(t)).sqrt();
    let deviation = (0.1 * decayed(history, 0.9, |g| g * g)).sqrt() / correction;
    // ε is outside the bias correction.
    0.05 * mean / (deviation + 1e-3 / correction)
}

#[test]
fn adam() {
    //
    check(Adam::new(0.05).beta1(0.7).beta2(0.9).epsilon(1e-3), |g, _| adam_step(g));
}

#[test]
fn lazy_adam_is_adam_when_dense() {
    //
    check(LazyAdam::new(0.05).beta1(0.7).beta2(0.9).epsilon(1e-3), |g, _| adam_step(g));
}

#[test]
fn adam_w_shrinks_apart_from_the_moments() {
    //
    let optimizer = AdamW::new(0.05).beta1(0.7).beta2(0.9).epsilon(1e-3).weight_decay(0.2);
    check(optimizer, |g, x| adam_step(g) + 0.05 * 0.2 * x);
}

#[test]
fn adagrad() {
    //
    check(Adagrad::new(0.3).initial_accumulator_value(0.5), |g, _| {
        0.3 * g[g.len() - 1] / (0.5 + decayed(g, 1.0, |g| g * g)).sqrt()
    });
}

/// The momentum of RMSProp: each step's part decays from then on.
fn rms_prop_step(history: &[f64], centered: bool) -> f64 {
    let part = |t: usize| {
        let history = &history[..t];
        let rms = 0.8_f64.powi(t as i32) + 0.2 * decayed(history, 0.8, |g| g * g);
        let mean = if centered { 0.2 * decayed(history, 0.8, |g| g) } else { 0.0 };
        0.1 * history[t - 1] / (rms - mean * mean + 1e-3).sqrt()
    };
    let newest = history.len();
    sum((1..=newest).map(|t| 0.5_f64.powi((newest - t) as i32) * part(t)))
}

#[test]
fn rms_prop() {
    //
    let optimizer = RmsProp::new(0.1).decay(0.8).momentum(0.5).epsilon(1e-3);
    check(optimizer.clone(), |g, _| rms_prop_step(g, false));
    check(optimizer.centered(true), |g, _| rms_prop_step(g, true));
}

#[test]
fn centred_rms_prop_survives_a_constant_gradient() {
    // r − c² is zero in the limit, and rounding takes it below; the reference turns NaN.
    let optimizer = RmsProp::new(1e-9).decay(0.5).epsilon(1e-30).centered(true);
    let mut state = at_work::<f32>(Box::new(optimizer), &[3]);
    let mut w = ndarray::array![1.0_f32, 2.0, 3.0].into_dyn();
    let gradient = ndarray::array![0.1_f32, 0.3, 7.7].into_dyn();
    for _ in 0..200 {
        dense_step(&mut state, &mut w, gradient.view());
    }
    assert!(w.iter().all(|x| x.is_finite()), "{w}");
}

#[test]
fn ftrl_minimizes_its_regularized_sum() {
    // with a power of zero the rate stays fixed, σ is zero, and z is the sum of gradients;
    // the variable then minimizes z x + x² / 2η + l2 x² + l1 |x|, whatever it was before.
    let (rate, l1, l2) = (0.2, 0.05, 0.3);
    let optimizer = Ftrl::new(rate).learning_rate_power(0.0).l1(l1).l2(l2);
    check(optimizer, |g, x| {
        let z = sum(g.iter().copied());
        let soft = if z.abs() <= l1 { 0.0 } else { z.signum() * l1 - z };
        x - soft / (1.0 / rate + 2.0 * l2)
    });
}

#[test]
fn one_step_of_ftrl_by_hand() {
    // the shrinkage enters z and not n; σ pulls towards where the variable was.
    let (x, g, rate, l1, l2, shrinkage) = (0.5, 0.3, 0.5, 0.05, 0.1, 0.01);
    let optimizer = Ftrl::new(rate).l1(l1).l2(l2).l2_shrinkage(shrinkage);
    let mut state = at_work::<f64>(Box::new(optimizer), &[]);
    let mut w = arr0(x).into_dyn();
    dense_step(&mut state, &mut w, arr0(g).view().into_dyn());
    let root = 0.19_f64.sqrt();
    let z = g + 2.0 * shrinkage * x - (root - 0.1_f64.sqrt()) / rate * x;
    close("accum", state.slot("w", "accum").expect("a slot")[[]], 0.19, 1e-15, 0.0);
    close("linear", state.slot("w", "linear").expect("a slot")[[]], z, 1e-15, 0.0);
    close("x", w[[]], -(z - l1) / (root / rate + 2.0 * l2), 1e-14, 0.0);
}

#[test]
fn ftrl_without_a_gradient_yet_stays_finite() {
    // from a start at zero, with shrinkage or with a gradient whose square is zero.
    for gradient in [0.0, 1e-30_f32] {
        let optimizer = Ftrl::new(0.5).initial_accumulator_value(0.0).l2_shrinkage(0.01);
        let mut state = at_work::<f32>(Box::new(optimizer), &[]);
        let mut w = arr0(0.7_f32).into_dyn();
        dense_step(&mut state, &mut w, arr0(gradient).view().into_dyn());
        assert_eq!(w[[]], 0.7);
    }
}

#[test]
fn a_rate_of_zero_moves_nothing() {
    // schedules end at zero, and FTRL divides by the rate.
    let table: [Box<dyn Optimizer<f64>>; 3] =
        [Box::new(Ftrl::new(0.0)), Box::new(AdamW::new(0.0)), Box::new(Momentum::new(0.0, 0.9))];
    for optimizer in table {
        let mut state = at_work(optimizer, &[]);
        let mut w = arr0(0.7).into_dyn();
        dense_step(&mut state, &mut w, arr0(3.0).view().into_dyn());
        assert_eq!(w[[]], 0.7, "{}", state.optimizer().name());
    }
}
