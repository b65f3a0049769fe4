//! What a replica's protocol hears and what it wants done, as plain data; their form in bytes is
//! that of `client/wire.rs`.

use std::fmt;
use std::time::Duration;

use sync_replicas::checkpoint::RunId;
use sync_replicas::driver::{CancellationSource, Generation, LocalStep};
use sync_replicas::engine::Outcome;
use sync_replicas::record::FailedSave;
use sync_replicas::{GlobalStep, ReplicaId};

use crate::coordinator::{Answer, Commit, GivenUp, Refusal, StepMade, Ticket, Times};
use crate::index::VariableIndex;
use crate::place::Caller;
use crate::wire::Recorded;

/// A generation and a step in it, ordered by time.
pub type Version = (Generation, GlobalStep);

/// One connection to a server: no later one of the same client has its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConnectionId {
    /// The server that it goes to.
    pub server: usize,
    /// Counts the connections of a client, to any server, from 1.
    pub number: u64,
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "connection {} to ps {}", self.number, self.server)
    }
}

/// The first message of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The replica that connects.
    pub replica: ReplicaId,
    /// Drawn for one life of its process.
    pub process: u64,
    /// Counts the connections of that life.
    pub connection: u64,
    /// The life that it wants to go on with.
    pub ticket: Option<Ticket>,
    /// The run that it has trained in.
    pub run: Option<RunId>,
    /// Whether to tell it of every step that is made.
    pub follows: bool,
}

impl Hello {
    /// The sender's identity, as far as a replica's place goes (P-26).
    #[must_use]
    pub fn caller(&self) -> Caller {
        Caller { process: self.process, connection: self.connection, ticket: self.ticket }
    }
}

/// To a server.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// "Send your variables once they are newer than this."
    Pull {
        /// The version that is here, if any.
        after: Option<Version>,
        /// Whether to send all bits, even where variables travel rounded.
        full: bool,
    },
    /// The server's share of a lookup's rows, as they are at this version.
    Lookup {
        /// Counts the replica's lookups.
        number: u64,
        /// The version that its variables are of.
        version: Version,
    },
    /// The server's part of the pushed gradients, from the first byte to the last.
    Gradients {
        /// Their life.
        ticket: Ticket,
        /// The piece of work.
        sequence: u64,
    },
    /// All servers hold their part: the contribution may count.
    Commit(Commit),
    /// Asks for the token of a piece of work.
    Ask {
        /// The life that asks.
        ticket: Ticket,
        /// The piece of work.
        sequence: u64,
    },
    /// A piece of work will not be finished.
    GiveUp {
        /// The life that it belongs to.
        ticket: Ticket,
        /// The piece of work.
        sequence: u64,
        /// The reason.
        why: GivenUp,
        /// How it went, if it had begun.
        times: Option<Times>,
    },
    /// The replica leaves.
    Leave {
        /// The life that ends.
        ticket: Ticket,
        /// How it leaves.
        departure: Departure,
    },
    /// After the end: asks for the record of the training.
    Recall,
}

/// How a replica leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Departure {
    /// Its data has ended.
    Done,
    /// It failed, in these words.
    Failed(String),
    /// Its process was asked to end, and is expected to be started again.
    ForNow,
}

