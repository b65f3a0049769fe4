//! The leader's side of a link: connects to one other server, passes its answers to the leader,
//! connects again; has a new generation begun when the server has lost its state.

use std::sync::Arc;
use std::time::Duration;

use sync_replicas::Scalar;
use sync_replicas::checkpoint::SavedTable;
use tokio::time::Instant;
use tonic::{Code, Status};

use super::shared::SharedLeader;
use crate::batches::{batch, batches};
use crate::call_status::describe;
use crate::index::{ServerIndex, VariableIndex};
use crate::proto::done::Done as Answer;
use crate::proto::order::Order as Message;
use crate::proto::{self, Done, Order};
use crate::server::command_error::CommandError;
use crate::server::link::{AnswerError, Link};
use crate::server::parameter_server::Updated;
use crate::server::transfer::{IncomingState, TransferError};
use crate::stream::Receiving;
use crate::wire;

/// Keeps the link to one server.
pub(crate) struct LinkKeeper<T: Scalar> {
    leader: Arc<SharedLeader<T>>,
    server: ServerIndex,
    link: Link,
    /// The server's process when it was last connected.
    life: Option<u64>,
    /// An incoming state, in answer to the order of this number.
    incoming: (u64, IncomingState),
}

/// Why a link broke, or was not made.
#[derive(Debug, thiserror::Error)]
enum LinkError {
    #[error("{}", describe(.0))]
    Status(Status),
    #[error("no answer in time")]
    Late,
    #[error("the first answer was no welcome")]
    NoWelcome,
    #[error("it closed the connection")]
    Closed,
}

impl LinkError {
    /// Whether the server does not accept this coordinator, now or later. Another may be at its
    /// address soon, if this one is of an earlier training.
    fn is_refusal(&self) -> bool {
        matches!(self, Self::Status(status) if status.code() == Code::FailedPrecondition)
    }
}

