//! A shard's state as named tensors and numbers, and the conversions between those of all shards
//! and the state of a whole run.
//!
//! Knows no file and no message. Invariant: gathering what was scattered gives every bit back,
//! however many shards there are, so that a checkpoint fits any number of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use accum_core::GlobalStep;
use ndarray::{ArrayD, ArrayViewD};
use optim::{OptimizerState, StateMap, StateValue};
use sync_replicas::checkpoint::{SavedTables, TrainingState};
use sync_replicas::driver::Generation;
use sync_replicas::engine::Positions;
use sync_replicas::{Scalar, Snapshot, Variables};

use super::{AverageSettings, Shard, ShardError, StateError};
use crate::index::VariableIndex;
use crate::placement::{Part, PartPlace, Placement, cut_dense};
use crate::tensor::in_standard_layout;

const VARIABLE: &str = "variable/";
const OPTIMIZER: &str = "optimizer/";
const AVERAGE: &str = "average/";
/// The moving averages' name for their values.
const VALUES: &str = "average";

/// All of a shard at one step: `variable/PART`, `optimizer/PART/SLOT`, `average/PART/average`, and
/// the optimizer's numbers, `optimizer/NAME`.
#[derive(Clone, Debug, PartialEq)]
pub struct ShardState<T> {
    /// The life of the shared state that it is of (P-9).
    pub generation: Generation,
    /// The number of updates done.
    pub global_step: GlobalStep,
    /// The optimizer's name.
    pub optimizer: String,
    /// Whether moving averages are kept.
    pub averages: bool,
    /// In the order of [`state_layout`].
    pub tensors: Vec<(String, Arc<ArrayD<T>>)>,
    /// Numbers that belong to no variable; the same on all shards.
    pub scalars: Vec<(String, f64)>,
    /// Counts; the same on all shards.
    pub counters: Vec<(String, u64)>,
}

/// The names and shapes of a shard's tensors, in order: the parts, the slots of every part by name,
/// the averages.
#[must_use]
pub fn state_layout(
    parts: &[Part],
    slots: &[&str],
    averages: Option<&AverageSettings>,
) -> Vec<(String, Vec<usize>)> {
    let slots: BTreeSet<&str> = slots.iter().copied().collect();
    let slot_of = |part: &Part| {
        let (name, shape) = (part.name.clone(), part.shape.clone());
        let named = move |slot: &&str| (format!("{OPTIMIZER}{name}/{slot}"), shape.clone());
        slots.iter().map(named).collect::<Vec<_>>()
    };
    let variables = parts.iter().map(|it| (format!("{VARIABLE}{}", it.name), it.shape.clone()));
    let averaged = parts.iter().filter(|part| averages.is_some_and(|it| it.averages(part)));
    let averaged = averaged.map(|it| (format!("{AVERAGE}{}/{VALUES}", it.name), it.shape.clone()));
    variables.chain(parts.iter().flat_map(slot_of)).chain(averaged).collect()
}

fn misfit<V>(what: impl Into<String>) -> Result<V, StateError> {
    Err(StateError { what: what.into() })
}

impl<T: Scalar> Shard<T> {
    /// All that a checkpoint needs of this shard; slots and averages are copied, values shared.
    #[must_use]
    pub fn state(&self) -> ShardState<T> {
        let optimizer = self.store.optimizer();
        let mut slots = optimizer.state();
        let mut averages = self.store.averages().map(|it| it.state()).unwrap_or_default();
        let mut scalars = Vec::new();
        let mut counters = Vec::new();
        for (name, value) in &slots {
            match value {
                StateValue::Scalar(value) => scalars.push((format!("{OPTIMIZER}{name}"), *value)),
                StateValue::Counter(count) => counters.push((format!("{OPTIMIZER}{name}"), *count)),
                StateValue::Tensor(_) => {}
            }
        }
        let mut values = self.published.variables.arrays().iter();
        let tensors = self.layout().into_iter().map(|(name, shape)| {
            let saved = match (name.strip_prefix(OPTIMIZER), name.strip_prefix(AVERAGE)) {
                (Some(slot), _) => slots.swap_remove(slot),
                (_, Some(average)) => averages.swap_remove(average),
                _ => None,
            };
            let array = match saved {
                Some(StateValue::Tensor(tensor)) => Arc::new(tensor.into_owned()),
                _ => values.next().map_or_else(|| Arc::new(ArrayD::zeros(shape)), Arc::clone),
            };
            (name, array)
        });
        let tensors = tensors.collect();
        ShardState {
            generation: self.published.generation,
            global_step: self.published.global_step,
            optimizer: optimizer.optimizer().name().to_owned(),
            averages: self.store.averages().is_some(),
            tensors,
            scalars,
            counters,
        }
    }

