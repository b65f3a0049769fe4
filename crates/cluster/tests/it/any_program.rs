//! Parameter servers without a program, over real sockets on loopback: they serve what comes, and
//! refuse what they cannot.

use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use cluster::security::SharedKey;
use cluster::spec::Node;
use cluster::{
    Cluster, ClusterError, ClusterReport, NumberFormat, OnCluster, ProcessHandle, Resolve,
    ServerFiles,
};
use optim::{Adagrad, AdamW, Groups, HyperParameterError, Optimizer, Schedule, Step, Tile};
use sync_replicas::checkpoint::{self, Checkpoints, RunId, TrainingState};
use sync_replicas::options::SummationOrder;
use sync_replicas::{Hooks, SyncReplicas};

use crate::loopback::{Pull, addresses, numbers, variables};

const LONG: Duration = Duration::from_secs(120);

struct Rig {
    servers: String,
    workers: String,
}

impl Rig {
    fn new(ps: usize, workers: usize) -> Self {
        Self { servers: addresses(ps), workers: addresses(workers) }
    }

    fn cluster(&self, role: &str, index: u64) -> Cluster {
        let place = Node::from_flags(&self.servers, &self.workers, role, index);
        Cluster::new(place.expect("it makes sense")).reconnect_timeout(LONG)
    }

    /// A server that serves any program.
    fn serve(&self, index: u64, folder: Option<&Path>) -> Result<ClusterReport<f32>, ClusterError> {
        self.cluster("ps", index).serve(files(folder))
    }

    fn work<O: Optimizer<f32> + 'static>(
        &self,
        index: u64,
        described: SyncReplicas<O>,
        hooks: Hooks<f32>,
    ) -> Result<ClusterReport<f32>, ClusterError> {
        let cluster = self.cluster("worker", index);
        described.on(&cluster).build(variables())?.fit(&Pull, numbers, hooks)
    }
}

fn files(folder: Option<&Path>) -> ServerFiles {
    let checkpoints =
        folder.map(|folder| Checkpoints { folder: folder.to_owned(), steps: 4, keep: 9 });
    ServerFiles { checkpoints, run: RunId::draw(), record: None }
}

fn described<O>(optimizer: O) -> SyncReplicas<O> {
    SyncReplicas::new(optimizer)
        .replicas_to_aggregate(2)
        .total_num_replicas(2)
        .order(SummationOrder::Replica)
        .moving_average(0.9)
}

fn hooks() -> Hooks<f32> {
    Hooks::new().stop_at_step(10)
}

/// P-14: values, slots and averages are those of servers that have the program, to the bit.
#[test]
fn the_bits_are_those_of_servers_with_the_program() {
    #[track_caller]
    fn check<O: Optimizer<f32> + Clone + 'static>(ps: usize, optimizer: &O) {
        let folder = tempfile::tempdir().expect("a folder");
        let rig = Rig::new(ps, 2);
        let sha = thread::scope(|scope| {
            for index in 0..ps as u64 {
                let (rig, folder) = (&rig, folder.path());
                scope.spawn(move || rig.serve(index, Some(folder)).expect("it serves"));
            }
            let workers: Vec<_> = (0..2)
                .map(|index| {
                    let (rig, described) = (&rig, described(optimizer.clone()));
                    scope.spawn(move || rig.work(index, described, hooks()).expect("it trains"))
                })
                .collect();
            let reports = workers.into_iter().map(|it| it.join().expect("it ends"));
            let shas = reports.map(|it| it.variables.expect("it has them").sha256());
            shas.collect::<Vec<_>>()
        });
        let trainer = described(optimizer.clone()).build(variables()).expect("it fits");
        trainer.fit(&Pull, numbers, hooks()).expect("it trains");
        let expected = trainer.training_state().expect("it is whole");
        assert_eq!(sha, [expected.variables.sha256(), expected.variables.sha256()]);
        let state: TrainingState<f32> = checkpoint::read(folder.path()).expect("it was saved");
        assert_eq!(state.global_step.get(), 10);
        assert_eq!(state.optimizer_state, expected.optimizer_state);
        assert_eq!(state.averages, expected.averages);
    }
    check(1, &Adagrad::new(0.1).initial_accumulator_value(0.3));
    let decayed: Schedule = "exponential:initial=0.3,decay=0.5,every=2".parse().expect("valid");
    let groups = Groups::new(AdamW::new(decayed)).group(["b"], AdamW::new(0.1).weight_decay(0.0));
    check(2, &groups);
}

