//! The other end of a link: the leader's orders, carried out once and in order on a parameter
//! server that does not lead.

mod rows_told;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sync_replicas::checkpoint::RunId;
use sync_replicas::driver::Generation;
use sync_replicas::store::TableSaves;
use sync_replicas::{GlobalStep, Scalar};
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tonic::Status;

use self::rows_told::RowsTold;
use super::transfer::{IncomingState, pieces, scalars};
use crate::batches::{BatchSender, Batches, batch, batches};
use crate::proto::done::Done as Answer;
use crate::proto::order::Order as Message;
use crate::proto::{self, Done, Order, RowsWritten};
use crate::server::command_error::CommandError;
use crate::server::handshake;
use crate::server::parameter_server::{ParameterServer, Release, Start};
use crate::server::settings::ServerSettings;
use crate::server::usage::Usage;
use crate::shard::ShardState;
use crate::stream::Receiving;
use crate::sync::lock;
use crate::wire::{self, WireError};

/// The part common to every coordinator's hello.
const RUN: &str = "a run";

/// Has its parameter server obey the leader.
pub(crate) struct Follower<T: Scalar> {
    settings: Arc<ServerSettings>,
    /// Drawn when the process started.
    life: u64,
    own: Arc<ParameterServer<T>>,
    link: Mutex<LinkState<T>>,
}

/// What is known of the link.
struct LinkState<T: Scalar> {
    /// The highest generation that a leader has claimed to be in (P-26).
    generation: u64,
    /// The life of the leader that gives the orders.
    leader: u64,
    /// Its run.
    run: RunId,
    /// The last order carried out.
    done: u64,
    /// The present connection; an earlier one is void.
    connection: u64,
    /// Since when there has been none.
    alone: Option<Instant>,
    /// Messages to the leader over the present connection.
    sender: Option<BatchSender<Done>>,
    /// Reports to the leader of rows that were written.
    rows: RowsTold,
    /// When the leader last heard what this process needs.
    told_usage: Option<Instant>,
    /// An incoming state.
    incoming: IncomingState,
    state: Option<ShardState<T>>,
    /// Reads the present connection.
    reader: Option<AbortHandle>,
}

impl<T: Scalar> LinkState<T> {
    /// Tells the leader that this server asks to leave, if the leader is there.
    fn say_that_it_leaves(&self) -> bool {
        let sender = self.sender.as_ref().filter(|_| self.alone.is_none());
        sender.map(|sender| answer(sender, 0, vec![Answer::Leaving(true)])).is_some()
    }

    /// What the process needs, once a second.
    fn usage_if_due(&mut self, own: &ParameterServer<T>) -> Option<Usage> {
        if self.told_usage.is_some_and(|told| told.elapsed() < Duration::from_secs(1)) {
            return None;
        }
        self.told_usage = Some(Instant::now());
        Some(own.usage())
    }

    fn forget_state(&mut self) {
        (self.incoming, self.state) = (IncomingState::default(), None);
    }
}

impl<T: Scalar> Follower<T> {
    pub(crate) fn new(
        settings: Arc<ServerSettings>,
        life: u64,
        own: Arc<ParameterServer<T>>,
    ) -> Self {
        let link = LinkState {
            generation: 0,
            leader: 0,
            run: settings.run,
            done: 0,
            connection: 0,
            alone: Some(Instant::now()),
            sender: None,
            rows: RowsTold::default(),
            told_usage: None,
            incoming: IncomingState::default(),
            state: None,
            reader: None,
        };
        Self { settings, life, own, link: Mutex::new(link) }
    }

    /// Whether the leader is there.
    pub(crate) fn is_linked(&self) -> bool {
        lock(&self.link).alone.is_none()
    }

    /// This server was asked to end.
    pub(crate) fn leave(&self) {
        if !lock(&self.link).say_that_it_leaves() {
            // No leader is there to save what it holds.
            self.own.release(Release::Saved);
        }
    }

