//! Replays of optimizers on one variable.

use std::collections::BTreeSet;

use ndarray::ArrayD;
use optim::{OptimizerState, SparseGradient};
use sync_replicas::Scalar;

use super::formula::optimizer;
use crate::Failure;
use crate::compare::{Check, Tolerance, equal};
use crate::trace::{OptimizerTrace, OptimizerUpdate};

/// The variable's name; traces have one only, and do not name it.
const NAME: &str = "variable";

pub(super) fn replay<T: Scalar>(trace: &OptimizerTrace) -> Result<(), Failure> {
    let formula = trace.formula().map_err(Failure::start)?;
    let mut state = OptimizerState::<T>::new(optimizer(&formula)).map_err(Failure::start)?;
    let mut variable = trace.initial.to::<T>();
    state.add_variable(NAME, variable.shape()).map_err(Failure::start)?;
    // This project's slots bear the names that the original gave them, so no table is needed.
    let names: BTreeSet<&str> = trace.slot_names.iter().map(String::as_str).collect();
    equal("the set of slots", state.slot_names().collect(), names.clone())
        .map_err(Failure::start)?;
    for (number, update) in trace.steps.iter().enumerate() {
        step(&mut state, &mut variable, trace.sparse, update)
            .and_then(|()| compare(&state, &variable, &names, update))
            .map_err(|difference| Failure::at(number, "step", difference))?;
    }
    Ok(())
}

fn step<T: Scalar>(
    state: &mut OptimizerState<T>,
    variable: &mut ArrayD<T>,
    sparse: bool,
    update: &OptimizerUpdate,
) -> Check {
    let gradient = update.grad.to::<T>();
    match &update.indices {
        Some(indices) if sparse => {
            let gradient = SparseGradient { indices, rows: gradient.view() };
            state.apply_sparse(NAME, variable.view_mut(), gradient)
        }
        None if !sparse => state.apply_dense(NAME, variable.view_mut(), &gradient),
        _ => return Err(format!("`sparse` is {sparse}, and `indices` contradict it")),
    }
    .map_err(|error| error.to_string())?;
    state.finish_step();
    Ok(())
}

fn compare<T: Scalar>(
    state: &OptimizerState<T>,
    variable: &ArrayD<T>,
    names: &BTreeSet<&str>,
    update: &OptimizerUpdate,
) -> Check {
    Tolerance::UPDATE.tensor(NAME, variable.view(), &update.variable)?;
    equal("the set of slots", names, &update.slots.keys().map(String::as_str).collect())?;
    for (slot, expected) in &update.slots {
        let values = state.slot(NAME, slot).ok_or_else(|| format!("there is no slot {slot}"))?;
        Tolerance::UPDATE.tensor(slot, values, expected)?;
    }
    Ok(())
}
