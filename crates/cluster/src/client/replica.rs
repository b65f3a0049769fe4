//! A replica over sockets: it carries out what its protocol decides, and holds the variables' copy.

mod lookup;
mod push;

pub use lookup::LookupError;
pub use push::Pushed;

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use ndarray::ArrayD;
use sync_replicas::driver::Generation;
use sync_replicas::engine::{Grant, Outcome};
use sync_replicas::record::FailedSave;
use sync_replicas::store::Layout;
use sync_replicas::{Cancellation, GlobalStep, Scalar, Variables};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::connection::{ConnectionEvent, ServerConnection, Sinks};
use super::encoded_contribution::{Dense, EncodedContribution};
use super::protocol::{Action, Departure, PushError, ReplicaProtocol, Request, WaitError, Work};
use super::row_lookup::RowLookup;
use super::state::ReplicaState;
use super::wire;
use super::{CHIEF, Connector, ReplicaSettings};
use crate::coordinator::{StepMade, Times};
use crate::number_format::NumberFormat;
use crate::placement::Placement;
use crate::wire::Recorded;

/// How long connections may take to close.
const CLOSING: Duration = Duration::from_secs(1);

/// A piece of work that was computed, or given up, by this process's clock.
#[derive(Clone, Copy, Debug)]
pub struct WorkTimes {
    /// How long it waited for the token and the variables.
    pub waited: Duration,
    /// How long it computed.
    pub computed: Duration,
    /// When computing ended.
    pub ended: Instant,
}

/// One replica of a training in a cluster.
pub struct ReplicaClient<T: Scalar> {
    state: ReplicaState<T>,
    /// The zero of the protocol's clock.
    begun: Instant,
    connector: Connector,
    settings: ReplicaSettings,
    placement: Arc<Placement>,
    /// Names of all variables, tables among them.
    layout: Layout,
    /// By server.
    connections: Vec<Option<ServerConnection>>,
    sinks: Sinks<T>,
    inbox: UnboundedReceiver<ConnectionEvent>,
    heartbeat: JoinHandle<()>,
    /// How long looking up rows has taken for the present piece of work.
    looked_up: Duration,
    /// The rows of the last lookup, which may serve the next.
    known: Option<RowLookup<T>>,
    /// The gradients of the push under way.
    encoded: Option<EncodedContribution>,
    /// The dense ones among them: memory to reuse.
    dense: Dense<T>,
    /// Its fate, if known from the beginning.
    decided: Option<Result<Outcome, PushError>>,
    spent: Vec<(usize, ArrayD<T>)>,
    /// In the chief, until the servers have values.
    initial_values: Option<Variables<T>>,
}

