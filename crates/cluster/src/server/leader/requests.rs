//! What replicas ask of the coordinator, from their messages.

use sync_replicas::{ReplicaId, Scalar};

use crate::coordinator::{Commit, Contribution, Coordinator, GiveUp, Refusal, Ticket};
use crate::proto::to_server::Message;
use crate::server::bad_message::BadMessage;
use crate::server::parameter_server::ParameterServer;

use crate::wire;

/// Asks the coordinator, with the receipt of its own process's server where one is needed.
///
/// # Errors
/// The message makes no sense.
pub(super) fn ask<T: Scalar + bytemuck::Pod>(
    coordinator: &mut Coordinator,
    own: &ParameterServer<T>,
    replica: ReplicaId,
    message: Message,
) -> Result<(), BadMessage> {
    match message {
        Message::Commit(commit) => {
            let mut commit = wire::commit(commit)?;
            match add_own_receipt(own, replica, &mut commit) {
                Ok(()) => coordinator.commit(replica, &commit),
                Err(reason) => {
                    let refusal = Refusal { sequence: commit.sequence, reason, rejoin: false };
                    coordinator.refuse_commit(replica, &commit, refusal);
                }
            }
            crash_point!("coordinator/commit-decided");
        }
        Message::Ask(ask) => {
            let ticket = wire::ticket(ask.ticket)?;
            coordinator.ask(replica, ticket, ask.sequence);
        }
        Message::GiveUp(it) => {
            let ticket = wire::ticket(it.ticket)?;
            let (why, times) = (wire::given_up(&it), wire::times(it.times));
            let work = GiveUp { sequence: it.sequence, why, times };
            coordinator.give_up(replica, ticket, work);
        }
        Message::Alive(alive) => {
            let ticket = wire::ticket(alive.ticket)?;
            coordinator.alive(replica, ticket);
        }
        Message::Leave(leave) => {
            let ticket = wire::ticket(leave.ticket)?;
            let failure = (!leave.reason.is_empty()).then(|| wire::reason(leave.reason));
            if leave.for_now {
                coordinator.leave_for_now(replica, ticket);
            } else {
                coordinator.leave(replica, ticket, failure);
            }
        }
        _ => return Err(BadMessage::NotAReplicas),
    }
    Ok(())
}

/// Adds the server's receipt to those of the others, if it holds the contribution.
///
/// # Errors
/// The commit names other variables than came, which the words say.
fn add_own_receipt<T: Scalar + bytemuck::Pod>(
    own: &ParameterServer<T>,
    replica: ReplicaId,
    commit: &mut Commit,
) -> Result<(), String> {
    let Ticket { generation, incarnation } = commit.ticket;
    let contribution = Contribution { replica, incarnation, sequence: commit.sequence };
    if own.shard().vet(contribution, &commit.variables)? {
        commit.receipts ^= own.receipt(generation, contribution);
    }
    Ok(())
}
