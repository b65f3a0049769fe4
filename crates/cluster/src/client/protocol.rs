//! A replica as a state machine: what it says to servers, and how it reacts to their replies.
//!
//! A replica's requests (a token, a push, to leave) are polled: each poll returns the result, or
//! says that the replica must wait, with what to do meanwhile as [`Action`]s. Requests over a
//! broken connection are repeated over the next, with the same numbers, until servers have been out
//! of reach for too long (P-15). One piece of work at a time.
//!
//! No clock, no lock, no socket.

mod connections;
mod copies;
mod error;
mod finish;
mod lookup;
mod messages;
mod push;
mod replies;
mod settings;
mod work;

pub use error::{PushError, WaitError};
pub use messages::{
    Action, ConnectError, ConnectionId, Departure, Ended, Hello, Member, PushReport, Reply,
    Request, Signal, Version, Work,
};
pub use settings::ProtocolSettings;

use std::task::Poll;
use std::time::Duration;

use sync_replicas::GlobalStep;
use sync_replicas::checkpoint::RunId;
use sync_replicas::engine::{Grant, Outcome};

use connections::{Connections, Progress};
use copies::Copies;
use finish::{Foretold, LastValues, Leaving, Recall};
use lookup::Lookup;
use push::Push;

use crate::coordinator::{Commit, GivenUp, Ticket, Times};
use crate::wire::Recorded;

/// One replica of a training in a cluster.
#[derive(Debug)]
pub struct ReplicaProtocol {
    settings: ProtocolSettings,
    connections: Connections,
    copies: Copies,
    ticket: Option<Ticket>,
    /// The run that it trains in, once known.
    run: Option<RunId>,
    sequence: u64,
    /// Whether the coordinator has welcomed the replica over its present connection.
    welcomed: bool,
    /// Whether no piece of work has ended since then.
    resumed: bool,
    grant: Option<Grant>,
    /// The piece of work that the replica has begun or abandoned; its token may come once more, and
    /// does not begin it again.
    begun: Option<u64>,
    /// Whether the coordinator's server announces room for a contribution.
    bounded: bool,
    push: Option<Push>,
    lookup: Option<Lookup>,
    /// How many were begun.
    lookups: u64,
    overdue: Option<String>,
    ended: Option<Ended>,
    /// Set while another server has told of the end, and the coordinator has not.
    foretold: Option<Foretold>,
    leaving: Option<Leaving>,
    last_values: Option<LastValues>,
    recall: Option<Recall>,
    recorded: Option<Box<Recorded>>,
    /// When to poll again, at the latest.
    wake: Option<Duration>,
}

/// The result of a poll.
type Polled<V> = Poll<Result<V, WaitError>>;

impl ReplicaProtocol {
    /// A replica that is not connected; the first poll connects it.
    #[must_use]
    pub fn new(settings: ProtocolSettings) -> Self {
        let servers = settings.addresses.len();
        Self {
            connections: Connections::new(settings.addresses.clone(), settings.reconnect_timeout),
            copies: Copies::new(servers, settings.all_bits),
            settings,
            ticket: None,
            run: None,
            sequence: 0,
            welcomed: false,
            resumed: false,
            grant: None,
            begun: None,
            bounded: false,
            push: None,
            lookup: None,
            lookups: 0,
            overdue: None,
            ended: None,
            foretold: None,
            leaving: None,
            last_values: None,
            recall: None,
            recorded: None,
            wake: None,
        }
    }

    /// Waits for a permission and for its variables; `None` once training ended.
    ///
    /// # Errors
    /// [`WaitError`].
    pub fn poll_step(&mut self, now: Duration, actions: &mut Vec<Action>) -> Polled<Option<Grant>> {
        if self.awaits_last_words(now) {
            return Poll::Pending;
        }
        if let Some(ended) = &self.ended {
            let failed = WaitError::Failed { reason: ended.reason.clone() };
            return Poll::Ready(if ended.failed { Err(failed) } else { Ok(None) });
        }
        if let Some(reason) = self.overdue.take() {
            return Poll::Ready(Err(WaitError::Overdue { reason }));
        }
        let ready = if self.connect(now, actions)? { self.take_grant(actions) } else { None };
        ready.map_or(Poll::Pending, |grant| Poll::Ready(Ok(Some(grant))))
    }

    /// The grant, once the variables are of one step that is not below it.
    fn take_grant(&mut self, actions: &mut Vec<Action>) -> Option<Grant> {
        let (ticket, step) = (self.ticket?, self.grant.as_ref()?.local_step);
        let least = (ticket.generation, GlobalStep::new(step.get()));
        let Some(version) = self.copies.version().filter(|version| *version >= least) else {
            self.pull_up_to(least, actions);
            return None;
        };
        let over = self.settings.tell_superseded && version.1 > least.1;
        let grant = self.grant.take();
        self.begun = Some(self.sequence);
        if over {
            // P-13: the step was over before it began.
            self.put_down(GivenUp::NotBegun, None, actions);
            return None;
        }
        grant
    }

