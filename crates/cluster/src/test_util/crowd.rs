//! What the coordinator's process says and hears in a step of many replicas and servers (P-22): the
//! real one, and scripts of the others.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sync_replicas::ReplicaId;
use sync_replicas::driver::{Generation, Incarnation};
use sync_replicas::engine::Settings;

use super::example::{commit, contribution, hello};
use super::{LIFE, placement, server_by};
use crate::coordinator::{Contribution, receipt};
use crate::index::ServerIndex;
use crate::proto::to_replica::Message as Said;
use crate::proto::to_server::Message;
use crate::proto::{self, ToServer};
use crate::server::Server;
use crate::server::offline::{ServedLink, Talk, begin_served};

/// A cluster, and how often each kind of message went to or from its coordinator.
struct Crowd {
    server: Arc<Server<f32>>,
    links: Vec<ServedLink>,
    replicas: Vec<Talk>,
    servers: usize,
    counts: BTreeMap<&'static str, usize>,
}

impl Crowd {
    /// All replicas have their first token; the first one follows, as a chief with hooks does.
    async fn new(aggregate: usize, replicas: usize, servers: usize) -> Self {
        let of = |index| {
            let settings =
                Settings { total_num_replicas: Some(replicas), ..Settings::new(aggregate) };
            server_by((index, servers), settings, None, false)
        };
        let server = of(0);
        let others = (1..servers).map(of).inspect(|other| begin_served(other));
        let links: Vec<_> = others.map(|other| ServedLink::of(&server, other)).collect();
        ServedLink::begin_all(&server, &links).await;
        let mut crowd =
            Self { server, links, replicas: Vec::new(), servers, counts: BTreeMap::new() };
        for replica in 0..replicas {
            let mut first = hello(replica as u64, (replica as u64, 1));
            if let Message::Hello(hello) = &mut first {
                hello.follows = replica == 0;
            }
            let talk = Talk::open(&crowd.server, ToServer { message: Some(first) }).await;
            crowd.replicas.push(talk.expect("it is welcome"));
        }
        crowd.hear_all("Granted", 0..replicas).await;
        crowd.counts.clear();
        crowd
    }

    fn count(&mut self, name: &'static str, how_often: usize) {
        *self.counts.entry(name).or_default() += how_often;
    }

    /// These replicas hear until each has heard a message of this kind.
    async fn hear_all(&mut self, name: &str, replicas: impl Iterator<Item = usize>) {
        for replica in replicas {
            loop {
                let said = self.replicas[replica].hear().await.expect("it stays connected");
                let heard = kind(&said);
                self.count(heard, 1);
                if heard == name {
                    break;
                }
            }
        }
    }

    /// The receipts of all servers but the coordinator's.
    fn receipts(&self, replica: usize, sequence: u64) -> u64 {
        let (replica, incarnation) = (ReplicaId::new(replica as u64), Incarnation::new(1));
        let contribution = Contribution { replica, incarnation, sequence };
        let of = |server| receipt(LIFE, ServerIndex::new(server), Generation::new(1), contribution);
        (1..self.servers).map(of).fold(0, |together, one| together ^ one)
    }

    /// A replica sends the coordinator's server its part, and commits.
    fn push(&mut self, replica: usize, sequence: u64) {
        let mut messages = contribution(placement(self.servers).parts(0));
        messages.push(commit(self.receipts(replica, sequence)));
        for mut message in messages {
            match &mut message {
                Message::Begin(begin) => begin.sequence = sequence,
                Message::Commit(commit) => {
                    (commit.sequence, commit.local_step) = (sequence, sequence as i64 - 1);
                }
                _ => {}
            }
            self.replicas[replica].say(&ToServer { message: Some(message) });
        }
        self.count("Commit", 1);
    }

