//! What a checkpoint holds, and its way into and out of named tensors.
//!
//! Knows nothing of files.

use std::path::PathBuf;

use accum_core::GlobalStep;
use indexmap::IndexMap;
use ndarray::{ArrayD, IxDyn};
use optim::{StateMap, StateValue};
use serde::{Deserialize, Serialize};

use super::RunId;
use super::tables::{SavedTable, SavedTables};
use crate::{Scalar, VariableError, Variables};
use engine::{Generation, Positions};

/// All of a run at one step: enough to go on as if it had never stopped.
#[derive(Clone, Debug)]
pub struct TrainingState<T: Scalar> {
    /// The run that it belongs to; `None` of a version that knew no identities.
    // P-24
    pub run: Option<RunId>,
    /// The number of updates done.
    pub global_step: GlobalStep,
    /// The life of the shared state that wrote it.
    // P-9
    pub generation: Generation,
    /// The variables.
    pub variables: Variables<T>,
    /// The optimizer's name.
    pub optimizer: String,
    /// All of the optimizer's state: slots, powers, steps.
    //
    pub optimizer_state: StateMap<'static, T>,
    /// The moving averages' state, if there are any.
    //
    pub averages: Option<StateMap<'static, T>>,
    /// Where the data continues.
    pub positions: Positions,
    /// What was trained, as the writer of the checkpoints defines it, if it does.
    pub definition: Option<serde_json::Value>,
    /// After reading: where the rows of its tables are, which are no part of it.
    pub tables: SavedTables,
}

/// Everything that is not a tensor.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Numbers {
    global_step: i64,
    generation: u64,
    optimizer: String,
    /// How many batches each stream has given.
    positions: Vec<u64>,
    #[serde(default)]
    again: Vec<u64>,
    #[serde(default)]
    first_of_step: Option<u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    skipped: Vec<u64>,
    averages: bool,
    /// The variables' names, in order.
    variables: Vec<String>,
    /// Scalars by name, as bits, since JSON would not keep infinities.
    scalars: IndexMap<String, u64>,
    counters: IndexMap<String, u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) definition: Option<serde_json::Value>,
    /// With the files of their rows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) tables: Vec<SavedTable>,
}

/// Why numbers and tensors make no state.
#[derive(Debug, thiserror::Error)]
pub(super) enum StateError {
    #[error("expected `{name}` to be at most {LAST}, got {got}")]
    Count { name: String, got: u64 },
    #[error("variable `{0}` has no tensor")]
    NoTensor(String),
    #[error(transparent)]
    Variable(#[from] VariableError),
}

/// A run that goes on counts on, and none ever counted this far.
const LAST: u64 = 1 << 62;

impl Numbers {
    pub(super) fn generation(&self) -> Generation {
        Generation::new(self.generation)
    }

    /// No count is so near the end of its type that training could reach it.
    fn check(&self) -> Result<(), StateError> {
        let step = u64::try_from(self.global_step).unwrap_or_default();
        let counts = [("global step", step), ("generation", self.generation)].into_iter();
        let positions = self.positions.iter().chain(&self.again).chain(&self.first_of_step);
        let positions = positions.chain(&self.skipped);
        let positions = positions.map(|position| ("position", *position));
        let counters = self.counters.iter().map(|(name, count)| (name.as_str(), *count));
        match counts.chain(positions).chain(counters).find(|(_, count)| *count > LAST) {
            None => Ok(()),
            Some((name, got)) => Err(StateError::Count { name: name.to_owned(), got }),
        }
    }
}

const VARIABLE: &str = "variable/";
const OPTIMIZER: &str = "optimizer/";
const AVERAGE: &str = "average/";

impl<T: Scalar> TrainingState<T> {
    /// The variables, each replaced by its moving average if it has one; `None` if no averages were
    /// kept.
    //
    #[must_use]
    pub fn averaged(&self) -> Option<Variables<T>> {
        let averages = self.averages.as_ref()?;
        let mut variables = self.variables.clone();
        for index in 0..variables.len() {
            let name = format!("{}/average", variables.layout().name(index));
            let variable = variables.get_mut(index);
            if let Some(StateValue::Tensor(average)) = averages.get(&name)
                && average.shape() == variable.shape()
            {
                variable.assign(average);
            }
        }
        Some(variables)
    }

