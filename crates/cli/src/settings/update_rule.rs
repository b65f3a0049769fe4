//! How gradients become updates.

use optim::{BuiltIn, Optimizer, Schedule};
use tabular::data::TaskKind;

use super::{Clip, optimizers};
use crate::args::{ModelKind, OptimizerKind, OptimizerNumbers, TrainArgs};
use crate::error::UsageError;

/// How gradients become updates.
#[derive(Clone, Debug)]
pub struct UpdateRule {
    /// The optimizer's name.
    pub kind: OptimizerKind,
    /// The optimizer with all its numbers.
    pub optimizer: BuiltIn,
    /// What happens to gradients before they are pushed.
    pub clip: Option<Clip>,
    /// The decay of moving averages, if they are kept.
    pub ema: Option<f64>,
}

impl UpdateRule {
    pub(super) fn check(
        args: &TrainArgs,
        model: ModelKind,
        task: TaskKind,
    ) -> Result<Self, UsageError> {
        let kind = args.optimizer.unwrap_or_else(|| optimizers::usual_optimizer(model));
        let learning_rate = match (&args.schedule, args.learning_rate) {
            (Some(schedule), _) => schedule.clone(),
            (None, Some(rate)) => rate.into(),
            (None, None) => optimizers::usual_rate(model, kind, task),
        };
        learning_rate.validate()?;
        if let Some(decay) = args.ema.filter(|decay| !(0.0..=1.0).contains(decay)) {
            return Err(UsageError::option("--ema", "a decay from 0 to 1", decay));
        }
        Ok(Self {
            kind,
            optimizer: optimizers::build(kind, learning_rate, &args.numbers, model)?,
            clip: Clip::new(args.clip_value, args.clip_norm, args.clip_global_norm)?,
            ema: args.ema,
        })
    }

    /// The optimizer's learning rate.
    #[must_use]
    pub fn learning_rate(&self) -> &Schedule {
        Optimizer::<f32>::learning_rate(&self.optimizer)
    }

    /// Its numbers beside the learning rate, including those that no option gave.
    pub(crate) fn numbers(&self) -> OptimizerNumbers {
        optimizers::numbers(&self.optimizer)
    }
}
