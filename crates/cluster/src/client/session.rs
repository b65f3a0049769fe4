//! The replica as a state machine over its lines: join, wait, push, give up, leave.
//!
//! One piece of work at a time. Lines may break at any moment: what was asked over a broken one is
//! asked again over the next, with the same numbers, until `patience` runs out.

mod connect;
mod last;
mod leave;
#[cfg(feature = "test-util")]
pub(crate) mod offline;
mod push;
mod settings;
mod take;
mod work_times;

pub use settings::{PushError, SessionSettings, WaitError};
pub use work_times::WorkTimes;

use std::collections::VecDeque;
use std::sync::Arc;

use ndarray::ArrayD;
use sync_replicas::engine::Grant;
use sync_replicas::{Cancellation, FailedSave, Generation, GlobalStep, Scalar, Variables};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use push::Pushing;

use super::Reach;
use super::landing::Landing;
use super::line::{Incoming, Line};
use super::mirror::Mirror;
use super::signals::Signals;
use crate::coordinator::{GivenUp, StepMade, Ticket};
use crate::placement::Placement;
use crate::proto::to_server::Message;
use crate::wire::{self, Recorded};

/// One replica of a training in a cluster.
pub struct Session<T: Scalar + bytemuck::Pod> {
    reach: Reach,
    settings: SessionSettings,
    placement: Arc<Placement>,
    lines: Vec<Option<Line>>,
    opened: u64,
    sender: UnboundedSender<Incoming>,
    inbox: UnboundedReceiver<Incoming>,
    signals: Signals,
    heartbeat: JoinHandle<()>,
    mirror: Mirror<T>,
    landing: Landing<T>,
    ticket: Option<Ticket>,
    sequence: u64,
    /// Whether the coordinator has welcomed the replica over its present line.
    welcomed: bool,
    /// Whether no piece of work has ended since then.
    resumed: bool,
    grant: Option<Grant>,
    /// Whether a contribution goes to one server after the other.
    in_turn: bool,
    pushing: Option<Pushing>,
    spent: Vec<(usize, ArrayD<T>)>,
    ended: Option<(String, bool)>,
    /// The last step, once training has ended.
    last: GlobalStep,
    refused: Option<String>,
    overdue: Option<String>,
    /// Since when the cluster has been out of reach.
    down: Option<Instant>,
    /// Whether somebody was told of that.
    told: bool,
    /// Not to be tried again before.
    retry: Option<Instant>,
    /// Checkpoints that were not written, since the last look.
    failed_saves: Vec<FailedSave>,
    /// What the coordinator has told of the training, after its end.
    recorded: Option<Recorded>,
    /// Steps that were made, for hooks; kept only where somebody asks.
    made: VecDeque<StepMade>,
    keep_made: bool,
}

impl<T: Scalar + bytemuck::Pod> Session<T> {
    /// A replica that has not connected yet; the first wait does. Needs a tokio runtime.
    #[must_use]
    pub fn new(
        reach: Reach,
        settings: SessionSettings,
        placement: Arc<Placement>,
        variables: Variables<T>,
        keep_made: bool,
    ) -> Self {
        let (sender, inbox) = unbounded_channel();
        let signals = Signals::new();
        let (beats, every) = (signals.clone(), settings.heartbeat);
        let heartbeat = tokio::spawn(async move {
            loop {
                tokio::time::sleep(every).await;
                beats.beat();
            }
        });
        let mut mirror = Mirror::new(variables, Arc::clone(&placement), settings.wire);
        if keep_made {
            mirror.show_all_bits();
        }
        Self {
            lines: (0..reach.servers()).map(|_| None).collect(),
            mirror,
            landing: Landing::new(),
            reach,
            settings,
            placement,
            opened: 0,
            sender,
            inbox,
            signals,
            heartbeat,
            ticket: None,
            sequence: 0,
            welcomed: false,
            resumed: false,
            grant: None,
            in_turn: false,
            pushing: None,
            spent: Vec::new(),
            ended: None,
            last: GlobalStep::default(),
            refused: None,
            overdue: None,
            down: None,
            told: false,
            retry: None,
            failed_saves: Vec::new(),
            recorded: None,
            made: VecDeque::new(),
            keep_made,
        }
    }

