//! The program that every simulated process runs, and what its model checks at every batch.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use ndarray::array;
use optim::Adagrad;
use sync_replicas::checkpoint::RunId;
use sync_replicas::options::{EvictBy, SummationOrder};
use sync_replicas::{
    BoxError, Computed, Gradients, Hooks, IndexedSlices, Keys, Model, ReplicaId, SyncReplicas,
    Table, Variables, Work,
};

use super::net;
use super::successor::First;
use super::wishes::Ear;
use crate::client::Connector;
use crate::front::pass_on;
use crate::security::{Signer, wall_clock};
use crate::server::{Server, TransportSettings, serve_with_incoming};
use crate::spec;
use crate::{Cluster, ClusterReport, OnCluster, ServerFiles};

/// How many servers and workers, A, the step to end after, and the room of each server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Plan {
    pub(super) ps: u64,
    pub(super) workers: u64,
    pub(super) aggregate: usize,
    pub(super) last_step: i64,
    /// How many contributions a server stages at once, if it is for fewer than there may be.
    pub(super) staging: Option<usize>,
    /// Whether servers have the program, or serve whatever program comes.
    pub(super) servers_have_program: bool,
}

/// The program: the plan, and the folder of the checkpoints.
#[derive(Clone, Debug)]
pub(super) struct Program {
    pub(super) plan: Plan,
    pub(super) folder: PathBuf,
    pub(super) cables: net::Cables,
    /// Which process is ps 0.
    pub(super) first: First,
    expected: Arc<Vec<String>>,
}

pub(super) const LEASE: Duration = Duration::from_secs(2);
/// Longer than faults last: a process gives up only because all servers have ended.
const PATIENCE: Duration = Duration::from_secs(40);

impl Program {
    pub(super) fn new(plan: Plan, folder: PathBuf) -> Self {
        let expected = expected(plan.aggregate, plan.last_step);
        let (cables, first) = (net::Cables::default(), First::default());
        Self { plan, folder, cables, first, expected }
    }

    /// The variables' fingerprint at a step, in a run without faults in one process.
    pub(super) fn expected(&self, step: i64) -> Option<&str> {
        usize::try_from(step).ok().and_then(|step| self.expected.get(step)).map(String::as_str)
    }

    fn cluster(&self, role: &str, index: u64) -> Cluster {
        let hosts = |name: &str, count: u64| -> String {
            let names: Vec<_> = (0..count).map(|n| format!("{name}{n}:{}", net::PORT)).collect();
            names.join(",")
        };
        let (ps, workers) = (hosts("ps", self.plan.ps), hosts("worker", self.plan.workers));
        let place = spec::Node::from_flags(&ps, &workers, role, index).expect("it makes sense");
        let cluster = Cluster::new(place).reconnect_timeout(PATIENCE);
        match self.plan.staging {
            Some(contributions) => cluster.staging(contributions),
            None => cluster,
        }
    }

    /// How the process of this name reaches the servers.
    fn connector(&self, cluster: &Cluster, host: String) -> Connector {
        let (servers, signer) = (cluster.place().cluster.ps.clone(), Signer::new(None, wall_clock));
        Connector::new(servers, net::dial(host, self.cables.clone(), self.first.clone()), signer)
    }

    fn hooks(&self) -> Hooks<f32> {
        Hooks::new().stop_at_step(self.plan.last_step).checkpoints(&self.folder, 5, 2)
    }

    /// A parameter server, until training is over; `started` sees it, and its ear.
    pub(super) async fn serve(
        self,
        index: u64,
        started: impl Fn(Arc<Server<f32>>, Ear),
    ) -> Result<String, BoxError> {
        let cluster = self.cluster("ps", index);
        let connector = self.connector(&cluster, format!("ps{index}"));
        let ear = Ear::of(&cluster);
        let (_, duties) = self.hooks().split();
        let listener = net::listen().await?;
        let server = if self.plan.servers_have_program {
            let mut trainer = description(self.plan).on(&cluster).build(variables())?;
            trainer.duties = duties;
            trainer.server(connector.clone())?
        } else {
            let (incoming, settings) = (listener.incoming(), TransportSettings::default());
            let program = cluster.program(incoming, settings).await?.ok_or("nobody ends it")?;
            let (checkpoints, run, record) = (duties.checkpoints, RunId::draw(), None);
            let files = ServerFiles { checkpoints, run, record };
            cluster.trainer_of::<f32>(program, files)?.server(connector.clone())?
        };
        started(Arc::clone(&server), ear.clone());
        let incoming = listener.incoming();
        let served =
            serve_with_incoming(Arc::clone(&server), incoming, TransportSettings::default());
        tokio::select! {
            biased;
            served = served => Ok(served?),
            left = pass_on(&cluster, &connector, &server) => {
                Err(format!("nobody asked it to leave: {left:?}").into())
            }
            () = ear.pass_saves_on(&connector) => Err("it only passes wishes on".into()),
        }
    }

