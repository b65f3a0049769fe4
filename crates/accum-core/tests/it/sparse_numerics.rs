//! Sparse sums and means against slow ones: number types, row shapes, layouts, indices in any order
//! and repeated, both means, both merges, ways to add up (R-7, R-8, R-9, P-14).
//!
//! Right means two things: within the tolerance of [`slow`](crate::slow) of the exact value, and
//! the very bits of the plain loop that the rule describes.

use std::borrow::Cow;
use std::collections::BTreeMap;

use accum_core::{
    Element, HalfSum, IndexedSlices, Reduction, SparseAccumulator, SparseMean, SparseMerge,
    SparseOptions, Summation,
};
use half::{bf16, f16};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::dense_numerics::{half_sum, keys, numbers, reduction};
use crate::layouts::{Layout, array, layout};
use crate::slow::{Exact, bits, number, over, plus, wide};

const ROWS: usize = 12;

#[derive(Clone, Debug)]
struct Case {
    row_shape: Vec<usize>,
    /// The keys 0..n in order of arrival.
    keys: Vec<u64>,
    /// Indices and layouts of the gradients by key, in turn.
    gradients: Vec<(Vec<i64>, Layout)>,
    /// Taken in turn.
    numbers: Vec<f64>,
    reduction: Reduction,
    options: SparseOptions,
    /// Whether the caller divides.
    undivided: bool,
}

fn options() -> impl Strategy<Value = SparseOptions> {
    (half_sum(), any::<bool>(), any::<bool>()).prop_map(|(half_sum, per_row, canonical)| {
        let mean = if per_row { SparseMean::PerRow } else { SparseMean::PerGradient };
        let merge = if canonical { SparseMerge::Canonical } else { SparseMerge::Reference };
        SparseOptions { half_sum, mean, merge, ..SparseOptions::default() }
    })
}

fn case() -> impl Strategy<Value = Case> {
    let row_shape = prop_oneof![
        4 => vec(1_usize..5, 0..3),
        1 => vec(0_usize..3, 1..4),
        1 => vec(0_usize..40, 1),
        1 => vec(60_usize..140, 1),
    ];
    let shape_and_keys = prop_oneof![
        5 => (row_shape, keys(1..9_u64)),
        1 => (vec(1_usize..3, 0..2), keys(100..300_u64)),
    ];
    // Now and then more rows than there are indices.
    let indices = prop_oneof![6 => vec(0..ROWS as i64, 0..8), 1 => vec(0..3_i64, 20..40)];
    let gradients = vec((indices, layout()), 1..6);
    (shape_and_keys, gradients, numbers(), reduction(), options(), any::<bool>()).prop_map(
        |((row_shape, keys), mut gradients, numbers, reduction, options, undivided)| {
            if options.merge == SparseMerge::Reference {
                // It trusts that indices ascend and repeat nothing.
                for (indices, _) in &mut gradients {
                    indices.sort_unstable();
                    indices.dedup();
                }
            }
            Case { row_shape, keys, gradients, numbers, reduction, options, undivided }
        },
    )
}

/// A row of the sum, computed twice.
struct Row<S> {
    exact: Vec<Exact>,
    plain: Vec<S>,
    gradients: u64,
}

impl Case {
    fn gradient<E: Element>(&self, key: u64) -> IndexedSlices<E> {
        let key = key as usize;
        let (indices, layout) = &self.gradients[key % self.gradients.len()];
        let shape = [&[indices.len()], self.row_shape.as_slice()].concat();
        let values = array(&shape, *layout, |k| {
            number::<E>(self.numbers[(key * key + k) % self.numbers.len()])
        });
        IndexedSlices::new(indices.clone(), values, None).expect("one row an index")
    }

