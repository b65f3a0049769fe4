//! Replays of moving averages.

use optim::ExponentialMovingAverage;

use crate::Failure;
use crate::compare::Tolerance;
use crate::trace::AverageTrace;

/// The variable's name; traces have one only, and do not name it.
const NAME: &str = "variable";

pub(super) fn replay(trace: &AverageTrace) -> Result<(), Failure> {
    let averages = ExponentialMovingAverage::<f64>::new(trace.decay).map_err(Failure::start)?;
    let mut averages = averages.zero_debias(trace.zero_debias);
    averages.add(NAME, trace.initial.0.view()).map_err(Failure::start)?;
    for (number, update) in trace.steps.iter().enumerate() {
        let failure = |difference: String| Failure::at(number, "step", difference);
        averages
            .apply(NAME, update.variable.0.view(), update.num_updates)
            .map_err(|error| failure(error.to_string()))?;
        let average = averages.average(NAME).ok_or_else(|| failure("no average".to_owned()))?;
        Tolerance::UPDATE.tensor("average", average, &update.average).map_err(failure)?;
    }
    Ok(())
}
