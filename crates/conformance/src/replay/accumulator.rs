//! What both kinds of accumulator have in common: every call but what a push carries.

use accum_core::{Drained, PartialShape, Reduction, Shared, Sums, TakeError};

use super::script::{self, Blocked};
use crate::Failure;
use crate::compare::Tolerance;
use crate::trace::{AccumulatorCall, AccumulatorTrace, ErrorClass, Outcome, Reduces};

/// A gradient with its local step.
pub(super) type Push<S> = (<S as Sums>::Gradient<'static>, i64);

/// What a take of an accumulator over `S` gives.
type Value<S> = <<S as Sums>::Sum as Drained>::Value;

/// Replays calls on an accumulator; `push` reads a gradient, `outcome` writes what was taken.
pub(super) fn replay<S, P>(
    accumulator: &Shared<S>,
    trace: &AccumulatorTrace<P>,
    push: impl Fn(&P) -> Push<S>,
    outcome: fn(Value<S>) -> Outcome,
) -> Result<(), Failure>
where
    S: Sums + 'static,
    S::Sum: 'static,
{
    let perform = |call: &AccumulatorCall<P>, blocked: &mut Blocked| match call {
        AccumulatorCall::ApplyGrad(gradient) => {
            let (gradient, local_step) = push(gradient);
            // Accepted or stale: the original does not tell which, and a refusal is always of one
            // class.
            Ok(match accumulator.apply_grad(gradient, local_step) {
                Ok(_) => Outcome::Done,
                Err(_) => Outcome::Failed(ErrorClass::InvalidArgument),
            })
        }
        AccumulatorCall::TakeGrad { num_required, id } => {
            let (accumulator, num_required) = (accumulator.clone(), *num_required);
            blocked.begin(*id, async move {
                match accumulator.take_grad(num_required).await {
                    Ok(taken) => outcome(taken.value),
                    Err(error) => failed(&error),
                }
            })
        }
        AccumulatorCall::SetGlobalStep { step } => {
            accumulator.set_global_step(*step);
            Ok(Outcome::Done)
        }
        AccumulatorCall::NumAccumulated {} => {
            let count = accumulator.num_accumulated();
            Ok(Outcome::Number(i64::try_from(count).unwrap_or(i64::MAX)))
        }
    };
    let tolerance = Tolerance::accumulated(trace.dtype);
    script::run(&trace.ops, &trace.still_pending, tolerance, perform)
}

fn failed(error: &TakeError) -> Outcome {
    match error {
        TakeError::NumRequired { .. } => Outcome::Failed(ErrorClass::InvalidArgument),
        TakeError::Closed => Outcome::Failed(ErrorClass::Cancelled),
        error => Outcome::Unheard(error.to_string()),
    }
}

/// The declared shape; -1 stands for an unknown dimension.
pub(super) fn declared<P>(trace: &AccumulatorTrace<P>) -> Result<PartialShape, Failure> {
    let Some(dims) = &trace.shape else { return Ok(PartialShape::unknown()) };
    let dim = |dim: &i64| match usize::try_from(*dim) {
        Ok(dim) => Ok(Some(dim)),
        Err(_) if *dim == -1 => Ok(None),
        Err(_) => Err(Failure::start(format_args!("shape {dims:?}: {dim} is no dimension"))),
    };
    Ok(PartialShape::of(dims.iter().map(dim).collect::<Result<Vec<_>, _>>()?))
}

pub(super) fn reduction<P>(trace: &AccumulatorTrace<P>) -> Reduction {
    match trace.reduction {
        Reduces::Mean => Reduction::Mean,
        Reduces::Sum => Reduction::Sum,
    }
}
