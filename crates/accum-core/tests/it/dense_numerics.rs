//! Dense sums and means against slow ones: number types, shapes, layouts, ways to hand over, ways
//! to add up (R-3, R-7, P-14).
//!
//! Right means two things: within the tolerance of [`slow`](crate::slow) of the exact value, and
//! the very bits of the plain loop that the rule describes.

use accum_core::{
    BufferPool, DenseAccumulator, DenseOptions, Element, Gradient, HalfSum, Reduction, Summation,
};
use half::{bf16, f16};
use ndarray::ArrayD;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::dense::SUMMATIONS;
use crate::layouts::{Layout, array, layout};
use crate::slow::{Exact, bits, number, over, plus, wide};

#[derive(Clone, Debug)]
struct Case {
    shape: Vec<usize>,
    /// The keys 0..n in order of arrival.
    keys: Vec<u64>,
    /// Of the gradients by key, in turn.
    layouts: Vec<Layout>,
    /// Taken in turn.
    numbers: Vec<f64>,
    reduction: Reduction,
    half_sum: HalfSum,
    /// Whether the caller divides.
    undivided: bool,
}

/// Magnitudes over six orders; 300 of them stay below the largest `f16`.
pub fn numbers() -> impl Strategy<Value = Vec<f64>> {
    let number = (-128.0..128.0_f64, 0..20_i32).prop_map(|(x, k)| x * 0.5_f64.powi(k));
    vec(prop_oneof![9 => number, 1 => Just(0.0), 1 => Just(-0.0)], 1..60)
}

/// The keys 0..n, shuffled.
pub fn keys(n: impl Strategy<Value = u64>) -> impl Strategy<Value = Vec<u64>> {
    n.prop_flat_map(|n| Just((0..n).collect::<Vec<_>>()).prop_shuffle())
}

pub fn half_sum() -> impl Strategy<Value = HalfSum> {
    prop_oneof![Just(HalfSum::Single), Just(HalfSum::Reference)]
}

pub fn reduction() -> impl Strategy<Value = Reduction> {
    prop_oneof![Just(Reduction::Mean), Just(Reduction::Sum)]
}

fn case() -> impl Strategy<Value = Case> {
    let shape_and_keys = prop_oneof![
        8 => (vec(1_usize..5, 0..4), keys(1..9_u64)),
        3 => (vec(0_usize..3, 1..4), keys(1..9_u64)),
        3 => (vec(0_usize..70, 1), keys(1..9_u64)),
        // Many gradients; then more elements than are summed in one go.
        3 => (vec(1_usize..3, 0..3), keys(100..300_u64)),
        1 => ((0_usize..1200).prop_map(|rest| vec![3, 500 + rest]), keys(1..4_u64)),
    ];
    let ways = (reduction(), half_sum(), any::<bool>());
    (shape_and_keys, vec(layout(), 1..5), numbers(), ways).prop_map(
        |((shape, keys), layouts, numbers, (reduction, half_sum, undivided))| Case {
            shape,
            keys,
            layouts,
            numbers,
            reduction,
            half_sum,
            undivided,
        },
    )
}

impl Case {
    /// Element `k` of the gradient with this key.
    fn element<E: Element>(&self, key: u64, k: usize) -> E {
        let key = key as usize;
        number(self.numbers[(key * key + k) % self.numbers.len()])
    }

    /// What the real one gives when gradients come in this order.
    fn real<E: Element>(&self, summation: Summation, keys: &[u64]) -> ArrayD<E::Sum> {
        let options = DenseOptions { summation, half_sum: self.half_sum };
        let shape = self.shape.as_slice();
        let mut acc = DenseAccumulator::<E>::with_options(shape, self.reduction, options);
        let pool = BufferPool::new(1);
        for key in keys {
            let layout = self.layouts[*key as usize % self.layouts.len()];
            let gradient = array(shape, layout, |k| self.element::<E>(*key, k));
            let handed: Gradient<'_, E> = match key % 3 {
                0 => (&gradient).into(),
                1 => gradient.into(),
                _ => {
                    let mut lent = pool.lend(shape);
                    lent.assign(&gradient);
                    lent.into()
                }
            };
            acc.apply_keyed(handed, 0, *key).expect("it fits");
        }
        let sum = acc.try_take(1).expect("one asked").expect("one held");
        match self.undivided {
            true => {
                let (sum, divisor) = sum.into_sum();
                sum.mapv(|x| x / divisor)
            }
            false => sum.into_value(),
        }
    }

    /// Compares a real sum of gradients that were added in this order, element by element.
    #[track_caller]
    fn check<E: Element>(&self, real: &ArrayD<E::Sum>, keys: &[u64]) {
        let divisor = if self.reduction == Reduction::Mean { keys.len() as u64 } else { 1 };
        assert_eq!(real.shape(), self.shape);
        assert!(real.is_standard_layout());
        for (k, real) in real.iter().enumerate() {
            let gradients = keys.iter().map(|key| self.element::<E>(*key, k));
            let mut exact = Exact::default();
            gradients.clone().for_each(|g| exact.add(wide(g)));
            exact.check::<E>(*real, divisor, self.half_sum);

            let sum = gradients.map(E::widen).reduce(|sum, g| plus::<E>(sum, g, self.half_sum));
            // A caller that divides by itself does not round to the half type.
            if !(self.undivided && self.half_sum == HalfSum::Reference) {
                let plain = over::<E>(sum.expect("one at least"), divisor, self.half_sum);
                assert_eq!(bits(*real), bits(plain), "element {k}: {real:?} for {plain:?}");
            }
        }
    }

    fn check_all<E: Element>(&self) {
        let in_order: Vec<u64> = (0..self.keys.len() as u64).collect();
        for summation in SUMMATIONS {
            let added = if summation == Summation::Ordered { &in_order } else { &self.keys };
            self.check::<E>(&self.real::<E>(summation, &self.keys), added);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(256)
    })]

    #[test]
    fn a_dense_sum_is_its_slow_reference(case in case()) {
        case.check_all::<f32>();
        case.check_all::<f64>();
        case.check_all::<f16>();
        case.check_all::<bf16>();
    }
}