    /// Waits until the leader has been gone for too long: nothing else would ever end this server.
    pub(crate) async fn abandoned(&self) {
        loop {
            let alone = lock(&self.link).alone.map(|since| since.elapsed());
            match alone.filter(|alone| *alone >= self.settings.reconnect_timeout) {
                Some(_) => return,
                None => tokio::time::sleep(Duration::from_secs(1)).await,
            }
        }
    }

    /// Takes a connection of the leader's.
    pub(crate) async fn serve(
        self: Arc<Self>,
        mut incoming: Receiving<Order>,
    ) -> Result<Batches<Done>, Status> {
        let hello = handshake::hello(&mut incoming, &self.own.counters, |order: Order| {
            if let Some(Message::Hello(hello)) = order.order { Some(hello) } else { None }
        });
        let hello = hello.await?;
        if let Some(difference) = self.settings.agreement.difference(&hello.agreement) {
            return Err(Status::failed_precondition(format!(
                "the coordinator runs another program than parameter server {}: {difference}; \
                 start all processes with the same",
                self.settings.index.get(),
            )));
        }
        let run = wire::run(&hello.run).and_then(|it| it.ok_or_else(|| WireError::missing(RUN)));
        let run = run.map_err(|error| Status::invalid_argument(error.to_string()))?;
        let may = self.own.may_serve(run);
        may.map_err(|error| Status::failed_precondition(error.to_string()))?;
        let (sender, outgoing) = batches();
        let mut link = lock(&self.link);
        // One that has begun none yet is about to claim a higher one than all before it.
        if hello.generation != 0 && hello.generation < link.generation {
            return Err(Status::aborted(format!(
                "expected a coordinator of generation {} or later, got one of generation {}: \
                 another process has taken its place",
                link.generation, hello.generation
            )));
        }
        link.generation = link.generation.max(hello.generation);
        let connection = {
            link.connection += 1;
            link.alone = None;
            self.own.set_secret(hello.life);
            link.run = run;
            if std::mem::replace(&mut link.leader, hello.life) != hello.life {
                (link.done, link.rows) = (0, RowsTold::default());
                link.forget_state();
            }
            let ended = self.own.over.borrow().clone();
            let welcome = proto::ServeWelcome { life: self.life, done: link.done, ended };
            answer(&sender, 0, vec![Answer::Welcome(welcome)]);
            answer(&sender, 0, link.rows.again().map(Answer::Rows).into_iter().collect());
            link.sender = Some(sender.clone());
            if self.own.leaving.load(Ordering::Acquire) {
                link.say_that_it_leaves();
            }
            link.connection
        };
        let reader = tokio::spawn(Arc::clone(&self).read(connection, incoming, sender));
        // The earlier leader, if it is another one, hears of it at once.
        if let Some(earlier) = link.reader.replace(reader.abort_handle()) {
            earlier.abort();
        }
        drop(link);
        Ok(outgoing)
    }

    async fn read(
        self: Arc<Self>,
        connection: u64,
        mut incoming: Receiving<Order>,
        sender: BatchSender<Done>,
    ) {
        loop {
            let order = match incoming.message().await {
                Ok(Some(order)) => order,
                Ok(None) => break,
                Err(status) => {
                    self.own.counters.broke("the coordinator", &status);
                    break;
                }
            };
            let mut link = lock(&self.link);
            if link.connection != connection {
                return;
            }
            let number = order.number;
            // It came before, over a connection that broke.
            if number <= link.done {
                continue;
            }
            if number != link.done + 1 {
                // Orders between were taken back; a state that they began to send is void.
                link.forget_state();
            }
            let obeyed = order.order.ok_or(CommandError::Unknown);
            let answers = match obeyed.and_then(|order| self.obey(&mut link, order)) {
                Ok(answers) => answers,
                Err(error) => {
                    tracing::error!(failure = %error, "an order of the coordinator failed");
                    vec![match error {
                        CommandError::NotFinite(reason) => Answer::NotFinite(reason),
                        error => Answer::Failed(error.to_string()),
                    }]
                }
            };
            link.done = number;
            if answers.is_empty() {
                // Known to be done, without a word.
                drop(sender.send(batch(vec![Done { number, done: None }])));
            }
            answer(&sender, number, answers);
        }
        let mut link = lock(&self.link);
        if link.connection == connection {
            (link.alone, link.sender) = (Some(Instant::now()), None);
            tracing::info!("the coordinator's link is gone");
            if self.own.leaving.load(Ordering::Acquire) {
                // The process that could save what this server holds has left before it.
                self.own.release(Release::Saved);
            }
        }
    }