    fn pull_up_to(&mut self, least: Version, actions: &mut Vec<Action>) {
        for server in 0..self.connections.servers() {
            if let Some(pull) = self.copies.pull_up_to(server, least) {
                self.send(server, vec![pull], actions);
            }
        }
    }

    /// Sends the contribution of a grant's batch on its way; [`poll_push`](Self::poll_push) returns
    /// its fate. Its gradients must be there until then.
    ///
    /// # Errors
    /// [`PushError::Lost`].
    pub fn push(
        &mut self,
        grant: &Grant,
        report: PushReport,
        work: Work,
        now: Duration,
        actions: &mut Vec<Action>,
    ) -> Result<(), PushError> {
        let commit = Commit {
            ticket: self.ticket_of(grant)?,
            sequence: self.sequence,
            local_step: grant.local_step,
            variables: report.variables,
            loss: report.loss,
            examples: report.examples,
            receipts: 0,
            times: Times::default(),
        };
        self.push = Some(Push::new(commit, work, self.connections.servers()));
        self.send_due(now, actions);
        Ok(())
    }

    /// Waits for the fate of the contribution under way.
    ///
    /// # Errors
    /// [`PushError`]; [`PushError::Lost`] if there is none.
    pub fn poll_push(
        &mut self,
        now: Duration,
        actions: &mut Vec<Action>,
    ) -> Poll<Result<Outcome, PushError>> {
        let polled = self.outcome(now, actions);
        if polled.is_ready() {
            self.push = None;
        }
        polled
    }

    fn outcome(
        &mut self,
        now: Duration,
        actions: &mut Vec<Action>,
    ) -> Poll<Result<Outcome, PushError>> {
        let Some(push) = &mut self.push else {
            let reason = "nothing is being pushed".to_owned();
            return Poll::Ready(Err(PushError::Lost { reason }));
        };
        if let Some(result) = push.result.take() {
            return Poll::Ready(result);
        }
        if self.awaits_last_words(now) {
            return Poll::Pending;
        }
        if self.ended.is_some() {
            return Poll::Ready(Err(PushError::Ended));
        }
        if self.connect(now, actions).map_err(PushError::from)? {
            self.send_due(now, actions);
            self.commit(now, actions);
        }
        Poll::Pending
    }

    /// Sends the contribution to each server that needs it and was not sent it over its present
    /// connection, together with a pull for the resulting variables.
    fn send_due(&mut self, now: Duration, actions: &mut Vec<Action>) {
        for server in (0..self.connections.servers()).rev() {
            let (Some(push), Some(ticket)) = (&mut self.push, self.ticket) else { return };
            let Some(number) = self.connections.open(server) else { continue };
            // The coordinator first says whether the replica goes on where it was.
            if (server == 0 && !self.welcomed) || !push.is_due(server, number, self.bounded) {
                continue;
            }
            let gradients = Request::Gradients { ticket, sequence: self.sequence };
            let commit = push.send(server, number, now).map(Request::Commit);
            let pull = self.copies.pull_next(server);
            let requests = pull.into_iter().chain([gradients]).chain(commit).collect();
            self.send(server, requests, actions);
        }
    }

    fn commit(&mut self, now: Duration, actions: &mut Vec<Action>) {
        let number = self.connections.open(0).filter(|_| self.welcomed);
        let (Some(push), Some(number)) = (&mut self.push, number) else { return };
        if let Some(commit) = push.commit_when_held(number, now) {
            self.send(0, vec![Request::Commit(commit)], actions);
        }
    }

    /// Leaves cleanly (P-2, P-6), even in the middle of a push; [`poll_leave`](Self::poll_leave)
    /// waits for a moment until the coordinator knows.
    pub fn leave(&mut self, departure: Departure, now: Duration) {
        self.push = None;
        self.leaving = Some(Leaving::new(departure, now));
    }

    /// Waits until the coordinator knows that the replica leaves, or cannot be reached.
    pub fn poll_leave(&mut self, now: Duration, actions: &mut Vec<Action>) -> Poll<()> {
        self.awaits_last_words(now);
        let leaving = self.leaving.take();
        self.leaving = leaving.and_then(|leaving| self.say_goodbye(leaving, now, actions));
        if self.leaving.is_some() {
            return Poll::Pending;
        }
        self.take_foretold_end();
        self.ticket = None;
        Poll::Ready(())
    }

