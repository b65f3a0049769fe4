//! Replicas' requests to the coordinator, from their messages.

use sync_replicas::{ReplicaId, Scalar};

use crate::coordinator::{Coordinator, GiveUp};
use crate::proto::to_server::Message;
use crate::server::bad_message::BadMessage;
use crate::server::parameter_server::ParameterServer;
use crate::wire;

/// Asks the coordinator in this server's process.
///
/// # Errors
/// The message is invalid.
pub(super) fn ask<T: Scalar>(
    coordinator: &mut Coordinator,
    own: &ParameterServer<T>,
    replica: ReplicaId,
    message: Message,
) -> Result<(), BadMessage> {
    match message {
        Message::Commit(commit) => {
            let commit = wire::commit(commit)?;
            let held = own.shard().vet(commit.contribution(replica), &commit.variables);
            coordinator.commit_to(replica, commit, held);
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