#[derive(Clone, Debug)]
struct Own(Schedule);

impl Optimizer<f32> for Own {
    fn name(&self) -> &'static str {
        "own"
    }

    fn learning_rate(&self) -> &Schedule {
        &self.0
    }

    fn validate(&self) -> Result<(), HyperParameterError> {
        Ok(())
    }

    fn update(&self, _: &Step<'_>, _: Tile<'_, f32>) {}
}

/// P-26, P-27: who is refused hears why, and the next one who fits is served.
#[test]
fn what_it_cannot_serve_is_refused_in_words() {
    let rig = Rig::new(1, 2);
    let refused = |ended: Result<ClusterReport<f32>, ClusterError>, expected: &str| {
        let error = ended.expect_err("it is refused").to_string();
        assert!(error.contains(expected), "{error}");
    };
    thread::scope(|scope| {
        let limited = rig.cluster("ps", 0).max_memory(40_000);
        let server = scope.spawn(move || limited.serve(files(None)).expect("it serves"));
        let own = rig.work(0, described(Own(0.1.into())), hooks());
        refused(own, "the optimizer Own(Constant(0.1)) is the program's own");
        // Four slots would be too much where two are not.
        let many = described(AdamW::new(0.1)).total_num_replicas(2);
        let cluster = rig.cluster("worker", 0).wire(NumberFormat::Bf16);
        let large = sync_replicas::Variables::new()
            .with("w", ndarray::Array2::<f32>::zeros((1000, 30)))
            .expect("one name");
        let large = many.on(&cluster).build(large).expect("it fits");
        refused(large.fit(&Pull, numbers, hooks()), "allow more with --max-memory");
        let first = scope.spawn(|| rig.work(0, described(Adagrad::new(0.1)), hooks()));
        // It waits for the other, so the program has come.
        while server_step(&rig).is_none() {
            thread::yield_now();
        }
        let other = rig.work(1, described(Adagrad::new(0.2)), hooks());
        refused(other, "optimizer: the server has {\"adagrad\"");
        let longer = rig.work(1, described(Adagrad::new(0.1)), Hooks::new().stop_at_step(11));
        refused(longer, "ends training after update 11");
        rig.work(1, described(Adagrad::new(0.1)), hooks()).expect("it trains");
        first.join().expect("it ends").expect("it trains");
        assert_eq!(server.join().expect("it ends").global_step.get(), 10);
    });
}

/// The server's step once it has a program with values.
fn server_step(rig: &Rig) -> Option<i64> {
    let connector = rig.cluster("worker", 0).connector().expect("no certificates");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let status = runtime.expect("timers").block_on(cluster::status(&connector, 0)).ok()?;
    (status.serving == Some(true)).then_some(status.global_step)
}

/// A wish at every moment before there is a program.
#[test]
fn a_server_that_waits_for_a_program_can_be_ended() {
    #[track_caller]
    fn check(index: u64, wish: fn(&ProcessHandle), left: bool) {
        let rig = Rig::new(2, 1);
        let stop = ProcessHandle::new();
        let cluster = rig.cluster("ps", index).with_handle(stop.clone());
        thread::scope(|scope| {
            let server = scope.spawn(|| cluster.serve(files(None)));
            while cluster.status_handle().get().is_none() {
                thread::yield_now();
            }
            let status = cluster.status_handle().get().expect("it waits");
            assert!(status.waiting_for.is_some_and(|it| it.contains("a program")));
            wish(&stop);
            let report = server.join().expect("it ends").expect("it ends in peace");
            assert_eq!((report.global_step.get(), report.left), (0, left), "{}", report.stopped);
        });
    }
    check(0, ProcessHandle::leave, true);
    check(1, ProcessHandle::leave, true);
    check(0, ProcessHandle::end_training, true);
}

