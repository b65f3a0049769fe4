//! What holds between sums: arrival order, merges, canonical form.
//!
//! That each is right by itself is checked in `dense_numerics` and `sparse_numerics`.
//! Who is let in, and who waits, is compared with the model of `test_util` in the crate `models`.

use std::collections::BTreeMap;

use accum_core::{
    DenseAccumulator, DenseOptions, IndexedSlices, PartialShape, Reduction, SparseAccumulator,
    SparseMerge, SparseOptions, Summation,
};
use ndarray::{Array1, Array2};
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
