//! A loop of the user's own in a cluster, over real sockets on loopback.

mod slices;

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use cluster::exit::Exit;
use cluster::spec::Node;
use cluster::{
    Cluster, ClusterError, ClusterPush, ClusterReplica, ClusterReport, ClusterStep, ClusterTrainer,
    OnCluster,
};
use optim::Sgd;
use sync_replicas::driver::describe;
use sync_replicas::engine::Outcome;
use sync_replicas::record::{Cursor, Record};
use sync_replicas::{Computed, Gradients, Hooks, Model, Variables};

use crate::loopback::{Pull, addresses, numbers, replicas, variables};

/// Much longer than the tests take, and much longer than anything that should happen in them.
const LONG: Duration = Duration::from_secs(120);
const SOON: Duration = Duration::from_secs(20);

/// One server and so many workers, all of whom are needed.
struct Rig {
    servers: String,
    workers: String,
    total: usize,
}

impl Rig {
    fn new(ps: usize, total: usize) -> Self {
        Self { servers: addresses(ps), workers: addresses(total), total }
    }

    fn cluster(&self, role: &str, index: u64) -> Cluster {
        let place = Node::from_flags(&self.servers, &self.workers, role, index);
        Cluster::new(place.expect("it makes sense")).reconnect_timeout(LONG)
    }

    fn trainer<'c>(&self, cluster: &'c Cluster) -> ClusterTrainer<'c, f32, Sgd> {
        let replicas = replicas(self.total, self.total).lease(LONG);
        replicas.on(cluster).build(variables()).expect("it fits")
    }

    fn serve(&self, index: u64, hooks: Hooks<f32>) -> ClusterReport<f32> {
        let cluster = self.cluster("ps", index);
        self.trainer(&cluster).run_server(hooks).expect("it serves")
    }

    fn replica(&self, index: u64, hooks: Hooks<f32>) -> ClusterReplica<f32> {
        let cluster = self.cluster("worker", index);
        self.trainer(&cluster).replica(hooks).expect("it is a worker")
    }
}

fn compute(step: &ClusterStep<f32>) -> Computed<f32> {
    let computed = Pull.gradients(step.variables(), &step.number(), &step.work());
    computed.expect("it computes").expect("it gives nothing up")
}

fn push(step: ClusterStep<f32>) -> Option<Outcome> {
    let computed = compute(&step);
    step.push(computed).expect("it fits")
}

/// From borrowed arrays, one of which is laid out otherwise.
fn begin_push_borrowed(step: ClusterStep<f32>) -> ClusterPush<f32> {
    let Computed { loss, examples, gradients } = compute(&step);
    let dense = gradients.iter().map(|(name, gradient)| match gradient {
        sync_replicas::Gradient::Dense(array) => (name.to_owned(), array.t().to_owned()),
        other => panic!("{other:?}"),
    });
    let dense: Vec<_> = dense.collect();
    let views = dense.iter().map(|(name, array)| (name.as_str(), array.t()));
    step.begin_push_views(views, (loss, examples)).expect("it fits")
}

/// Runs a replica to its end, with what `take` makes of each step.
fn run(
    mut replica: ClusterReplica<f32>,
    mut take: impl FnMut(ClusterStep<f32>) -> ControlFlow<()>,
) -> ClusterReport<f32> {
    while let Some(step) = replica.next_step().expect("servers are there") {
        if take(step).is_break() {
            break;
        }
    }
    replica.finish().expect("it ends in peace")
}

/// The same training in one process.
fn alone(total: usize, steps: i64) -> String {
    let trainer = replicas(total, total).build(variables()).expect("it fits");
    trainer.fit(&Pull, numbers, Hooks::new().stop_at_step(steps)).expect("it trains");
    trainer.snapshot().variables.sha256()
}

fn next(replica: &mut ClusterReplica<f32>) -> ClusterStep<f32> {
    replica.next_step().expect("servers are there").expect("it goes on")
}

