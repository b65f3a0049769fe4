//! Mischief in several acts: connections that are cut at a byte, servers that stop or are slow,
//! answers that come late, workers that die while they wait for room. All of it is drawn.
//!
//! A single fault seldom meets another by chance; the scenes here make them meet.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::Duration;

use super::faults::Draw;
use super::net::Cables;
use super::program::{LEASE, Plan};

/// The scenes of one run, and the present troubles.
pub(super) struct Mischief {
    plan: Plan,
    cables: Cables,
    /// The usual longest delay of a message.
    latency: Duration,
    /// What is still to come, by its time and in the order in which it was planned.
    acts: BTreeMap<(Duration, u64), Act>,
    thought: u64,
    held: BTreeSet<(String, String)>,
    slow: BTreeSet<u64>,
    crashed: BTreeSet<String>,
    next: Duration,
    /// The mean pause between two scenes, in milliseconds.
    pace: u64,
    kinds: Vec<Kind>,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// A worker's connections break, to some servers and not to others.
    Blip,
    /// Servers stop, and heartbeats go on.
    Still,
    /// A server's messages take longer than a lease, or nearly so.
    Slow,
    /// A worker is taken for dead while another server's answer to it is on its way.
    Late,
    /// Workers die, perhaps while they wait for room, and start again at once.
    Restart,
}

#[derive(Clone, Debug)]
enum Act {
    /// The connections between two break after so many bytes.
    Burn(String, String, u64),
    Hold(String, String),
    Release(String, String),
    /// From now on messages to and from a server take so long; `None` for as long as usual.
    Delay(u64, Option<Duration>),
    Crash(String),
    Start(String),
}

impl Mischief {
    pub(super) fn new(draw: &mut Draw, plan: &Plan, cables: Cables, latency: Duration) -> Self {
        let all = [Kind::Blip, Kind::Still, Kind::Slow, Kind::Late, Kind::Restart];
        let kinds = all.into_iter().filter(|_| draw.below(3) > 0).collect();
        Self {
            plan: *plan,
            cables,
            latency,
            acts: BTreeMap::new(),
            thought: 0,
            held: BTreeSet::new(),
            slow: BTreeSet::new(),
            crashed: BTreeSet::new(),
            next: Duration::from_millis(draw.below(2000)),
            pace: 200 + draw.below(2000),
            kinds,
        }
    }

    /// The acts that are due.
    pub(super) fn happen(
        &mut self,
        now: Duration,
        draw: &mut Draw,
        sim: &mut turmoil::Sim<'_>,
        trace: &mut String,
    ) {
        if now >= self.next && !self.kinds.is_empty() {
            self.next = now + Duration::from_millis(1 + draw.below(2 * self.pace));
            let kind = self.kinds[draw.below(self.kinds.len() as u64) as usize];
            self.think_of(kind, now, draw);
        }
        while let Some(entry) = self.acts.first_entry().filter(|it| it.key().0 <= now) {
            let act = entry.remove();
            let _ = writeln!(trace, "{now:?} {act:?}");
            self.play(act, sim);
        }
    }

    fn at(&mut self, time: Duration, act: Act) {
        self.thought += 1;
        self.acts.insert((time, self.thought), act);
    }

    fn think_of(&mut self, kind: Kind, now: Duration, draw: &mut Draw) {
        let worker = format!("worker{}", draw.below(self.plan.workers));
        let server = draw.below(self.plan.ps);
        let others = self.plan.ps - 1;
        let mut milliseconds = |from: u64, to: u64| Duration::from_millis(from + draw.below(to));
        match kind {
            Kind::Blip => {
                let mut at = now;
                for _ in 0..=draw.below(6) {
                    self.blip(&worker, server, at, draw);
                    at += Duration::from_millis(draw.below(600));
                }
            }
            Kind::Still => {
                let end = now + milliseconds(50, 9_000);
                let still: Vec<u64> =
                    (0..self.plan.ps).filter(|&it| it == server || draw.below(3) > 0).collect();
                for server in still {
                    self.still(server, now, end);
                }
            }
            Kind::Slow => {
                let delay = milliseconds(100, 2_500);
                let end = now + milliseconds(1_000, 8_000);
                self.at(now, Act::Delay(server, Some(delay)));
                self.at(end, Act::Delay(server, None));
            }
            Kind::Late if others > 0 => {
                let other = format!("ps{}", 1 + server % others);
                self.late(&worker, &other, now, draw);
            }
            Kind::Late | Kind::Restart => {
                let mut at = now;
                for _ in 0..=draw.below(4) {
                    let worker = format!("worker{}", draw.below(self.plan.workers));
                    let back = at + Duration::from_millis(5 + draw.below(700));
                    self.at(at, Act::Crash(worker.clone()));
                    self.at(back, Act::Start(worker));
                    at += Duration::from_millis(draw.below(900));
                }
            }
        }
    }

