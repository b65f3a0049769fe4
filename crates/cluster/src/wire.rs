//! Between the protocol's messages and the engine's own types.
//!
//! A peer may send anything: a message without a body, or with invalid numbers, is an error with a
//! name, never a panic.

mod caller;
mod recorded;

pub(crate) use caller::{caller, not_admitted};
pub use recorded::Recorded;
pub(crate) use recorded::time;

use sync_replicas::checkpoint::RunId;
use sync_replicas::driver::{Generation, Incarnation, LocalStep, printable};
use sync_replicas::engine::Outcome;
use sync_replicas::store::GradientKind;
use sync_replicas::{GlobalStep, ReplicaId};

use crate::coordinator::{
    Answer, Commit, Contribution, Decision, GivenUp, Refusal, ShardCommand, StepMade, Ticket,
    Times, Totals, Traffic,
};
use crate::index::VariableIndex;
use crate::proto;
use crate::shard::Section;
use proto::order::Order as WireOrder;
use proto::to_replica::Message as ToReplica;

/// An invalid message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, got {got}; do both sides run the same version?")]
pub struct WireError {
    /// The expected content.
    pub expected: &'static str,
    /// The actual content.
    pub got: String,
}

impl WireError {
    pub(crate) fn missing(expected: &'static str) -> Self {
        Self { expected, got: "a message without it".to_owned() }
    }

    /// A kind unknown to this version.
    pub(crate) fn unknown() -> Self {
        Self { expected: "a message of a kind that is known", got: "another".to_owned() }
    }
}

impl From<Ticket> for proto::Ticket {
    fn from(ticket: Ticket) -> Self {
        Self { generation: ticket.generation.get(), incarnation: ticket.incarnation.get() }
    }
}

impl From<proto::Ticket> for Ticket {
    fn from(ticket: proto::Ticket) -> Self {
        Self {
            generation: Generation::new(ticket.generation),
            incarnation: Incarnation::new(ticket.incarnation),
        }
    }
}

/// The ticket that a request must have.
pub(crate) fn ticket(ticket: Option<proto::Ticket>) -> Result<Ticket, WireError> {
    ticket.map(Ticket::from).ok_or_else(|| WireError::missing("a ticket"))
}

/// A run's identity, as it travels; nothing for none.
pub(crate) fn run_words(run: Option<RunId>) -> String {
    run.map(|run| run.to_string()).unwrap_or_default()
}

/// The run of this text.
pub(crate) fn run(words: &str) -> Result<Option<RunId>, WireError> {
    let some = (!words.is_empty()).then(|| words.parse()).transpose();
    some.map_err(|_| WireError {
        expected: "a run's 32 hexadecimal digits",
        got: reason(words.chars().take(100).collect()),
    })
}

/// Why a replica gives a piece of work up.
pub(crate) fn given_up(message: &proto::GiveUp) -> GivenUp {
    match message {
        proto::GiveUp { not_finite: true, .. } => GivenUp::NotFinite,
        proto::GiveUp { begun: true, .. } => GivenUp::Begun,
        _ => GivenUp::NotBegun,
    }
}

/// Numbers that serve as indexes here.
pub(crate) fn indices(numbers: &[u64]) -> Result<Vec<usize>, WireError> {
    let index = |&number: &u64| {
        let large = |_| WireError { expected: "an index", got: number.to_string() };
        usize::try_from(number).map_err(large)
    };
    numbers.iter().map(index).collect()
}

/// Variables by their numbers.
fn variables(numbers: &[u64]) -> Result<Vec<VariableIndex>, WireError> {
    Ok(indices(numbers)?.into_iter().map(VariableIndex::new).collect())
}

/// The longest reason that is passed on to others, in bytes.
const REASON: usize = 1000;

/// A reason in a peer's words, short enough for every message and status that repeats it, and
/// printable.
pub(crate) fn reason(words: String) -> String {
    let mut words = printable(&words).into_owned();
    if words.len() > REASON {
        let end = (0..=REASON).rev().find(|&end| words.is_char_boundary(end));
        words.truncate(end.unwrap_or_default());
        words.push_str(" ...");
    }
    words
}

/// The most examples of one contribution: a larger claim would fill the totals of all.
const MOST_EXAMPLES: u64 = 1 << 32;

pub(crate) fn commit(commit: proto::Commit) -> Result<Commit, WireError> {
    if commit.examples > MOST_EXAMPLES {
        let got = commit.examples.to_string();
        return Err(WireError { expected: "at most 4294967296 examples in a gradient", got });
    }
    Ok(Commit {
        ticket: ticket(commit.ticket)?,
        sequence: commit.sequence,
        local_step: LocalStep::new(commit.local_step),
        variables: variables(&commit.variables)?,
        loss: commit.loss,
        examples: commit.examples,
        receipts: commit.receipts,
        times: times(commit.times),
    })
}

