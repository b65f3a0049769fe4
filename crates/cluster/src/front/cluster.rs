//! A process's place in a cluster, and how it talks to the others.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use sync_replicas::record::Record;

use super::{ClusterError, ProcessHandle, StatusHandle};
use crate::client::{Connector, Resolve};
use crate::number_format::NumberFormat;
use crate::security::{Guard, SharedKey, Signer, TlsSettings, check_bind, wall_clock};
use crate::server::{Listener, TransportSettings};
use crate::spec::Node;

/// This process in its cluster.
#[derive(Clone, Debug)]
pub struct Cluster {
    pub(super) place: Node,
    pub(super) wire: NumberFormat,
    pub(super) reconnect_timeout: Duration,
    pub(super) staging: Option<usize>,
    pub(super) largest_contribution: Option<usize>,
    pub(super) max_memory: Option<u64>,
    backup: u64,
    /// By name.
    pub(super) agreed: Vec<(String, String)>,
    key: Option<SharedKey>,
    guard: Option<Arc<Guard>>,
    tls: Option<TlsSettings>,
    listen: Option<IpAddr>,
    bound: Option<Arc<Listener>>,
    resolve: Option<Resolving>,
    pub(super) handle: ProcessHandle,
    pub(super) status: StatusHandle,
    /// Where this process's replica records what it does, if anywhere.
    pub(super) own_record: Option<Record>,
}

/// A function that says where servers are.
#[derive(Clone)]
struct Resolving(Resolve);

impl std::fmt::Debug for Resolving {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Resolving")
    }
}

impl Cluster {
    /// From an explicit task.
    #[must_use]
    pub fn new(place: Node) -> Self {
        Self {
            place,
            wire: NumberFormat::Native,
            reconnect_timeout: Duration::from_secs(60),
            staging: None,
            largest_contribution: None,
            max_memory: None,
            backup: 0,
            agreed: Vec::new(),
            key: None,
            guard: None,
            tls: None,
            listen: None,
            bound: None,
            resolve: None,
            handle: ProcessHandle::new(),
            status: StatusHandle::default(),
            own_record: None,
        }
    }

    /// This process's place.
    #[must_use]
    pub fn place(&self) -> &Node {
        &self.place
    }

    /// How numbers travel; must be the same everywhere.
    #[must_use]
    pub fn wire(mut self, wire: NumberFormat) -> Self {
        self.wire = wire;
        self
    }

    /// How long a worker tries to reach missing servers; 60 s when not given.
    #[must_use]
    pub fn reconnect_timeout(mut self, reconnect_timeout: Duration) -> Self {
        self.reconnect_timeout = reconnect_timeout;
        self
    }

    /// How many contributions are staged at once. Others wait on their connections to the first
    /// parameter server, which counts for all of them.
    ///
    /// When not given, as many as there are replicas; but where servers hold large variables, as
    /// many as a step can do without, one for each server, and a few more, which bounds memory.
    #[must_use]
    pub fn staging(mut self, contributions: usize) -> Self {
        self.staging = Some(contributions);
        self
    }

    /// The most bytes of one replica's contribution to one server: larger ones are refused before
    /// they are taken in.
    ///
    /// When not given, four times the bytes of the server's variables, or 64 MiB if that is more; 1
    /// GiB where there are tables, whose size says nothing of a batch.
    // P-27
    #[must_use]
    pub fn largest_contribution(mut self, bytes: usize) -> Self {
        self.largest_contribution = Some(bytes);
        self
    }

    /// The bytes that a program may have a parameter server without its own program need, as far as
    /// that is known beforehand: a program that needs more is refused. When not given, the
    /// machine's memory, or 16 GB if that is unknown.
    // P-27
    #[must_use]
    pub fn max_memory(mut self, bytes: u64) -> Self {
        self.max_memory = Some(bytes);
        self
    }

    /// How many of the workers are backups, as the scheduler says: for
    /// [`replicas_to_aggregate`](Self::replicas_to_aggregate). None when not given.
    #[must_use]
    pub fn backup(mut self, workers: u64) -> Self {
        self.backup = workers;
        self
    }

    /// N: how many replicas there are, the chief's among them.
    #[must_use]
    pub fn total_num_replicas(&self) -> usize {
        usize::try_from(self.place.num_replicas()).unwrap_or(usize::MAX)
    }

    /// A: all replicas but the backups, at least one.
    #[must_use]
    pub fn replicas_to_aggregate(&self) -> usize {
        let backup = usize::try_from(self.backup).unwrap_or(usize::MAX);
        self.total_num_replicas().saturating_sub(backup).max(1)
    }

    /// One more item that all processes must agree on, such as a seed or the size of a batch: a
    /// process that differs is refused, and told both values.
    // P-26
    #[must_use]
    pub fn agree(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        self.agreed.push((name.to_owned(), value.to_string()));
        self
    }