    /// Takes a saved state over, all or nothing. Gradients on the way are forgotten.
    ///
    /// # Errors
    /// [`StateError`] says what does not fit.
    pub fn restore(&mut self, state: &ShardState<T>) -> Result<(), StateError> {
        let saved = self.store.check_saved(&state.optimizer, state.averages);
        saved.or_else(|error| misfit(error.to_string()))?;
        let layout = self.layout();
        let got = state.tensors.iter().map(|(name, array)| (name.as_str(), array.shape()));
        if !layout.iter().map(|(name, shape)| (name.as_str(), &**shape)).eq(got.clone()) {
            let got: Vec<_> = got.collect();
            return misfit(format!("expected the tensors {layout:?}, got {got:?}"));
        }
        let (slots, averages) = (state.map(OPTIMIZER), state.map(AVERAGE));
        let averages = state.averages.then_some(&averages);
        let restored = self.store.restore(&state.optimizer, &slots, averages);
        restored.or_else(|error| misfit(error.to_string()))?;
        self.forget_gradients();
        self.whole = true;
        let mut variables = self.published.variables.clone();
        for (index, (_, array)) in state.tensors.iter().take(self.parts.len()).enumerate() {
            // Updates walk contiguous memory.
            variables.replace(index, in_standard_layout(Arc::clone(array)));
        }
        let ShardState { generation, global_step, .. } = *state;
        self.published = Arc::new(Snapshot { generation, global_step, variables });
        Ok(())
    }

    /// The state at step 0 of a shard of the same program with these parts and values.
    ///
    /// # Errors
    /// [`ShardError`]: values that do not fit the parts; a program's own optimizer.
    pub fn initial_state(
        &self,
        parts: &[Part],
        values: Vec<ArrayD<T>>,
    ) -> Result<ShardState<T>, ShardError> {
        let formula = self.store.optimizer().optimizer();
        let formula =
            formula.built_in().ok_or(ShardError::OwnOptimizer { name: formula.name() })?;
        let optimizer = OptimizerState::new(formula)?;
        Ok(Self::new(parts, values, optimizer, self.settings.clone())?.state())
    }

    /// The names and shapes of the tensors of [`state`](Self::state).
    #[must_use]
    pub fn layout(&self) -> Vec<(String, Vec<usize>)> {
        let slots: Vec<_> = self.store.optimizer().slot_names().collect();
        state_layout(&self.parts, &slots, self.settings.averages.as_ref())
    }
}

impl<T: Scalar> ShardState<T> {
    /// The entries whose names begin so, without the prefix.
    fn map(&self, prefix: &str) -> StateMap<'_, T> {
        let own = |name: &str| name.strip_prefix(prefix).map(str::to_owned);
        let counters = self.counters.iter().map(|(name, n)| (name, StateValue::Counter(*n)));
        let scalars = self.scalars.iter().map(|(name, n)| (name, StateValue::Scalar(*n)));
        let tensors = self.tensors.iter();
        let tensors = tensors.map(|(name, it)| (name, StateValue::Tensor(it.view().into())));
        let all = counters.chain(scalars).chain(tensors);
        all.filter_map(|(name, value)| Some((own(name)?, value))).collect()
    }

    /// By name: over the network they come in any order.
    fn numbers(&self) -> BTreeMap<&str, u64> {
        let scalars = self.scalars.iter().map(|(name, value)| (name.as_str(), value.to_bits()));
        let counters = self.counters.iter().map(|(name, count)| (name.as_str(), *count));
        scalars.chain(counters).collect()
    }
}

