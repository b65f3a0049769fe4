//! From the options to an optimizer.
//!
//! Its invariant: a number that the chosen optimizer does not have is refused, never ignored.

use optim::{
    Adagrad, Adam, AdamW, BuiltIn, Ftrl, LazyAdam, Momentum, Optimizer, RmsProp, Schedule, Sgd,
};
use serde_json::{Map, Value};
use tabular::data::TaskKind;

use crate::args::{ModelKind, OptimizerKind, OptimizerNumbers, cli_name};
use crate::error::UsageError;
use crate::optional::set;

/// An optimizer's own numbers that are options, including those in a part that it shares with
/// others.
pub(crate) fn numbers(optimizer: &BuiltIn) -> OptimizerNumbers {
    fn collect(value: Value, numbers: &mut Map<String, Value>) {
        let Value::Object(fields) = value else { return };
        for (key, value) in fields {
            match value {
                // A schedule has numbers of its own.
                _ if key == "learning_rate" => {}
                Value::Object(_) => collect(value, numbers),
                value => drop(numbers.insert(key, value)),
            }
        }
    }
    let mut numbers = Map::new();
    collect(serde_json::to_value(optimizer).unwrap_or_default(), &mut numbers);
    serde_json::from_value(Value::Object(numbers)).unwrap_or_default()
}

/// The optimizer that the options describe.
pub(crate) fn build(
    kind: OptimizerKind,
    rate: Schedule,
    numbers: &OptimizerNumbers,
    model: ModelKind,
) -> Result<BuiltIn, UsageError> {
    reject_foreign_options(kind, numbers)?;
    let n = numbers;
    let accumulator = n.initial_accumulator.or(usual_accumulator(model));
    let optimizer: BuiltIn = match kind {
        OptimizerKind::Sgd => Sgd::new(rate).into(),
        OptimizerKind::Momentum => {
            Momentum::new(rate, n.momentum.unwrap_or(0.9)).nesterov(n.nesterov).into()
        }
        OptimizerKind::Adam => {
            let adam = set(Adam::new(rate), n.beta1, Adam::beta1);
            let adam = set(adam, n.beta2, Adam::beta2);
            set(adam, n.epsilon, Adam::epsilon).into()
        }
        OptimizerKind::LazyAdam => {
            let adam = set(LazyAdam::new(rate), n.beta1, LazyAdam::beta1);
            let adam = set(adam, n.beta2, LazyAdam::beta2);
            set(adam, n.epsilon, LazyAdam::epsilon).into()
        }
        OptimizerKind::Adamw => {
            let adam = set(AdamW::new(rate), n.beta1, AdamW::beta1);
            let adam = set(adam, n.beta2, AdamW::beta2);
            let adam = set(adam, n.epsilon, AdamW::epsilon);
            set(adam, n.weight_decay, AdamW::weight_decay).into()
        }
        OptimizerKind::Adagrad => {
            let first = Adagrad::initial_accumulator_value;
            set(Adagrad::new(rate), accumulator, first).into()
        }
        OptimizerKind::Rmsprop => {
            let rms = set(RmsProp::new(rate), n.decay, RmsProp::decay);
            let rms = set(rms, n.momentum, RmsProp::momentum);
            let rms = set(rms, n.epsilon, RmsProp::epsilon);
            rms.centered(n.centered).into()
        }
        OptimizerKind::Ftrl => {
            let first = Ftrl::initial_accumulator_value;
            let ftrl = set(Ftrl::new(rate), accumulator, first);
            let ftrl = set(ftrl, n.l1, Ftrl::l1);
            set(ftrl, n.l2, Ftrl::l2).into()
        }
    };
    Optimizer::<f32>::validate(&optimizer)?;
    Ok(optimizer)
}

/// The default optimizer: tables need one that leaves alone the rows that a gradient does not have.
pub(crate) fn usual_optimizer(model: ModelKind) -> OptimizerKind {
    match model {
        ModelKind::Softmax | ModelKind::Mlp => OptimizerKind::Adam,
        ModelKind::Linear => OptimizerKind::Ftrl,
        ModelKind::Embedding | ModelKind::WideDeep | ModelKind::Fm => OptimizerKind::Adagrad,
    }
}

