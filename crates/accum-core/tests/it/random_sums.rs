//! Random sums against plain ones: slow, obvious, and in `f64`.
//!
//! Who is let in, and who waits, is compared with the model of `test_util` in the crate `models`.

use std::collections::BTreeMap;

use accum_core::{
    DenseAccumulator, DenseOptions, HalfSum, IndexedSlices, PartialShape, Reduction,
    SparseAccumulator, SparseMean, SparseMerge, SparseOptions, Summation,
};
use half::f16;
use ndarray::{Array1, Array2, array};
use proptest::collection::vec;
use proptest::prelude::*;

fn dense(gradients: &[Vec<f32>], options: DenseOptions, keys: &[u64]) -> Vec<f32> {
    let mut acc =
        DenseAccumulator::<f32>::with_options(PartialShape::unknown(), Reduction::Mean, options);
    for (gradient, key) in gradients.iter().zip(keys) {
        acc.apply_keyed(Array1::from(gradient.clone()), 0, *key).expect("one shape");
    }
    let sum = acc.try_take(1).expect("one asked").expect("some held");
    sum.into_value().into_iter().collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// A sparse gradient of rows of two numbers: indices in any order, some twice.
fn slices() -> impl Strategy<Value = Vec<(i64, [f32; 2])>> {
    vec((0_i64..12, [-4.0_f32..4.0, -4.0_f32..4.0]), 0..10)
}

fn as_slices(rows: &[(i64, [f32; 2])]) -> IndexedSlices<f32> {
    let values: Vec<f32> = rows.iter().flat_map(|(_, row)| *row).collect();
    let values = Array2::from_shape_vec((rows.len(), 2), values).expect("two numbers a row");
    IndexedSlices::new(rows.iter().map(|(index, _)| *index).collect(), values, None)
        .expect("one row an index")
}

fn sparse(
    gradients: &[Vec<(i64, [f32; 2])>],
    keys: &[u64],
    options: SparseOptions,
) -> IndexedSlices<f32> {
    let mut acc = SparseAccumulator::<f32>::with_options([12, 2], Reduction::Mean, options);
    for (gradient, key) in gradients.iter().zip(keys) {
        acc.apply_keyed(as_slices(gradient), 0, *key).expect("one shape");
    }
    acc.try_take(1).expect("one asked").expect("some held").into_value()
}

/// The mean that one would write down, by rows in a map.
fn slow_mean(gradients: &[Vec<(i64, [f32; 2])>], mean: SparseMean) -> BTreeMap<i64, [f64; 2]> {
    let mut sums = BTreeMap::<i64, ([f64; 2], Vec<usize>)>::new();
    for (nth, gradient) in gradients.iter().enumerate() {
        for (index, row) in gradient {
            let (sum, from) = sums.entry(*index).or_default();
            (sum[0], sum[1]) = (sum[0] + f64::from(row[0]), sum[1] + f64::from(row[1]));
            from.push(nth);
            from.dedup();
        }
    }
    sums.into_iter()
        .map(|(index, (sum, from))| {
            let n = match mean {
                SparseMean::PerRow => from.len(),
                SparseMean::PerGradient => gradients.len(),
            };
            (index, sum.map(|value| value / n as f64))
        })
        .collect()
}

fn gradients() -> impl Strategy<Value = Vec<Vec<f32>>> {
    // Repeated to a length past one block of the blocked pass, now and then.
    let repeat = prop_oneof![9 => Just(1_usize), 1 => Just(500)];
    (1_usize..6, 0_usize..9, repeat).prop_flat_map(|(n, len, repeat)| {
        vec(vec(-1.0e3_f32..1.0e3, len).prop_map(move |values| values.repeat(repeat)), n)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn summing_early_or_late_gives_the_same_bits(gradients in gradients()) {
        //
        let keys = vec![0; gradients.len()];
        let options = |summation| DenseOptions { summation, ..DenseOptions::default() };
        let eager = dense(&gradients, options(Summation::Eager), &keys);
        let held = dense(&gradients, options(Summation::Held), &keys);
        prop_assert_eq!(bits(&eager), bits(&held));
        let mut plain = gradients[0].clone();
        for gradient in &gradients[1..] {
            plain.iter_mut().zip(gradient).for_each(|(sum, add)| *sum += add);
        }
        plain.iter_mut().for_each(|sum| *sum /= gradients.len() as f32);
        prop_assert_eq!(bits(&eager), bits(&plain));
    }

    #[test]
    fn arrival_order_hardly_matters_and_with_keys_not_at_all(
        (gradients, order) in gradients().prop_flat_map(|gradients| {
            let order: Vec<usize> = (0..gradients.len()).collect();
            (Just(gradients), Just(order).prop_shuffle())
        }),
    ) {
        // P-14
        let keys: Vec<u64> = (0..gradients.len() as u64).collect();
        let shuffled: Vec<_> = order.iter().map(|at| gradients[*at].clone()).collect();
        let shuffled_keys: Vec<_> = order.iter().map(|at| keys[*at]).collect();
        let options = |summation| DenseOptions { summation, ..DenseOptions::default() };

        let ordered = options(Summation::Ordered);
        let [a, b] = [dense(&gradients, ordered, &keys), dense(&shuffled, ordered, &shuffled_keys)];
        prop_assert_eq!(bits(&a), bits(&b));
        let eager = options(Summation::Eager);
        for (a, b) in a.iter().zip(dense(&shuffled, eager, &shuffled_keys)) {
            prop_assert!((a - b).abs() <= 1.0e-3, "{} and {}", a, b);
        }
    }

    #[test]
    fn half_precision_by_the_reference_rule_rounds_each_time(
        values in vec(-100.0_f32..100.0, 1..40),
    ) {
        // the same in f16's own arithmetic.
        let values: Vec<f16> = values.into_iter().map(f16::from_f32).collect();
        let plain = values[1..].iter().fold(values[0], |sum, add| sum + *add)
            / f16::from_f32(values.len() as f32);
        for summation in [Summation::Eager, Summation::Held] {
            let options = DenseOptions { summation, half_sum: HalfSum::Reference };
            let mut acc = DenseAccumulator::<f16>::with_options([1], Reduction::Mean, options);
            for value in &values {
                acc.apply(array![*value], 0).expect("one shape");
            }
            let value = acc.try_take(1).expect("one asked").expect("some held").into_value()[[0]];
            prop_assert_eq!(value, plain.to_f32());
        }
    }

    #[test]
    fn a_sparse_mean_is_the_slow_mean(
        gradients in vec(slices(), 1..6),
        per_gradient in any::<bool>(),
    ) {
        //
        let mean = if per_gradient { SparseMean::PerGradient } else { SparseMean::PerRow };
        let expected = slow_mean(&gradients, mean);
        let keys = vec![0; gradients.len()];
        let all = [Summation::Eager, Summation::Held, Summation::Ordered].map(|summation| {
            sparse(&gradients, &keys, SparseOptions { summation, mean, ..Default::default() })
        });
        for taken in &all {
            prop_assert_eq!(&taken.indices, &expected.keys().copied().collect::<Vec<_>>());
            let expected = expected.values().flatten();
            for (value, expected) in taken.values.iter().zip(expected) {
                prop_assert!((f64::from(*value) - expected).abs() < 1.0e-4);
            }
        }
        let bits = all.map(|taken| bits(taken.values.as_slice().expect("standard layout")));
        prop_assert_eq!(&bits[0], &bits[1]);
        prop_assert_eq!(&bits[0], &bits[2]);
    }

    #[test]
    fn on_canonical_gradients_both_merges_agree(gradients in vec(slices(), 1..6)) {
        //
        let gradients: Vec<Vec<_>> = gradients
            .into_iter()
            .map(|rows| rows.into_iter().collect::<BTreeMap<_, _>>().into_iter().collect())
            .collect();
        let keys = vec![0; gradients.len()];
        for summation in [Summation::Eager, Summation::Held] {
            let options = |merge| SparseOptions { summation, merge, ..SparseOptions::default() };
            let ours = sparse(&gradients, &keys, options(SparseMerge::Canonical));
            let theirs = sparse(&gradients, &keys, options(SparseMerge::Reference));
            prop_assert_eq!(ours, theirs);
        }
    }

    #[test]
    fn sparse_sums_with_keys_do_not_depend_on_arrival(
        (gradients, order) in vec(slices(), 1..6).prop_flat_map(|gradients| {
            let order: Vec<usize> = (0..gradients.len()).collect();
            (Just(gradients), Just(order).prop_shuffle())
        }),
    ) {
        // P-14
        let keys: Vec<u64> = order.iter().map(|at| *at as u64).collect();
        let shuffled: Vec<_> = order.iter().map(|at| gradients[*at].clone()).collect();
        let in_order: Vec<u64> = (0..gradients.len() as u64).collect();
        let options = SparseOptions { summation: Summation::Ordered, ..Default::default() };
        prop_assert_eq!(
            sparse(&gradients, &in_order, options),
            sparse(&shuffled, &keys, options)
        );
    }

    #[test]
    fn canonical_form_means_the_same_array(rows in slices()) {
        let slices = as_slices(&rows);
        let dense = slices.to_dense(12).expect("in range");
        let canonical = slices.canonical().expect("parts fit");
        prop_assert!(canonical.indices.is_sorted_by(|a, b| a < b));
        prop_assert_eq!(canonical.to_dense(12).expect("in range"), dense);
        prop_assert_eq!(canonical.clone().canonical().expect("parts fit"), canonical);
    }
}