    /// What the real one gives; half of the gradients are lent to it.
    fn real<E: Element>(&self, summation: Summation) -> IndexedSlices<E::Sum> {
        let options = SparseOptions { summation, ..self.options };
        let shape = [&[ROWS], self.row_shape.as_slice()].concat();
        let mut acc = SparseAccumulator::<E>::with_options(&*shape, self.reduction, options);
        for key in &self.keys {
            let gradient = self.gradient::<E>(*key);
            let handed =
                if key % 2 == 0 { Cow::Borrowed(&gradient) } else { Cow::Owned(gradient.clone()) };
            acc.apply_keyed(handed, 0, *key).expect("it fits");
        }
        let sum = acc.try_take(1).expect("one asked").expect("one held");
        if !self.undivided {
            return sum.into_value();
        }
        let (mut sum, divisors) = sum.into_sum();
        for (mut row, divisor) in sum.values.outer_iter_mut().zip(divisors) {
            row.mapv_inplace(|x| x / divisor);
        }
        sum
    }

    /// The rows of gradients that come in this order: each gradient's repeated rows are added
    /// first, then the gradients one after the other.
    fn slow<E: Element>(&self, keys: &[u64]) -> BTreeMap<i64, Row<E::Sum>> {
        let mut rows = BTreeMap::<i64, Row<E::Sum>>::new();
        let half_sum = self.options.half_sum;
        let add = |sum: &mut Vec<E::Sum>, row: &[E::Sum]| match sum.is_empty() {
            true => *sum = row.to_vec(),
            false => sum.iter_mut().zip(row).for_each(|(x, g)| *x = plus::<E>(*x, *g, half_sum)),
        };
        for key in keys {
            let gradient = self.gradient::<E>(*key);
            let mut own = BTreeMap::<i64, Vec<E::Sum>>::new();
            for (index, row) in gradient.indices.iter().zip(gradient.values.outer_iter()) {
                let exact = vec![Exact::default(); row.len()];
                let new = Row { exact, plain: Vec::new(), gradients: 0 };
                let exact = &mut rows.entry(*index).or_insert(new).exact;
                exact.iter_mut().zip(&row).for_each(|(sum, g)| sum.add(wide(*g)));
                let row: Vec<E::Sum> = row.iter().map(|g| g.widen()).collect();
                add(own.entry(*index).or_default(), &row);
            }
            for (index, own) in own {
                let row = rows.get_mut(&index).expect("seen just now");
                add(&mut row.plain, &own);
                row.gradients += 1;
            }
        }
        rows
    }

    fn check<E: Element>(&self, summation: Summation, keys: &[u64]) {
        let (real, slow) = (self.real::<E>(summation), self.slow::<E>(keys));
        let half_sum = self.options.half_sum;
        assert_eq!(real.indices, slow.keys().copied().collect::<Vec<_>>());
        assert_eq!(real.values.shape()[1..], self.row_shape);
        assert_eq!(real.values.shape()[0], slow.len());
        for (row, slow) in real.values.outer_iter().zip(slow.values()) {
            let divisor = match (self.reduction, self.options.mean) {
                (Reduction::Sum, _) => 1,
                (Reduction::Mean, SparseMean::PerRow) => slow.gradients,
                (Reduction::Mean, SparseMean::PerGradient) => keys.len() as u64,
            };
            for (real, (exact, plain)) in row.iter().zip(slow.exact.iter().zip(&slow.plain)) {
                exact.check::<E>(*real, divisor, half_sum);
                // A caller that divides by itself does not round to the half type.
                if !(self.undivided && half_sum == HalfSum::Reference) {
                    let plain = over::<E>(*plain, divisor, half_sum);
                    assert_eq!(bits(*real), bits(plain), "{real:?} for {plain:?}");
                }
            }
        }
    }

    fn check_all<E: Element>(&self) {
        let in_order: Vec<u64> = (0..self.keys.len() as u64).collect();
        self.check::<E>(Summation::Eager, &self.keys);
        self.check::<E>(Summation::Held, &self.keys);
        self.check::<E>(Summation::Ordered, &in_order);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(256)
    })]

    #[test]
    fn a_sparse_sum_is_its_slow_reference(case in case()) {
        case.check_all::<f32>();
        case.check_all::<f64>();
        case.check_all::<f16>();
        case.check_all::<bf16>();
    }
}
