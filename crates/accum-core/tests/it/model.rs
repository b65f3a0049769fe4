//! Random runs against plain models: slow, obvious, and in `f64`.

use std::collections::{BTreeMap, VecDeque};

use accum_core::{
    ConditionalAccumulator, DenseAccumulator, DenseOptions, Gate, HalfSum, IndexedSlices,
    PartialShape, Reduction, SparseAccumulator, SparseMean, SparseMerge, SparseOptions, Summation,
};
use half::f16;
use ndarray::{Array1, Array2, array};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::support::Polled;

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
    fn staleness_depends_on_the_two_steps_alone(
        steps in vec((any::<i64>(), any::<i64>()), 1..20),
    ) {
        //
        let mut gate = Gate::new();
        for (global, local) in steps {
            gate.set_step(global);
            let before = gate.count();
            prop_assert_eq!(gate.admit(local).is_accepted(), local >= global);
            prop_assert_eq!(gate.count(), before + u64::from(local >= global));
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

/// What can be done to a shared accumulator that has a line.
#[derive(Clone, Debug)]
enum Act {
    Push { behind: bool },
    Join { required: u64 },
    Drop { nth: usize },
    Poll { nth: usize },
    SetStep { step: i64 },
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        4 => prop::bool::weighted(0.2).prop_map(|behind| Act::Push { behind }),
        3 => (1_u64..4).prop_map(|required| Act::Join { required }),
        2 => (0_usize..6).prop_map(|nth| Act::Drop { nth }),
        2 => (0_usize..6).prop_map(|nth| Act::Poll { nth }),
        1 => (-2_i64..9).prop_map(|step| Act::SetStep { step }),
    ];
    vec(act, 0..60)
}

/// What a take of the model is: in the line, or given `(gradients, step)` and not yet looked at.
#[derive(Clone, Debug, PartialEq)]
enum Stand {
    Waits,
    Given(Vec<u64>, i64),
}

#[derive(Default)]
struct Model {
    held: Vec<u64>,
    step: i64,
    /// Required, id: strictly in order.
    line: VecDeque<(u64, usize)>,
    stands: BTreeMap<usize, Stand>,
}

impl Model {
    fn settle(&mut self) {
        while let Some((required, id)) = self.line.front().copied() {
            if (self.held.len() as u64) < required {
                return;
            }
            self.line.pop_front();
            let given = std::mem::take(&mut self.held);
            self.stands.insert(id, Stand::Given(given, self.step));
            self.step += 1;
        }
    }

    fn leave(&mut self, id: usize) {
        match self.stands.remove(&id) {
            Some(Stand::Given(mut given, step)) => {
                given.append(&mut self.held);
                self.held = given;
                if self.step == step + 1 {
                    self.step = step;
                }
            }
            _ => self.line.retain(|(_, other)| *other != id),
        }
        self.settle();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_line_is_strict_and_loses_nothing(acts in acts()) {
        // R-3, with wakes: exactly those that are given something are woken, once.
        let plain = DenseAccumulator::<f64>::new([1], Reduction::Sum);
        let acc = ConditionalAccumulator::from(plain);
        let mut model = Model::default();
        let mut takes = BTreeMap::new();
        // Every gradient is another power of two, so a sum tells which are in it.
        let (mut pushed, mut next_id) = (0_u64, 0);
        let sum = |given: &[u64]| given.iter().map(|nth| 2.0_f64.powi(*nth as i32)).sum::<f64>();
        for act in acts {
            let at = |nth: usize| takes_at(&takes, nth);
            match act {
                Act::Push { behind } => {
                    let local_step = model.step - i64::from(behind);
                    let gradient = array![2.0_f64.powi(pushed as i32)];
                    let applied = acc.apply_grad(gradient, local_step).expect("one shape");
                    prop_assert_eq!(applied.is_accepted(), !behind);
                    if !behind {
                        model.held.push(pushed);
                        pushed = (pushed + 1) % 50;
                        model.settle();
                    }
                }
                Act::Join { required } => {
                    let handle = acc.clone();
                    let mut take =
                        Polled::new(async move { handle.take_grad(required as i64).await });
                    let answer = take.poll();
                    model.line.push_back((required, next_id));
                    model.stands.insert(next_id, Stand::Waits);
                    model.settle();
                    match (answer, &model.stands[&next_id]) {
                        (None, Stand::Waits) => drop(takes.insert(next_id, take)),
                        (Some(Ok(taken)), Stand::Given(given, step)) => {
                            prop_assert_eq!(taken.value[[0]], sum(given));
                            prop_assert_eq!(taken.step.get(), *step);
                            model.stands.remove(&next_id);
                        }
                        (answer, stand) => prop_assert!(false, "{:?} for {:?}", answer, stand),
                    }
                    next_id += 1;
                }
                Act::Drop { nth } => {
                    if let Some(id) = at(nth) {
                        takes.remove(&id);
                        model.leave(id);
                    }
                }
                Act::Poll { nth } => {
                    let Some(id) = at(nth) else { continue };
                    let answer = takes.get_mut(&id).and_then(Polled::poll);
                    match (answer, &model.stands[&id]) {
                        (None, Stand::Waits) => {}
                        (Some(Ok(taken)), Stand::Given(given, step)) => {
                            prop_assert_eq!(taken.value[[0]], sum(given));
                            prop_assert_eq!(taken.count, given.len() as u64);
                            prop_assert_eq!(taken.step.get(), *step);
                            takes.remove(&id);
                            model.stands.remove(&id);
                        }
                        (answer, stand) => prop_assert!(false, "{:?} for {:?}", answer, stand),
                    }
                }
                Act::SetStep { step } => {
                    prop_assert_eq!(acc.set_global_step(step).get(), model.step);
                    model.step = step;
                }
            }
            prop_assert_eq!(acc.num_accumulated(), model.held.len() as u64);
            prop_assert_eq!(acc.global_step().get(), model.step);
            for (id, take) in &takes {
                let given = matches!(model.stands[id], Stand::Given(..));
                prop_assert_eq!(take.wakes(), usize::from(given));
            }
        }
    }
}

fn takes_at<T>(takes: &BTreeMap<usize, T>, nth: usize) -> Option<usize> {
    takes.keys().nth(nth).copied()
}