/// An invalid time counts as none.
pub(crate) fn times(times: Option<proto::Times>) -> Times {
    let times = times.unwrap_or_default();
    Times {
        waited: time(times.waited),
        computed: time(times.computed),
        sent: time(times.sent),
        looked_up: time(times.looked_up),
        traffic: Traffic {
            gradients: times.gradient_bytes,
            variables: times.variable_bytes,
            rows: times.row_bytes,
        },
    }
}

impl From<Times> for proto::Times {
    fn from(times: Times) -> Self {
        Self {
            waited: times.waited.as_secs_f64(),
            computed: times.computed.as_secs_f64(),
            sent: times.sent.as_secs_f64(),
            looked_up: times.looked_up.as_secs_f64(),
            gradient_bytes: times.traffic.gradients,
            variable_bytes: times.traffic.variables,
            row_bytes: times.traffic.rows,
        }
    }
}

/// A message to a replica, about the life of a ticket if it is about one.
pub(crate) fn to_replica(ticket: Option<Ticket>, message: ToReplica) -> proto::ToReplica {
    proto::ToReplica { ticket: ticket.map(Into::into), message: Some(message) }
}

pub(crate) fn answer(answer: Answer) -> ToReplica {
    match answer {
        Answer::Granted { sequence, grant } => ToReplica::Granted(proto::Granted {
            sequence,
            local_step: grant.local_step.get(),
            share: grant.share,
            number: grant.number,
        }),
        Answer::Pushed { sequence, outcome } => {
            ToReplica::Pushed(proto::Pushed { sequence, outcome: Some(outcome.into()) })
        }
        Answer::GaveUp { sequence } => ToReplica::GaveUp(proto::GaveUp { sequence }),
        Answer::Superseded { sequence } => ToReplica::Superseded(proto::Superseded { sequence }),
        Answer::Overdue(overdue) => {
            ToReplica::Overdue(proto::Overdue { reason: overdue.to_string() })
        }
        Answer::Left => ToReplica::Left(proto::Left {}),
        Answer::Refused(refusal) => ToReplica::Refused(refusal.into()),
    }
}

impl From<Refusal> for proto::Refused {
    fn from(refusal: Refusal) -> Self {
        Self { sequence: refusal.sequence, reason: refusal.reason, rejoin: refusal.rejoin }
    }
}

impl From<Outcome> for proto::Outcome {
    fn from(outcome: Outcome) -> Self {
        use proto::outcome::Outcome as Wire;
        let outcome = match outcome {
            Outcome::Accepted { count } => Some(Wire::Accepted(count)),
            Outcome::Stale { local_step, global_step } => Some(Wire::Stale(proto::Stale {
                local_step: local_step.get(),
                global_step: global_step.get(),
            })),
            Outcome::Duplicate { share } => Some(Wire::Duplicate(share)),
            Outcome::Partly { accepted } => Some(Wire::Partly(proto::Lanes {
                lanes: accepted.into_iter().map(|lane| lane as u64).collect(),
            })),
            _ => None,
        };
        Self { outcome }
    }
}

pub(crate) fn outcome(outcome: Option<proto::Outcome>) -> Result<Outcome, WireError> {
    use proto::outcome::Outcome as Wire;
    let outcome = outcome.and_then(|outcome| outcome.outcome);
    Ok(match outcome.ok_or_else(|| WireError::missing("an outcome"))? {
        Wire::Accepted(count) => Outcome::Accepted { count },
        Wire::Stale(stale) => Outcome::Stale {
            local_step: LocalStep::new(stale.local_step),
            global_step: GlobalStep::new(stale.global_step),
        },
        Wire::Duplicate(share) => Outcome::Duplicate { share },
        Wire::Partly(lanes) => Outcome::Partly { accepted: indices(&lanes.lanes)? },
    })
}

impl From<StepMade> for proto::Advanced {
    fn from(made: StepMade) -> Self {
        Self {
            generation: made.generation.get(),
            global_step: made.global_step.get(),
            loss: made.loss,
            gradients: made.gradients,
            examples: made.examples,
            totals: Some(made.totals.into()),
        }
    }
}

impl From<Totals> for proto::Totals {
    fn from(totals: Totals) -> Self {
        Self {
            batches: totals.batches,
            examples: totals.examples,
            accepted: totals.accepted,
            stale: totals.stale,
            duplicates: totals.duplicates,
        }
    }
}