/// The state of the whole run from those of all its shards; `positions` is its position in its
/// data.
///
/// # Errors
/// [`StateError`]: shards of different steps, or without a tensor that their parts have.
pub fn gather<T: Scalar>(
    placement: &Placement,
    states: &[ShardState<T>],
    positions: Positions,
) -> Result<TrainingState<T>, StateError> {
    let (shards, got) = (placement.shards(), states.len());
    let [first, others @ ..] = states else { return misfit("there are no shards") };
    if shards != got {
        return misfit(format!("expected the states of {shards} shards, got {got}"));
    }
    for (shard, other) in (1..).zip(others) {
        let head = |it: &ShardState<T>| (it.generation, it.global_step, it.averages);
        if head(first) != head(other) || first.numbers() != other.numbers() {
            let (expected, got) = (first.global_step, other.global_step);
            return misfit(format!(
                "shard {shard} is at {got} and shard 0 at {expected}, or they \
                count differently"
            ));
        }
    }
    let found: Vec<BTreeMap<&str, &ArrayD<T>>> = states
        .iter()
        .map(|state| state.tensors.iter().map(|(name, it)| (&**name, &**it)).collect())
        .collect();
    let tensors = ShardTensors { placement, found };
    let mut variables = Variables::new();
    for (index, (name, _)) in placement.variables().iter().enumerate() {
        let array = tensors.join(VariableIndex::new(index), |part| format!("{VARIABLE}{part}"))?;
        variables = variables.with(name, array).or_else(|error| misfit(error.to_string()))?;
    }
    let mut optimizer_state: StateMap<'static, T> =
        first.map(OPTIMIZER).into_iter().filter_map(number).collect();
    tensors.tensors(OPTIMIZER, &mut optimizer_state)?;
    let averages = first.averages.then(|| {
        let mut averages = StateMap::new();
        tensors.tensors(AVERAGE, &mut averages).map(|()| averages)
    });
    let averages = averages.transpose()?;
    let (global_step, generation) = (first.global_step, first.generation);
    let optimizer = first.optimizer.clone();
    Ok(TrainingState {
        run: None,
        global_step,
        generation,
        variables,
        optimizer,
        optimizer_state,
        averages,
        positions,
        definition: None,
        tables: SavedTables::default(),
    })
}

/// An entry that is not a tensor.
fn number<'a, T: Scalar>(
    (name, value): (String, StateValue<'a, T>),
) -> Option<(String, StateValue<'static, T>)> {
    match value {
        StateValue::Tensor(_) => None,
        value => Some((name, value.into_owned())),
    }
}

/// The tensors of all shards by name.
struct ShardTensors<'a, T> {
    placement: &'a Placement,
    found: Vec<BTreeMap<&'a str, &'a ArrayD<T>>>,
}

impl<T: Scalar> ShardTensors<'_, T> {
    /// One variable's tensor from those of its parts, which have these names.
    fn join(
        &self,
        variable: VariableIndex,
        name: impl Fn(&str) -> String,
    ) -> Result<ArrayD<T>, StateError> {
        for &PartPlace { shard, position } in self.placement.places(variable) {
            let part = &self.placement.parts(shard)[position];
            let (name, shape) = (name(&part.name), &part.shape);
            let got = self.found[shard].get(&*name).map(|array| array.shape());
            if got != Some(shape) {
                return misfit(format!("expected `{name}` of shape {shape:?}, got {got:?}"));
            }
        }
        Ok(self.placement.join(variable, |PartPlace { shard, position }| {
            let part = &self.placement.parts(shard)[position];
            self.found[shard][&*name(&part.name)].view()
        }))
    }

    /// All tensors whose names begin so, named by whole variables.
    fn tensors(&self, prefix: &str, map: &mut StateMap<'static, T>) -> Result<(), StateError> {
        for (index, (variable, _)) in self.placement.variables().iter().enumerate() {
            let index = VariableIndex::new(index);
            let Some(&place) = self.placement.places(index).first() else { continue };
            let PartPlace { shard, position } = place;
            let first = format!("{prefix}{}/", self.placement.parts(shard)[position].name);
            let of_part = self.found[shard].range(&*first..).map(|(name, _)| *name);
            let of_part = of_part.map_while(|name| name.strip_prefix(&*first));
            // Another variable may be named as this one with a slash behind.
            let slots: Vec<&str> = of_part.filter(|slot| !slot.contains('/')).collect();
            for slot in slots {
                let array = self.join(index, |part| format!("{prefix}{part}/{slot}"))?;
                map.insert(format!("{variable}/{slot}"), StateValue::Tensor(array.into()));
            }
        }
        Ok(())
    }
}

