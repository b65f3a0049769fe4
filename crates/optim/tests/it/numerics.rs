//! Every optimizer against the slow reference: random hyper-parameters, shapes, views, number
//! types, dense and sparse.
//!
//! Gradients are multiples of 1/64 up to 2, which every number type holds exactly, and whose sums
//! are exact: what is measured is the formula alone.

use half::{bf16, f16};
use ndarray::{ArrayD, Axis, IxDyn};
use optim::{GradientElement, OptimizerState, Real, SparseGradient};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::reference::{Element, Formula};

/// How the elements lie in memory; the first axis outermost, innermost, or from its end.
#[derive(Clone, Copy, Debug)]
pub enum Layout {
    Rows,
    Columns,
    Reversed,
}

#[derive(Clone, Debug)]
struct Case {
    formula: Formula,
    rate: f64,
    shape: Vec<usize>,
    layouts: (Layout, Layout),
    /// Of each step: indices when it is sparse, and numbers, as many as are needed taken in turn.
    steps: Vec<(Vec<i64>, Vec<i32>)>,
}

fn formula() -> impl Strategy<Value = Formula> {
    let fraction = || 0.0..0.99_f64;
    prop_oneof![
        Just(Formula::Sgd),
        (fraction(), any::<bool>())
            .prop_map(|(momentum, nesterov)| Formula::Momentum { momentum, nesterov }),
        (fraction(), 0.5..0.9999_f64, any::<bool>(), prop::option::of(0.0..0.5_f64)).prop_map(
            |(beta1, beta2, lazy, weight_decay)| Formula::Adam { beta1, beta2, lazy, weight_decay }
        ),
        (0.01..2.0_f64).prop_map(|initial| Formula::Adagrad { initial }),
        (fraction(), fraction(), any::<bool>()).prop_map(|(decay, momentum, centered)| {
            Formula::RmsProp { decay, momentum, centered }
        }),
        (prop_oneof![Just(0.5), 0.0..1.0_f64], 0.0..0.5_f64, 0.0..0.5_f64, 0.0..0.1_f64)
            .prop_map(|(power, l1, l2, shrinkage)| Formula::Ftrl { power, l1, l2, shrinkage }),
    ]
}

pub fn layout() -> impl Strategy<Value = Layout> {
    prop_oneof![Just(Layout::Rows), Just(Layout::Columns), Just(Layout::Reversed)]
}

/// Scalar, empty, of one element, or of up to four dimensions.
pub fn shape() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![3 => vec(1_usize..5, 0..5), 1 => vec(0_usize..3, 1..4)]
}

fn case() -> impl Strategy<Value = Case> {
    let step = (vec(0_i64..4, 0..7), vec(-128..=128_i32, 1..40));
    (formula(), 0.001..0.5_f64, shape(), (layout(), layout()), vec(step, 1..8)).prop_map(
        |(formula, rate, shape, layouts, steps)| Case { formula, rate, shape, layouts, steps },
    )
}

/// Those numbers in turn, in that shape and layout.
pub fn array<E: Clone>(shape: &[usize], layout: Layout, number: impl Fn(usize) -> E) -> ArrayD<E> {
    let n = shape.iter().product();
    let numbers = (0..n).map(number).collect();
    let axes: Vec<usize> = match layout {
        Layout::Columns => shape.iter().rev().copied().collect(),
        Layout::Rows | Layout::Reversed => shape.to_vec(),
    };
    let mut array = ArrayD::from_shape_vec(IxDyn(&axes), numbers).expect("as many");
    match layout {
        Layout::Rows => {}
        Layout::Columns => array = array.reversed_axes(),
        Layout::Reversed => (0..array.ndim()).for_each(|axis| array.invert_axis(Axis(axis))),
    }
    array
}

/// Runs both, and compares after every step.
fn check<T: Real, E: GradientElement<T>>(case: &Case, sparse: bool, element: fn(f32) -> E) {
    let Case { formula, rate, shape, layouts, .. } = case;
    let sparse = sparse && !shape.is_empty();
    let epsilon = T::epsilon().wide();
    let mut w = array(shape, layouts.0, |k| T::of((k as f64 * 0.7).sin()));
    let mut slow: Vec<_> = w.iter().map(|&x| Element::new(*formula, x)).collect();
    let mut state = OptimizerState::new(formula.real::<T>(*rate)).expect("valid numbers");
    state.add_variable("w", shape).expect("a new name");
    for (t, (indices, numbers)) in (1..).zip(&case.steps) {
        let gradient = |k: usize| element(numbers[k % numbers.len()] as f32 / 64.0);
        let mut sums = vec![(false, 0.0); slow.len()];
        if sparse {
            let indices: Vec<i64> =
                indices.iter().copied().filter(|&index| (index as usize) < shape[0]).collect();
            let width: usize = shape[1..].iter().product();
            let rows = array(&[&[indices.len()], &shape[1..]].concat(), layouts.1, gradient);
            for (&index, row) in indices.iter().zip(rows.outer_iter()) {
                for (sum, g) in sums[index as usize * width..].iter_mut().zip(row) {
                    *sum = (true, sum.1 + g.widen().wide());
                }
            }
            let gradient = SparseGradient { indices: &indices, rows: rows.view() };
            state.apply_sparse("w", w.view_mut(), gradient).expect("it fits");
        } else {
            let gradient = array(shape, layouts.1, gradient);
            sums = gradient.iter().map(|g| (true, g.widen().wide())).collect();
            state.apply_dense("w", w.view_mut(), &gradient).expect("it fits");
        }
        state.finish_step();
        for ((slow, x), (named, g)) in slow.iter_mut().zip(&w).zip(sums) {
            if named || formula.moves_all() {
                slow.step(*formula, *rate, t, g);
            }
            let (error, allowed) = ((x.wide() - slow.x).abs(), slow.tolerance(t, epsilon));
            assert!(error <= allowed, "step {t}: {x} for {}, {error} > {allowed}", slow.x);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(256)
    })]

    #[test]
    fn every_formula_is_its_slow_reference(case in case(), sparse in any::<bool>()) {
        //
        check::<f64, f64>(&case, sparse, f64::from);
        check::<f32, f32>(&case, sparse, |g| g);
        // gradients in half precision; variables are f32 or f64.
        check::<f32, f16>(&case, sparse, f16::from_f32);
        check::<f32, bf16>(&case, sparse, bf16::from_f32);
    }
}