    /// A worker, until training is over; `started` gets its ear.
    pub(super) async fn work(
        self,
        index: u64,
        process: u64,
        started: impl Fn(Ear),
    ) -> Result<ClusterReport<f32>, BoxError> {
        let cluster = self.cluster("worker", index);
        started(Ear::of(&cluster));
        let mut trainer = description(self.plan).on(&cluster).build(variables())?;
        // Checkpoints are parameter server 0's.
        let connector = self.connector(&cluster, format!("worker{index}"));
        let (hooks, duties) = self.hooks().split();
        trainer.duties = duties;
        Ok(trainer.compute_over(connector, process, &self, |_| Numbers, hooks).await?)
    }
}

fn description(plan: Plan) -> SyncReplicas<Adagrad> {
    SyncReplicas::new(Adagrad::new(0.1))
        .replicas_to_aggregate(plan.aggregate)
        .total_num_replicas(plan.workers as usize)
        .order(SummationOrder::Replica)
        .lease(LEASE)
}

fn variables() -> Variables<f32> {
    Variables::new()
        .with("w", array![[0.5_f32, 0.25], [0.125, 1.0], [2.0, 3.0]])
        .and_then(|it| it.with("b", array![0.0_f32, 1.0]))
        .and_then(|it| tables().into_iter().try_fold(it, Variables::with_table))
        .expect("names of their own")
}

/// Rows of all kinds: those that stay, that are counted first, that go when unused, that go when
/// they are too many.
fn tables() -> [Table; 3] {
    [
        Table::new("all", 2).normal(0.0, 1.0),
        Table::new("some", 1).admit_after(2).evict_unused(3),
        Table::new("few", 1).evict_beyond(6, EvictBy::Count),
    ]
}

fn keys(batch: u64) -> Keys {
    tables().iter().enumerate().fold(Keys::new(), |all, (n, table)| {
        let key = |k: u64| ((batch * 5 + k * k * 3 + n as u64) % 17) as i64 - 8;
        all.of(table.name().to_owned(), (0..4).map(key).collect())
    })
}

/// P-11, P-14, P-17: no replica ever computes from variables that a run without faults did not have
/// at that step, or on another step's batch; and the variables have a trace of every row.
impl Model<f32> for Program {
    type Batch = u64;

    fn keys(&self, batch: &u64) -> Keys {
        keys(*batch)
    }

    fn gradients(
        &self,
        variables: &Variables<f32>,
        batch: &u64,
        work: &Work<'_, f32>,
    ) -> Result<Option<Computed<f32>>, BoxError> {
        let (step, now) = (work.step.get(), variables.sha256());
        if self.expected(step) != Some(now.as_str()) {
            return Err(format!("step {step} has variables that no run without faults has").into());
        }
        gradients(variables, *batch, work)
    }
}

struct Alone;

impl Model<f32> for Alone {
    type Batch = u64;

    fn keys(&self, batch: &u64) -> Keys {
        keys(*batch)
    }

    fn gradients(
        &self,
        variables: &Variables<f32>,
        batch: &u64,
        work: &Work<'_, f32>,
    ) -> Result<Option<Computed<f32>>, BoxError> {
        gradients(variables, *batch, work)
    }
}

fn gradients(
    variables: &Variables<f32>,
    batch: u64,
    work: &Work<'_, f32>,
) -> Result<Option<Computed<f32>>, BoxError> {
    let noise = (batch % 7) as f32 / 7.0;
    let (mut gradients, mut drawn) = (Gradients::new(), 0.0);
    for (table, keys) in keys(batch).iter() {
        let rows = work.rows(table)?;
        drawn += rows.sum() / 8.0;
        let slices = IndexedSlices::by_key(keys.to_vec(), rows.mapv(|x| x - noise))?;
        gradients = gradients.sparse(table.to_owned(), slices);
    }
    for (name, w) in variables.iter() {
        gradients = gradients.dense(name.to_owned(), w.mapv(|w| w - 1.0 + noise + drawn));
    }
    Ok(Some(Computed { loss: f64::from(noise), examples: 1, gradients }))
}

pub(super) struct Numbers;

impl sync_replicas::BatchSource for Numbers {
    type Batch = u64;

    fn batch(&mut self, number: u64) -> Option<u64> {
        Some(number)
    }
}

type Known = HashMap<(usize, i64), Arc<Vec<String>>>;
static KNOWN: LazyLock<Mutex<Known>> = LazyLock::new(Mutex::default);

/// Fingerprints by step, from one process with one replica (P-14: N does not matter).
fn expected(aggregate: usize, last: i64) -> Arc<Vec<String>> {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let at = |step: i64| {
        let plan = Plan {
            ps: 1,
            workers: 1,
            aggregate,
            last_step: step,
            staging: None,
            servers_have_program: true,
        };
        let trainer = description(plan).build(variables()).expect("it fits");
        trainer.fit(&Alone, |_: ReplicaId| Numbers, Hooks::new().stop_at_step(step)).expect("runs");
        trainer.snapshot().variables.sha256()
    };
    let all = || {
        let first = variables().sha256();
        Arc::new(std::iter::once(first).chain((1..=last).map(at)).collect::<Vec<String>>())
    };
    Arc::clone(known.entry((aggregate, last)).or_insert_with(all))
}