/// From a server.
#[derive(Clone, Debug)]
pub enum Reply {
    /// The answer to a hello.
    Welcome {
        /// The replica's life; only the coordinator says so.
        ticket: Option<Ticket>,
        /// The number of updates done.
        global_step: GlobalStep,
        /// Whether gradients go to the other servers once the coordinator's has room for them.
        bounded: bool,
        /// The run that is served.
        run: Option<RunId>,
    },
    /// Instead of a welcome: the servers wait for the initial values of this replica's program.
    Initialize,
    /// It may compute.
    Granted {
        /// The piece of work.
        sequence: u64,
        /// The step that it is for.
        local_step: LocalStep,
        /// Its share of the step, in replica order.
        share: Option<u64>,
        /// The number of its batch.
        number: u64,
    },
    /// The rows of a lookup are of another step by now.
    Gone {
        /// The lookup.
        number: u64,
    },
    /// The coordinator's server has room for the gradients, and the others have too.
    Room {
        /// The piece of work.
        sequence: u64,
    },
    /// The server, which is not the coordinator's, holds its part of the gradients.
    Staged {
        /// The piece of work.
        sequence: u64,
        /// Proves that to the coordinator.
        receipt: u64,
    },
    /// What became of a contribution (P-7).
    Pushed {
        /// The piece of work.
        sequence: u64,
        /// Its fate.
        outcome: Outcome,
    },
    /// A piece of work was given up.
    GaveUp {
        /// The piece of work.
        sequence: u64,
    },
    /// Another replica was first with the share (P-13).
    Superseded {
        /// The piece of work.
        sequence: u64,
    },
    /// The step took too long, in these words (P-5).
    Overdue(String),
    /// It has left.
    Left,
    /// It is refused; whether joining again can help.
    Refused(Refusal),
    /// A step was made: a replica that does not follow learns from it that its work is superseded.
    Advanced(StepMade),
    /// Training ended.
    Ended(Ended),
    /// A checkpoint was not written.
    SaveFailed(FailedSave),
    /// What was recorded of the training.
    Recorded(Box<Recorded>),
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Granted { sequence, grant } => Self::Granted {
                sequence,
                local_step: grant.local_step,
                share: grant.share,
                number: grant.number,
            },
            Answer::Pushed { sequence, outcome } => Self::Pushed { sequence, outcome },
            Answer::GaveUp { sequence } => Self::GaveUp { sequence },
            Answer::Superseded { sequence } => Self::Superseded { sequence },
            Answer::Overdue(overdue) => Self::Overdue(overdue.to_string()),
            Answer::Left => Self::Left,
            Answer::Refused(refusal) => Self::Refused(refusal),
        }
    }
}

/// The end of training.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The reason.
    pub reason: String,
    /// Whether that is a failure.
    pub failed: bool,
    /// The last step.
    pub global_step: GlobalStep,
}

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// Another attempt may succeed.
    #[error("{0}")]
    Retry(String),
    /// The server says that another attempt may succeed later.
    #[error("{0}")]
    Later(String),
    /// Another process has taken this one's place.
    #[error("{0}")]
    Replaced(String),
    /// Another attempt would fail in the same way.
    #[error("{0}")]
    Permanent(String),
}

/// What to do, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Connect and say hello. [`connected`](super::ReplicaProtocol::connected) or
    /// [`failed`](super::ReplicaProtocol::failed) tells the outcome.
    Connect(ConnectionId, Hello),
    /// Close the connection to this server, or give the attempt up.
    Disconnect(usize),
    /// Send this to a server, together.
    Send(usize, Vec<Request>),
    /// Send the coordinator's server the variables' initial values.
    Initialize,
    /// A life begins, of variables at this step.
    Begin(GlobalStep),
    /// The work under way is superseded.
    Supersede,
}

/// What a message means for work under way; read as soon as it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// The step moved to this one.
    Advanced(GlobalStep),
    /// The work is superseded.
    Superseded,
    /// Training ended with this step.
    Ended(GlobalStep),
}

/// A replica's identity while the coordinator knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its life.
    pub ticket: Ticket,
    /// Its piece of work.
    pub sequence: u64,
}

impl Signal {
    /// What a message, about the life of a ticket, means for this member's work.
    #[must_use]
    pub fn of(member: Option<Member>, about: Option<Ticket>, reply: &Reply) -> Option<Self> {
        match reply {
            Reply::Advanced(made) => (member?.ticket.generation == made.generation)
                .then_some(Self::Advanced(made.global_step)),
            Reply::Superseded { sequence } => {
                let member = member?;
                let own = member.sequence == *sequence && about == Some(member.ticket);
                own.then_some(Self::Superseded)
            }
            Reply::Ended(ended) => Some(Self::Ended(ended.global_step)),
            _ => None,
        }
    }

    /// Passes it on to the work under way.
    pub fn tell(self, work: &CancellationSource) {
        match self {
            Self::Advanced(step) => work.advance(step),
            Self::Superseded => work.supersede(),
            Self::Ended(step) => {
                work.advance(step);
                work.end();
            }
        }
    }
}

/// The description of a contribution beside its gradients.
#[derive(Clone, Debug, PartialEq)]
pub struct PushReport {
    /// The variables with a gradient, ascending.
    pub variables: Vec<VariableIndex>,
    /// The mean loss of the batch, where it is said.
    pub loss: Option<f64>,
    /// How many examples the batch had.
    pub examples: u64,
}

/// How a piece of work goes, by the replica's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    /// What the coordinator is told of it, except for how long it was sent.
    pub times: Times,
    /// When computing ended.
    pub ended: Duration,
}

impl Work {
    /// What the coordinator is told of it.
    pub(super) fn times(&self, now: Duration) -> Times {
        let sent = now.saturating_sub(self.ended);
        Times { sent, ..self.times }
    }
}
