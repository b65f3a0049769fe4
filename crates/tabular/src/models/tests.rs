//! Gradients against finite differences, and what a model promises.

mod case;

use ndarray::{Array2, ArrayD};
use sync_replicas::{Gradient, Rows};

use super::*;
use crate::data::{Encoder, TaskKind};
use case::{ALL, Case, Has, KINDS, TASKS, examples, features, found, rows, task};

#[track_caller]
fn check_gradients(kind: Kind, has: Has, task: TaskKind) {
    let Some(mut case) = Case::new(kind, has, task) else { return };
    let (_, gradients) = case.gradients().expect("computes");
    let tables = case.variables.tables().iter().map(|table| table.name().to_owned());
    let mut expected: Vec<String> =
        case.variables.names().map(str::to_owned).chain(tables).collect();
    let mut got: Vec<String> = gradients.iter().map(|(name, _)| name.to_owned()).collect();
    expected.sort();
    got.sort();
    assert_eq!(got, expected, "{kind:?}, {has:?}");
    for (name, gradient) in gradients.iter() {
        let values: &ArrayD<f32> = match gradient {
            Gradient::Dense(array) => {
                assert_eq!(array.shape(), case.variables.get(name).expect("is one").shape());
                array
            }
            Gradient::Sparse(slices) => {
                let keys = case.batch.keys();
                let (_, keys) = keys.iter().find(|(table, _)| *table == name).expect("is one");
                assert_eq!(slices.indices, keys);
                &slices.values
            }
            Gradient::Missing => panic!("each variable of these models has a gradient"),
        };
        for (at, got) in values.iter().enumerate() {
            let expected = case.slope(name, at);
            let error = (f64::from(*got) - expected).abs();
            assert!(
                error < 1e-3 + 0.01 * expected.abs(),
                "{kind:?}, {has:?}, {task:?}, {name}[{at}]: {got}, not {expected}"
            );
        }
    }
}

#[test]
fn gradients_are_those_of_the_loss() {
    for kind in KINDS {
        for task in TASKS {
            for what in 1..8 {
                let has =
                    Has { numbers: what & 1 > 0, categories: what & 2 > 0, crosses: what & 4 > 0 };
                check_gradients(kind, has, task);
            }
        }
    }
}

#[test]
fn what_a_model_does_not_read_is_not_there() {
    #[track_caller]
    fn check(kind: Kind, expected: &[&str]) {
        let model = Network::new(kind, &features(ALL, TaskKind::Binary)).expect("has columns");
        let variables = model.variables(0).expect("names differ");
        let tables = variables.tables().iter().map(|table| table.name());
        assert_eq!(variables.names().chain(tables).collect::<Vec<_>>(), expected, "{kind:?}");
    }
    check(KINDS[0], &["b", "w"]);
    check(KINDS[1], &["b", "hidden/w", "hidden/b", "output/w"]);
    check(KINDS[2], &["b", "output/w", "embeddings"]);
    check(KINDS[3], &["b", "w", "weights"]);
    let all = ["b", "w", "hidden/w", "hidden/b", "output/w", "weights", "embeddings"];
    check(KINDS[4], &all);
    check(KINDS[5], &["b", "w", "factors of numbers", "weights", "factors"]);
}