    /// The key that all processes share: every call proves it, and a server asks for it.
    #[must_use]
    pub fn key(mut self, key: SharedKey) -> Self {
        self.guard = Some(Arc::new(Guard::new(key.clone())));
        self.key = Some(key);
        self
    }

    /// TLS, mutual where a CA is given.
    #[must_use]
    pub fn tls(mut self, tls: TlsSettings) -> Self {
        self.tls = Some(tls);
        self
    }

    /// The address to listen on, if it differs from the one that the others know.
    #[must_use]
    pub fn listen(mut self, address: IpAddr) -> Self {
        self.listen = Some(address);
        self
    }

    /// Listens at once on this address, port 0 for any free one, and returns it: for a server found
    /// by [`resolve_with`](Self::resolve_with). Set its protection first.
    ///
    /// # Errors
    /// [`ClusterError`]: others could reach the address, and there is neither key nor mutual TLS;
    /// or it is not available.
    pub fn bind(mut self, address: SocketAddr) -> Result<(Self, SocketAddr), ClusterError> {
        check_bind(&address.to_string(), self.is_protected())?;
        let listener = Listener::bind(address)?;
        let address = listener.address();
        self.bound = Some(Arc::new(listener));
        Ok((self, address))
    }

    /// Resolves a parameter server's present address from its name in the place, anew at every
    /// connection: for servers that an engine moves to other machines.
    #[must_use]
    pub fn resolve_with(mut self, resolve: Resolve) -> Self {
        self.resolve = Some(Resolving(resolve));
        self
    }

    /// Uses this handle, which may already hold requests.
    #[must_use]
    pub fn with_handle(mut self, handle: ProcessHandle) -> Self {
        self.handle = handle;
        self
    }

    /// Ends this process's part from outside, while [`fit`](super::ClusterTrainer::fit) runs.
    #[must_use]
    pub fn process_handle(&self) -> ProcessHandle {
        self.handle.clone()
    }

    /// Asks this process's parameter server for its status, while
    /// [`fit`](super::ClusterTrainer::fit) runs.
    #[must_use]
    pub fn status_handle(&self) -> StatusHandle {
        self.status.clone()
    }

    /// Has this process's replica record what it does itself, by its own clock; what all replicas
    /// do, parameter server 0 records
    /// ([`SyncReplicas::record`](sync_replicas::SyncReplicas::record)).
    #[must_use]
    pub fn own_record(self, record: &Record) -> Self {
        Self { own_record: Some(record.clone()), ..self }
    }

    /// How this process reaches the parameter servers.
    ///
    /// # Errors
    /// [`ClusterError::Tls`] when certificates cannot be read.
    pub fn connector(&self) -> Result<Connector, ClusterError> {
        // Said at once, and not by the first call.
        self.tls.as_ref().map(TlsSettings::client).transpose()?;
        let signer = Signer::new(self.key.clone(), wall_clock);
        let resolve = self.resolve.as_ref().map(|it| Arc::clone(&it.0));
        let (ps, tls) = (self.place.cluster.ps.clone(), self.tls.clone());
        Ok(Connector::tcp_resolved(ps, signer, tls, resolve))
    }

    pub(super) fn guard(&self) -> Option<Arc<Guard>> {
        self.guard.clone()
    }

    pub(super) fn transport_settings(&self) -> Result<TransportSettings, ClusterError> {
        let tls = self.tls.as_ref().map(TlsSettings::server).transpose()?;
        Ok(TransportSettings { guard: self.guard.clone(), tls })
    }

    /// What this server listens on.
    pub(super) async fn listener(&self) -> Result<Arc<Listener>, ClusterError> {
        let listener = match &self.bound {
            Some(bound) => Arc::clone(bound),
            None => Arc::new(Listener::bind(self.listen_address().await?)?),
        };
        let (address, index) = (listener.address(), self.place.task.index);
        tracing::info!(%address, "parameter server {index}");
        Ok(listener)
    }

    /// Where this server listens; refused when others could reach it unprotected.
    async fn listen_address(&self) -> Result<SocketAddr, ClusterError> {
        let address = self.place.address().unwrap_or_default();
        let unknown =
            |reason: String| ClusterError::Address { address: address.to_owned(), reason };
        let mut resolved = tokio::net::lookup_host(address)
            .await
            .map_err(|error| unknown(error.to_string()))?
            .collect::<Vec<_>>();
        // IPv4 first, as most clients try it first.
        resolved.sort_by_key(SocketAddr::is_ipv6);
        let Some(first) = resolved.first() else {
            return Err(unknown("the name has no address".to_owned()));
        };
        let listen = match self.listen {
            Some(listen) => SocketAddr::new(listen, first.port()),
            None => *first,
        };
        check_bind(&listen.to_string(), self.is_protected())?;
        Ok(listen)
    }

    /// Whether callers must prove who they are.
    fn is_protected(&self) -> bool {
        self.key.is_some() || self.tls.as_ref().is_some_and(TlsSettings::is_mutual)
    }
}
