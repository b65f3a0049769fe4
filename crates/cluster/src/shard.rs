//! What one parameter server holds: parts of variables, their optimizer, and gradients on the way.
//!
//! Plain state: it reads no clock, sends nothing and decides nothing; the coordinator's orders say
//! what is admitted and when it is applied. Invariant: a snapshot is all of one step, and orders in
//! the coordinator's order give the bits of a single process, however variables are split.

mod error;
mod filling;
mod staging;
mod state;
mod sums;
mod update;
mod wire;

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

use accum_core::{GlobalStep, SparseMean, SparseMerge};
use ndarray::ArrayD;
use optim::{ExponentialMovingAverage, OptimizerState};
use sync_replicas::engine::{Admission, NonFinite};
use sync_replicas::{Generation, Incarnation, Kind, ReplicaId, Scalar, on_all_cores};

use self::staging::Staging;
use self::sums::PartSums;
use crate::placement::Part;

pub use self::error::{ShardError, StageError, StateError};
pub use self::staging::Open;
pub use self::state::{ShardState, gather, scatter, state_layout};
pub use self::wire::Wire;

/// Staging, sums, optimizer and snapshots of the parts that a parameter server owns.
#[derive(Debug)]
pub struct Shard<T: Scalar> {
    parts: Arc<[Part]>,
    settings: ShardSettings,
    staging: Staging<T>,
    /// By part; the kinds are fixed by the first contribution that is admitted.
    sums: Option<Vec<PartSums<T>>>,
    optimizer: OptimizerState<T>,
    averages: Option<ExponentialMovingAverage<T>>,
    published: Arc<Snapshot<T>>,
    /// The values of a step of which some lanes are applied, but not the last.
    open: Option<Vec<Arc<ArrayD<T>>>>,
    /// Whose contributions are in the sums, by their keys.
    contributors: Vec<(u64, ReplicaId)>,
    /// No update failed half-way since the generation began.
    whole: bool,
}

/// How a shard sums, divides and averages; the same on all shards.
#[derive(Clone, Debug)]
pub struct ShardSettings {
    /// The element type of gradients on the wire.
    pub wire: Wire,
    /// What a sparse gradient's rows are divided by.
    pub sparse_mean: SparseMean,
    /// How equal rows of sparse gradients are merged.
    pub sparse_merge: SparseMerge,
    /// Whether contributions are summed in the order of their keys; as they come if not (P-14).
    pub ordered: bool,
    /// Whether all variables are admitted as one lane, or each has its own (P-11).
    pub admission: Admission,
    /// Which moving averages are kept, if any.
    pub averages: Option<AverageSettings>,
    /// What becomes of an update that is not finite (P-25).
    pub non_finite: NonFinite,
}

/// Which moving averages are kept, and how slow they are.
#[derive(Clone, Debug, PartialEq)]
pub struct AverageSettings {
    /// The decay of an average at one step.
    pub decay: f64,
    /// The names of the variables that are averaged; all when not given.
    pub variables: Option<Vec<String>>,
}

/// One piece of a replica's work, as all servers name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Contribution {
    /// Who computed it.
    pub replica: ReplicaId,
    /// In which of the replica's lives.
    pub incarnation: Incarnation,
    /// Its number in that life.
    pub sequence: u64,
}

/// What a contribution has for one part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section {
    /// The part's place among the shard's.
    pub part: usize,
    /// The kind of its gradient.
    pub kind: Kind,
    /// The number of rows of a sparse gradient; of no meaning for others.
    pub rows: u64,
}

/// The parts of a shard as they were at one step, in the order of the parts.
#[derive(Clone, Debug)]
pub struct Snapshot<T> {
    /// The life of the shared state that they belong to (P-9).
    pub generation: Generation,
    /// The number of updates that made them.
    pub global_step: GlobalStep,
    /// The values.
    pub parts: Vec<Arc<ArrayD<T>>>,
}

