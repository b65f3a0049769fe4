//! A coordinator that is replaced while it is stopped, and comes back (P-26).
//!
//! Parameter server 0 says and hears nothing for a while; a scheduler takes it for lost and starts
//! another process under its name, with its folder. Then the first one goes on. Invariant: from the
//! moment that the other one starts, it alone is what others reach as `ps0`.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use super::faults::Draw;
use super::program::Plan;

/// The host that stands by.
pub(super) const SUCCESSOR: &str = "ps0-again";

/// Which process is `ps0`.
#[derive(Clone, Debug, Default)]
pub(super) struct First(Arc<State>);

#[derive(Debug, Default)]
struct State {
    replaced: AtomicBool,
    told: Notify,
}

impl First {
    /// The host that a name means now.
    pub(super) fn host(&self, name: &str) -> String {
        match name {
            "ps0" if self.is_replaced() => SUCCESSOR.to_owned(),
            name => name.to_owned(),
        }
    }

    pub(super) fn is_replaced(&self) -> bool {
        self.0.replaced.load(Ordering::SeqCst)
    }

    /// Until the successor is to begin.
    pub(super) async fn until_replaced(&self) {
        while !self.is_replaced() {
            self.0.told.notified().await;
        }
    }

    fn replace(&self) {
        self.0.replaced.store(true, Ordering::SeqCst);
        self.0.told.notify_waiters();
    }
}

/// The scene, where a run has it.
pub(super) struct Succession {
    /// When it stops, when another is started, and when it goes on.
    times: Option<(Duration, Duration, Duration)>,
    others: Vec<String>,
    still: bool,
}

impl Succession {
    /// In one run of three with several servers: with one server it cannot be told apart.
    pub(super) fn new(seed: u64, plan: &Plan) -> Self {
        let mut draw = Draw::new(seed ^ 0x5355_4343);
        let mut milliseconds = |from: u64, to: u64| Duration::from_millis(from + draw.below(to));
        let begins = milliseconds(0, 12_000);
        let another = begins + milliseconds(100, 8_000);
        let back = another + milliseconds(0, 9_000);
        let is_on = plan.ps > 1 && draw.below(3) == 0;
        let servers = (1..plan.ps).map(|it| format!("ps{it}"));
        Self {
            times: is_on.then_some((begins, another, back)),
            others: servers.chain((0..plan.workers).map(|it| format!("worker{it}"))).collect(),
            still: false,
        }
    }

    /// The acts that are due; whether the successor has just been started.
    pub(super) fn happen(
        &mut self,
        now: Duration,
        first: &First,
        sim: &mut turmoil::Sim<'_>,
        trace: &mut String,
    ) -> bool {
        let Some((begins, another, back)) = self.times else { return false };
        if !self.still && !first.is_replaced() && now >= begins {
            // One that has crashed is no old process that may come back.
            if !sim.is_host_running("ps0") {
                self.times = None;
                return false;
            }
            let _ = writeln!(trace, "{now:?} ps0 stands still");
            self.others.iter().for_each(|other| sim.hold("ps0", other.as_str()));
            self.still = true;
        }
        if self.still && now >= back {
            let _ = writeln!(trace, "{now:?} the old ps0 goes on");
            self.go_on(sim);
            self.times = None;
        }
        let starts = self.still && !first.is_replaced() && now >= another;
        if starts {
            let _ = writeln!(trace, "{now:?} another process is started as ps0");
            first.replace();
        }
        starts
    }

    /// Everything works from now on.
    pub(super) fn mend(&mut self, sim: &turmoil::Sim<'_>) {
        self.times = None;
        self.go_on(sim);
    }

    fn go_on(&mut self, sim: &turmoil::Sim<'_>) {
        if std::mem::take(&mut self.still) {
            self.others.iter().for_each(|other| sim.release("ps0", other.as_str()));
        }
    }
}
