//! Receivers of network messages, without the network: bytes in, and their effect out.
//!
//! Each of the [`Ear`]s is the real server, coordinator or replica. Beside the sender of the bytes,
//! a well-behaved peer is in the middle of its own work; it goes on afterwards, and its fate is
//! reported.

pub(crate) mod coordinator;
#[cfg(test)]
mod crowd;
mod example;
mod read;
mod replica;
mod server;
mod undefined;

use std::sync::Arc;
use std::time::Duration;

use ndarray::ArrayD;
use optim::{OptimizerState, Sgd};
use sync_replicas::Table;
use sync_replicas::checkpoint::Checkpoints;
use sync_replicas::checkpoint::RunId;
use sync_replicas::driver::ServerDuties;
use sync_replicas::engine::Settings;

pub use example::{Example, examples};
pub use read::{Read, read};

use crate::Agreement;
use crate::client::{Connector, Dial, DialError};
use crate::index::ServerIndex;
use crate::number_format::NumberFormat;
use crate::placement::Placement;
use crate::security::{Signer, wall_clock};
use crate::server::offline::framed;
use crate::server::{Server, ServerSettings};
use crate::shard::{Shard, ShardSettings};

/// Who hears whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ear {
    /// The coordinator hears a replica.
    Coordinator,
    /// The coordinator, whose server has no program, hears the chief.
    Undefined,
    /// The coordinator hears the controller of the training.
    Control,
    /// The coordinator hears the answers of another server.
    Answers,
    /// Another server hears a replica.
    Server,
    /// Another server hears the coordinator.
    Orders,
    /// A replica hears the first of two servers, which coordinates.
    FirstServer,
    /// A replica hears the second of two servers.
    SecondServer,
    /// A client that asks a server for its status hears the reply.
    Status,
}

impl Ear {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Coordinator,
        Self::Undefined,
        Self::Control,
        Self::Answers,
        Self::Server,
        Self::Orders,
        Self::FirstServer,
        Self::SecondServer,
        Self::Status,
    ];
}

/// What came of some bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Invalid messages, as the server counts them; a replica counts none.
    pub bad_messages: u64,
    /// Whether the bytes made a step, ended training or put the state back, which messages may.
    pub changed: bool,
    /// What was wrong with the peer's own work afterwards, if anything was.
    pub others: Result<(), String>,
}

/// One connection of these bytes, from its first to its last.
///
/// # Panics
/// When there are no timers, or the peer's own work cannot even begin.
#[must_use]
pub fn hear(ear: Ear, bytes: &[u8]) -> Heard {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("threads and timers").block_on(async {
        match ear {
            Ear::Coordinator => coordinator::hear(bytes).await,
            Ear::Undefined => undefined::hear(bytes).await,
            Ear::Control => coordinator::control(bytes).await,
            Ear::Answers => coordinator::answers(bytes).await,
            Ear::Server => server::hear(bytes).await,
            Ear::Orders => server::orders(bytes).await,
            Ear::FirstServer => replica::hear(0, bytes).await,
            Ear::SecondServer => replica::hear(1, bytes).await,
            Ear::Status => replica::status(bytes).await,
        }
    })
}

/// Messages as they stand on a connection, one after the other.
#[must_use]
pub fn connection<B: AsRef<[u8]>>(messages: &[B]) -> Vec<u8> {
    messages.iter().flat_map(|message| framed(message.as_ref())).collect()
}

/// What every program agrees on.
fn agreement() -> Agreement {
    Agreement::default().with("n", "v")
}

/// The run of every server.
fn run() -> RunId {
    const RUN: &str = "0123456789abcdef0123456789abcdef";
    RUN.parse().expect("32 digits")
}

/// The life of every server.
const LIFE: u64 = 7;
/// The replica that sends, and the one that goes on beside it: no flipped bit turns one into the
/// other.
const SENDER: u64 = 1;
const OTHER: u64 = 2;
const REPLICAS: usize = 3;
/// The update after which all programs here end training.
const LAST_STEP: i64 = 9;
/// The other's process and connection, above any that the sender's bytes are likely to name.
const PROCESS: u64 = 1 << 61;
const CONNECTION: u64 = 1 << 60;

/// Two dense variables and one whose gradient is sparse.
fn shapes() -> [(&'static str, Vec<usize>); 3] {
    [("w", vec![3, 2]), ("b", vec![2]), ("t", vec![4, 2])]
}

fn placement(servers: usize) -> Arc<Placement> {
    let placement = Placement::new(&shapes(), size_of::<f32>(), servers);
    Arc::new(placement.with_tables(&[table()]))
}

/// Rows are looked up in it, and no contribution here has any.
fn table() -> Table {
    Table::new("e", 2)
}

/// Servers that are out of reach.
fn nowhere(servers: usize) -> Connector {
    let dial: Dial =
        Arc::new(|_| Box::pin(async { Err(DialError::NoConnections("there are no sockets")) }));
    Connector::new(vec![String::new(); servers], dial, Signer::new(None, wall_clock))
}

/// One of so many servers, in a training whose every contribution makes a step.
pub(crate) fn server_of(index: usize, servers: usize) -> Arc<Server<f32>> {
    server_that_saves(index, servers, None)
}

/// The same with checkpoints.
pub(crate) fn server_that_saves(
    index: usize,
    servers: usize,
    checkpoints: Option<Checkpoints>,
) -> Arc<Server<f32>> {
    let settings = Settings { total_num_replicas: Some(REPLICAS), ..Settings::new(1) };
    server_by((index, servers), settings, checkpoints, false)
}

/// The same by these settings, with room for whatever all replicas send.
fn server_by(
    (index, servers): (usize, usize),
    settings: Settings,
    checkpoints: Option<Checkpoints>,
    values_from_chief: bool,
) -> Arc<Server<f32>> {
    let placement = match &checkpoints {
        // Rows would have to be written by all servers.
        Some(_) => Arc::new(Placement::new(&shapes(), size_of::<f32>(), servers)),
        None => placement(servers),
    };
    let staging = settings.total_num_replicas.unwrap_or(REPLICAS);
    let parts = placement.parts(index);
    let initial = parts.iter().map(|part| ArrayD::zeros(&*part.shape)).collect();
    let optimizer = OptimizerState::new(Sgd::new(1.0)).expect("a good rate");
    let sections = placement.sections(index);
    let shard = Shard::new(&sections, initial, optimizer, ShardSettings::default());
    let shard = shard.expect("the values fit");
    let settings = ServerSettings {
        index: ServerIndex::new(index),
        run: run(),
        record: None,
        variables: shapes().len() + placement.tables().len(),
        agreement: agreement(),
        values_from_chief,
        config: settings.check().expect("good settings"),
        wire: NumberFormat::Native,
        connector: nowhere(servers),
        duties: ServerDuties {
            checkpoints,
            // As the hellos here say, which count where nothing else does.
            last_step: values_from_chief.then_some(LAST_STEP),
            nan_guard: values_from_chief,
        },
        reconnect_timeout: Duration::from_secs(60),
        staging,
        guard: None,
        placement,
    };
    Server::new(settings, shard, LIFE)
}
