//! The front door: one builder that starts everything.
//!
//! There is no manual start, so nothing can be forgotten (P-4).

mod averages;
mod error;
mod parts;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use accum_core::{GlobalStep, SparseMean, SparseMerge, Summation};
use optim::{Optimizer, OptimizerState};

use self::averages::Averages;
use crate::checkpoint::RunId;
use crate::record::Record;
use crate::runtime::{Chief, Shared, UpdateThread};
use crate::store::{ParameterStore, SumOptions, TableSetupError};
use crate::{Scalar, Trainer, Variables};
use engine::{
    Engine, FailingBatch, Generation, InitialTokens, NonFinite, Settings, StepTimeout,
    SummationOrder, TokenPolicy,
};
pub use error::BuildError;
pub use parts::Parts;

/// Describes a synchronous training; [`SyncReplicas::build`] starts it.
///
/// # Learning rate
/// The A gradients of a step are averaged, not summed (R-23): the update is as large as that of one
/// replica. Compared with training on one replica, a step sees A times the examples, and usually
/// tolerates a larger rate.
///
/// # Examples
/// ```
/// use optim::Sgd;
/// use sync_replicas::{SyncReplicas, Variables};
///
/// let variables = Variables::<f32>::new().with("w", ndarray::Array1::zeros(3))?;
/// let trainer = SyncReplicas::new(Sgd::new(0.1))
///     .replicas_to_aggregate(4)
///     .total_num_replicas(5)
///     .build(variables)?;
/// assert_eq!(trainer.snapshot().global_step.get(), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
// R-18, P-3, P-4
#[derive(Clone, Debug)]
pub struct SyncReplicas<O> {
    optimizer: O,
    settings: Settings,
    lease: Option<Duration>,
    sparse_mean: SparseMean,
    sparse_merge: SparseMerge,
    min_replicas: Option<usize>,
    averages: Averages,
    use_locking: bool,
    observe: bool,
    record: Option<Record>,
    run: Option<RunId>,
}

impl<O> SyncReplicas<O> {
    /// Wraps an optimizer; one replica unless changed.
    #[must_use]
    pub fn new(optimizer: O) -> Self {
        Self {
            optimizer,
            settings: Settings::new(1),
            lease: None,
            sparse_mean: SparseMean::PerRow,
            sparse_merge: SparseMerge::Canonical,
            min_replicas: None,
            averages: Averages::default(),
            use_locking: true,
            observe: false,
            record: None,
            run: None,
        }
    }

    /// A: how many gradients make a step.
    #[must_use]
    pub fn replicas_to_aggregate(mut self, count: usize) -> Self {
        self.settings.replicas_to_aggregate = count;
        self
    }

    /// N: how many replicas there are; A when not given. More than A: the surplus are backups.
    /// Fewer: replicas compute several batches a step.
    // R-22
    #[must_use]
    pub fn total_num_replicas(mut self, count: usize) -> Self {
        self.settings.total_num_replicas = Some(count);
        self
    }

    /// Tokens before the first step; max(0, A - N) when not given.
    // P-3
    #[must_use]
    pub fn initial_tokens(mut self, count: usize) -> Self {
        self.settings.initial_tokens = InitialTokens::Exactly(count);
        self
    }

    /// What happens to leftover tokens; they are discarded when not given.
    // P-12
    #[must_use]
    pub fn token_policy(mut self, policy: TokenPolicy) -> Self {
        self.settings.token_policy = policy;
        self
    }

    /// The order in which contributions are summed; [`SummationOrder::Replica`] makes a run
    /// bit-identical whatever the timing.
    // P-14
    #[must_use]
    pub fn order(mut self, order: SummationOrder) -> Self {
        self.settings.order = order;
        self
    }

    /// What divides a sparse gradient's rows.
    // R-8
    #[must_use]
    pub fn sparse_mean(mut self, mean: SparseMean) -> Self {
        self.sparse_mean = mean;
        self
    }

    /// Keeps exponential moving averages of all variables.
    // R-28
    #[must_use]
    pub fn moving_average(mut self, decay: f64) -> Self {
        self.averages.decay = Some(decay);
        self
    }

    /// Averages only the variables with these names.
    #[must_use]
    pub fn variables_to_average<N: Into<String>>(
        mut self,
        names: impl IntoIterator<Item = N>,
    ) -> Self {
        self.averages.names = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// With locking, the default, an update writes in place unless a reader holds the variables,
    /// and readers that come meanwhile wait for it. Without, readers never wait, and each variable
    /// has two arrays, written by turns. Either way a reader sees whole steps, and keeps the step
    /// that it began with.
    // R-29, P-11
    #[must_use]
    pub fn use_locking(mut self, locking: bool) -> Self {
        self.use_locking = locking;
        self
    }

    /// How long a replica may stay away at the start, and on a cluster be silent at any time,
    /// before another one gets its token; 10 s when not given, on a cluster 5 s. For a live replica
    /// that hangs there is the [step timeout](Self::step_timeout).
    // P-5
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        (self.settings.lease, self.lease) = (Some(lease), Some(lease));
        self
    }

    /// How long a replica may work with one token before another one gets it, whatever signs of
    /// life it gives; [`StepTimeout::Automatic`] when not given. A later push still counts if its
    /// step is open.
    // P-28
    #[must_use]
    pub fn step_timeout(mut self, timeout: StepTimeout) -> Self {
        self.settings.step_timeout = timeout;
        self
    }

