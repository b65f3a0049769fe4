//! What to check before the engine judges a commit: whose it is, whether it is staged everywhere,
//! and which variables it covers (P-11, R-19, R-25).

use std::fmt;

use sync_replicas::ReplicaId;
use sync_replicas::engine::Push;

use super::receipts::{receipt, receipts};
use super::{Answer, Commit, Coordinator, Observed, Refusal, ReplicaRecord};
use crate::index::{ServerIndex, VariableIndex};

impl Coordinator {
    /// A commit came to the coordinator's server, whose own shard must hold the contribution as
    /// well: `held` says whether it does, or why it cannot.
    pub fn commit_to(
        &mut self,
        replica: ReplicaId,
        mut commit: Commit,
        held: Result<bool, impl fmt::Display>,
    ) {
        let (generation, contribution) = (commit.ticket.generation, commit.contribution(replica));
        match held {
            Ok(held) => {
                let own = receipt(self.secret, ServerIndex::LEADER, generation, contribution);
                commit.receipts ^= if held { own } else { 0 };
                self.commit(replica, &commit);
            }
            // It names other variables than came, which the words say.
            Err(error) => {
                let (sequence, reason) = (commit.sequence, error.to_string());
                let refusal = Refusal { sequence, reason, rejoin: false };
                self.refuse_commit(replica, &commit, refusal);
            }
        }
    }

    /// Refuses a commit. What the replica has staged for it is void, unless its time may come: a
    /// good replica never sends ahead of itself, and earlier lives were discarded whole.
    pub(super) fn refuse_commit(&mut self, replica: ReplicaId, commit: &Commit, refusal: Refusal) {
        let Commit { ticket, sequence, .. } = commit;
        let record = self.check(replica, *ticket).ok().map(|index| &self.records[index]);
        let over = |record: &ReplicaRecord| {
            *sequence < record.sequence || (*sequence == record.sequence && record.grant.is_some())
        };
        if record.is_some_and(over) {
            self.discard_now(commit.contribution(replica));
        }
        self.actions.answers.push((replica, *ticket, Answer::Refused(refusal)));
    }

    /// Checks a commit, and returns what the engine must judge.
    pub(super) fn vet(
        &mut self,
        replica: ReplicaId,
        commit: &Commit,
    ) -> Result<(usize, Push), Refusal> {
        let sequence = commit.sequence;
        let index = self.check(replica, commit.ticket).map_err(|it| Refusal::of(&it, sequence))?;
        self.records[index].heard = self.now;
        let refuse = |reason: String| Refusal { sequence, reason, rejoin: false };
        let current = self.records[index].sequence;
        if sequence > current {
            return Err(refuse(format!(
                "push {sequence} came, but {current} is the newest that was asked for; join anew"
            )));
        }
        if sequence < current && sequence > self.records[index].pushed {
            return Err(refuse(format!("push {sequence} came, but its batch was given up")));
        }
        if sequence == current && self.records[index].grant.is_none() {
            return Err(refuse(format!("push {sequence} came, but no token was given for it")));
        }
        let contribution = commit.contribution(replica);
        let (secret, generation) = (self.secret, commit.ticket.generation);
        // Once it was pushed its data was everywhere (P-11).
        if sequence == current
            && receipts(secret, self.shards, generation, contribution) != commit.receipts
        {
            return Err(refuse(format!(
                "push {sequence} has not reached every parameter server; send it to all of them, \
                 and commit with the receipts that they give"
            )));
        }
        let lanes = self.lanes(&commit.variables).map_err(|error| refuse(error.to_string()))?;
        let push = Push {
            replica,
            incarnation: commit.ticket.incarnation,
            generation: commit.ticket.generation,
            sequence,
            local_step: commit.local_step,
            lanes,
        };
        Ok((index, push))
    }

    /// The first contribution that is accepted fixes which variables have a gradient. Where
    /// each is admitted for itself, one that was left out is fixed by the first that has it.
    pub(super) fn fix_pattern(&mut self, variables: &[VariableIndex]) {
        let per_variable = self.is_per_variable();
        match &mut self.pattern {
            None => self.pattern = Some(variables.to_vec()),
            Some(pattern) if per_variable => pattern.extend(new(pattern, variables)),
            Some(_) => return,
        }
        self.engine.set_lanes(self.pattern.as_ref().map_or(0, Vec::len));
        self.updating.resize(self.engine.num_lanes(), 0);
        let pattern = &self.pattern;
        self.observations.note(|| Observed::Lanes(pattern.clone().unwrap_or_default()));
    }

    /// The lanes of the variables with a gradient, where they are not all of the pattern;
    /// those that have none yet are the next ones.
    fn lanes(&self, variables: &[VariableIndex]) -> Result<Option<Vec<usize>>, LanesError> {
        if variables.is_empty() {
            return Err(LanesError::None);
        }
        let ascending = variables.windows(2).all(|pair| pair[0] < pair[1]);
        if !ascending || variables.last().is_some_and(|&last| last.get() >= self.variables) {
            return Err(LanesError::Numbers { got: variables.to_vec(), below: self.variables });
        }
        let pattern = match &self.pattern {
            Some(pattern) if pattern != variables => pattern,
            _ => return Ok(None),
        };
        if !self.is_per_variable() {
            let (expected, got) = (pattern.clone(), variables.to_vec());
            return Err(LanesError::Others { expected, got });
        }
        let known = |variable: &VariableIndex| pattern.iter().position(|known| known == variable);
        let mut next = pattern.len()..;
        Ok(Some(variables.iter().filter_map(|it| known(it).or_else(|| next.next())).collect()))
    }
}

/// Why a commit's variables have no lanes.
#[derive(Debug, thiserror::Error)]
enum LanesError {
    #[error("no gradients for any variable; at least one is needed")]
    None,
    #[error(
        "the variables with a gradient are {}; expected ascending numbers below {below}",
        few(got)
    )]
    Numbers { got: Vec<VariableIndex>, below: usize },
    #[error(
        "gradients of variables {} came, but the first contribution had those of {}; give the \
         same in every step",
        few(got),
        few(expected)
    )]
    Others { expected: Vec<VariableIndex>, got: Vec<VariableIndex> },
}

/// The variables of which none is in the pattern yet.
fn new(pattern: &[VariableIndex], variables: &[VariableIndex]) -> Vec<VariableIndex> {
    variables.iter().filter(|variable| !pattern.contains(variable)).copied().collect()
}

/// Their numbers in words, of many the first ones.
fn few(variables: &[VariableIndex]) -> String {
    const FEW: usize = 16;
    let numbers: Vec<usize> = variables.iter().map(|it| it.get()).collect();
    match numbers.get(..FEW) {
        Some(first) if numbers.len() > FEW => format!("{first:?} and {} more", numbers.len() - FEW),
        _ => format!("{numbers:?}"),
    }
}