    /// A worker is taken for dead, once or twice, before it hears what another server has answered.
    fn late(&mut self, worker: &str, other: &str, now: Duration, draw: &mut Draw) {
        let pair = |server: &str| (worker.to_owned(), server.to_owned());
        let (one, first) = pair("ps0");
        let (_, other) = pair(other);
        self.at(now, Act::Hold(one.clone(), other.clone()));
        let mut at = now;
        for _ in 0..=draw.below(2) {
            self.at(at, Act::Hold(one.clone(), first.clone()));
            at += LEASE + Duration::from_millis(100 + draw.below(400));
            self.at(at, Act::Release(one.clone(), first.clone()));
            at += Duration::from_millis(100 + draw.below(1_000));
        }
        self.at(at, Act::Release(one, other));
    }

    /// Some of a worker's connections break, each at its own byte.
    fn blip(&mut self, worker: &str, server: u64, now: Duration, draw: &mut Draw) {
        for other in 0..self.plan.ps {
            if other == server || draw.below(3) == 0 {
                let bytes = draw.below(2) * draw.below(600);
                let later = now + Duration::from_millis(draw.below(40));
                self.at(later, Act::Burn(worker.to_owned(), format!("ps{other}"), bytes));
            }
        }
        if self.plan.ps > 1 && draw.below(8) == 0 {
            let other = format!("ps{}", 1 + draw.below(self.plan.ps - 1));
            self.at(now, Act::Burn("ps0".to_owned(), other, draw.below(600)));
        }
    }

    /// A server says and hears nothing; the other processes' connections with each other go on.
    fn still(&mut self, server: u64, now: Duration, end: Duration) {
        let workers = (0..self.plan.workers).map(|it| format!("worker{it}"));
        let servers = (0..self.plan.ps).filter(|&it| it != server).map(|it| format!("ps{it}"));
        for other in workers.chain(servers).collect::<Vec<_>>() {
            let server = format!("ps{server}");
            self.at(now, Act::Hold(other.clone(), server.clone()));
            self.at(end, Act::Release(other, server));
        }
    }

    fn play(&mut self, act: Act, sim: &mut turmoil::Sim<'_>) {
        match act {
            Act::Burn(one, other, bytes) => self.cables.burn(&one, &other, bytes),
            Act::Hold(one, other) => {
                sim.hold(one.as_str(), other.as_str());
                self.held.insert((one, other));
            }
            Act::Release(one, other) => {
                sim.release(one.as_str(), other.as_str());
                self.held.remove(&(one, other));
            }
            Act::Delay(server, delay) => self.delay(server, delay, sim),
            Act::Crash(host) => {
                if sim.is_host_running(host.as_str()) {
                    sim.crash(host.as_str());
                    self.crashed.insert(host);
                }
            }
            Act::Start(host) => {
                if self.crashed.remove(&host) {
                    sim.bounce(host.as_str());
                }
            }
        }
    }

    fn delay(&mut self, server: u64, delay: Option<Duration>, sim: &turmoil::Sim<'_>) {
        for worker in 0..self.plan.workers {
            let (worker, server) = (format!("worker{worker}"), format!("ps{server}"));
            let least = delay.unwrap_or(Duration::from_millis(1));
            sim.set_link_latency(worker.as_str(), server.as_str(), least);
            let most = delay.unwrap_or(self.latency);
            sim.set_link_max_message_latency(worker.as_str(), server.as_str(), most);
        }
        match delay {
            Some(_) => self.slow.insert(server),
            None => self.slow.remove(&server),
        };
    }

    /// Everything works from now on.
    pub(super) fn mend(&mut self, sim: &mut turmoil::Sim<'_>) {
        self.acts.clear();
        for (one, other) in std::mem::take(&mut self.held) {
            sim.release(one, other);
        }
        for server in self.slow.clone() {
            self.delay(server, None, sim);
        }
        for host in std::mem::take(&mut self.crashed) {
            sim.bounce(host);
        }
    }
}
