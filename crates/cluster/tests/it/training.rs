//! Whole trainings over real sockets on loopback.

use std::sync::{Mutex, mpsc};
use std::time::Duration;

use cluster::spec::Node;
use cluster::{Cluster, ClusterError, ClusterReport, OnCluster};
use optim::Sgd;
use sync_replicas::{BoxError, Computed, Hooks, Model, SyncReplicas, Variables, Work};

use crate::loopback::{Pull, addresses, numbers, replicas, variables};

/// The same training in one process.
fn alone(aggregate: usize, total: usize, steps: i64) -> Variables<f32> {
    let trainer = replicas(aggregate, total).build(variables()).expect("it fits");
    trainer.fit(&Pull, numbers, Hooks::new().stop_at_step(steps)).expect("it trains");
    trainer.snapshot().variables.clone()
}

/// All processes of one run, each in a thread; their reports, servers first.
fn run_all(
    ps: usize,
    (aggregate, total): (usize, usize),
    hooks: impl Fn() -> Hooks<f32> + Sync,
) -> Vec<Result<ClusterReport<f32>, ClusterError>> {
    run_all_within(Duration::from_secs(60), ps, (aggregate, total), hooks)
}

fn run_all_within(
    reconnect_timeout: Duration,
    ps: usize,
    (aggregate, total): (usize, usize),
    hooks: impl Fn() -> Hooks<f32> + Sync,
) -> Vec<Result<ClusterReport<f32>, ClusterError>> {
    let (servers, workers) = (addresses(ps), addresses(total));
    std::thread::scope(|scope| {
        let run = |role: &'static str, index: u64| {
            let (servers, workers, hooks) = (&servers, &workers, &hooks);
            scope.spawn(move || {
                let place =
                    Node::from_flags(servers, workers, role, index).expect("it makes sense");
                let cluster = Cluster::new(place).reconnect_timeout(reconnect_timeout);
                let replicas = replicas(aggregate, total).on(&cluster).build(variables())?;
                replicas.fit(&Pull, numbers, hooks())
            })
        };
        let servers: Vec<_> = (0..ps as u64).map(|index| run("ps", index)).collect();
        let workers: Vec<_> = (0..total as u64).map(|index| run("worker", index)).collect();
        servers.into_iter().chain(workers).map(|it| it.join().expect("it ends")).collect()
    })
}

#[track_caller]
fn check(ps: usize, (aggregate, total): (usize, usize), steps: i64) {
    let reports = run_all(ps, (aggregate, total), || Hooks::new().stop_at_step(steps));
    let expected = alone(aggregate, total, steps);
    for report in reports {
        let report = report.expect("it trains");
        // A worker that came after the end has none.
        if let Some(variables) = report.variables {
            assert_eq!(report.global_step.get(), steps, "{:?}", report.task);
            assert_eq!(variables.sha256(), expected.sha256(), "{:?}", report.task);
        }
    }
}

/// P-14 over the network: in replica order the bits are those of one process.
#[test]
fn a_cluster_trains_to_the_bits_of_one_process() {
    check(1, (1, 1), 20);
    check(1, (2, 3), 20);
    check(2, (2, 2), 20);
    check(3, (3, 4), 20);
}

/// fewer replicas than gradients.
#[test]
fn one_worker_computes_several_batches_a_step() {
    check(2, (3, 1), 10);
}

/// The variables that a run ends with.
fn train(ps: usize, total: usize, hooks: impl Fn() -> Hooks<f32> + Sync) -> Option<Variables<f32>> {
    let reports = run_all(ps, (total, total), hooks);
    reports.into_iter().filter_map(|report| report.expect("it trains").variables).next()
}

/// A checkpoint fits any number of servers, and what goes on from it has the bits of a run that was
/// never interrupted.
#[test]
fn a_checkpoint_goes_on_with_another_number_of_servers() {
    let folder = tempfile::tempdir().expect("a folder");
    let hooks = |last: i64| {
        let path = folder.path().to_owned();
        move || Hooks::new().stop_at_step(last).checkpoints(path.clone(), 4, 2)
    };
    train(2, 2, hooks(10));
    let variables = train(3, 2, hooks(20)).expect("it fetched them");
    assert_eq!(variables.sha256(), alone(2, 2, 20).sha256());
    let generation =
        std::fs::read_to_string(folder.path().join("generation")).expect("it is there");
    assert_eq!(generation.trim(), "2");
}