    pub(super) fn split(&self) -> (Numbers, Vec<(String, ArrayD<T>)>) {
        let mut numbers = Numbers {
            global_step: self.global_step.get(),
            generation: self.generation.get(),
            optimizer: self.optimizer.clone(),
            positions: self.positions.given.clone(),
            again: self.positions.again.clone(),
            first_of_step: self.positions.first_of_step,
            skipped: self.positions.skipped.clone(),
            averages: self.averages.is_some(),
            variables: self.variables.names().map(str::to_owned).collect(),
            scalars: IndexMap::new(),
            counters: IndexMap::new(),
            definition: self.definition.clone(),
            tables: Vec::new(),
        };
        let mut tensors: Vec<_> = self
            .variables
            .iter()
            .map(|(name, array)| (format!("{VARIABLE}{name}"), array.clone()))
            .collect();
        let maps = [(OPTIMIZER, Some(&self.optimizer_state)), (AVERAGE, self.averages.as_ref())];
        for (prefix, map) in maps {
            for (name, value) in map.into_iter().flatten() {
                let name = format!("{prefix}{name}");
                match value {
                    StateValue::Tensor(tensor) => tensors.push((name, tensor.to_owned())),
                    StateValue::Scalar(value) => {
                        numbers.scalars.insert(name, value.to_bits());
                    }
                    StateValue::Counter(value) => {
                        numbers.counters.insert(name, *value);
                    }
                }
            }
        }
        (numbers, tensors)
    }

    pub(super) fn join(
        run: Option<RunId>,
        numbers: Numbers,
        mut tensors: IndexMap<String, ArrayD<T>>,
        folder: PathBuf,
    ) -> Result<Self, StateError> {
        numbers.check()?;
        let mut variables = Variables::new();
        for name in &numbers.variables {
            let tensor = tensors.shift_remove(&format!("{VARIABLE}{name}"));
            let tensor = tensor.ok_or_else(|| StateError::NoTensor(name.clone()))?;
            variables = variables.with(name.as_str(), tensor)?;
        }
        let collect = |prefix: &str| {
            let own = |name: &str| name.strip_prefix(prefix).map(str::to_owned);
            let mut map = StateMap::new();
            for (name, &count) in &numbers.counters {
                own(name).map(|name| map.insert(name, StateValue::Counter(count)));
            }
            for (name, &bits) in &numbers.scalars {
                own(name).map(|name| map.insert(name, StateValue::Scalar(f64::from_bits(bits))));
            }
            for (name, tensor) in &tensors {
                let tensor = || StateValue::Tensor(tensor.clone().into());
                own(name).map(|name| map.insert(name, tensor()));
            }
            map
        };
        Ok(Self {
            run,
            global_step: GlobalStep::new(numbers.global_step),
            generation: Generation::new(numbers.generation),
            variables,
            optimizer_state: collect(OPTIMIZER),
            averages: numbers.averages.then(|| collect(AVERAGE)),
            optimizer: numbers.optimizer,
            positions: Positions {
                given: numbers.positions,
                again: numbers.again,
                first_of_step: numbers.first_of_step,
                skipped: numbers.skipped,
            },
            definition: numbers.definition,
            tables: SavedTables { folder, tables: numbers.tables },
        })
    }
}

/// An array from a tensor's shape and bytes; `None` when they do not fit each other.
pub(super) fn array<T: Scalar>(shape: &[usize], bytes: &[u8]) -> Option<ArrayD<T>> {
    ArrayD::from_shape_vec(IxDyn(shape), T::take(bytes)).ok()
}
