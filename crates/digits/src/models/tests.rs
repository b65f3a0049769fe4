//! Gradients against finite differences, and what a classifier promises.

use ndarray::ArrayD;
use sync_replicas::Gradient;

use super::*;
use crate::data::Digits;

const ROWS: [usize; 6] = [0, 5, 17, 17, 400, 1437];

fn digits() -> Digits {
    Digits::embedded().expect("is well formed")
}

fn dense(gradient: &Gradient<f32>, like: &ArrayD<f32>) -> ArrayD<f32> {
    match gradient {
        Gradient::Dense(array) => array.clone(),
        Gradient::Sparse(slices) => slices.to_dense(like.shape()[0]).expect("is in range"),
        Gradient::Missing => panic!("every variable of these models has a gradient"),
    }
}

/// The central difference of the loss along one element of one variable.
fn slope(
    model: &dyn Classifier,
    examples: &Examples,
    variables: &Variables<f32>,
    (name, at): (&str, usize),
) -> f64 {
    // Short, since a step across a rectifier's kink would miss its slope.
    const STEP: f32 = 1e-3;
    let loss = |shift: f32| {
        let mut moved = Variables::new();
        for (other, array) in variables.iter() {
            let mut array = array.clone();
            if other == name {
                *array.iter_mut().nth(at).expect("is in range") += shift;
            }
            moved = moved.with(other, array).expect("names differ");
        }
        model.gradients(&moved, examples, &ROWS).expect("computes").0
    };
    (loss(STEP) - loss(-STEP)) / (2.0 * f64::from(STEP))
}

#[track_caller]
fn check_gradients(model: &dyn Classifier) {
    let variables = model.variables(3).expect("names differ");
    let examples = digits().train;
    let (_, gradients) = model.gradients(&variables, &examples, &ROWS).expect("computes");
    assert_eq!(gradients.len(), variables.len());
    for ((name, gradient), (variable, array)) in gradients.iter().zip(variables.iter()) {
        assert_eq!(name, variable);
        let gradient = dense(gradient, array);
        assert_eq!(gradient.shape(), array.shape());
        // The steepest elements, and a few others.
        let mut elements: Vec<(usize, f32)> = gradient.iter().copied().enumerate().collect();
        elements.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
        let spread = elements.len() / 4 + 1;
        for (at, got) in elements.iter().take(4).chain(elements.iter().step_by(spread)) {
            let expected = slope(model, &examples, &variables, (name, *at));
            let error = (f64::from(*got) - expected).abs();
            assert!(error < 2e-3 + 0.02 * expected.abs(), "{name}[{at}]: {got}, not {expected}");
        }
    }
}

#[test]
fn gradients_are_those_of_the_loss() {
    check_gradients(&Softmax);
    check_gradients(&Mlp::new(16));
    check_gradients(&Embedding::new(8));
}

// indexed slices hold the rows of features that occur, each once, ascending.
#[test]
fn the_embedding_touches_only_rows_of_features_that_occur() {
    let model = Embedding::new(4);
    let variables = model.variables(0).expect("names differ");
    let digits = digits();
    let (_, gradients) = model.gradients(&variables, &digits.train, &[7]).expect("computes");
    let (_, gradient) = gradients.iter().next().expect("has a table");
    let Gradient::Sparse(slices) = gradient else { panic!("{gradient:?} is not sparse") };
    let features = digits.train.features(&[7]);
    let expected: Vec<i64> = features.indices().iter().map(|&feature| feature as i64).collect();
    assert_eq!(slices.indices, expected);
    assert!(expected.len() < crate::data::FEATURES / 2);
}

#[test]
fn variables_depend_on_the_seed_alone() {
    for model in [&Mlp::new(8) as &dyn Classifier, &Embedding::new(8)] {
        let (one, same) = (model.variables(1), model.variables(1));
        assert_eq!(one.expect("names differ"), same.expect("names differ"));
        assert_ne!(model.variables(1), model.variables(2));
    }
}

#[test]
fn an_untrained_model_guesses() {
    let digits = digits();
    let variables = Softmax.variables(0).expect("names differ");
    let (loss, _) = Softmax.gradients(&variables, &digits.train, &ROWS).expect("computes");
    assert!((loss - 10_f64.ln()).abs() < 1e-6, "{loss}");
    let accuracy = accuracy(&Softmax, &variables, &digits.test).expect("computes");
    assert!((0.05..0.2).contains(&accuracy), "{accuracy}");
}

#[test]
fn a_broken_model_has_a_loss_that_is_no_number() {
    let digits = digits();
    for model in [&Softmax as &dyn Classifier, &Mlp::new(8), &Embedding::new(8)] {
        let mut broken = Variables::new();
        for (name, array) in model.variables(0).expect("names differ").iter() {
            broken = broken.with(name, array.mapv(|_| f32::NAN)).expect("names differ");
        }
        let (loss, _) = model.gradients(&broken, &digits.train, &ROWS).expect("computes");
        assert!(loss.is_nan(), "{loss}");
    }
}

#[test]
fn another_models_variables_are_an_error() {
    let digits = digits();
    let variables = Softmax.variables(0).expect("names differ");
    let error = Mlp::new(8).scores(&variables, &digits.test, &[0]).expect_err("has no hidden/w");
    assert!(error.to_string().contains("hidden/w"), "{error}");
}