    /// `None` once there is nothing more to say.
    fn say_goodbye(
        &mut self,
        mut leaving: Leaving,
        now: Duration,
        actions: &mut Vec<Action>,
    ) -> Option<Leaving> {
        let (ticket, number) = (self.ticket?, self.connections.number(0));
        if now >= leaving.until || !leaving.goes_on(number, now) {
            return None;
        }
        self.wake = Some(leaving.until);
        if number.is_none() {
            leaving.over = Some(self.open(0, now, actions).number);
        } else if self.welcomed && !std::mem::replace(&mut leaving.said, true) {
            let departure = leaving.departure.clone();
            self.send(0, vec![Request::Leave { ticket, departure }], actions);
        }
        self.ended.is_none().then_some(leaving)
    }

    /// From now on asks for variables with all bits, even where they travel rounded; what is here
    /// is useless then.
    pub fn want_all_bits(&mut self) {
        self.copies.want_all_bits();
    }

    /// Fetches the variables of the last step, after the end;
    /// [`poll_last_values`](Self::poll_last_values) waits for them.
    pub fn fetch_last_values(&mut self, now: Duration) {
        let last = self.ended.as_ref().map(|ended| ended.global_step).unwrap_or_default();
        // Where it has seen a later step, that was taken back by a later life of the servers.
        let seen = self.copies.newest().filter(|(_, step)| *step > last);
        let generation = self.ticket.map(|it| it.generation).unwrap_or_default();
        let generation = seen.map_or(generation, |(seen, _)| generation.max(seen.next()));
        self.last_values = Some(LastValues::new((generation, last), self.copies.pieces, now));
    }

    /// Waits for the variables of the last step; false if they cannot be fetched.
    pub fn poll_last_values(&mut self, now: Duration, actions: &mut Vec<Action>) -> Poll<bool> {
        let Some(fetch) = &self.last_values else { return Poll::Ready(false) };
        let (generation, last) = fetch.target;
        if self.copies.version().is_some_and(|it| it.0 >= generation && it.1 == last) {
            return Poll::Ready(true);
        }
        // Older ones are no result: the last checkpoint has it.
        if fetch.silence.is_over(self.copies.pieces, now) {
            return Poll::Ready(false);
        }
        if now >= fetch.silence.until {
            self.fetch_last_values(now);
            return self.poll_last_values(now, actions);
        }
        let until = fetch.silence.until;
        match self.connect(now, actions) {
            Ok(true) => self.pull_up_to((generation, last), actions),
            Ok(false) => {}
            Err(_) => return Poll::Ready(false),
        }
        self.wake_by(until);
        Poll::Pending
    }

    /// Fetches the coordinator's record of the training, after its end;
    /// [`poll_record`](Self::poll_record) waits for it.
    pub fn fetch_record(&mut self, now: Duration) {
        self.recall = Some(Recall::new(now));
    }

    /// Waits for the coordinator's record; `None` if the coordinator is gone.
    pub fn poll_record(
        &mut self,
        now: Duration,
        actions: &mut Vec<Action>,
    ) -> Poll<Option<Box<Recorded>>> {
        let Some(until) = self.recall.as_ref().map(|it| it.until) else { return Poll::Ready(None) };
        let recorded = self.recorded.take();
        if recorded.is_some() || now >= until || self.connect(now, actions).is_err() {
            return Poll::Ready(recorded);
        }
        self.wake_by(until);
        let open = self.connections.open(0).filter(|_| self.connections.are_open());
        if let (Some(recall), Some(number)) = (&mut self.recall, open)
            && recall.asked.replace(number) != Some(number)
        {
            self.send(0, vec![Request::Recall], actions);
        }
        Poll::Pending
    }

    fn wake_by(&mut self, at: Duration) {
        self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
    }

    /// Opens the missing connections; whether all are there. Until they are, and the coordinator
    /// has welcomed the replica, the time runs after which it fails.
    fn connect(&mut self, now: Duration, actions: &mut Vec<Action>) -> Result<bool, WaitError> {
        self.wake = None;
        let joined = self.ticket.is_some() || self.ended.is_some();
        match self.connections.progress(joined, now)? {
            Progress::Complete if self.ticket.is_some() => self.connections.settle(),
            Progress::Complete => {}
            Progress::Try(server) => drop(self.open(server, now, actions)),
            Progress::Wait(until) => self.wake = until,
        }
        Ok(self.connections.are_open())
    }

    fn open(&mut self, server: usize, now: Duration, actions: &mut Vec<Action>) -> ConnectionId {
        let id = self.connections.begin(server, now);
        self.copies.lost(server);
        let ProtocolSettings { replica, process, follows, .. } = self.settings;
        let (ticket, run) = (self.ticket, self.run);
        let hello = Hello { replica, process, connection: id.number, ticket, run, follows };
        actions.push(Action::Connect(id, hello));
        id
    }

    fn send(&self, server: usize, requests: Vec<Request>, actions: &mut Vec<Action>) {
        if self.connections.open(server).is_some() {
            actions.push(Action::Send(server, requests));
        }
    }
}