    /// The other servers do as they are told.
    async fn obey(&mut self) {
        for link in std::mem::take(&mut self.links) {
            let (orders, done) = link.answer_all(&self.server).await;
            self.count("orders", orders);
            self.count("done", done);
            self.links.push(link);
        }
    }

    /// Everybody pushes, and has the next token.
    async fn step(&mut self, aggregate: usize, sequence: u64) {
        let replicas = self.replicas.len();
        (0..aggregate).for_each(|replica| self.push(replica, sequence));
        self.hear_all("Pushed", 0..aggregate).await;
        self.obey().await;
        self.hear_all("Granted", 0..aggregate).await;
        // Those that are late hear that, and are dropped.
        self.hear_all("Advanced", aggregate..replicas).await;
        (aggregate..replicas).for_each(|replica| self.push(replica, sequence));
        self.hear_all("Granted", aggregate..replicas).await;
    }
}

fn kind(said: &Said) -> &'static str {
    match said {
        Said::Welcome(_) => "Welcome",
        Said::Granted(_) => "Granted",
        Said::Pushed(_) => "Pushed",
        Said::Staged(_) => "Staged",
        Said::Advanced(_) => "Advanced",
        Said::Values(_) => "Values",
        _ => "others",
    }
}

/// Steps of a cluster take at most so many control messages at the coordinator each.
fn check((aggregate, replicas, servers): (usize, usize, usize), most: f64) {
    const STEPS: u64 = 4;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let counts = runtime.expect("threads and timers").block_on(async {
        let mut crowd = Crowd::new(aggregate, replicas, servers).await;
        for sequence in 1..=STEPS {
            crowd.step(aggregate, sequence).await;
        }
        assert_eq!(crowd.server.status().coordinator.map(|it| it.global_step), Some(4));
        crowd.counts
    });
    let a_step = counts.values().sum::<usize>() as f64 / STEPS as f64;
    let case = format!("{aggregate} of {replicas} with {servers}: {counts:?}");
    assert!(a_step <= most, "{a_step} a step, expected at most {most}: {case}");
    // Everything is counted.
    let of = |name| counts.get(name).copied().unwrap_or(0) / STEPS as usize;
    assert_eq!(
        (of("Commit"), of("Pushed"), of("Granted")),
        (replicas, replicas, replicas),
        "{case}"
    );
    assert_eq!((of("done"), of("others")), (of("orders"), 0), "{case}");
    assert!(of("orders") <= 9 * (servers - 1), "{case}");
}

/// P-22: 4,894 was the number when each admission and each step was told to everybody.
#[test]
fn a_step_takes_messages_by_replicas_plus_servers() {
    check((256, 256, 16), 0.3 * 4_894.0);
    check((240, 256, 16), 0.3 * 4_894.0);
    check((1_000, 1_000, 16), 4.0 * 1_000.0 + 20.0 * 16.0);
    check((3, 3, 2), 4.0 * 3.0 + 20.0 * 2.0);
}

/// P-11, P-22: a server's values leave once it has made its update, while others are at theirs;
/// they say of which step they are, which is made when all have.
#[test]
fn values_leave_before_the_step_is_made() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("threads and timers").block_on(async {
        let mut crowd = Crowd::new(1, 1, 3).await;
        let pull = Message::Pull(proto::Pull { generation: 1, after: 0, full: false });
        crowd.replicas[0].say(&ToServer { message: Some(pull) });
        crowd.push(0, 1);
        let values = async {
            loop {
                match crowd.replicas[0].hear().await {
                    Some(Said::Values(it)) if it.last => break it.global_step,
                    said => assert!(said.is_some(), "its connection is closed"),
                }
            }
        };
        let come = tokio::time::timeout(Duration::from_secs(10), values).await;
        let steps = come.expect("they come before the other servers have answered");
        let made = crowd.server.status().coordinator.map(|it| it.global_step);
        assert_eq!((steps, made), (1, Some(0)));
        crowd.obey().await;
        crowd.hear_all("Granted", 0..1).await;
    });
}