/// P-24: servers without a program go on from a checkpoint, and need no values then.
#[test]
fn it_goes_on_from_a_checkpoint() {
    let folder = tempfile::tempdir().expect("a folder");
    let train = |last: i64| {
        let rig = Rig::new(2, 2);
        thread::scope(|scope| {
            for index in 0..2 {
                let (rig, folder) = (&rig, folder.path());
                scope.spawn(move || rig.serve(index, Some(folder)).expect("it serves"));
            }
            let hooks = move || Hooks::new().stop_at_step(last);
            let rig = &rig;
            let chief = scope.spawn(move || rig.work(0, described(AdamW::new(0.1)), hooks()));
            rig.work(1, described(AdamW::new(0.1)), hooks()).expect("it trains");
            let report = chief.join().expect("it ends").expect("it trains");
            report.variables.expect("it has them").sha256()
        })
    };
    let first = train(6);
    let whole = train(10);
    assert_ne!(first, whole);
    let trainer = described(AdamW::new(0.1)).build(variables()).expect("it fits");
    trainer.fit(&Pull, numbers, hooks()).expect("it trains");
    assert_eq!(trainer.snapshot().variables.sha256(), whole);
    let definition = checkpoint::newest_definition(folder.path()).expect("it can be read");
    assert_eq!(definition.expect("it is kept")["number_type"], "f32");
}

/// Servers that an engine moves have names alone: they listen where they can, and workers and the
/// other servers look for them anew at every connection.
#[test]
fn a_server_is_looked_for_at_every_connection() {
    let servers = "ps0.invalid:1,ps1.invalid:1".to_owned();
    let rig = Rig { servers, workers: addresses(1) };
    let key = SharedKey::new(&[7; 32]).expect("it is long enough");
    let keyed = |role, index| rig.cluster(role, index).key(key.clone());
    let bound = [0, 1].map(|index| {
        let anywhere = (Ipv4Addr::LOCALHOST, 0).into();
        keyed("ps", index).bind(anywhere).expect("there is a port")
    });
    let asked = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
    let (there, count) = (bound.each_ref().map(|(_, address)| address.to_string()), asked.clone());
    let resolve: Resolve = Arc::new(move |name| {
        let index = usize::from(name == "ps1.invalid:1");
        // Nowhere at first, as while it is being moved.
        let found = match count[index].fetch_add(1, Ordering::Relaxed) {
            0 => Err(io::Error::new(io::ErrorKind::NotFound, "it is being moved")),
            _ => Ok(there[index].clone()),
        };
        Box::pin(async move { found })
    });
    thread::scope(|scope| {
        for (cluster, _) in bound {
            let cluster = cluster.resolve_with(resolve.clone());
            scope.spawn(move || cluster.serve(files(None)).expect("it serves"));
        }
        let cluster = keyed("worker", 0).resolve_with(resolve.clone());
        let one = described(Adagrad::new(0.1)).replicas_to_aggregate(1).total_num_replicas(1);
        let trainer = one.on(&cluster).build(variables()).expect("it fits");
        trainer.fit(&Pull, numbers, hooks()).expect("it trains");
    });
    // By the worker, and of the second one by the first.
    let asked = asked.each_ref().map(|it| it.load(Ordering::Relaxed));
    assert!(asked[0] >= 2 && asked[1] >= 3, "{asked:?}");
}

/// P-27: where others can reach it, a server listens with a key alone.
#[test]
fn nobody_listens_unprotected_by_a_name_alone() {
    let rig = Rig { servers: "ps0.invalid:1".to_owned(), workers: addresses(1) };
    let error = rig.cluster("ps", 0).bind((Ipv4Addr::UNSPECIFIED, 0).into()).expect_err("no key");
    assert!(error.to_string().contains("expected 127.0.0.1"), "{error}");
    assert!(SharedKey::new(&[7; 31]).is_none(), "it could be guessed");
}