/// The initial sums of squares of Adagrad and FTRL, if they are not the usual 0.1.
///
/// The gradient of a key that one row of a batch has is that row's own divided by the size of the
/// batch; beside 0.1 its square is nothing, and the key would never be learned. If all keys are
/// frequent, a large number keeps the rarer ones from being learned by heart.
fn usual_accumulator(model: ModelKind) -> Option<f64> {
    match model {
        ModelKind::Linear | ModelKind::WideDeep | ModelKind::Fm => Some(1e-8),
        ModelKind::Softmax | ModelKind::Mlp | ModelKind::Embedding => None,
    }
}

/// A learning rate with which the model trains well, tried with dozens of seeds.
///
/// It falls by half every 200 updates, since at a constant rate the last few updates decide by
/// chance whether a run ends one point above or below its mean. It does not depend on the number
/// of updates, so that a run in two parts equals a run in one.
pub(crate) fn usual_rate(model: ModelKind, optimizer: OptimizerKind, task: TaskKind) -> Schedule {
    use ModelKind as M;
    use OptimizerKind as O;
    let initial = match (optimizer, model) {
        (O::Adam | O::LazyAdam | O::Adamw, M::Softmax) => 0.05,
        (O::Adam | O::LazyAdam | O::Adamw, M::Mlp) => 0.01,
        (O::Adam | O::LazyAdam | O::Adamw, M::Embedding | M::Linear) => 0.003,
        (O::Adam | O::LazyAdam | O::Adamw, M::WideDeep | M::Fm) => 0.002,
        // Numbers may be many deviations from their mean, which probabilities are not.
        (O::Adagrad | O::Ftrl, M::Linear) if task == TaskKind::Regression => 0.3,
        (O::Adagrad | O::Ftrl, M::WideDeep | M::Fm) if task == TaskKind::Regression => 0.1,
        (O::Adagrad | O::Ftrl, M::Linear) => 0.03,
        (O::Adagrad | O::Ftrl, M::Fm) => 0.02,
        (O::Adagrad | O::Ftrl, M::WideDeep) => 0.01,
        (O::Rmsprop, M::Softmax) => 0.01,
        (O::Rmsprop, _) => 0.003,
        (O::Sgd, _) => 0.5,
        (O::Momentum, _) => 0.1,
        (O::Adagrad, _) => 0.1,
        (O::Ftrl, _) => 0.3,
    };
    match optimizer {
        // Their own sums of squares let the rate fall.
        O::Adagrad | O::Ftrl => initial.into(),
        _ => Schedule::Exponential { initial, decay: 0.5, every: 200, staircase: false },
    }
}

fn reject_foreign_options(kind: OptimizerKind, n: &OptimizerNumbers) -> Result<(), UsageError> {
    use OptimizerKind as O;
    let adams: &[O] = &[O::Adam, O::LazyAdam, O::Adamw];
    let dividing: &[O] = &[O::Adam, O::LazyAdam, O::Adamw, O::Rmsprop];
    let options: [(&'static str, bool, &[O]); 11] = [
        ("--momentum", n.momentum.is_some(), &[O::Momentum, O::Rmsprop]),
        ("--nesterov", n.nesterov, &[O::Momentum]),
        ("--beta1", n.beta1.is_some(), adams),
        ("--beta2", n.beta2.is_some(), adams),
        ("--epsilon", n.epsilon.is_some(), dividing),
        ("--weight-decay", n.weight_decay.is_some(), &[O::Adamw]),
        ("--decay", n.decay.is_some(), &[O::Rmsprop]),
        ("--centered", n.centered, &[O::Rmsprop]),
        ("--initial-accumulator", n.initial_accumulator.is_some(), &[O::Adagrad, O::Ftrl]),
        ("--l1", n.l1.is_some(), &[O::Ftrl]),
        ("--l2", n.l2.is_some(), &[O::Ftrl]),
    ];
    for (option, given, owners) in options {
        if given && !owners.contains(&kind) {
            let owners = owners.iter().map(|&owner| cli_name(owner)).collect::<Vec<_>>().join(", ");
            return Err(UsageError::NotForOptimizer { option, optimizer: cli_name(kind), owners });
        }
    }
    Ok(())
}