    /// Has its rows of a checkpoint written, and reports when that is done.
    fn write_rows(self: &Arc<Self>, link: &mut LinkState<T>, aside: String, rows: TableSaves<T>) {
        link.rows.order(&aside);
        let this = Arc::clone(self);
        tokio::spawn(async move {
            // The leader would wait for ever for an answer that never comes.
            let write = || this.own.write_rows(&aside, rows).map_err(|error| error.to_string());
            let written = catch_unwind(AssertUnwindSafe(write));
            let (tables, failed) = match written.unwrap_or_else(|_| Err("it panicked".to_owned())) {
                // Plain data with text for keys, which does not fail.
                Ok(tables) => (serde_json::to_vec(&tables).unwrap_or_default(), String::new()),
                Err(error) => (Vec::new(), error),
            };
            let mut link = lock(&this.link);
            let rows = link.rows.written(RowsWritten { aside, tables: tables.into(), failed });
            if let (Some(sender), Some(rows)) = (&link.sender, rows) {
                answer(sender, 0, vec![Answer::Rows(rows)]);
            }
        });
    }

    fn obey(
        self: &Arc<Self>,
        link: &mut LinkState<T>,
        order: Message,
    ) -> Result<Vec<Answer>, CommandError> {
        let own = &self.own;
        if let Some(command) = wire::command(&order)? {
            let Some(updated) = own.carry_out(&command)? else { return Ok(Vec::new()) };
            let variable = updated.variable.map(|it| it.get() as u64);
            let seconds = updated.took.as_secs_f64();
            let usage = link.usage_if_due(own).map(Into::into);
            return Ok(vec![Answer::Applied(proto::Applied { variable, seconds, usage })]);
        }
        match order {
            Message::Save(save) => {
                let (state, rows) = own.save()?;
                crash_point!("server/state-taken");
                if let Some(rows) = rows.filter(|_| !save.aside.is_empty()) {
                    self.write_rows(link, save.aside, rows);
                }
                let scalars = Answer::SavedScalars(scalars(&state));
                return Ok(pieces(&state).map(Answer::Saved).chain([scalars]).collect());
            }
            Message::Restore(tensor) => {
                link.incoming.push::<T>(tensor, || own.layout_of(own.index))?;
            }
            Message::RestoreScalars(scalars) => {
                let incoming = std::mem::take(&mut link.incoming);
                link.state = Some(incoming.finish(&own.layout_of(own.index), &scalars)?);
            }
            Message::Begin(begin) => {
                let state = link.state.take();
                if begin.restored != state.is_some() {
                    return Err(CommandError::OtherState);
                }
                let run = link.run;
                link.generation = link.generation.max(begin.generation);
                own.begin(
                    state,
                    Start {
                        run,
                        generation: Generation::new(begin.generation),
                        global_step: GlobalStep::new(begin.global_step),
                        checkpoint: Some(begin.checkpoint).filter(|name| !name.is_empty()),
                    },
                )?;
                return Ok(vec![Answer::Begun(true)]);
            }
            Message::LetGo(it) => own.release(Release::of(wire::reason(it.unsaved))),
            Message::End(ended) => {
                crash_point!("server/end-heard");
                own.end(ended);
            }
            _ => return Err(CommandError::Unknown),
        }
        Ok(Vec::new())
    }
}

fn answer(sender: &BatchSender<Done>, number: u64, answers: Vec<Answer>) {
    let answers = answers.into_iter().map(|done| Done { number, done: Some(done) }).collect();
    drop(sender.send(batch(answers)));
}
