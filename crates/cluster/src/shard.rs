//! What one parameter server holds: parts of variables, their optimizer, and gradients on the way.
//!
//! Plain state: it reads no clock, sends nothing and decides nothing; the coordinator's orders say
//! what to admit and when to apply it. Invariant: a snapshot is all of one step, and orders in the
//! coordinator's order give the bits of a single process, however variables are split.

mod commands;
mod error;
mod filling;
mod staging;
mod state;
mod update;

use std::sync::Arc;

use accum_core::{GlobalStep, SparseMean, SparseMerge, Summation};
use ndarray::ArrayD;
use optim::{ExponentialMovingAverage, OptimizerState};
use sync_replicas::driver::{Generation, Parts};
use sync_replicas::engine::{Admission, NonFinite, SummationOrder};
use sync_replicas::store::GradientKind;
use sync_replicas::store::{
    GradientSpec, Misfit, ParameterStore, SumOptions, TableSetupError, Tables, VariableSums,
};
use sync_replicas::{ReplicaId, Scalar, Snapshot, Table, Variables};

use self::staging::Staging;
use crate::command::{Contribution, MOST_WHOLE};
use crate::number_format::NumberFormat;
use crate::placement::Part;

pub use self::commands::{Announced, Applied, BeginError};
pub use self::error::{CommitError, ShardError, StageError, StateError};
pub use self::staging::Open;
pub use self::state::{ShardState, gather, scatter, state_layout};

/// How many arrays of a part are kept for the next values: readers send the step before meanwhile.
const SPARES: usize = 2;

/// Staging, sums, optimizer and snapshots of the parts that a parameter server owns.
#[derive(Debug)]
pub struct Shard<T: Scalar> {
    parts: Arc<[Part]>,
    /// The parts, followed by its shares of tables.
    sections: Arc<[Part]>,
    settings: ShardSettings,
    staging: Staging<T>,
    /// The kinds by section, fixed by the first contribution that is admitted.
    spec: GradientSpec,
    /// By section; `None` without a gradient.
    sums: Vec<Option<VariableSums<T>>>,
    store: ParameterStore<T>,
    /// The parts under their names.
    published: Arc<Snapshot<T>>,
    /// The values of a step of which some variables are updated, but not the last.
    open: Option<Variables<T>>,
    /// The contributors to the sums, by their keys.
    contributors: Vec<(u64, ReplicaId)>,
    /// It has values, and no update failed half-way since the generation began.
    whole: bool,
}

/// How a shard sums, divides and averages; the same on all shards.
#[derive(Clone, Debug)]
pub struct ShardSettings {
    /// The element type of gradients on the wire.
    pub wire: NumberFormat,
    /// What divides a sparse gradient's rows.
    pub sparse_mean: SparseMean,
    /// How equal rows of sparse gradients are merged.
    pub sparse_merge: SparseMerge,
    /// Whether contributions are summed in the order of their keys; otherwise as they come (P-14).
    pub ordered: bool,
    /// Whether all variables are admitted as one lane, or each has its own (P-11).
    pub admission: Admission,
    /// Which moving averages to keep, if any.
    pub averages: Option<AverageSettings>,
    /// What becomes of an update that is not finite (P-25).
    pub non_finite: NonFinite,
    /// The most bytes of one contribution (P-27); when not given, four times those of the parts, or
    /// 64 MiB if that is more, since sparse gradients may name a row often.
    pub largest_contribution: Option<usize>,
}

/// Which moving averages to keep, and how slow they are.
#[derive(Clone, Debug, PartialEq)]
pub struct AverageSettings {
    /// The decay of an average at one step.
    pub decay: f64,
    /// The names of the variables that are averaged; all when not given.
    pub variables: Option<Vec<String>>,
}

/// What a contribution has for one part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section {
    /// The part's place among the shard's.
    pub part: usize,
    /// The kind of its gradient.
    pub kind: GradientKind,
    /// The number of rows of a sparse gradient; meaningless for others.
    pub rows: u64,
}