#[test]
fn losses_and_predictions_of_each_task() {
    #[track_caller]
    fn check(kind: TaskKind, scores: &[f32], target: f32, loss: f64, predicted: &[f32]) {
        let task = task(kind);
        let scores = Array2::from_shape_vec((1, scores.len()), scores.to_vec()).expect("fits");
        let (got, _) = loss::of_scores(&task, scores.clone(), &[target]);
        assert!((got - loss).abs() < 1e-5 * loss.abs().max(1.0), "{scores}: {got}, not {loss}");
        for (got, expected) in predictions(&task, scores.clone()).iter().zip(predicted) {
            assert!((got - f64::from(*expected)).abs() < 1e-6, "{scores}: {got}, not {expected}");
        }
    }
    use TaskKind::{Binary, Classes, Regression};
    let two = 2_f64.ln();
    check(Binary, &[0.0], 1.0, two, &[0.5]);
    check(Binary, &[3_f32.ln()], 1.0, (4_f64 / 3.0).ln(), &[0.75]);
    check(Binary, &[3_f32.ln()], 0.0, 4_f64.ln(), &[0.75]);
    // Sure, right or not: nothing overflows.
    check(Binary, &[1e4], 1.0, 0.0, &[1.0]);
    check(Binary, &[1e4], 0.0, 1e4, &[1.0]);
    check(Binary, &[-1e4], 1.0, 1e4, &[0.0]);
    check(Classes, &[0.0; 3], 2.0, 3_f64.ln(), &[1.0 / 3.0; 3]);
    check(Classes, &[2_f32.ln(), 0.0, 0.0], 0.0, two, &[0.5, 0.25, 0.25]);
    check(Classes, &[2_f32.ln(), 0.0, 0.0], 1.0, 4_f64.ln(), &[0.5, 0.25, 0.25]);
    check(Classes, &[1e4, 0.0, -1e4], 2.0, 2e4, &[1.0, 0.0, 0.0]);
    check(Regression, &[1.5], 1.0, 0.25, &[3.5]);
    check(Regression, &[-1.0], 1.0, 4.0, &[-1.5]);
    // The mean of a batch's rows.
    let scores = Array2::from_shape_vec((2, 1), vec![1.5, -1.0]).expect("fits");
    let (loss, by_score) = loss::of_scores(&task(Regression), scores, &[1.0, 1.0]);
    assert_eq!(loss, 4.25 / 2.0);
    assert_eq!(by_score.into_raw_vec_and_offset().0, [0.5, -2.0]);
}

#[test]
fn a_model_that_is_not_trained_guesses() {
    for (task, expected) in [(TaskKind::Binary, 2_f64.ln()), (TaskKind::Classes, 3_f64.ln())] {
        let features = features(ALL, task);
        let model = Network::new(Kind::Softmax, &features).expect("has numbers");
        let variables = model.variables(0).expect("names differ");
        let batch = model.batch(examples(&features));
        let (loss, _) =
            model.gradients(&variables, &batch, |_| unreachable!("no table")).expect("computes");
        assert!((loss - expected).abs() < 1e-6, "{loss}");
    }
}

#[test]
fn a_variable_that_is_no_number_is_never_hidden() {
    for kind in KINDS {
        for task in TASKS {
            let Some(case) = Case::new(kind, ALL, task) else { continue };
            let names = case.variables.names().chain(case.rows.iter().map(|it| it.0.as_str()));
            for name in names.map(str::to_owned).collect::<Vec<_>>() {
                let mut broken = Case::new(kind, ALL, task).expect("is one");
                *broken.element(&name, 0) = f32::NAN;
                let (loss, gradients) = broken.gradients().expect("computes");
                assert!(loss.is_nan(), "{kind:?}, {task:?}, {name}: {loss}");
                let all_finite = gradients.iter().all(|(_, gradient)| gradient.is_finite());
                assert!(!all_finite, "{kind:?}, {task:?}, {name}");
                let predicted = predictions(broken.model.task(), broken.scores());
                assert!(predicted.iter().any(|it| it.is_nan()), "{kind:?}, {task:?}, {name}");
            }
        }
    }
}

/// The sum over all pairs of a row's numbers and the keys of its columns, in `f64`; a cross has a
/// weight alone.
#[test]
fn a_factorization_machine_is_the_sum_over_pairs() {
    for task in [TaskKind::Binary, TaskKind::Regression] {
        let case = Case::new(Kind::Fm { width: 3 }, ALL, task).expect("has columns");
        let scores = case.scores();
        let wide = |row: ndarray::ArrayView1<'_, f32>| -> Vec<f64> {
            row.iter().map(|x| f64::from(*x)).collect()
        };
        let table =
            |name: &str| &case.rows.iter().find(|(table, _)| table == name).expect("is one").1;
        let keys = case.batch.keys();
        let of_numbers = case.variables.matrix("factors of numbers").expect("is one");
        let w = case.variables.matrix("w").expect("is one");
        let b = f64::from(case.variables.vector("b").expect("is one")[0]);
        let examples = case.batch.examples();
        let (all, columns) = (examples.key_set(0..3), examples.key_set(0..2));
        let unique = [("weights", &*all.unique), ("factors", &*columns.unique)];
        assert!(keys.iter().eq(unique));
        for (row, numbers) in examples.numbers().outer_iter().enumerate() {
            let mut expected = b;
            let mut factors = Vec::new();
            for (column, number) in wide(numbers).into_iter().enumerate() {
                expected += number * f64::from(w[[column, 0]]);
                let own = wide(of_numbers.row(column));
                factors.push(own.into_iter().map(|v| v * number).collect::<Vec<_>>());
            }
            for place in all.row(row) {
                expected += f64::from(table("weights")[[*place as usize, 0]]);
            }
            for place in columns.row(row) {
                factors.push(wide(table("factors").row(*place as usize)));
            }
            for (at, a) in factors.iter().enumerate() {
                for b in &factors[at + 1..] {
                    expected += a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
                }
            }
            let got = f64::from(scores[[row, 0]]);
            assert!((got - expected).abs() < 1e-4, "row {row}: {got}, not {expected}");
        }
    }
}

