//! Servers and replicas of a small training over real connections, for tests that disturb them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use cluster::driver::client::{Connector, ReplicaClient, ReplicaSettings, WorkTimes};
use cluster::driver::index::ServerIndex;
use cluster::driver::placement::{Placement, cut_dense};
use cluster::driver::server::{
    self, ServeError, ServerSettings, TransportSettings, serve_with_incoming,
};
use cluster::driver::shard::{Shard, ShardSettings};
use cluster::security::{Guard, ServerTls, SharedKey, Signer, wall_clock};
use cluster::{Agreement, NumberFormat};
use optim::{OptimizerState, Sgd};
use sync_replicas::driver::ServerDuties;
use sync_replicas::engine::Settings;
use sync_replicas::{Computed, Gradients, ReplicaId};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_stream::StreamExt;
use tonic::transport::server::TcpIncoming;

use crate::loopback::variables;

/// What every program here agrees on.
fn agreement() -> Agreement {
    Agreement::default().with("program", "the same")
}

pub(crate) const RUN: &str = "0123456789abcdef0123456789abcdef";
/// Nothing here waits for longer than this.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The process of every replica that trains.
pub(crate) const PROCESS: u64 = 1;

/// The one server of a training of three replicas, whose every contribution makes a step.
pub(crate) struct Server {
    pub(crate) inner: Arc<server::Server<f32>>,
    pub(crate) address: SocketAddr,
    placement: Arc<Placement>,
    /// What its replicas show.
    pub(crate) key: Option<SharedKey>,
}

impl Server {
    pub(crate) async fn start(key: Option<SharedKey>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        Self::start_as((0, 1), key, listener, (Vec::new(), PATIENCE)).0
    }

    /// Server number `index` of so many, which knows the others' addresses; how it ends.
    pub(crate) fn start_as(
        place: (usize, usize),
        key: Option<SharedKey>,
        listener: TcpListener,
        others: (Vec<String>, Duration),
    ) -> (Self, JoinHandle<Result<String, ServeError>>) {
        Self::start_in(RUN, place, key, listener, others)
    }

    /// The same of a run.
    pub(crate) fn start_in(
        run: &str,
        place: (usize, usize),
        key: Option<SharedKey>,
        listener: TcpListener,
        others: (Vec<String>, Duration),
    ) -> (Self, JoinHandle<Result<String, ServeError>>) {
        Self::start_secured(run, place, (key, None), listener, others)
    }

    /// The same with a key, TLS, or both.
    pub(crate) fn start_secured(
        run: &str,
        (index, servers): (usize, usize),
        (key, tls): (Option<SharedKey>, Option<ServerTls>),
        listener: TcpListener,
        (addresses, patience): (Vec<String>, Duration),
    ) -> (Self, JoinHandle<Result<String, ServeError>>) {
        let start = variables();
        let shapes: Vec<_> = start.iter().map(|(name, it)| (name, it.shape().to_vec())).collect();
        let placement = Arc::new(Placement::new(&shapes, size_of::<f32>(), servers));
        let optimizer = OptimizerState::new(Sgd::new(0.1)).expect("a good rate");
        let parts = placement.parts(index);
        let arrays: Vec<_> = start.iter().map(|(_, it)| it).collect();
        let initial = parts.iter().map(|part| cut_dense(part, arrays[part.variable.get()].view()));
        let initial = initial.map(|view| view.to_owned()).collect();
        let shard = Shard::new(parts, initial, optimizer, ShardSettings::default());
        let guard = key.clone().map(|key| Arc::new(Guard::new(key)));
        let address = listener.local_addr().expect("an address");
        let settings = Settings { total_num_replicas: Some(3), ..Settings::new(1) };
        let settings = ServerSettings {
            index: ServerIndex::new(index),
            placement: Arc::clone(&placement),
            agreement: agreement(),
            values_from_chief: false,
            config: settings.check().expect("good settings"),
            record: None,
            run: run.parse().expect("32 digits"),
            variables: start.len(),
            wire: NumberFormat::Native,
            connector: Connector::tcp(addresses, Signer::new(None, wall_clock), None),
            duties: ServerDuties::default(),
            reconnect_timeout: patience,
            staging: 3,
            guard: guard.clone(),
        };
        let inner = server::Server::new(settings, shard.expect("it fits"), 1 + index as u64);
        let settings = TransportSettings { guard, tls };
        let incoming = TcpIncoming::from(listener).map(|accepted| accepted.map(|it| (it, None)));
        let served = tokio::spawn(serve_with_incoming(inner.clone(), incoming, settings));
        (Self { inner, address, placement, key }, served)
    }

    /// A replica that trains.
    pub(crate) fn client(&self) -> ReplicaClient<f32> {
        self.client_of(Signer::new(self.key.clone(), wall_clock))
    }

    /// The same, which signs its calls so.
    pub(crate) fn client_of(&self, signer: Signer) -> ReplicaClient<f32> {
        self.client_with(signer, PROCESS, PATIENCE)
    }

    /// The same as another life of the process, which tries for so long.
    pub(crate) fn client_with(
        &self,
        signer: Signer,
        process: u64,
        patience: Duration,
    ) -> ReplicaClient<f32> {
        let connector = Connector::tcp(vec![self.address.to_string()], signer, None);
        self.client_over(connector, process, patience)
    }

    /// A replica that trains with servers at these addresses.
    pub(crate) fn client_at(&self, addresses: Vec<String>) -> ReplicaClient<f32> {
        let connector = Connector::tcp(addresses, Signer::new(None, wall_clock), None);
        self.client_over(connector, PROCESS, PATIENCE)
    }

    fn client_over(
        &self,
        connector: Connector,
        process: u64,
        reconnect_timeout: Duration,
    ) -> ReplicaClient<f32> {
        let settings = ReplicaSettings {
            replica: ReplicaId::new(2),
            process,
            agreement: agreement(),
            duties: ServerDuties::default(),
            wire: NumberFormat::Native,
            reconnect_timeout,
            heartbeat: Duration::from_millis(500),
            tell_superseded: true,
            skips_not_finite: false,
        };
        ReplicaClient::new(connector, settings, Arc::clone(&self.placement), variables(), false)
    }
}

/// One step of a replica, whose gradients depend on the variables.
pub(crate) async fn step(client: &mut ReplicaClient<f32>) {
    let grant = client.next_step().await.expect("it is served").expect("it goes on");
    let gradients = client.variables().iter().fold(Gradients::new(), |all, (name, w)| {
        all.dense(name.to_owned(), w.mapv(|w| 0.5 * w - 1.0 + grant.number as f32 / 8.0))
    });
    let computed = Computed { loss: 0.0, examples: 1, gradients };
    let (waited, ended) = (Duration::ZERO, Instant::now());
    let work = WorkTimes { waited, computed: waited, ended };
    let outcome = client.push(&grant, computed, work).await.expect("it is taken");
    assert!(outcome.is_accepted(), "{outcome:?}");
}
