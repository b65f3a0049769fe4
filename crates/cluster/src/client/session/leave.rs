//! The end of a replica's part, told to the coordinator: nobody waits for whoever has left.

use std::time::Duration;

use sync_replicas::Scalar;

use super::Session;
use crate::proto;
use crate::proto::to_server::Message;

/// How long an answer is waited for that is only a courtesy.
const MOMENT: Duration = Duration::from_secs(1);

impl<T: Scalar + bytemuck::Pod> Session<T> {
    /// Leaves in peace (P-2, P-6), also in the middle of a push: waits until the coordinator knows,
    /// for a moment. Over a line that has just broken it is said once more.
    pub async fn leave(&mut self, failure: Option<String>) {
        let (ticket, reason) = (None, failure.unwrap_or_default());
        self.say_goodbye(proto::Leave { ticket, reason, for_now: false }).await;
    }

    /// The same of a process that is expected to be started again.
    pub async fn leave_for_now(&mut self) {
        self.say_goodbye(proto::Leave { for_now: true, ..Default::default() }).await;
    }

    async fn say_goodbye(&mut self, leave: proto::Leave) {
        self.pushing = None;
        for _ in 0..2 {
            let said = tokio::time::timeout(MOMENT, self.say_that_it_leaves(&leave)).await;
            if said.is_err() || self.ticket.is_none() {
                break;
            }
        }
        self.ticket = None;
    }

    /// Until the coordinator knows, or the line is gone.
    async fn say_that_it_leaves(&mut self, leave: &proto::Leave) {
        if self.ticket.is_some() && !self.is_open() {
            if self.open(0).await.is_err() {
                return;
            }
            while !self.welcomed && self.is_open() {
                self.receive().await;
            }
        }
        let Some(ticket) = self.ticket else { return };
        let leave = proto::Leave { ticket: Some(ticket.into()), ..leave.clone() };
        self.send(0, vec![Message::Leave(leave)]);
        while self.ticket.is_some() && self.ended.is_none() && self.is_open() {
            self.receive().await;
        }
    }

    /// Whether there is a line to the coordinator.
    fn is_open(&self) -> bool {
        self.lines.first().is_some_and(Option::is_some)
    }
}
