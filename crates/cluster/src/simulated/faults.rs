//! Which faults happen when, and what is broken at the moment; all drawn from the seed.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;

use super::program::Plan;

/// Drawn numbers: the same for the same seed, everywhere (SplitMix64).
pub(super) struct Draw(u64);

impl Draw {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % limit
    }
}

/// The faults of one run.
pub(super) struct Faults {
    pub(super) plan: Plan,
    hosts: Vec<String>,
    /// The first process of ps 0, once another one is.
    old: Option<String>,
    crashed: BTreeSet<String>,
    /// When a server crashed or came back for the first and for the last time.
    pub(super) struck: Option<(Duration, Duration)>,
    cut: BTreeSet<(String, String)>,
    held: BTreeSet<(String, String)>,
    next: Duration,
    end: Duration,
    /// The mean pause between two faults, in milliseconds.
    pace: u64,
    /// The kinds of fault in this run.
    kinds: Vec<Kind>,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    CrashWorker,
    CrashServer,
    Cut,
    Hold,
}

impl Faults {
    pub(super) fn new(draw: &mut Draw, plan: &Plan) -> Self {
        let servers = (0..plan.ps).map(|n| format!("ps{n}"));
        let hosts = servers.chain((0..plan.workers).map(|n| format!("worker{n}"))).collect();
        let all = [Kind::CrashWorker, Kind::CrashServer, Kind::Cut, Kind::Hold];
        // Each class of fault is left out now and then, so that the others get their chance.
        let kinds = all.into_iter().filter(|_| draw.below(5) > 0).collect();
        Self {
            plan: *plan,
            hosts,
            old: None,
            crashed: BTreeSet::new(),
            struck: None,
            cut: BTreeSet::new(),
            held: BTreeSet::new(),
            next: Duration::from_millis(draw.below(1000)),
            end: Duration::from_millis(2000 + draw.below(20_000)),
            pace: 200 + draw.below(1500),
            kinds,
        }
    }

    /// Another process is now ps 0: it may crash as the first one might, and is not started again.
    pub(super) fn replace_first(&mut self, host: &str, now: Duration) {
        let old = std::mem::replace(&mut self.hosts[0], host.to_owned());
        self.crashed.remove(&old);
        self.old = Some(old);
        let (first, _) = self.struck.unwrap_or((now, now));
        self.struck = Some((first, now));
    }

    pub(super) fn are_over(&self, now: Duration) -> bool {
        now >= self.end
    }

    /// A fault, if it is time for one; the same dice repair broken things.
    pub(super) fn happen(
        &mut self,
        now: Duration,
        draw: &mut Draw,
        sim: &mut turmoil::Sim<'_>,
        trace: &mut String,
    ) {
        if now < self.next || self.kinds.is_empty() {
            return;
        }
        self.next = now + Duration::from_millis(1 + draw.below(2 * self.pace));
        let kind = self.kinds[draw.below(self.kinds.len() as u64) as usize];
        let servers = self.plan.ps;
        match kind {
            Kind::CrashServer => {
                let (first, _) = self.struck.unwrap_or((now, now));
                self.struck = Some((first, now));
                self.crash(draw.below(servers), now, sim, trace);
            }
            Kind::CrashWorker => {
                self.crash(servers + draw.below(self.plan.workers), now, sim, trace);
            }
            Kind::Cut | Kind::Hold => {
                let a = draw.below(self.hosts.len() as u64) as usize;
                let b = draw.below(servers) as usize;
                if a != b {
                    self.disturb(kind, (a, b), now, sim, trace);
                }
            }
        }
    }

    fn crash(&mut self, host: u64, now: Duration, sim: &mut turmoil::Sim<'_>, trace: &mut String) {
        let host = self.hosts[host as usize].clone();
        if self.crashed.remove(&host) {
            sim.bounce(host.as_str());
            let _ = writeln!(trace, "{now:?} {host} starts again");
        } else if sim.is_host_running(host.as_str()) {
            sim.crash(host.as_str());
            let _ = writeln!(trace, "{now:?} {host} crashes");
            self.crashed.insert(host);
        }
    }

    fn disturb(
        &mut self,
        kind: Kind,
        (a, b): (usize, usize),
        now: Duration,
        sim: &turmoil::Sim<'_>,
        trace: &mut String,
    ) {
        let pair = (self.hosts[a].clone(), self.hosts[b].clone());
        let (one, other) = (pair.0.as_str(), pair.1.as_str());
        let what = match kind {
            Kind::Hold if self.held.remove(&pair) => {
                sim.release(one, other);
                "is released"
            }
            Kind::Hold => {
                sim.hold(one, other);
                self.held.insert(pair.clone());
                "is held"
            }
            _ if self.cut.remove(&pair) => {
                sim.repair(one, other);
                "is mended"
            }
            _ => {
                sim.partition(one, other);
                self.cut.insert(pair.clone());
                "is cut"
            }
        };
        let _ = writeln!(trace, "{now:?} {pair:?} {what}");
    }

    /// Everything works from now on.
    pub(super) fn mend(&mut self, sim: &mut turmoil::Sim<'_>, trace: &mut String) {
        for (one, other) in std::mem::take(&mut self.cut) {
            sim.repair(one, other);
        }
        for (one, other) in std::mem::take(&mut self.held) {
            sim.release(one, other);
        }
        for host in std::mem::take(&mut self.crashed) {
            if let (true, Some((_, last))) = (host.starts_with("ps"), &mut self.struck) {
                *last = sim.elapsed();
            }
            sim.bounce(host);
        }
        let _ = writeln!(trace, "{:?} all is mended", sim.elapsed());
    }

    pub(super) fn running(&self, sim: &mut turmoil::Sim<'_>) -> Vec<String> {
        let hosts = self.hosts.iter().chain(&self.old);
        hosts.filter(|host| sim.is_host_running(host.as_str())).cloned().collect()
    }

    pub(super) fn all_ended(&self, sim: &mut turmoil::Sim<'_>) -> bool {
        self.running(sim).is_empty()
    }
}