/// The state of every shard from that of a whole run.
///
/// # Errors
/// [`StateError`]: other variables, or tensors that fit no variable.
pub fn scatter<T: Scalar>(
    placement: &Placement,
    state: &TrainingState<T>,
) -> Result<Vec<ShardState<T>>, StateError> {
    let expected: Vec<_> = placement.variables().iter().map(|(n, s)| (&**n, &**s)).collect();
    let got: Vec<_> = state.variables.iter().map(|(name, it)| (name, it.shape())).collect();
    if expected != got {
        return misfit(format!("expected the variables {expected:?}, got {got:?}"));
    }
    let mut scalars = Vec::new();
    let mut counters = Vec::new();
    for (name, value) in &state.optimizer_state {
        match value {
            StateValue::Scalar(value) => scalars.push((format!("{OPTIMIZER}{name}"), *value)),
            StateValue::Counter(count) => counters.push((format!("{OPTIMIZER}{name}"), *count)),
            StateValue::Tensor(_) => {}
        }
    }
    let slots = tensors_by_variable(&state.variables, &state.optimizer_state)?;
    let averages = state.averages.as_ref().map(|map| tensors_by_variable(&state.variables, map));
    let averages = averages.transpose()?;
    let shards = (0..placement.shards()).map(|shard| {
        let parts = placement.parts(shard);
        let mut tensors = Vec::new();
        let mut cut = |name: String, part: &Part, array| {
            tensors.push((name, Arc::new(cut_dense(part, array).to_owned())));
        };
        for part in parts {
            let array = state.variables.get(part.variable_name()).map(|array| array.view());
            let array = array.or_else(|error| misfit(error.to_string()))?;
            cut(format!("{VARIABLE}{}", part.name), part, array);
        }
        for part in parts {
            for (slot, array) in &slots[part.variable.get()] {
                cut(format!("{OPTIMIZER}{}/{slot}", part.name), part, array.clone());
            }
        }
        for part in parts {
            let averages = averages.as_ref().map(|averages| &averages[part.variable.get()]);
            for (average, array) in averages.into_iter().flatten() {
                cut(format!("{AVERAGE}{}/{average}", part.name), part, array.clone());
            }
        }
        Ok(ShardState {
            generation: state.generation,
            global_step: state.global_step,
            optimizer: state.optimizer.clone(),
            averages: state.averages.is_some(),
            tensors,
            scalars: scalars.clone(),
            counters: counters.clone(),
        })
    });
    shards.collect()
}

type ByName<'a, T> = BTreeMap<&'a str, ArrayViewD<'a, T>>;

/// For each variable its tensors in the map, by the last piece of their names.
fn tensors_by_variable<'a, T: Scalar>(
    variables: &Variables<T>,
    map: &'a StateMap<'static, T>,
) -> Result<Vec<ByName<'a, T>>, StateError> {
    let shapes: Vec<&[usize]> = variables.iter().map(|(_, array)| array.shape()).collect();
    let mut found: Vec<ByName<'a, T>> = shapes.iter().map(|_| BTreeMap::new()).collect();
    for (name, value) in map {
        let StateValue::Tensor(tensor) = value else { continue };
        let split = name.rsplit_once('/');
        let split = split.and_then(|(name, slot)| Some((variables.index_of(name)?, slot)));
        match split.filter(|&(index, _)| tensor.shape() == shapes[index]) {
            Some((index, slot)) => drop(found[index].insert(slot, tensor.view())),
            None => {
                let got = tensor.shape();
                return misfit(format!("`{name}` of shape {got:?} belongs to no variable here"));
            }
        }
    }
    Ok(found)
}
