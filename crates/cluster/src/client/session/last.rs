//! The last variables, fetched after the end.
//!
//! They may be large, and servers may be gone: as long as some come, the rest is waited for.

use std::time::Duration;

use sync_replicas::{GlobalStep, Scalar, Variables};

use super::Session;
use crate::proto;
use crate::proto::to_server::Message;
use crate::wire::Recorded;

/// So long after the last news of them nothing more is expected.
const SILENCE: Duration = Duration::from_secs(5);

/// Connections may take so long to close.
const CLOSING: Duration = Duration::from_secs(1);

impl<T: Scalar + bytemuck::Pod> Session<T> {
    /// The newest variables of all servers, with all bits, after the end; `None` if they cannot be
    /// had. Those that are here, where training goes on without this replica.
    pub async fn final_variables(&mut self) -> Option<(GlobalStep, &Variables<T>)> {
        if self.ended.is_some() {
            self.mirror.only_show_all_bits();
        }
        // Whoever left must not join again for this.
        while self.ended.is_some() {
            let before = self.mirror.pieces();
            match tokio::time::timeout(SILENCE, self.fetch()).await {
                Ok(fetched) => {
                    fetched?;
                    break;
                }
                // Older ones are no result: the last checkpoint has it.
                Err(_) if self.mirror.pieces() == before => return None,
                Err(_) => {}
            }
        }
        self.mirror.version().map(|(_, step)| (step, self.mirror.shown()))
    }

    /// Until the variables of the last step are here; `None` where servers do not let it in.
    async fn fetch(&mut self) -> Option<()> {
        let last = self.last;
        // Where it has seen a later step, that was taken back by a later life of the servers.
        let seen = self.mirror.newest().filter(|(_, step)| *step > last);
        let generation = self.ticket.map(|it| it.generation).unwrap_or_default();
        let generation = seen.map_or(generation, |(seen, _)| generation.max(seen.next()));
        loop {
            if self.mirror.version().is_some_and(|it| it.0 >= generation && it.1 == last) {
                return Some(());
            }
            self.connect().await.ok()?;
            for server in 0..self.lines.len() {
                if let Some(pull) = self.mirror.ask_up_to(server, (generation, last)) {
                    self.send(server, vec![pull]);
                }
            }
            self.receive().await;
        }
    }

    /// What the coordinator has recorded of the training, after its end; `None` if it is gone.
    pub async fn final_record(&mut self) -> Option<Recorded> {
        tokio::time::timeout(SILENCE, self.recall()).await.ok().flatten()
    }

    async fn recall(&mut self) -> Option<Recorded> {
        // The line that it was asked over last.
        let mut asked = None;
        while self.recorded.is_none() {
            self.connect().await.ok()?;
            let open = self.lines.first()?.as_ref().map(|line| line.opened);
            if open.is_some() && open != asked {
                asked = open;
                self.send(0, vec![Message::Recall(proto::Recall {})]);
            }
            self.receive().await;
        }
        self.recorded.take()
    }

    /// Closes the connections in order, by which the servers know that this replica has heard of
    /// the end; one that does not close in time is dropped.
    pub async fn close(&mut self) {
        self.signals.leave();
        let lines: Vec<_> = self.lines.iter_mut().filter_map(Option::take).collect();
        let all = async {
            for line in lines {
                line.close().await;
            }
        };
        let _ = tokio::time::timeout(CLOSING, all).await;
    }

    /// The step that training ended with, once it has.
    #[must_use]
    pub fn last_step(&self) -> Option<GlobalStep> {
        self.ended.as_ref().map(|_| self.last)
    }
}