impl From<proto::Totals> for Totals {
    fn from(totals: proto::Totals) -> Self {
        Self {
            batches: totals.batches,
            examples: totals.examples,
            accepted: totals.accepted,
            stale: totals.stale,
            duplicates: totals.duplicates,
        }
    }
}

impl From<proto::Advanced> for StepMade {
    fn from(advanced: proto::Advanced) -> Self {
        Self {
            generation: Generation::new(advanced.generation),
            global_step: GlobalStep::new(advanced.global_step),
            loss: advanced.loss,
            gradients: advanced.gradients,
            examples: advanced.examples,
            totals: advanced.totals.unwrap_or_default().into(),
        }
    }
}

impl From<Contribution> for proto::Contribution {
    fn from(it: Contribution) -> Self {
        Self { replica: it.replica.get(), incarnation: it.incarnation.get(), sequence: it.sequence }
    }
}

impl From<proto::Contribution> for Contribution {
    fn from(it: proto::Contribution) -> Self {
        Self {
            replica: ReplicaId::new(it.replica),
            incarnation: Incarnation::new(it.incarnation),
            sequence: it.sequence,
        }
    }
}

impl From<Decision> for proto::Decision {
    fn from(decision: Decision) -> Self {
        let contribution = Some(decision.contribution().into());
        match decision {
            Decision::Admit { key, variables, .. } => Self {
                contribution,
                counts: true,
                key,
                some: variables.is_some(),
                variables: variables.into_iter().flatten().map(|it| it.get() as u64).collect(),
            },
            Decision::Discard(_) => Self { contribution, ..Self::default() },
        }
    }
}

impl From<ShardCommand> for WireOrder {
    fn from(command: ShardCommand) -> Self {
        let decisions = |decided: Vec<Decision>| decided.into_iter().map(Into::into).collect();
        match command {
            ShardCommand::Decide(decided) => {
                Self::Decide(proto::Decisions { decided: decisions(decided) })
            }
            ShardCommand::Apply { decided, variable, global_step, last } => {
                Self::Apply(proto::Apply {
                    variable: variable.map(|it| it.get() as u64),
                    global_step: global_step.get(),
                    last,
                    decided: decisions(decided),
                })
            }
        }
    }
}

fn decisions(decided: &[proto::Decision]) -> Result<Vec<Decision>, WireError> {
    decided.iter().map(decision).collect()
}

fn decision(decision: &proto::Decision) -> Result<Decision, WireError> {
    let contribution = decision.contribution;
    let contribution = contribution.ok_or_else(|| WireError::missing("a contribution"))?.into();
    if !decision.counts {
        return Ok(Decision::Discard(contribution));
    }
    let variables = if decision.some { Some(variables(&decision.variables)?) } else { None };
    Ok(Decision::Admit { contribution, key: decision.key, variables })
}

/// The coordinator's command to shards while training; `None` for an order of another kind.
pub(crate) fn command(order: &WireOrder) -> Result<Option<ShardCommand>, WireError> {
    Ok(Some(match order {
        WireOrder::Decide(it) => ShardCommand::Decide(decisions(&it.decided)?),
        WireOrder::Apply(apply) => ShardCommand::Apply {
            decided: decisions(&apply.decided)?,
            variable: match apply.variable {
                Some(variable) => variables(&[variable])?.pop(),
                None => None,
            },
            global_step: GlobalStep::new(apply.global_step),
            last: apply.last,
        },
        _ => return Ok(None),
    }))
}

impl TryFrom<&proto::Section> for Section {
    type Error = WireError;

    fn try_from(section: &proto::Section) -> Result<Self, WireError> {
        let kind = match proto::Kind::try_from(section.kind) {
            Ok(proto::Kind::Missing) => GradientKind::Missing,
            Ok(proto::Kind::Dense) => GradientKind::Dense,
            Ok(proto::Kind::Sparse) => GradientKind::Sparse,
            Err(_) => {
                let got = format!("kind {}", section.kind);
                return Err(WireError { expected: "a kind of gradient", got });
            }
        };
        Ok(Self { part: section.part as usize, kind, rows: section.rows })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_short() {
        assert_eq!(reason("short".to_owned()), "short");
        let long = reason("é".repeat(5000));
        assert!(long.len() < 1100 && long.ends_with("é ..."), "{}", long.len());
        // A title for the terminal, and its last line overwritten.
        let forged = reason("\x1b]0;owned\x07\x1b[1A\x1b[2K é\n".to_owned());
        assert_eq!(forged, "\\u{1b}]0;owned\\u{7}\\u{1b}[1A\\u{1b}[2K é\\n");
    }
}