impl Default for ShardSettings {
    /// The defaults of a trainer in one process.
    fn default() -> Self {
        Self {
            wire: NumberFormat::Native,
            sparse_mean: SparseMean::PerRow,
            sparse_merge: SparseMerge::Canonical,
            ordered: false,
            admission: Admission::Together,
            averages: None,
            non_finite: NonFinite::Fail,
            largest_contribution: None,
        }
    }
}

impl ShardSettings {
    /// As these parts of a trainer ask for.
    pub(crate) fn of<O>(parts: &Parts<O>) -> Self {
        let rules = parts.config.settings();
        let variables = parts.variables_to_average.clone();
        let averages = |decay| AverageSettings { decay, variables };
        Self {
            sparse_mean: parts.sparse_mean,
            sparse_merge: parts.sparse_merge,
            ordered: rules.order == SummationOrder::Replica,
            admission: rules.admission,
            averages: parts.moving_average.map(averages),
            non_finite: rules.non_finite,
            ..Self::default()
        }
    }

    /// The bytes of one contribution at most.
    fn largest<T>(&self, parts: &[Part]) -> usize {
        let own: usize = parts.iter().map(Part::elements).sum();
        // The size of a table says nothing of a batch.
        let least = if parts.iter().any(|part| part.keys.is_some()) { 1 << 30 } else { 64 << 20 };
        let usual = own.saturating_mul(4 * size_of::<T>()).max(least);
        self.largest_contribution.unwrap_or(usual)
    }

    fn sums(&self) -> SumOptions {
        // Without an order of keys one sum is all that is held.
        let summation = if self.ordered { Summation::Ordered } else { Summation::Eager };
        SumOptions { summation, mean: self.sparse_mean, merge: self.sparse_merge }
    }
}

impl AverageSettings {
    fn averages(&self, part: &Part) -> bool {
        let named = |names: &Vec<String>| names.iter().any(|name| name == part.variable_name());
        self.variables.as_ref().is_none_or(named)
    }
}

impl<T: Scalar> Shard<T> {
    /// A shard of these parts with these values, at step 0 of generation 0, and of these shares of
    /// tables, which follow the parts ([`Placement::sections`]).
    ///
    /// `optimizer` has no variables yet; the parts become its variables, by their own names.
    ///
    /// # Errors
    /// [`ShardError`]: values that do not fit the parts, a wire type that does not fit the numbers,
    /// a decay out of range; a table that cannot be trained this way.
    ///
    /// [`Placement::sections`]: crate::placement::Placement::sections
    pub fn new(
        sections: &[Part],
        initial: Vec<ArrayD<T>>,
        mut optimizer: OptimizerState<T>,
        settings: ShardSettings,
    ) -> Result<Self, ShardError> {
        if !settings.wire.fits::<T>() {
            return Err(ShardError::NumberFormat { got: size_of::<T>() });
        }
        let arrays = sections.partition_point(|section| section.keys.is_none());
        let (parts, shares) = sections.split_at(arrays);
        let tables = shares.iter().filter_map(|share| Some(share.keys.as_ref()?.table.clone()));
        let tables: Vec<Table> = tables.collect();
        TableSetupError::check(&tables, settings.admission)?;
        if initial.len() != parts.len() {
            return Err(ShardError::Count { expected: parts.len(), got: initial.len() });
        }
        let averages = settings.averages.as_ref();
        let mut kept = averages.map(|it| ExponentialMovingAverage::new(it.decay)).transpose()?;
        let mut variables = Variables::new();
        for (position, (part, value)) in parts.iter().zip(initial).enumerate() {
            if value.shape() != part.shape {
                let (name, expected) = (part.name.clone(), part.shape.clone());
                let got = value.shape().to_vec();
                return Err(ShardError::Initial { position, name, expected, got });
            }
            optimizer.add_part(&part.name, part.variable_name(), &part.shape)?;
            if let (Some(kept), true) = (&mut kept, averages.is_some_and(|it| it.averages(part))) {
                kept.add(&part.name, value.view())?;
            }
            variables = variables.with(&part.name, value)?;
        }
        let (generation, global_step) = (Generation::new(0), GlobalStep::default());
        let published = Arc::new(Snapshot { generation, global_step, variables });
        let finite_only = settings.non_finite != NonFinite::Allow;
        Ok(Self {
            staging: Staging::new(settings.wire, settings.largest::<T>(parts), sections.len()),
            spec: GradientSpec::new(sections.len(), settings.admission),
            sums: sections.iter().map(|_| None).collect(),
            store: ParameterStore::new(optimizer, &tables, kept, finite_only, SPARES)?,
            parts: Arc::from(parts),
            sections: Arc::from(sections),
            settings,
            published,
            open: None,
            contributors: Vec::new(),
            whole: true,
        })
    }