    /// Waits for a permission and for the variables that it is for; `None` once training ended.
    ///
    /// # Errors
    /// [`WaitError`].
    ///
    /// # Cancel safety
    /// Nothing is lost; the next call goes on waiting.
    pub async fn next_step(&mut self) -> Result<Option<Grant>, WaitError> {
        crash_point!("worker/before-variables");
        loop {
            if let Some((reason, failed)) = &self.ended {
                let reason = reason.clone();
                return if *failed { Err(WaitError::Failed { reason }) } else { Ok(None) };
            }
            if let Some(reason) = self.overdue.take() {
                return Err(WaitError::Overdue { reason });
            }
            self.connect().await?;
            if self.has_news() {
                continue;
            }
            if let Some(grant) = self.ready() {
                return Ok(Some(grant));
            }
            self.receive().await;
        }
    }

    /// Whether something has come that ends the present wait.
    fn has_news(&self) -> bool {
        let told = match &self.pushing {
            Some(pushing) => pushing.result.is_some(),
            None => self.overdue.is_some(),
        };
        told || self.ended.is_some()
    }

    /// The grant, once the variables are of one step that is not below it.
    fn ready(&mut self) -> Option<Grant> {
        let (ticket, grant) = (self.ticket?, self.grant.clone()?);
        let least = (ticket.generation, GlobalStep::new(grant.local_step.get()));
        if let Some(version) = self.mirror.version().filter(|version| *version >= least) {
            let over = self.settings.tell_superseded && version.1.get() > least.1.get();
            if !over {
                self.grant = None;
                return Some(grant);
            }
            // P-13: the step was over before it began.
            self.grant = None;
            let give_up = self.give_up_message(GivenUp::NotBegun, None)?;
            self.send(0, vec![give_up]);
            return None;
        }
        for server in 0..self.lines.len() {
            if let Some(pull) = self.mirror.ask_up_to(server, least) {
                self.send(server, vec![pull]);
            }
        }
        None
    }

    /// The variables that the last grant is for.
    #[must_use]
    pub fn variables(&self) -> &Variables<T> {
        &self.mirror.variables
    }

    /// The same as hooks see them: with all bits, also where variables travel rounded.
    #[must_use]
    pub fn shown(&self) -> &Variables<T> {
        self.mirror.shown()
    }

    /// The step of the variables.
    #[must_use]
    pub fn global_step(&self) -> GlobalStep {
        self.mirror.version().map(|(_, step)| step).unwrap_or_default()
    }

    /// The life of the shared state that the variables are of.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.mirror.version().map(|(generation, _)| generation).unwrap_or_default()
    }

    /// Tells when the work of a grant is in vain.
    #[must_use]
    pub fn superseded(&self, grant: &Grant) -> Cancellation {
        self.signals.superseded.next(grant.local_step, self.settings.tell_superseded)
    }

    /// Tells from elsewhere that all work of this replica is in vain.
    pub(crate) fn in_vain(&self) -> impl FnOnce() + Send + 'static {
        let superseded = self.signals.superseded.clone();
        move || superseded.end()
    }

    /// Gives the present piece of work up.
    pub fn give_up(&mut self, work: WorkTimes) {
        self.put_down(GivenUp::Begun, work);
    }

    fn put_down(&self, why: GivenUp, work: WorkTimes) {
        if let Some(message) = self.give_up_message(why, Some(work)) {
            self.send(0, vec![message]);
        }
    }

    fn give_up_message(&self, why: GivenUp, work: Option<WorkTimes>) -> Option<Message> {
        let times = work.map(|work| work.times());
        Some(Message::GiveUp(wire::give_up(self.ticket?, (self.sequence, why), times)))
    }

    /// Why training ended, if it has.
    #[must_use]
    pub fn ended(&self) -> Option<&str> {
        self.ended.as_ref().map(|(reason, _)| reason.as_str())
    }

    /// Checkpoints that were not written, since the last look.
    pub fn take_failed_saves(&mut self) -> Vec<FailedSave> {
        std::mem::take(&mut self.failed_saves)
    }

    /// Steps that were made since the last look.
    pub fn take_made(&mut self) -> impl Iterator<Item = StepMade> {
        std::mem::take(&mut self.made).into_iter()
    }

    fn send(&self, server: usize, messages: Vec<Message>) {
        if let Some(Some(line)) = self.lines.get(server) {
            line.send(messages);
        }
    }
}

impl<T: Scalar + bytemuck::Pod> Drop for Session<T> {
    fn drop(&mut self) {
        self.heartbeat.abort();
    }
}