/// Why an answer closes the connection; orders are sent again over the next one.
#[derive(Debug, thiserror::Error)]
enum BadAnswer {
    #[error(transparent)]
    Order(#[from] AnswerError),
    #[error(transparent)]
    State(#[from] TransferError),
}

impl<T: Scalar> LinkKeeper<T> {
    pub(crate) fn new(leader: Arc<SharedLeader<T>>, server: ServerIndex, link: Link) -> Self {
        Self { leader, server, link, life: None, incoming: (0, IncomingState::default()) }
    }

    /// Runs until training is over, and the server knows.
    pub(crate) async fn keep(mut self) {
        let mut attempt = 0_u32;
        let mut down = Instant::now();
        let server = self.server.get();
        loop {
            match self.connect().await {
                Ok(incoming) => {
                    attempt = 0;
                    self.leader.with(|leader| leader.note_refusal(self.server, None));
                    let reason = self.read(incoming).await;
                    down = Instant::now();
                    tracing::warn!(server, reason, "the link to a parameter server broke");
                }
                Err(LinkError::Status(status)) if status.code() == Code::Aborted => {
                    let reason = describe(&status);
                    return self.leader.with(|leader| leader.was_replaced(reason));
                }
                Err(reason) => {
                    let words = reason.to_string();
                    // Said once in a while: a server that never comes must not go unnoticed.
                    if attempt % 30 == 5 {
                        tracing::warn!(server, reason = words, "no link to a parameter server yet");
                    }
                    let refused = reason.is_refusal().then_some(words);
                    self.leader.with(|leader| leader.note_refusal(self.server, refused));
                }
            }
            self.link.lock().disconnected();
            // A server that was away is told of the end when it is back.
            if self.leader.own.is_over() && self.link.open() == 0 {
                return;
            }
            // The allocation would be held until the next reader (P-28).
            let patience = self.leader.settings.reconnect_timeout;
            if down.elapsed() >= patience && !self.leader.own.is_over() {
                tracing::error!(server, "a parameter server stayed away for {patience:?}");
                return self.leader.gave_up.notify_one();
            }
            let pause = Duration::from_millis(50 << attempt.min(5)).min(Duration::from_secs(1));
            tokio::time::sleep(pause).await;
            attempt += 1;
        }
    }

    async fn connect(&mut self) -> Result<Receiving<Done>, LinkError> {
        let settings = &self.leader.settings;
        let (sender, outgoing) = batches();
        let (generation, run) =
            self.leader.with(|leader| (leader.newest_generation(), leader.saving.run));
        let hello = proto::ServeHello {
            agreement: settings.agreement.items(),
            life: self.leader.life,
            generation: generation.get(),
            run: run.to_string(),
        };
        let hello = Order { number: 0, order: Some(Message::Hello(hello)) };
        drop(sender.send(batch(vec![hello])));
        let attempt = async {
            let opened = settings.connector.open(self.server.get(), "Serve", outgoing).await;
            let mut incoming: Receiving<Done> = opened.map_err(LinkError::Status)?;
            let first = incoming.message().await.map_err(LinkError::Status)?;
            match first.and_then(|done| done.done) {
                Some(Answer::Welcome(welcome)) => Ok((welcome, incoming)),
                _ => Err(LinkError::NoWelcome),
            }
        };
        let attempt = tokio::time::timeout(Duration::from_secs(5), attempt).await;
        let (welcome, incoming) = attempt.unwrap_or(Err(LinkError::Late))?;
        if let Some(ended) = welcome.ended {
            self.leader.learn_of_end(ended);
        }
        if self.life.replace(welcome.life).is_none_or(|known| known == welcome.life) {
            let done = self.link.lock().connected(sender, welcome.done);
            self.unanswered(done);
        } else {
            // Before it hears anything: it has nothing of what orders are about.
            self.leader.with(|leader| leader.give_up_generation());
            self.link.lock().connected_anew(sender);
            let server = self.server.get();
            tracing::warn!(server, "a parameter server came back without its state");
            self.leader.renew();
        }
        Ok(incoming)
    }

    /// These orders were carried out, and their answers were lost with a connection.
    fn unanswered(&self, done: Vec<Order>) {
        for order in done {
            match order.order {
                Some(Message::Apply(apply)) => self.applied(apply.variable, 0.0),
                Some(Message::Save(_)) => {
                    self.leader.with(|leader| leader.save_again(self.server, order.number));
                }
                Some(Message::Begin(_)) => drop(self.link.lock().begun(order.number, Ok(()))),
                _ => {}
            }
        }
    }

    /// An update took so many seconds there, if it is known.
    fn applied(&self, variable: Option<u64>, seconds: f64) {
        let variable = variable.and_then(|it| Some(VariableIndex::new(usize::try_from(it).ok()?)));
        let updated = Updated { variable, took: wire::time(seconds) };
        self.leader.with(|leader| leader.applied(self.server, updated));
    }

    /// Reads a connection to its end; returns why it ended.
    pub(crate) async fn read(&mut self, mut incoming: Receiving<Done>) -> String {
        let counters = &Arc::clone(&self.leader.own).counters;
        self.incoming = (0, IncomingState::default());
        loop {
            let answer = match incoming.message().await {
                Ok(Some(answer)) => answer,
                Ok(None) => return LinkError::Closed.to_string(),
                Err(status) => {
                    counters.broke("a parameter server", &status);
                    return describe(&status);
                }
            };
            if let Err(error) = self.take(answer) {
                let reason = error.to_string();
                counters.nonsense("a parameter server", &reason);
                return reason;
            }
        }
    }

    fn take(&mut self, answer: Done) -> Result<(), BadAnswer> {
        let (leader, server) = (&self.leader, self.server);
        if let Some(Answer::Leaving(_)) = answer.done {
            tracing::info!(server = server.get(), "a parameter server was asked to end");
            leader.with(|leader| leader.server_leaves(server));
            return Ok(());
        }
        if let Some(Answer::Rows(rows)) = answer.done {
            leader.with(|leader| leader.rows_came(server, &rows.aside, written(&rows)));
            return Ok(());
        }
        let mut orders = self.link.lock();
        if !orders.awaits(&answer)? {
            return Ok(());
        }
        let number = answer.number;
        if self.incoming.0 != number {
            // What came of a state whose order was taken back is void.
            self.incoming = (number, IncomingState::default());
        }
        match answer.done {
            Some(Answer::Saved(tensor)) => {
                drop(orders);
                self.incoming.1.push::<T>(tensor, || leader.own.layout_of(server))?;
            }
            Some(Answer::SavedScalars(scalars)) => {
                drop(orders);
                let incoming = std::mem::take(&mut self.incoming.1);
                let state = incoming.finish(&leader.own.layout_of(server), &scalars)?;
                self.link.lock().done();
                leader.with(|leader| leader.state_came(server, number, state));
            }
            Some(Answer::Applied(applied)) => {
                orders.done();
                if let Some(usage) = applied.usage {
                    orders.needs(usage.into());
                }
                drop(orders);
                self.applied(applied.variable, applied.seconds);
            }
            answer => {
                orders.done();
                let done = match answer {
                    Some(Answer::Failed(it)) => Err(CommandError::There(wire::reason(it))),
                    Some(Answer::NotFinite(it)) => Err(CommandError::NotFinite(wire::reason(it))),
                    _ => Ok(()),
                };
                let failed = orders.begun(number, done);
                drop(orders);
                if let Err(error) = failed {
                    leader.with(|leader| leader.order_failed(server, number, error));
                }
            }
        }
        Ok(())
    }
}

/// What a server has written, or why not.
fn written(rows: &proto::RowsWritten) -> Result<Vec<SavedTable>, CommandError> {
    if !rows.failed.is_empty() {
        return Err(CommandError::There(wire::reason(rows.failed.clone())));
    }
    Ok(serde_json::from_slice(&rows.tables)?)
}