/// P-14: loops of one's own, with each kind of push, beside a model's, to the bits of one process.
#[test]
fn a_loop_of_ones_own_trains_to_the_bits_of_fit() {
    #[track_caller]
    fn check(ps: usize, total: usize, steps: i64) {
        let (rig, seen) = (Rig::new(ps, total), Arc::new(Mutex::new(Vec::new())));
        let known = Arc::clone(&seen);
        let saw = move |_: &mut _, report: &hooks::StepReport| {
            known.lock().expect("nobody panics with it").push(report.global_step);
            Ok(())
        };
        let hooks = || Hooks::new().stop_at_step(steps);
        let work = |index: u64| match index {
            0 => run(rig.replica(0, hooks().every(1, saw.clone())), |step| {
                push(step);
                ControlFlow::Continue(())
            }),
            1 => run(rig.replica(1, hooks()), |step| {
                begin_push_borrowed(step).wait().expect("it fits");
                ControlFlow::Continue(())
            }),
            _ => {
                let cluster = rig.cluster("worker", index);
                rig.trainer(&cluster).fit(&Pull, numbers, hooks()).expect("it trains")
            }
        };
        let (rig, work) = (&rig, &work);
        let reports: Vec<_> = std::thread::scope(|scope| {
            for index in 0..ps as u64 {
                scope.spawn(move || rig.serve(index, Hooks::new().stop_at_step(steps)));
            }
            let all: Vec<_> = (0..total as u64).map(|it| scope.spawn(move || work(it))).collect();
            all.into_iter().map(|it| it.join().expect("it ends")).collect()
        });
        let accepted: u64 = reports.iter().map(|report| report.counts.accepted).sum();
        assert_eq!(accepted, total as u64 * steps as u64);
        let seen = seen.lock().expect("nobody panics with it");
        assert!((1..=steps).eq(seen.iter().copied()), "hooks of the chief: {seen:?}");
        for report in reports {
            assert_eq!(report.global_step.get(), steps, "{:?}", report.task);
            let got = report.variables.expect("it fetched them").sha256();
            assert_eq!(got, alone(total, steps), "{:?}", report.task);
        }
    }
    check(1, 1, 10);
    check(2, 3, 10);
}

/// P-2, P-5: both are needed, and one of them gives its batch back, by each way there is, while the
/// other one stands in line. It then asks for no step until the other has made one.
#[test]
fn a_step_that_is_given_back_goes_to_another() {
    #[track_caller]
    fn check(give_back: impl FnOnce(ClusterReplica<f32>, ClusterStep<f32>, &dyn Fn()) + Send) {
        let rig = &Rig::new(2, 2);
        let (got, number) = mpsc::channel();
        let (go, may_go) = mpsc::channel::<()>();
        std::thread::scope(|scope| {
            for index in 0..2 {
                scope.spawn(move || rig.serve(index, Hooks::new()));
            }
            scope.spawn(move || {
                let mut replica = rig.replica(1, Hooks::new());
                let step = next(&mut replica);
                got.send(step.number()).expect("it is waited for");
                let wait = || may_go.recv_timeout(LONG).expect("the other goes on");
                wait();
                let begun = Instant::now();
                give_back(replica, step, &wait);
                assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
            });
            let mut replica = rig.replica(0, Hooks::new());
            push(next(&mut replica));
            let given_back = number.recv_timeout(LONG).expect("it gets a step");
            go.send(()).expect("it is waited for");
            let step = next(&mut replica);
            assert_eq!((step.number(), step.global_step().get()), (given_back, 0));
            push(step);
            assert_eq!(next(&mut replica).global_step().get(), 1);
            // Also where the other one is gone.
            let _ = go.send(());
            let report = replica.finish().expect("it leaves in peace");
            assert_eq!((report.global_step.get(), report.counts.accepted), (1, 2));
            assert!(report.variables.is_some(), "those that it has");
        });
    }
    check(|replica, step, wait| {
        drop(step);
        wait();
        drop(replica);
    });
    check(|replica, step, wait| {
        step.give_up();
        wait();
        let report = replica.finish().expect("it leaves in peace");
        assert_eq!((report.counts.accepted, report.counts.superseded), (0, 0));
    });
    check(|replica, step, _| {
        drop(replica);
        let computed = compute(&step);
        let error = step.push(computed).expect_err("its replica is gone");
        assert!(matches!(error, ClusterError::StepOver), "{error}");
    });
    check(|replica, step, _| drop((step, replica.finish().expect("it leaves in peace"))));
    // Servers are told to take what is pushed once it is waited for.
    check(|replica, step, _| {
        let computed = compute(&step);
        drop((step.begin_push(computed).expect("it fits"), replica));
    });
    check(|replica, _step, _| {
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _replica = replica;
            panic!("it fails on purpose");
        }));
        assert!(panicked.is_err());
    });
}

/// P-8: gradients alone count, and of their batch neither a loss nor examples are told.
#[test]
fn gradients_without_a_loss_count() {
    let (rig, record) = (Rig::new(1, 1), Record::new());
    std::thread::scope(|scope| {
        let (cluster, record) = (rig.cluster("ps", 0), record.clone());
        scope.spawn(move || {
            let trainer = replicas(1, 1).lease(LONG).record(&record).on(&cluster);
            let trainer = trainer.build(variables()).expect("it fits");
            trainer.run_server(Hooks::new().stop_at_step(2)).expect("it serves")
        });
        let replica = rig.replica(0, Hooks::new().stop_at_step(2));
        let report = run(replica, |step| {
            let (computed, number) = (compute(&step), step.number());
            let pushed = match number {
                0 => step.push(computed.gradients),
                _ => step.push(Computed { loss: 0.5, examples: 3, ..computed }),
            };
            // A third token may come before the end is told; nobody takes what is made of it.
            let taken = (number < 2).then_some(Outcome::Accepted { count: 1 });
            assert_eq!(pushed.expect("it fits"), taken);
            ControlFlow::Continue(())
        });
        assert_eq!((report.global_step.get(), report.counts.accepted), (2, 2));
    });
    let updates = record.since(&mut Cursor::default()).updates;
    let told: Vec<_> = updates.iter().map(|it| (it.loss, it.examples)).collect();
    assert_eq!(told, [(None, 0), (Some(0.5), 3)]);
}

