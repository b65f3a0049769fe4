//! The servers' side: the coordinator's answers, and variables that are always at its step.

use std::collections::BTreeSet;

use cluster::driver::client::protocol::{ConnectionId, Departure, Ended, Reply, Request};
use cluster::driver::coordinator::{Contribution, Decision, GiveUp, ShardCommand, Ticket, receipt};
use cluster::driver::index::ServerIndex;
use sync_replicas::ReplicaId;
use sync_replicas::engine::StopReason;

use super::{Event, FOLLOWER, REPLICAS, SECRET, SERVERS, World};

impl World {
    /// What a server does with a request.
    pub(super) fn serve(&mut self, replica: usize, server: usize, request: Request) {
        let id = ReplicaId::new(replica as u64);
        let of = |ticket: Ticket, sequence| Contribution {
            replica: id,
            incarnation: ticket.incarnation,
            sequence,
        };
        match request {
            Request::Pull { after, .. } => {
                if let Some((_, pull)) = &mut self.replicas[replica].served[server] {
                    assert_eq!(pull.replace(after), None, "two pulls at once");
                }
                self.answer_pulls();
            }
            Request::Gradients { ticket, sequence } => {
                let (contribution, generation) = (of(ticket, sequence), ticket.generation);
                self.held.insert((server, generation, contribution));
                let receipt = receipt(SECRET, ServerIndex::new(server), generation, contribution);
                let staged = Reply::Staged { sequence, receipt };
                let reply = if server > 0 { staged } else { Reply::Room { sequence } };
                self.tell(replica, server, Some(ticket), reply);
            }
            Request::Lookup { number, version } => {
                let present = (self.coordinator.generation(), self.coordinator.global_step());
                if version != present {
                    return self.tell(replica, server, None, Reply::Gone { number });
                }
                if let Some((connection, _)) = self.replicas[replica].served[server] {
                    let id = ConnectionId { server, number: connection };
                    self.send(replica, id, false, Event::Rows(id, number, present));
                }
            }
            Request::Commit(mut commit) => {
                let (contribution, generation) =
                    (of(commit.ticket, commit.sequence), commit.ticket.generation);
                assert!(self.held.contains(&(0, generation, contribution)), "it is not held");
                commit.receipts ^= receipt(SECRET, ServerIndex::LEADER, generation, contribution);
                self.coordinator.commit(id, &commit);
            }
            Request::Ask { ticket, sequence } => self.coordinator.ask(id, ticket, sequence),
            Request::GiveUp { ticket, sequence, why, times } => {
                let work = GiveUp { sequence, why, times: times.unwrap_or_default() };
                self.coordinator.give_up(id, ticket, work);
            }
            Request::Leave { ticket, departure } => match departure {
                Departure::ForNow => self.coordinator.leave_for_now(id, ticket),
                _ => self.coordinator.leave(id, ticket, None),
            },
            Request::Recall => {}
        }
    }

    /// Carries the coordinator's decisions out: every server at once.
    pub(super) fn act(&mut self) {
        let actions = self.coordinator.take_actions();
        let mut applied = false;
        for command in &actions.commands {
            for decision in command.decisions() {
                if let Decision::Admit { contribution, .. } = decision {
                    let generation = self.coordinator.generation();
                    let held = |server| self.held.contains(&(server, generation, *contribution));
                    assert!((0..SERVERS).all(held), "{contribution} is not everywhere");
                    let new = self.admitted.insert(contribution.to_string());
                    assert!(new, "{contribution} counts twice");
                }
            }
            applied |= matches!(command, ShardCommand::Apply { .. });
        }
        for (replica, ticket, answer) in actions.answers {
            self.tell(replica.get() as usize, 0, Some(ticket), answer.into());
        }
        let global_step = self.coordinator.global_step();
        let ended = actions.ended.map(|reason| match reason {
            StopReason::Requested(reason) => Ended { reason, failed: false, global_step },
            StopReason::Failed(reason) => Ended { reason, failed: true, global_step },
        });
        self.ended = ended.clone().or(self.ended.take());
        let ended = ended.map(Reply::Ended);
        let in_vain = actions.in_vain.iter().map(|it| it.get() as usize);
        let told: BTreeSet<_> = in_vain.chain([FOLLOWER]).collect();
        for made in &actions.made {
            told.iter().for_each(|&it| self.tell(it, 0, None, Reply::Advanced(*made)));
        }
        let all = (0..REPLICAS).flat_map(|to| (0..SERVERS).map(move |server| (to, server)));
        for (replica, server) in all {
            ended.iter().for_each(|it| self.tell(replica, server, None, it.clone()));
        }
        if applied {
            for _ in 0..SERVERS {
                self.coordinator.at(self.now).applied(None);
            }
            self.act();
            self.answer_pulls();
        }
    }

    fn answer_pulls(&mut self) {
        let version = (self.coordinator.generation(), self.coordinator.global_step());
        for replica in 0..REPLICAS {
            for server in 0..SERVERS {
                if let Some((number, pull)) = &mut self.replicas[replica].served[server]
                    && pull.is_some_and(|after| after.is_none_or(|after| after < version))
                {
                    *pull = None;
                    let id = ConnectionId { server, number: *number };
                    self.send(replica, id, false, Event::Values(id, version));
                }
            }
        }
    }
}