impl Default for ShardSettings {
    /// What a trainer in one process has when nothing is said.
    fn default() -> Self {
        Self {
            wire: Wire::Native,
            sparse_mean: SparseMean::PerRow,
            sparse_merge: SparseMerge::Canonical,
            ordered: false,
            admission: Admission::Together,
            averages: None,
            non_finite: NonFinite::Fail,
        }
    }
}

impl AverageSettings {
    fn averages(&self, part: &Part) -> bool {
        let named = |names: &Vec<String>| names.iter().any(|name| name == part.variable_name());
        self.variables.as_ref().is_none_or(named)
    }
}

impl Contribution {
    fn first_of(replica: ReplicaId) -> Self {
        Self { replica, incarnation: Incarnation::new(0), sequence: 0 }
    }

    fn all_of(replica: ReplicaId) -> RangeInclusive<Self> {
        let last = Self { replica, incarnation: Incarnation::new(u64::MAX), sequence: u64::MAX };
        Self::first_of(replica)..=last
    }
}

impl fmt::Display for Contribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { replica, incarnation, sequence } = self;
        write!(f, "contribution {sequence} of {replica} ({incarnation})")
    }
}

impl<T: Scalar> Shard<T> {
    /// A shard of these parts with these values, at step 0 of generation 0.
    ///
    /// `optimizer` has no variables yet; the parts become its variables, by their own names.
    ///
    /// # Errors
    /// [`ShardError`]: values that do not fit the parts, a wire type that does not fit the numbers,
    /// a decay out of range.
    pub fn new(
        parts: &[Part],
        initial: Vec<ArrayD<T>>,
        optimizer: OptimizerState<T>,
        settings: ShardSettings,
    ) -> Result<Self, ShardError> {
        if !settings.wire.fits::<T>() {
            return Err(ShardError::Wire { got: size_of::<T>() });
        }
        if initial.len() != parts.len() {
            return Err(ShardError::Count { expected: parts.len(), got: initial.len() });
        }
        let mut optimizer = on_all_cores(optimizer);
        let averages = settings.averages.as_ref();
        let mut kept = averages.map(|it| ExponentialMovingAverage::new(it.decay)).transpose()?;
        let mut values = Vec::with_capacity(parts.len());
        for (position, (part, value)) in parts.iter().zip(initial).enumerate() {
            if value.shape() != part.shape {
                let (name, expected) = (part.name.clone(), part.shape.clone());
                let got = value.shape().to_vec();
                return Err(ShardError::Initial { position, name, expected, got });
            }
            optimizer.add_variable(&part.name, &part.shape)?;
            if let (Some(kept), true) = (&mut kept, averages.is_some_and(|it| it.averages(part))) {
                kept.add(&part.name, value.view())?;
            }
            // Updates walk contiguous memory; what was cut from a larger array is laid out once.
            values.push(Arc::new(value.as_standard_layout().into_owned()));
        }
        let (generation, global_step) = (Generation::new(0), GlobalStep::default());
        let published = Arc::new(Snapshot { generation, global_step, parts: values });
        let staging = Staging::new(settings.wire, parts.len());
        let parts = Arc::from(parts);
        Ok(Self {
            parts,
            settings,
            staging,
            sums: None,
            optimizer,
            averages: kept,
            published,
            open: None,
            contributors: Vec::new(),
            whole: true,
        })
    }