    /// A shard that gets its values with the first state: until then there is nothing to read.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn without_values(
        sections: &[Part],
        optimizer: OptimizerState<T>,
        settings: ShardSettings,
    ) -> Result<Self, ShardError> {
        let parts = sections.iter().filter(|section| section.keys.is_none());
        let zeros = parts.map(|part| ArrayD::zeros(part.shape.as_slice())).collect();
        Ok(Self { whole: false, ..Self::new(sections, zeros, optimizer, settings)? })
    }

    /// The parts, in order.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// What a contribution may have sections for: the parts, and the shares of tables.
    #[must_use]
    pub fn sections(&self) -> &[Part] {
        &self.sections
    }

    /// Its rows of tables, for lookups without the shard.
    #[must_use]
    pub fn tables(&self) -> &Arc<Tables<T>> {
        self.store.tables()
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &ShardSettings {
        &self.settings
    }

    /// The optimizer with the slots of the parts.
    #[must_use]
    pub fn optimizer(&self) -> &OptimizerState<T> {
        self.store.optimizer()
    }

    /// The moving averages, by the names of the parts.
    #[must_use]
    pub fn averages(&self) -> Option<&ExponentialMovingAverage<T>> {
        self.store.averages()
    }

    /// Whether values and slots are there and of one step. After a failed update they are not:
    /// there is nothing to read or save until a saved state is restored (P-11, P-25).
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// The parts as of the last whole step, in their order. While it is held, updates write
    /// elsewhere.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot<T>> {
        Arc::clone(&self.published)
    }

    /// Announces a contribution; true if it is whole already, because it carries no data or has
    /// come before.
    ///
    /// A whole contribution stays as it is until the coordinator's decision on it arrives, which
    /// may have been on its way when the replica sent it again or went on (P-15). An incomplete one
    /// starts over, and the replica's earlier incomplete ones are replaced.
    ///
    /// # Errors
    /// [`StageError`]: parts out of order or unknown, another kind than at first, too many rows, a
    /// number below one already begun, one already decided on.
    pub fn begin(
        &mut self,
        contribution: Contribution,
        sections: &[Section],
    ) -> Result<bool, StageError> {
        let kinds = sections.iter().map(|section| (section.part, section.kind));
        self.check_kinds(kinds)?;
        self.staging.begin(contribution, sections, &self.sections)
    }

    /// A contribution that was begun, for filling while the shard does other work.
    ///
    /// # Errors
    /// [`StageError::Unknown`].
    pub fn open(&self, contribution: Contribution) -> Result<Open<T>, StageError> {
        self.staging.open(contribution)
    }

    /// Whether a contribution, or a later one of its replica, has been decided on.
    #[must_use]
    pub fn is_decided(&self, contribution: Contribution) -> bool {
        self.staging.is_decided(contribution)
    }

    /// Whether a contribution is whole, and neither admitted nor discarded.
    #[must_use]
    pub fn is_staged(&self, contribution: Contribution) -> bool {
        self.staging.is_staged(contribution)
    }

    /// Whether as many whole contributions of this one's replica are staged as may be, not counting
    /// this one: it must wait for the coordinator's decision on those.
    pub(crate) fn is_full(&self, contribution: Contribution) -> bool {
        self.staging.whole(contribution.replica) >= MOST_WHOLE && !self.is_staged(contribution)
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

    /// Whether each part's gradient is of the kind that the first contribution had.
    fn check_kinds(
        &self,
        kinds: impl Iterator<Item = (usize, GradientKind)>,
    ) -> Result<(), StageError> {
        let misfit = self.spec.check(kinds).err();
        misfit.map_or(Ok(()), |Misfit { variable: part, expected, got }| {
            Err(StageError::Kind { name: self.sections[part].name.clone(), expected, got })
        })
    }
}
