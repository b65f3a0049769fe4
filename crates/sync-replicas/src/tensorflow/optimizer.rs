//! The wrapped optimizer and its calls.
//!
//! A hook may be made before `apply_gradients`; all that needs its result says so.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, OnceLock};

use accum_core::GlobalStep;
use ndarray::ArrayD;
use optim::Optimizer;

use super::hook::SyncReplicasHook;
use super::runner::ChiefQueueRunner;
use super::session::{Applied, NotApplied, TrainOp};
use crate::model::BoxError;
use crate::runtime::UpdateThread;
use crate::store::GradientKind;
use crate::{BuildError, Gradients, Scalar, SyncReplicas, VariableError, Variables};
use engine::{ConfigError, InitialTokens, Settings, StartError};

/// Wraps an optimizer so that the mean of A replicas' gradients is applied at once.
pub struct SyncReplicasOptimizer<T: Scalar, O> {
    /// Consumed by `apply_gradients`.
    wrapped: Option<SyncReplicas<O>>,
    settings: Settings,
    applied: Arc<OnceLock<Applied<T>>>,
}

/// Why `apply_gradients` failed; nothing was built.
//
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyGradientsError {
    /// The list is empty.
    #[error("no gradients and variables were given; give at least one pair")]
    Empty,
    /// There is no global step.
    #[error("a global step is needed to tell stale gradients from fresh ones; give one")]
    NoGlobalStep,
    /// Every gradient is missing.
    #[error("no gradients for any variable: all are missing; at least one is needed")]
    AllMissing,
    /// A name is there twice.
    #[error("variable `{name}` is named twice; give each variable once")]
    Twice {
        /// The name.
        name: String,
    },
    /// A name belongs to no variable.
    #[error(transparent)]
    Variable(#[from] VariableError),
    /// It was called before. One object has one set of accumulators and tokens.
    #[error("apply_gradients was called before; make another SyncReplicasOptimizer")]
    Again,
    /// The parts could not be built.
    #[error(transparent)]
    Build(#[from] BuildError),
}

/// Why the number of initial tokens is unknown.
//
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InitTokensError {
    /// It was called before `apply_gradients`.
    #[error(transparent)]
    NotApplied(#[from] NotApplied),
    /// They do not suffice.
    #[error(transparent)]
    Tokens(#[from] StartError),
}

impl<T: Scalar, O> fmt::Debug for SyncReplicasOptimizer<T, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyncReplicasOptimizer")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl<T: Scalar, O: Optimizer<T> + Clone + 'static> SyncReplicasOptimizer<T, O> {
    /// Wraps `optimizer`, with A = `replicas_to_aggregate` and N = `total_num_replicas`, A when not
    /// given.
    ///
    /// # Errors
    /// [`ConfigError::Zero`] when one of them is zero.
    //
    pub fn new(
        optimizer: O,
        replicas_to_aggregate: usize,
        total_num_replicas: Option<usize>,
    ) -> Result<Self, ConfigError> {
        let mut wrapped =
            SyncReplicas::new(optimizer).reference().replicas_to_aggregate(replicas_to_aggregate);
        if let Some(total) = total_num_replicas {
            wrapped = wrapped.total_num_replicas(total);
        }
        let settings = wrapped.settings().clone();
        settings.clone().check()?;
        Ok(Self { wrapped: Some(wrapped), settings, applied: Arc::default() })
    }

    /// Keeps moving averages of all variables, applied once a step after the tokens.
    //
    #[must_use]
    pub fn variable_averages(mut self, decay: f64) -> Self {
        self.wrapped = self.wrapped.map(|wrapped| wrapped.moving_average(decay));
        self
    }

    /// Averages only these variables.
    #[must_use]
    pub fn variables_to_average(mut self, names: &[&str]) -> Self {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        self.wrapped = self.wrapped.map(|wrapped| wrapped.variables_to_average(names));
        self
    }

    /// Whether readers wait for updates.
    //
    #[must_use]
    pub fn use_locking(mut self, locking: bool) -> Self {
        self.wrapped = self.wrapped.map(|wrapped| wrapped.use_locking(locking));
        self
    }

    /// The gradients of a loss, computed by `gradients`: nothing is added to the model's result, as
    /// in the wrapped optimizer.
    ///
    /// # Errors
    /// The error of `gradients`.
    //
    pub fn compute_gradients(
        &self,
        variables: &Variables<T>,
        gradients: impl FnOnce(&Variables<T>) -> Result<Gradients<T>, BoxError>,
    ) -> Result<Gradients<T>, BoxError> {
        gradients(variables)
    }

    /// Builds the accumulators, the token queue and the update; call it once.
    ///
    /// `grads_and_vars` names the variables with the kind of gradient that will be pushed;
    /// variables not named have none. They become ready by [`TrainOp::initialize`] or a restore.
    ///
    /// # Errors
    /// [`ApplyGradientsError`]. An unknown kind of gradient cannot be written:
    /// [`GradientKind`] has three.
    //
    pub fn apply_gradients(
        &mut self,
        grads_and_vars: &[(&str, GradientKind)],
        variables: Variables<T>,
        global_step: Option<GlobalStep>,
    ) -> Result<TrainOp<T>, ApplyGradientsError> {
        let kinds = kinds_of(grads_and_vars, &variables)?;
        let global_step = global_step.ok_or(ApplyGradientsError::NoGlobalStep)?;
        let wrapped = self.wrapped.clone().ok_or(ApplyGradientsError::Again)?;
        let names = variables.names().map(str::to_owned).zip(&kinds);
        let trained: Vec<String> = names
            .filter(|(_, kind)| **kind != GradientKind::Missing)
            .map(|(name, _)| name)
            .collect();
        let names: Vec<String> = variables.names().map(str::to_owned).collect();
        let trainer = wrapped.assemble(variables, &trained, UpdateThread::Runner)?;
        trainer.shared.declare(&kinds);
        if global_step != GlobalStep::default() {
            trainer.shared.restart(global_step);
        }
        let applied = Applied::new(trainer, names);
        let train_op = TrainOp::new(applied.clone());
        self.applied.set(applied).map_err(|_| ApplyGradientsError::Again)?;
        self.wrapped = None;
        Ok(train_op)
    }

    /// How many initial tokens the chief would put: A when not given, at least A - N.
    ///
    /// # Errors
    /// [`InitTokensError`].
    //
    pub fn init_tokens(&self, num_tokens: Option<usize>) -> Result<usize, InitTokensError> {
        let applied = self.applied("the number of initial tokens")?;
        let core = applied.trainer.shared.core();
        Ok(core.config().initial_tokens(initial(num_tokens))?)
    }

    /// The chief's runner: the thread that takes, applies, and puts tokens.
    ///
    /// # Errors
    /// [`NotApplied`].
    //
    pub fn chief_queue_runner(&self) -> Result<ChiefQueueRunner<T>, NotApplied> {
        let applied = self.applied("the chief's queue runner")?;
        Ok(ChiefQueueRunner::new(Arc::clone(&applied.trainer.shared)))
    }

    /// The hook that every replica's session needs, the chief's with `is_chief`. It may be made
    /// before `apply_gradients`, but not begun.
    //
    #[must_use]
    pub fn make_session_run_hook(
        &self,
        is_chief: bool,
        num_tokens: Option<usize>,
    ) -> SyncReplicasHook<T> {
        SyncReplicasHook::new(Arc::clone(&self.applied), is_chief, initial(num_tokens))
    }

    /// A slot of the wrapped optimizer.
    //
    #[must_use]
    pub fn slot(&self, variable: &str, name: &str) -> Option<ArrayD<T>> {
        self.applied.get()?.trainer.slot(variable, name)
    }

    /// The names of the wrapped optimizer's slots.
    //
    #[must_use]
    pub fn slot_names(&self) -> Vec<&'static str> {
        let Some(applied) = self.applied.get() else { return Vec::new() };
        applied.trainer.shared.chief().store.optimizer().slot_names().collect()
    }

    /// The names of everything the wrapped optimizer keeps: slots and powers, not the replicas'
    /// local steps.
    //
    #[must_use]
    pub fn variables(&self) -> Vec<String> {
        let Some(applied) = self.applied.get() else { return Vec::new() };
        applied.trainer.shared.chief().store.optimizer().state().into_keys().collect()
    }

    /// The settings in force.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    fn applied(&self, what: &'static str) -> Result<&Applied<T>, NotApplied> {
        self.applied.get().ok_or(NotApplied { what })
    }
}

fn initial(num_tokens: Option<usize>) -> InitialTokens {
    num_tokens.map_or(InitialTokens::Aggregate, InitialTokens::Exactly)
}

/// The kind of every variable's gradient, in the variables' order.
fn kinds_of<T: Scalar>(
    grads_and_vars: &[(&str, GradientKind)],
    variables: &Variables<T>,
) -> Result<Vec<GradientKind>, ApplyGradientsError> {
    if grads_and_vars.is_empty() {
        return Err(ApplyGradientsError::Empty);
    }
    let mut kinds = vec![GradientKind::Missing; variables.len()];
    let mut seen = HashSet::new();
    for &(name, kind) in grads_and_vars {
        variables.get(name)?;
        if !seen.insert(name) {
            return Err(ApplyGradientsError::Twice { name: name.to_owned() });
        }
        if let Some(index) = variables.index_of(name) {
            kinds[index] = kind;
        }
    }
    if kinds.iter().all(|&kind| kind == GradientKind::Missing) {
        return Err(ApplyGradientsError::AllMissing);
    }
    Ok(kinds)
}
