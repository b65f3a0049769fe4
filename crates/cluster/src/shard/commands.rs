//! What the coordinator decides and what replicas announce, carried out on any server's shard.

use accum_core::GlobalStep;
use sync_replicas::Scalar;
use sync_replicas::driver::Generation;
use sync_replicas::store::GradientKind;

use super::{
    CommitError, Contribution, Open, Section, Shard, ShardError, ShardState, StageError, StateError,
};
use crate::command::{Decision, ShardCommand};
use crate::index::VariableIndex;

/// A shard's part of an update is done: of one variable, or of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The variable, where each is admitted by itself.
    pub variable: Option<VariableIndex>,
}

/// What to do about an announced contribution.
#[derive(Debug)]
pub enum Announced<T> {
    /// It is whole: nothing that follows is wanted.
    Held,
    /// It has been decided on.
    Decided,
    /// Its bytes will follow.
    Open(Open<T>),
    /// An old packet: the replica has long gone on.
    Old,
}

/// Why a shard did not begin a generation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BeginError {
    /// The saved state does not fit.
    #[error(transparent)]
    State(#[from] StateError),
    /// Steps were made from the initial values, and there is no saved state.
    #[error(
        "the coordinator has lost its state, and there is no checkpoint to go back to; give \
         --checkpoint-dir"
    )]
    NoCheckpoint,
}

impl<T: Scalar> Shard<T> {
    /// Carries out decisions on contributions, and an update.
    ///
    /// # Errors
    /// [`ShardError`], after which nothing more of the command is carried out.
    pub fn carry_out(&mut self, command: &ShardCommand) -> Result<Option<Applied>, ShardError> {
        command.decisions().iter().try_for_each(|decision| self.decide(decision))?;
        let ShardCommand::Apply { variable, global_step, last, .. } = command else {
            return Ok(None);
        };
        crash_point!("server/before-apply");
        let generation = self.published.generation;
        self.apply(*variable, *last, *global_step, generation)?;
        crash_point!("server/after-apply");
        Ok(Some(Applied { variable: *variable }))
    }

    fn decide(&mut self, decision: &Decision) -> Result<(), ShardError> {
        match decision {
            Decision::Admit { contribution, key, variables } => {
                crash_point!("server/before-admit");
                self.admit(*contribution, *key, variables.as_deref())?;
                crash_point!("server/after-admit");
            }
            Decision::Discard(contribution) => self.discard(*contribution),
        }
        Ok(())
    }

    /// Announces a contribution of a generation, perhaps once more, perhaps late.
    ///
    /// # Errors
    /// [`StageError`]: it is invalid.
    pub fn announce(
        &mut self,
        contribution: Contribution,
        sections: &[Section],
        generation: Generation,
    ) -> Result<Announced<T>, StageError> {
        if self.published.generation != generation {
            // The coordinator tells the replica (P-9).
            return Ok(Announced::Old);
        }
        match self.begin(contribution, sections) {
            Ok(true) => Ok(Announced::Held),
            Ok(false) => Ok(Announced::Open(self.open(contribution)?)),
            Err(StageError::Decided { .. }) => Ok(Announced::Decided),
            Err(StageError::Older { .. }) => Ok(Announced::Old),
            Err(error) => Err(error),
        }
    }

    /// Whether a contribution is staged and can be admitted as one of gradients of these variables:
    /// what is committed is what came.
    ///
    /// # Errors
    /// [`CommitError`]: what does not fit.
    pub fn vet(
        &self,
        contribution: Contribution,
        variables: &[VariableIndex],
    ) -> Result<bool, CommitError> {
        let Some(kinds) = self.staging.kinds(contribution) else { return Ok(false) };
        let mut given = kinds.iter().copied().peekable();
        for (position, part) in self.sections.iter().enumerate() {
            let kind = given.next_if(|&(at, _)| at == position).map(|(_, kind)| kind);
            let given = kind.is_some_and(|kind| kind != GradientKind::Missing);
            if given != variables.binary_search(&part.variable).is_ok() {
                let name = part.variable_name().to_owned();
                return Err(match given {
                    true => CommitError::NotCommitted { name },
                    false => CommitError::NotSent { name },
                });
            }
        }
        self.check_kinds(kinds.into_iter())?;
        Ok(true)
    }

    /// Begins a generation at a step, from a saved state or from the initial values.
    ///
    /// # Errors
    /// [`BeginError`].
    pub fn begin_from(
        &mut self,
        state: Option<&ShardState<T>>,
        generation: Generation,
        global_step: GlobalStep,
    ) -> Result<(), BeginError> {
        match state {
            Some(state) => self.restore(state)?,
            // No step was made of the initial values.
            None if self.published.global_step == GlobalStep::default() => {}
            None => return Err(BeginError::NoCheckpoint),
        }
        self.begin_generation(generation, global_step);
        Ok(())
    }
}
