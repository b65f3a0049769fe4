//! What a dense gradient can be: a mean, half precision, one of the user's own.

use half::{bf16, f16};
use ndarray::{Array1, ArrayD, array};
use optim::{ApplyError, DenseGradient, Mean, Sgd};

use crate::support::{all, at_work, bits};

/// More than one tile, and not a whole number of them.
const N: usize = 5000;

#[track_caller]
fn check(gradient: &dyn DenseGradient<f32>, expected: impl Fn(usize) -> f32) {
    let n: usize = gradient.shape().iter().product();
    let mut state = at_work::<f32>(Box::new(Sgd::new(1.0)), gradient.shape());
    let mut w = ArrayD::zeros(gradient.shape());
    state.apply_dense("w", w.view_mut(), gradient).expect("the shapes fit");
    let actual: Vec<u32> = w.iter().map(|x| (-x).to_bits()).collect();
    let expected: Vec<u32> = (0..n).map(|k| (-(0.0 - expected(k))).to_bits()).collect();
    assert_eq!(actual, expected);
}

#[test]
fn a_mean_divides_truly() {
    // R-23, P-3: not by a reciprocal, which is off in the last bit for many numbers.
    let sum = Array1::from_shape_fn(N, |k| k as f32 * 0.1 + 0.3);
    check(&Mean { sum: sum.view(), divisor: 3.0 }, |k| sum[k] / 3.0);
    check(&Mean { sum: &sum, divisor: 1.0 }, |k| sum[k]);
    assert!(sum.iter().any(|x| x / 3.0 != x * (1.0 / 3.0)));
}

#[test]
fn half_precision_widens() {
    //
    let numbers = Array1::from_shape_fn(N, |k| k as f32 * 0.25 - 100.0);
    let (short, brain) = (numbers.mapv(f16::from_f32), numbers.mapv(bf16::from_f32));
    check(&short.view(), |k| short[k].to_f32());
    check(&brain.view(), |k| brain[k].to_f32());
    check(&Mean { sum: brain.view(), divisor: 7.0 }, |k| brain[k].to_f32() / 7.0);

    let mut reversed = short.view();
    reversed.invert_axis(ndarray::Axis(0));
    check(&reversed, |k| short[N - 1 - k].to_f32());
}

/// A sum over held gradients, made in the update's own pass.
struct Sum(Vec<Array1<f32>>);

impl DenseGradient<f32> for Sum {
    fn shape(&self) -> &[usize] {
        self.0[0].shape()
    }

    fn read(&self, start: usize, tile: &mut [f32]) {
        for (n, element) in tile.iter_mut().enumerate() {
            *element = self.0.iter().map(|held| held[start + n]).sum();
        }
    }
}

#[test]
fn a_gradient_of_ones_own_can_be_averaged() {
    let held = Sum((1..4).map(|n| Array1::from_elem(N, n as f32)).collect());
    check(&held, |_| 6.0);
    check(&Mean { sum: &held, divisor: 3.0 }, |_| 2.0);
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    //
    for optimizer in all::<f64>() {
        let mut state = at_work(optimizer, &[2, 3]);
        let mut w = ArrayD::from_elem(vec![2, 3], 0.5);
        let before = bits(&state, &w);

        let error = state.apply_dense("w", w.view_mut(), &array![1.0, 2.0]);
        let (expected, actual) = (vec![2, 3], vec![2]);
        assert_eq!(error, Err(ApplyError::GradientShape { expected, actual }));

        let error = state.apply_dense("v", w.view_mut(), &ArrayD::<f64>::ones(vec![2, 3]));
        assert_eq!(error, Err(ApplyError::UnknownVariable { name: "v".to_owned() }));

        let mut other = ArrayD::zeros(vec![3, 2]);
        let error = state.apply_dense("w", other.view_mut(), &ArrayD::<f64>::ones(vec![3, 2]));
        let (expected, actual) = (vec![2, 3], vec![3, 2]);
        let name = "w".to_owned();
        assert_eq!(error, Err(ApplyError::VariableShape { name, expected, actual }));

        assert_eq!(bits(&state, &w), before, "something changed");
        assert_eq!(other.sum(), 0.0);
    }
}

#[test]
fn what_is_not_finite_is_applied_as_it_is() {
    // the formulas validate nothing; a guard outside sees the NaN in the variable.
    for optimizer in all::<f64>() {
        let name = optimizer.name();
        let mut state = at_work(optimizer, &[2]);
        let mut w = array![1.0, 1.0].into_dyn();
        state.apply_dense("w", w.view_mut(), &array![f64::NAN, 0.0]).expect("the shapes fit");
        assert!(w[0].is_nan() && w[1].is_finite(), "{name}: {w}");
    }
}