#[test]
fn what_there_is_nothing_to_learn_from_is_refused() {
    #[track_caller]
    fn check(kind: Kind, has: Has, task: TaskKind, expected: &str) {
        let error = Network::new(kind, &features(has, task)).expect_err("is refused").to_string();
        assert!(error.contains(expected) && error.contains(kind.name()), "{error}");
    }
    let (numbers, keys) = (Has { numbers: false, ..ALL }, Has { numbers: true, ..ALL });
    let no_keys = Has { categories: false, crosses: false, ..keys };
    let number = "model softmax: expected a column of numbers, or the model linear, which reads \
                  keys, got none";
    check(Kind::Softmax, numbers, TaskKind::Binary, number);
    check(Kind::Mlp { hidden: 3 }, numbers, TaskKind::Classes, "a column of numbers");
    check(Kind::Embedding { width: 3 }, no_keys, TaskKind::Binary, "a column of keys");
    let fm = "model fm: expected a target of two values, or of numbers, got a target of 3 values";
    check(Kind::Fm { width: 3 }, ALL, TaskKind::Classes, fm);
    // All else is taken.
    for kind in KINDS {
        for task in TASKS {
            let is_refused = matches!(kind, Kind::Fm { .. }) && task == TaskKind::Classes;
            assert_eq!(Network::new(kind, &features(ALL, task)).is_err(), is_refused);
        }
    }
}

#[test]
fn variables_depend_on_the_seed_alone() {
    for kind in KINDS {
        let features = features(ALL, TaskKind::Binary);
        let model = Network::new(kind, &features).expect("has columns");
        let again = Network::new(kind, &features).expect("has columns");
        let of = |model: &Network, seed| model.variables(seed).expect("names differ");
        assert_eq!(of(&model, 1), of(&again, 1), "{kind:?}");
        let starts_at_random = !matches!(kind, Kind::Softmax | Kind::Linear);
        assert_eq!(of(&model, 1) != of(&model, 2), starts_at_random, "{kind:?}");
    }
}

#[test]
fn no_rows_have_no_scores() {
    for kind in KINDS {
        let features = features(ALL, TaskKind::Binary);
        let model = Network::new(kind, &features).expect("has columns");
        let variables = model.variables(0).expect("names differ");
        let columns = ["x", "z", "word", "other", "y"].map(str::to_owned);
        let encoder = Encoder::new(&features, &columns, "rows.csv", true).expect("has columns");
        let batch = model.batch(encoder.examples(0));
        let rows = found(&rows(&batch.keys(), &variables));
        let scores = model.scores(&variables, &batch, |table| rows.get(table));
        assert_eq!(scores.expect("computes").dim(), (0, 1), "{kind:?}");
    }
}

#[test]
fn another_models_variables_are_an_error() {
    let case = Case::new(Kind::Softmax, ALL, TaskKind::Binary).expect("has columns");
    let other = Network::new(Kind::Mlp { hidden: 5 }, &features(ALL, TaskKind::Binary));
    let other = other.expect("has columns");
    let scores = other.scores(&case.variables, &case.batch, |_| unreachable!("no table"));
    let error = scores.expect_err("has no hidden/w").to_string();
    assert!(error.contains("hidden/w"), "{error}");
    let linear = Case::new(Kind::Linear, ALL, TaskKind::Binary).expect("has columns");
    let none = Rows::new();
    let scores = linear.model.scores(&linear.variables, &linear.batch, |table| none.get(table));
    let error = scores.expect_err("has no rows").to_string();
    assert!(error.contains("weights"), "{error}");
}