/// What was trained would be lost with the servers, so it is no success.
#[test]
fn a_last_checkpoint_that_cannot_be_written_fails_the_training() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("checkpoints");
    let hooks = || {
        let inner = path.clone();
        // Every step needs worker 0, which does this before its second.
        let spoil = move |_: &mut _, _: &_| {
            if inner.is_dir() {
                std::fs::remove_dir_all(&inner)?;
                std::fs::write(&inner, "no folder")?;
            }
            Ok(())
        };
        Hooks::new().stop_at_step(5).checkpoints(&path, 100, 2).every(1, spoil)
    };
    // So long it is tried again.
    for report in run_all_within(Duration::from_secs(5), 2, (1, 1), hooks) {
        let error = report.expect_err("it must not pass for a success").to_string();
        assert!(error.contains("no last checkpoint was written"), "{error}");
    }
}

/// The first batch has a gradient of one variable alone.
struct OneFirst;

impl Model<f32> for OneFirst {
    type Batch = u64;

    fn gradients(
        &self,
        variables: &Variables<f32>,
        batch: &u64,
        work: &Work<'_, f32>,
    ) -> Result<Option<Computed<f32>>, BoxError> {
        if *batch > 0 {
            return Pull.gradients(variables, batch, work);
        }
        let one = Variables::new().with("b", variables.vector("b")?.to_owned())?;
        Pull.gradients(&one, batch, work)
    }
}

/// where each variable is admitted for itself, one that the first push leaves out has a
/// part from the first push that has it, over a network as in one process.
#[test]
fn a_variable_that_the_first_push_leaves_out_is_trained_later() {
    let replicas = || SyncReplicas::new(Sgd::new(0.1)).replicas_to_aggregate(1).reference();
    let hooks = || Hooks::new().stop_at_step(5);
    let trainer = replicas().build(variables()).expect("it fits");
    trainer.fit(&OneFirst, numbers, hooks()).expect("it trains");
    let alone = trainer.snapshot().variables.sha256();
    for ps in [1, 2] {
        let (servers, workers) = (addresses(ps), addresses(1));
        let run = |role: &str, index: u64| {
            let place = Node::from_flags(&servers, &workers, role, index).expect("it makes sense");
            let cluster = Cluster::new(place);
            let trainer = replicas().on(&cluster).build(variables()).expect("it fits");
            trainer.fit(&OneFirst, numbers, hooks()).expect("it trains")
        };
        let run = &run;
        let report = std::thread::scope(|scope| {
            (0..ps as u64).for_each(|index| drop(scope.spawn(move || run("ps", index))));
            run("worker", 0)
        });
        let got = report.variables.expect("it was there at the end").sha256();
        assert_eq!(got, alone, "{ps} servers");
    }
}

/// P-22: a hundred replicas and four servers, to the bits of one process.
#[test]
#[ignore = "it takes minutes; it runs every night"]
fn a_hundred_replicas_train_a_thousand_steps() {
    check(4, (95, 100), 1_000);
}

/// So long it hangs where nobody notices; then the test fails.
const LONGEST: Duration = Duration::from_secs(30);

/// A worker whose step 3 takes until it is told to go on; it heeds nothing meanwhile.
struct Hangs(Mutex<mpsc::Receiver<()>>);

impl Model<f32> for Hangs {
    type Batch = u64;

    fn gradients(
        &self,
        variables: &Variables<f32>,
        batch: &u64,
        work: &Work<'_, f32>,
    ) -> Result<Option<Computed<f32>>, BoxError> {
        if (work.replica.get(), work.step.get()) == (1, 3) {
            self.0.lock().map_err(|_| "poisoned")?.recv_timeout(LONGEST)?;
        }
        Pull.gradients(variables, batch, work)
    }
}

/// P-28: a worker that hangs in a batch sends heartbeats on and on. Both are needed, and the other
/// makes ten steps without it.
#[test]
fn a_worker_that_hangs_holds_no_step() {
    let (servers, workers) = (addresses(1), addresses(2));
    let (go, may_go) = mpsc::sync_channel(1);
    let model = Hangs(Mutex::new(may_go));
    let run = |role: &str, index: u64, hooks: Hooks<f32>| {
        let place = Node::from_flags(&servers, &workers, role, index).expect("it makes sense");
        let cluster = Cluster::new(place);
        // Ten times the median is less than the lease.
        let replicas = replicas(2, 2).lease(Duration::from_millis(200));
        let trainer = replicas.on(&cluster).build(variables()).expect("it fits");
        trainer.fit(&model, numbers, hooks).expect("it trains")
    };
    let run = &run;
    let until = || Hooks::new().stop_at_step(14);
    let hooks = until().every(1, move |_, report| {
        if report.global_step == 13 {
            go.send(())?;
        }
        Ok(())
    });
    std::thread::scope(|scope| {
        scope.spawn(move || run("ps", 0, until()));
        scope.spawn(move || run("worker", 1, until()));
        let report = run("worker", 0, hooks);
        assert_eq!(report.global_step.get(), 14);
    });
}
