//! A worker that leaves while its connection is gone: it does not wait for its patience, and the
//! others do not wait for its lease.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use cluster::spec::Node;
use cluster::{Cluster, ClusterReport, OnCluster, ProcessHandle};
use sync_replicas::{BoxError, Computed, Hooks, Model, Variables, Work};

use crate::loopback::{Pull, addresses, numbers, replicas, variables};

/// Much longer than the tests take, and much longer than anything that should happen in them.
const LONG: Duration = Duration::from_secs(120);
const SOON: Duration = Duration::from_secs(20);

/// A way to a server that can be cut.
#[derive(Clone)]
struct Way {
    address: String,
    streams: Arc<Mutex<Vec<TcpStream>>>,
    open: Arc<AtomicBool>,
}

impl Way {
    fn to(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let way = Self { address, streams: Arc::default(), open: Arc::new(AtomicBool::new(true)) };
        let known = way.clone();
        std::thread::spawn(move || {
            for near in listener.incoming() {
                let near = near.expect("it listens");
                // Dropped at once where the way is cut, or there is nobody yet.
                let far = TcpStream::connect(&server);
                if let (true, Ok(far)) = (known.open.load(Ordering::SeqCst), far) {
                    known.join(&near, &far);
                }
            }
        });
        way
    }

    fn join(&self, near: &TcpStream, far: &TcpStream) {
        for (from, to) in [(near, far), (far, near)] {
            let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
            streams.push(from.try_clone().expect("a socket"));
            let (from, to) = (from.try_clone(), to.try_clone());
            std::thread::spawn(move || pass(from.expect("a socket"), to.expect("a socket")));
        }
    }

    /// Ends all connections; with `for_good` no other comes about.
    fn cut(&self, for_good: bool) {
        self.open.fetch_and(!for_good, Ordering::SeqCst);
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        streams.drain(..).for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = [0; 1 << 12];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    drop((from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both)));
}

/// Does something at its third batch.
struct AtThird<F>(F);

impl<F: Fn() + Sync> Model<f32> for AtThird<F> {
    type Batch = u64;

    fn gradients(
        &self,
        variables: &Variables<f32>,
        batch: &u64,
        work: &Work<'_, f32>,
    ) -> Result<Option<Computed<f32>>, BoxError> {
        if *batch == 2 {
            (self.0)();
        }
        Pull.gradients(variables, batch, work)
    }
}

/// Three batches.
struct Three<F>(F);

impl<F: FnMut()> sync_replicas::BatchSource for Three<F> {
    type Batch = u64;

    fn batch(&mut self, number: u64) -> Option<u64> {
        if number == 3 {
            (self.0)();
        }
        (number < 3).then_some(number)
    }
}

/// A server, and the worker's way to it.
fn server() -> (std::thread::JoinHandle<ClusterReport<f32>>, ProcessHandle, Way) {
    let address = addresses(1);
    let cluster = place(&address, "ps");
    let (way, stop) = (Way::to(address), cluster.process_handle());
    let served = std::thread::spawn(move || {
        let trainer = replicas(1, 1).lease(LONG).on(&cluster).build(variables()).expect("it fits");
        trainer.fit(&Pull, numbers, Hooks::new()).expect("it ends in peace")
    });
    (served, stop, way)
}

fn place(server: &str, role: &str) -> Cluster {
    let place = Node::from_flags(server, "127.0.0.1:1", role, 0).expect("it makes sense");
    Cluster::new(place).reconnect_timeout(LONG)
}

/// P-1: a wish to end is heard in the middle of a push, whose server is out of reach.
#[test]
fn a_worker_in_a_push_leaves_at_once() {
    let (served, stop_server, way) = server();
    let cluster = place(&way.address, "worker");
    let stop = cluster.process_handle();
    let model = AtThird(|| {
        way.cut(true);
        let stop = stop.clone();
        // Once the push is under way.
        std::thread::spawn(move || stop.leave());
    });
    let trainer = replicas(1, 1).lease(LONG).on(&cluster).build(variables()).expect("it fits");
    let begun = Instant::now();
    let report = trainer.fit(&model, numbers, Hooks::new()).expect("it leaves in peace");
    assert!(report.left && begun.elapsed() < SOON, "{:?}", begun.elapsed());
    stop_server.leave();
    served.join().expect("it ends");
}

/// P-2: whoever leaves over a line that has just broken says so over another one, so nobody waits
/// for its lease.
#[test]
fn a_leave_is_said_again_over_a_broken_line() {
    let (served, _, way) = server();
    let cluster = place(&way.address, "worker");
    let trainer = replicas(1, 1).lease(LONG).on(&cluster).build(variables()).expect("it fits");
    let begun = Instant::now();
    trainer.fit(&Pull, |_| Three(|| way.cut(false)), Hooks::new()).expect("it leaves in peace");
    let report = served.join().expect("it ends");
    assert_eq!(report.stopped, "every replica has left");
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
}

/// P-2: a replica that is dropped while its servers are out of reach waits for nobody.
#[test]
fn a_replica_that_is_dropped_out_of_reach_leaves_soon() {
    let (served, stop_server, way) = server();
    let cluster = place(&way.address, "worker");
    let trainer = replicas(1, 1).lease(LONG).on(&cluster).build(variables()).expect("it fits");
    let mut replica = trainer.replica(Hooks::new()).expect("it is a worker");
    let step = replica.next_step().expect("it is served").expect("it goes on");
    way.cut(true);
    let begun = Instant::now();
    drop(replica);
    drop(step);
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    stop_server.leave();
    served.join().expect("it ends");
}