    /// The parts, in order.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &ShardSettings {
        &self.settings
    }

    /// The optimizer with the slots of the parts.
    #[must_use]
    pub fn optimizer(&self) -> &OptimizerState<T> {
        &self.optimizer
    }

    /// The moving averages, by the names of the parts.
    #[must_use]
    pub fn averages(&self) -> Option<&ExponentialMovingAverage<T>> {
        self.averages.as_ref()
    }

    /// Whether values and slots are of one step. After an update that failed they are not: there is
    /// nothing to be read or saved until a saved state is restored (P-11, P-25).
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// The values of the last whole step. As long as it is held, updates copy what they change.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot<T>> {
        Arc::clone(&self.published)
    }

    /// Announces a contribution; true if it is whole already, because it carries no data or has
    /// come before.
    ///
    /// What is whole stays as it is until the coordinator's word on it arrives, which may have been
    /// on its way when the replica sent it again or went on (P-15). What is not whole starts over,
    /// and the replica's earlier ones that are not whole are replaced.
    ///
    /// # Errors
    /// [`StageError`]: parts out of order or not there, another kind than at first, too many rows,
    /// a number below one that was begun, one that was decided on.
    pub fn begin(
        &mut self,
        contribution: Contribution,
        sections: &[Section],
    ) -> Result<bool, StageError> {
        if let Some(sums) = &self.sums {
            let kinds = sections.iter().map(|section| (section.part, section.kind));
            if let Some((part, expected, got)) = self.misfit(sums, kinds) {
                let name = self.parts[part].name.clone();
                return Err(StageError::Kind { name, expected, got });
            }
        }
        self.staging.begin(contribution, sections, &self.parts)
    }

    /// A contribution that was begun, to be filled while the shard does other work.
    ///
    /// # Errors
    /// [`StageError::Unknown`].
    pub fn open(&self, contribution: Contribution) -> Result<Open<T>, StageError> {
        self.staging.open(contribution)
    }

    /// Whether the coordinator's word on a contribution has come, or on a later one of its replica.
    #[must_use]
    pub fn is_decided(&self, contribution: Contribution) -> bool {
        self.staging.is_decided(contribution)
    }

    /// Whether all of a contribution is there, and neither admitted nor discarded.
    #[must_use]
    pub fn is_staged(&self, contribution: Contribution) -> bool {
        self.staging.is_staged(contribution)
    }

    /// Whether a contribution is staged and can be admitted as one of gradients of these variables:
    /// what is committed is what came.
    ///
    /// # Errors
    /// What does not fit, in words.
    pub fn vet(&self, contribution: Contribution, variables: &[usize]) -> Result<bool, String> {
        let Some(kinds) = self.staging.kinds(contribution) else { return Ok(false) };
        let mut given = kinds.iter().copied().peekable();
        for (position, part) in self.parts.iter().enumerate() {
            let kind = given.next_if(|&(at, _)| at == position).map(|(_, kind)| kind);
            let given = kind.is_some_and(|kind| kind != Kind::Missing);
            if given != variables.binary_search(&part.variable).is_ok() {
                let name = part.variable_name();
                let (came, named) = if given { ("came", "not ") } else { ("did not come", "") };
                return Err(format!(
                    "a gradient of `{name}` {came}, and it was {named}committed; commit what was \
                     sent"
                ));
            }
        }
        let kinds = kinds.into_iter();
        match self.sums.as_ref().and_then(|sums| self.misfit(sums, kinds)) {
            Some((part, expected, got)) => {
                let name = self.parts[part].name.clone();
                Err(StageError::Kind { name, expected, got }.to_string())
            }
            None => Ok(true),
        }
    }

    /// Forgets a contribution and the replica's earlier ones, none of which is staged again in this
    /// generation.
    pub fn discard(&mut self, contribution: Contribution) {
        self.staging.discard(contribution);
    }

    /// The bytes that staged contributions hold.
    #[must_use]
    pub fn staged_bytes(&self) -> usize {
        self.staging.bytes()
    }

    /// The first part whose kind is not that of the first contribution: expected, got.
    fn misfit(
        &self,
        sums: &[PartSums<T>],
        kinds: impl Iterator<Item = (usize, Kind)>,
    ) -> Option<(usize, Kind, Kind)> {
        // Per variable, as in the described system, a push may leave variables out, the first too.
        let partial = self.settings.admission == Admission::PerVariable;
        let mut given = kinds.peekable();
        for (part, sums) in sums.iter().enumerate() {
            let got = given.next_if(|&(given, _)| given == part).map_or(Kind::Missing, |it| it.1);
            let expected = sums.kind();
            let missing = [expected, got].contains(&Kind::Missing);
            if expected != got && !(partial && missing) {
                return Some((part, expected, got));
            }
        }
        None
    }
}