impl<T: Scalar> std::fmt::Debug for ReplicaClient<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReplicaClient").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl<T: Scalar> ReplicaClient<T> {
    /// A replica that has not connected yet; the first wait does. Needs a tokio runtime.
    #[must_use]
    pub fn new(
        connector: Connector,
        settings: ReplicaSettings,
        placement: Arc<Placement>,
        variables: Variables<T>,
        keep_made: bool,
    ) -> Self {
        let (sinks, inbox) = Sinks::new();
        let (beats, every) = (sinks.signals.clone(), settings.heartbeat);
        let heartbeat = tokio::spawn(async move {
            loop {
                tokio::time::sleep(every).await;
                beats.beat();
            }
        });
        let addresses = (0..connector.servers()).map(|it| connector.address(it).to_owned());
        let (addresses, parts) = (addresses.collect(), Arc::clone(&placement));
        let layout = variables.layout().clone();
        let initial_values = (settings.replica == CHIEF).then(|| variables.clone());
        Self {
            state: ReplicaState::new(&settings, addresses, parts, variables, keep_made),
            begun: Instant::now(),
            connections: (0..connector.servers()).map(|_| None).collect(),
            connector,
            settings,
            placement,
            layout,
            sinks,
            inbox,
            heartbeat,
            looked_up: Duration::ZERO,
            known: None,
            encoded: None,
            dense: Vec::new(),
            decided: None,
            spent: Vec::new(),
            initial_values,
        }
    }

    /// Waits for a permission and for its variables; `None` once training ended.
    ///
    /// # Errors
    /// [`WaitError`].
    ///
    /// # Cancel safety
    /// Nothing is lost; the next call goes on waiting.
    pub async fn next_step(&mut self) -> Result<Option<Grant>, WaitError> {
        crash_point!("worker/before-variables");
        self.wait(ReplicaProtocol::poll_step).await
    }

    /// Gives the present piece of work up.
    pub fn give_up(&mut self, work: WorkTimes) {
        let (now, work) = (self.now(), self.work(work));
        self.state.protocol.give_up(work, now, &mut self.state.actions);
        self.carry_out();
    }

    /// Leaves cleanly (P-2, P-6), even in the middle of a push: waits for a moment until the
    /// coordinator knows. If the connection has just broken, says it once more.
    pub async fn leave(&mut self, departure: Departure) {
        self.take_back();
        self.state.protocol.leave(departure, self.now());
        self.wait(ReplicaProtocol::poll_leave).await;
    }

    /// The newest variables of all servers, with all bits, after the end; `None` if they cannot be
    /// fetched. Where training goes on without this replica, those that are here.
    pub async fn final_variables(&mut self) -> Option<(GlobalStep, &Variables<T>)> {
        // A replica that left must not join again for this.
        if self.state.protocol.ended().is_some() {
            if self.settings.wire != NumberFormat::Native {
                self.state.local_variables.only_show_all_bits();
                self.state.protocol.want_all_bits();
            }
            self.state.protocol.fetch_last_values(self.now());
            if !self.wait(ReplicaProtocol::poll_last_values).await {
                return None;
            }
        }
        self.state
            .local_variables
            .version()
            .map(|(_, step)| (step, self.state.local_variables.shown()))
    }

    /// The coordinator's record of the training, after its end; `None` if the coordinator is gone.
    pub async fn final_record(&mut self) -> Option<Recorded> {
        self.state.protocol.fetch_record(self.now());
        self.wait(ReplicaProtocol::poll_record).await.map(|recorded| *recorded)
    }

    /// Closes the connections in order, which tells the servers that this replica has heard of the
    /// end; one that does not close in time is dropped.
    pub async fn close(&mut self) {
        self.sinks.signals.live(None, None);
        let all = async {
            for (server, connection) in self.connections.iter_mut().enumerate() {
                let connection =
                    connection.take().filter(|_| self.state.protocol.is_connected(server));
                if let Some(connection) = connection {
                    connection.close().await;
                }
            }
        };
        let _ = tokio::time::timeout(CLOSING, all).await;
    }

    /// Polls the protocol until it has an answer, and carries out its actions meanwhile.
    async fn wait<V>(
        &mut self,
        poll: impl Fn(&mut ReplicaProtocol, Duration, &mut Vec<Action>) -> Poll<V>,
    ) -> V {
        loop {
            let now = self.now();
            let polled = poll(&mut self.state.protocol, now, &mut self.state.actions);
            self.carry_out();
            if let Poll::Ready(value) = polled {
                return value;
            }
            self.receive().await;
        }
    }

    /// Waits for one event and takes it, with all others that have arrived; or until the protocol
    /// must be polled again.
    async fn receive(&mut self) {
        let wake = self.state.protocol.next_call().map(|at| self.begun + at);
        let incoming = {
            let _lent = self.state.lend(&self.sinks.variables);
            match wake {
                Some(at) => tokio::time::timeout_at(at, self.inbox.recv()).await.ok().flatten(),
                None => self.inbox.recv().await,
            }
        };
        let now = self.now();
        let more = std::iter::from_fn(|| self.inbox.try_recv().ok());
        self.state.take(incoming.into_iter().chain(more), now);
    }

    /// Does what the protocol wants.
    fn carry_out(&mut self) {
        for action in self.state.take_actions() {
            match action {
                Action::Connect(id, hello) => {
                    let (agreement, duties) = (&self.settings.agreement, &self.settings.duties);
                    let hello = wire::hello(hello, agreement, duties);
                    let (connector, sinks) = (self.connector.clone(), self.sinks.clone());
                    let connection = ServerConnection::open(connector, id, hello, sinks);
                    self.connections[id.server] = Some(connection);
                }
                Action::Disconnect(server) => self.connections[server] = None,
                Action::Send(server, requests) => self.send(server, requests),
                Action::Initialize => self.send_initial_values(),
                Action::Begin(step) => {
                    // The servers have them, and keep them in checkpoints.
                    self.initial_values = None;
                    self.sinks.signals.superseded.begin(step);
                }
                Action::Supersede => self.sinks.signals.superseded.supersede(),
            }
        }
        let coordinator = self.connections.first().and_then(Option::as_ref);
        let sender = coordinator.map(ServerConnection::sender);
        self.sinks.signals.live(self.state.protocol.member(), sender);
    }

    fn send(&mut self, server: usize, requests: Vec<Request>) {
        let Self { connections, state, encoded, .. } = self;
        let Some(Some(connection)) = connections.get(server) else { return };
        let commits = matches!(requests[..], [Request::Commit(_)]);
        let pushes = requests.iter().any(|it| matches!(it, Request::Gradients { .. }));
        if commits {
            crash_point!("worker/before-commit");
        }
        let mut messages = Vec::with_capacity(requests.len());
        for request in requests {
            match (request, &*encoded) {
                (Request::Gradients { ticket, sequence }, Some(encoded)) => {
                    messages.extend(encoded.messages(server, ticket, sequence));
                }
                (Request::Lookup { number, .. }, _) => {
                    let rows = state.rows.iter_mut();
                    messages.extend(rows.flat_map(|rows| rows.messages(server, number)));
                }
                (request, _) => messages.extend(wire::request(request)),
            }
        }
        connection.send(messages);
        if commits {
            crash_point!("worker/commit-sent");
        } else if pushes {
            crash_point!("worker/between-pushes");
        }
    }

    /// Sends them to the coordinator's server, in pieces.
    fn send_initial_values(&self) {
        let (Some(Some(connection)), Some(values)) =
            (self.connections.first(), &self.initial_values)
        else {
            return;
        };
        tracing::info!("the servers are sent the variables' initial values");
        connection.send(wire::initial_values(values));
    }

    /// Says what to do about a server that is out of reach.
    pub(crate) async fn advise(&self, mut error: WaitError) -> WaitError {
        if let WaitError::Unreachable { server, reason, .. } = &mut error {
            reason.push_str(self.connector.advice(*server).await);
        }
        error
    }

    /// The time by the protocol's clock.
    fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    /// The finished piece of work, with the bytes that travelled for it.
    fn work(&mut self, work: WorkTimes) -> Work {
        let ended = work.ended.saturating_duration_since(self.begun);
        let traffic = std::mem::take(&mut self.state.traffic);
        let looked_up = std::mem::take(&mut self.looked_up);
        let (waited, computed) = (work.waited, work.computed);
        Work { times: Times { waited, computed, looked_up, traffic, ..Times::default() }, ended }
    }

    /// The variables that the last grant is for.
    #[must_use]
    pub fn variables(&self) -> &Variables<T> {
        self.state.variables()
    }

    /// The same for hooks: with all bits, even where variables travel rounded.
    #[must_use]
    pub fn shown(&self) -> &Variables<T> {
        self.state.local_variables.shown()
    }

    /// The step of the variables.
    #[must_use]
    pub fn global_step(&self) -> GlobalStep {
        self.state.local_variables.version().map(|(_, step)| step).unwrap_or_default()
    }

    /// The life of the shared state of the variables.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.state.local_variables.version().map(|(generation, _)| generation).unwrap_or_default()
    }

    /// Tells when the work of a grant is superseded.
    #[must_use]
    pub fn superseded(&self, grant: &Grant) -> Cancellation {
        let told = self.settings.tell_superseded;
        self.sinks.signals.superseded.next(grant.local_step, told)
    }

    /// Marks all work of this replica as superseded, from elsewhere.
    pub(crate) fn in_vain(&self) -> impl FnOnce() + Send + 'static {
        let superseded = self.sinks.signals.superseded.clone();
        move || superseded.end()
    }

    /// Why training ended, if it has.
    #[must_use]
    pub fn ended(&self) -> Option<&str> {
        self.state.protocol.ended().map(|ended| ended.reason.as_str())
    }

    /// Whether training has failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.state.protocol.ended().is_some_and(|ended| ended.failed)
    }

    /// The step that training ended with, once it has.
    #[must_use]
    pub fn last_step(&self) -> Option<GlobalStep> {
        self.state.protocol.ended().map(|ended| ended.global_step)
    }

    /// Checkpoints that were not written, since the last look.
    pub fn take_failed_saves(&mut self) -> Vec<FailedSave> {
        std::mem::take(&mut self.state.failed_saves)
    }

    /// Steps that were made since the last look.
    pub fn take_made(&mut self) -> impl Iterator<Item = StepMade> {
        std::mem::take(&mut self.state.made).into_iter()
    }

    /// The dense gradients of finished pushes, by variable: memory to reuse.
    pub fn take_spent(&mut self) -> impl Iterator<Item = (usize, ArrayD<T>)> {
        std::mem::take(&mut self.spent).into_iter()
    }
}

impl<T: Scalar> Drop for ReplicaClient<T> {
    fn drop(&mut self) {
        self.heartbeat.abort();
    }
}