    /// How long a step may take before waits fail and say who is missing; 10 min when not given.
    // P-5
    #[must_use]
    pub fn step_deadline(mut self, deadline: Duration) -> Self {
        self.settings.step_deadline = Some(deadline);
        self
    }

    /// How many replicas must be left of those of a [`fit`](crate::Trainer::fit) when others fail
    /// or panic; 1 when not given, so that training goes on while one is left. With fewer it ends
    /// with [`FitError::TooFewReplicas`](crate::error::FitError::TooFewReplicas). A replica whose
    /// data ended has not failed. Not for a cluster, whose replicas are separate processes.
    // P-5
    #[must_use]
    pub fn min_replicas(mut self, count: usize) -> Self {
        self.min_replicas = Some(count);
        self
    }

    /// What becomes of gradients and updates that are infinite or NaN; training fails when not
    /// given.
    // P-25
    #[must_use]
    pub fn non_finite(mut self, choice: NonFinite) -> Self {
        self.settings.non_finite = choice;
        self
    }

    /// What becomes of a batch at which three replicas have failed, in replica order; training
    /// fails when not given.
    // P-5
    #[must_use]
    pub fn failing_batch(mut self, choice: FailingBatch) -> Self {
        self.settings.failing_batch = choice;
        self
    }

    /// Whether to tell replicas at once that their step is over; yes when not given.
    // P-13
    #[must_use]
    pub fn tell_superseded(mut self, tell: bool) -> Self {
        self.settings.tell_superseded = tell;
        self
    }

    /// The `reference` preset: TensorFlow's own rules. Call this first; later calls override it.
    // P-16
    #[must_use]
    pub fn reference(mut self) -> Self {
        self.settings = self.settings.reference();
        self.sparse_mean = SparseMean::PerRow;
        self.sparse_merge = SparseMerge::Reference;
        self
    }

    /// Keeps the last averaged gradient for [`Trainer::last_average`].
    // P-10
    #[must_use]
    pub fn observe_gradients(mut self, observe: bool) -> Self {
        self.observe = observe;
        self
    }

    /// Records what happens when: the updates, and what each replica does.
    #[must_use]
    pub fn record(mut self, record: &Record) -> Self {
        self.record = Some(record.clone());
        self
    }

    /// The run that its checkpoints belong to; a new one when not given, and the checkpoint's after
    /// a restore.
    // P-24
    #[must_use]
    pub fn run_id(mut self, run: RunId) -> Self {
        self.run = Some(run);
        self
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Starts everything: replicas may join from now on.
    ///
    /// # Errors
    /// [`BuildError`]: zero replicas, too few initial tokens, bad hyper-parameters, no variables.
    // P-4
    pub fn build<T: Scalar>(self, variables: Variables<T>) -> Result<Trainer<T>, BuildError>
    where
        O: Optimizer<T> + 'static,
    {
        let all: Vec<String> = variables.names().map(str::to_owned).collect();
        let trainer = self.assemble(variables, &all, UpdateThread::LastPusher)?;
        trainer.start()?;
        Ok(trainer)
    }

    /// Builds without starting the chief; `trained` are the variables that get slots.
    pub(crate) fn assemble<T: Scalar>(
        self,
        variables: Variables<T>,
        trained: &[String],
        update_thread: UpdateThread,
    ) -> Result<Trainer<T>, BuildError>
    where
        O: Optimizer<T> + 'static,
    {
        let initial = self.settings.initial_tokens;
        let config = self.settings.check()?;
        let (min_replicas, total) = (self.min_replicas.unwrap_or(1), config.total_num_replicas());
        if !(1..=total).contains(&min_replicas) {
            return Err(BuildError::MinReplicas { total, got: min_replicas });
        }
        if variables.layout().is_empty() {
            return Err(BuildError::NoVariables);
        }
        TableSetupError::check(variables.tables(), config.settings().admission)?;
        let mut optimizer = OptimizerState::new(self.optimizer)?;
        for name in trained {
            optimizer.add_variable(name, variables.get(name)?.shape())?;
        }
        let averages = self.averages.build(&variables)?;
        tracing::info!(
            replicas_to_aggregate = config.replicas_to_aggregate(),
            total_num_replicas = config.total_num_replicas(),
            tokens_per_step = config.tokens_per_step(),
            "synchronous replicas"
        );
        // Each backup may hold the variables of another step, and so may one more reader; one is
        // free.
        let backups = config.total_num_replicas().saturating_sub(config.replicas_to_aggregate());
        let readers = backups + 2;
        let finite_only = config.settings().non_finite != NonFinite::Allow;
        let options = SumOptions {
            // Owned gradients are held as they are, so that a push costs no pass over them.
            summation: match config.settings().order {
                SummationOrder::Replica => Summation::Ordered,
                SummationOrder::Arrival => Summation::Held,
            },
            mean: self.sparse_mean,
            merge: self.sparse_merge,
        };
        let trained = trained.len() + variables.tables().len();
        let engine = Engine::new(config, trained, GlobalStep::default(), Generation::new(1));
        let tables = variables.tables();
        let store = ParameterStore::new(optimizer, tables, averages, finite_only, readers)?;
        let run = self.run.unwrap_or_else(RunId::draw);
        let chief = Chief::new(store.observing(self.observe), self.use_locking, run);
        let shared = Shared::new(engine, variables, chief, options, self.record, update_thread);
        Ok(Trainer { shared: Arc::new(shared), initial, min_replicas, fitting: Mutex::default() })
    }
}