/// P-1: a wait that nobody answers ends by a wish, whenever it comes; so does work.
#[test]
fn a_wish_from_elsewhere_ends_a_wait() {
    let rig = Rig::new(1, 1);
    #[track_caller]
    fn check(rig: &Rig, before: bool) {
        let cluster = rig.cluster("worker", 0);
        let stop = cluster.process_handle();
        let mut replica = rig.trainer(&cluster).replica(Hooks::new()).expect("it is a worker");
        let waited = replica.next_step_within(Duration::from_millis(1)).expect("it is patient");
        assert!(waited.is_pending(), "nobody serves");
        let begun = Instant::now();
        let elsewhere = std::thread::spawn(move || stop.leave());
        if before {
            elsewhere.join().expect("it wishes");
        }
        assert!(replica.next_step().expect("it leaves in peace").is_none());
        let report = replica.finish().expect("it leaves in peace");
        assert!(report.left && report.variables.is_none());
        assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    }
    check(&rig, true);
    check(&rig, false);
    std::thread::scope(|scope| {
        let (wish, ears) = (rig.cluster("ps", 0), rig.cluster("worker", 0));
        let end = wish.process_handle();
        let rig = &rig;
        scope.spawn(move || rig.trainer(&wish).run_server(Hooks::new()).expect("it serves"));
        let mut replica = rig.trainer(&ears).replica(Hooks::new()).expect("it is a worker");
        let step = next(&mut replica);
        assert!(!step.is_superseded());
        let stop = ears.process_handle();
        scope.spawn(move || stop.leave());
        assert!(step.work().pause(LONG), "its work is in vain");
        assert_eq!(push(step), None, "it is left to another");
        assert!(replica.next_step().expect("it leaves in peace").is_none());
        assert!(replica.finish().expect("it leaves in peace").left);
        end.leave();
    });
}

/// A step is a token: it can be pushed once, and not after the next one was asked for.
#[test]
fn a_step_is_over_once_the_next_is_asked_for() {
    let rig = &Rig::new(1, 1);
    std::thread::scope(|scope| {
        scope.spawn(|| rig.serve(0, Hooks::new()));
        let mut replica = rig.replica(0, Hooks::new());
        let first = next(&mut replica);
        let second = next(&mut replica);
        // Nobody else can compute it.
        assert_eq!(first.number(), second.number());
        let computed = compute(&first);
        let error = first.push(computed).expect_err("it was given back");
        assert!(error.to_string().contains("its token was given back"), "{error}");
        let nothing = Computed { loss: 0.0, examples: 0, gradients: Gradients::new() };
        let error = second.push(nothing).expect_err("it has no gradients");
        assert!(matches!(error, ClusterError::Push(_)), "{error}");
        let third = next(&mut replica);
        let transposed = [("w", ndarray::Array2::zeros((3, 40)).into_dyn())];
        let views = transposed.iter().map(|(name, array)| (*name, array.view()));
        let error = third.push_views(views, (0.0, 1)).expect_err("its shape is another");
        let error = describe(&error);
        assert!(error.contains("gradient of shape [3,40] where [40,3] is needed"), "{error}");
        assert_eq!(push(next(&mut replica)), Some(Outcome::Accepted { count: 1 }));
        assert_eq!(next(&mut replica).global_step().get(), 1);
    });
}

#[test]
fn who_has_no_replica_hears_what_to_do() {
    let rig = Rig::new(1, 1);
    let ask = |role: &str| {
        let cluster = rig.cluster(role, 0);
        rig.trainer(&cluster).replica(Hooks::new()).map(drop)
    };
    let serve = |role: &str| {
        let cluster = rig.cluster(role, 0);
        rig.trainer(&cluster).run_server(Hooks::new()).map(drop)
    };
    for (got, expected) in [
        (ask("ps"), "ps 0 is a parameter server and computes nothing; call `run_server`"),
        (ask("evaluator"), "an evaluator has no part in training"),
        (serve("worker"), "worker 0 is no parameter server"),
        (serve("evaluator"), "evaluator 0 is no parameter server"),
    ] {
        let error = got.expect_err("it is in no place for it");
        assert_eq!(error.exit(), Exit::Usage);
        assert!(error.to_string().starts_with(expected), "{error}");
    }
}

/// A foreign object may hold them, and move them from thread to thread.
#[test]
fn a_replica_and_its_steps_are_anybodys() {
    fn check<A: Send + Sync + 'static>() {}
    check::<ClusterReplica<f32>>();
    check::<ClusterStep<f32>>();
    check::<ClusterPush<f32>>();
    check::<Variables<f32>>();
}
