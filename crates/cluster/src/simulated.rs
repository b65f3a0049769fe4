//! The whole cluster in virtual time over simulated TCP: the real servers and sessions, with
//! delayed, cut and held connections, crashes and restarts; a seed decides which.
//!
//! First faults happen, and nothing wrong may be computed. Then all is repaired, and training must
//! end within [`BOUND`] with the bits of a run without faults.

mod faults;
mod mischief;
mod net;
mod program;
mod seeds;
mod successor;
mod wishes;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use sync_replicas::BoxError;

use crate::server::{ServeError, Server};
use faults::{Draw, Faults};
use mischief::Mischief;
use program::{Plan, Program};
use successor::{First, SUCCESSOR, Succession};
use wishes::{Ear, Wishes};

/// Virtual time from the last repair to the end of training.
const BOUND: Duration = Duration::from_secs(120);

/// After so long without a fault, every running process is connected: it must hear of the end.
const PEACE: Duration = Duration::from_secs(15);

/// The view of a run from outside.
#[derive(Default)]
struct Seen {
    /// The coordinator of the present life of ps 0.
    coordinator: Option<Arc<Server<f32>>>,
    /// The receiver of requests, by process: that of its present life.
    ears: BTreeMap<String, Ear>,
    /// Whether the coordinator has ended training.
    servers_ended: bool,
    /// Whether it did so when nothing had been broken for [`PEACE`].
    in_peace: bool,
    peace: bool,
    /// Processes whose present life began before that.
    early: BTreeSet<String>,
    /// Whether ps 0 has lived anew since a process heard of the end: it knows of one at the last
    /// step.
    forgotten: bool,
    /// Whether the successor was turned away: neither had claimed a generation when it began, and
    /// the old process was the later to do so. A scheduler starts it once more.
    turned_away: bool,
    /// How each finished process ended.
    ends: Vec<String>,
    failure: Option<String>,
}

/// Plays a seed; returns all that happened, and what was wrong.
fn play(seed: u64) -> (String, Result<(), String>) {
    let mut draw = Draw::new(seed);
    let workers = 3;
    let aggregate = 1 + draw.below(4) as usize;
    let last_step = 20 + 20 * draw.below(4) as i64;
    let ps = [1, 2, 2, 3][draw.below(4) as usize];
    // Half of the runs have less room than there are contributions.
    let staging = Some(1 + draw.below(2 * workers) as usize).filter(|&it| it < workers as usize);
    let servers_have_program = seed.is_multiple_of(2);
    let plan = Plan { ps, workers, aggregate, last_step, staging, servers_have_program };
    play_plan(seed, plan, &mut draw)
}

/// Plays a plan by a seed.
fn play_plan(seed: u64, plan: Plan, draw: &mut Draw) -> (String, Result<(), String>) {
    let folder = tempfile::tempdir().expect("a folder");
    let program = Program::new(plan, folder.path().to_owned());
    let mut run = Run::new(seed, draw, program);
    let result = run.play(draw);
    (run.trace, result)
}

struct Run<'a> {
    sim: turmoil::Sim<'a>,
    seen: Rc<RefCell<Seen>>,
    faults: Faults,
    mischief: Mischief,
    wishes: Wishes,
    first: First,
    succession: Succession,
    trace: String,
    /// The coordinator's generation and step, as last seen.
    version: (u64, i64),
    told: usize,
}

impl Run<'_> {
    fn new(seed: u64, draw: &mut Draw, program: Program) -> Self {
        let slowest = 10 + draw.below(150);
        let mut sim = turmoil::Builder::new()
            .rng_seed(seed)
            .tick_duration(Duration::from_millis(5))
            .simulation_duration(Duration::from_secs(3600))
            .min_message_latency(Duration::from_millis(1))
            .max_message_latency(Duration::from_millis(slowest))
            .tcp_capacity(4096)
            .build();
        let seen = Rc::new(RefCell::new(Seen::default()));
        let hosts = (0..program.plan.ps).map(|index| (index, format!("ps{index}")));
        for (index, host) in hosts.chain([(0, SUCCESSOR.to_owned())]) {
            let (program, seen) = (program.clone(), Rc::clone(&seen));
            sim.host(host.clone(), move || {
                let (program, seen, host) = (program.clone(), Rc::clone(&seen), host.clone());
                async move {
                    if host == SUCCESSOR {
                        program.first.until_replaced().await;
                    }
                    let first = program.first.clone();
                    let started = |server, ear| {
                        let mut seen = seen.borrow_mut();
                        seen.begins(format!("ps{index}"), ear);
                        if index == 0 {
                            seen.coordinator = Some(server);
                        }
                    };
                    let ended = program.serve(index, started).await;
                    if host == first.host(&format!("ps{index}")) {
                        let ended = ended.map_err(|it| it.to_string());
                        seen.borrow_mut().server_ended(index, &host, ended);
                    } else {
                        seen.borrow_mut().old_server_ended(ended);
                    }
                    Ok(())
                }
            });
        }
        for index in 0..program.plan.workers {
            let (program, seen) = (program.clone(), Rc::clone(&seen));
            let life = Rc::new(RefCell::new(0_u64));
            sim.host(format!("worker{index}"), move || {
                let (program, seen) = (program.clone(), Rc::clone(&seen));
                *life.borrow_mut() += 1;
                let process = *life.borrow() << 20;
                async move {
                    let known = program.clone();
                    let started = |ear| {
                        seen.borrow_mut().begins(format!("worker{index}"), ear);
                    };
                    let ended = program.work(index, process, started).await;
                    let ended = ended.map_err(|it| it.to_string());
                    seen.borrow_mut().worker_ended(index, &known, ended);
                    Ok(())
                }
            });
        }
        let faults = Faults::new(draw, &program.plan);
        let latency = Duration::from_millis(slowest);
        let mischief = Mischief::new(draw, &program.plan, program.cables.clone(), latency);
        let wishes = Wishes::new(seed, &program.plan);
        let (first, succession) = (program.first.clone(), Succession::new(seed, &program.plan));
        let trace = format!("seed {seed}: {:?}, latency to {slowest} ms\n", program.plan);
        let (version, told) = ((0, 0), 0);
        Self { sim, seen, faults, mischief, wishes, first, succession, trace, version, told }
    }

    fn play(&mut self, draw: &mut Draw) -> Result<(), String> {
        let mut healed = None;
        loop {
            let now = self.sim.elapsed();
            if self.faults.are_over(now) {
                healed.get_or_insert_with(|| {
                    self.mischief.mend(&mut self.sim);
                    self.succession.mend(&self.sim);
                    self.faults.mend(&mut self.sim, &mut self.trace);
                    now
                });
            } else {
                self.faults.happen(now, draw, &mut self.sim, &mut self.trace);
                self.mischief.happen(now, draw, &mut self.sim, &mut self.trace);
                if self.succession.happen(now, &self.first, &mut self.sim, &mut self.trace) {
                    self.faults.replace_first(SUCCESSOR, now);
                }
            }
            self.seen.borrow_mut().peace = healed.is_some_and(|healed| now > healed + PEACE);
            let (step, struck) = (self.version.1, self.faults.struck.map(|(first, _)| first));
            self.wishes.tell(now, (step, struck), &self.seen.borrow(), &mut self.trace);
            self.sim.step().map_err(|error| error.to_string())?;
            if std::mem::take(&mut self.seen.borrow_mut().turned_away) {
                let _ =
                    writeln!(self.trace, "{now:?} {SUCCESSOR} was turned away, and starts again");
                self.sim.bounce(SUCCESSOR);
            }
            self.look()?;
            if healed.is_some() && (self.faults.all_ended(&mut self.sim) || self.is_forgotten()) {
                return self.finished();
            }
            if healed.is_some_and(|healed| now > healed + BOUND) {
                let running = self.faults.running(&mut self.sim);
                let status = self.seen.borrow().coordinator.as_ref().map(|it| it.status());
                let _ = writeln!(self.trace, "{status:#?}");
                return Err(format!(
                    "training did not end {} s after all was mended; {running:?} run",
                    BOUND.as_secs()
                ));
            }
        }
    }

    /// P-9: within a generation steps only go up; generations only go up.
    fn look(&mut self) -> Result<(), String> {
        let seen = self.seen.borrow();
        for end in &seen.ends[self.told..] {
            let _ = writeln!(self.trace, "{:?} {end}", self.sim.elapsed());
        }
        self.told = seen.ends.len();
        if let Some(failure) = &seen.failure {
            return Err(failure.clone());
        }
        let Some(server) = &seen.coordinator else { return Ok(()) };
        let Some(version) = server.version() else { return Ok(()) };
        // A life that has not begun its generation yet.
        if version.0 > 0 && version != self.version {
            let _ = writeln!(self.trace, "{:?} generation, step: {version:?}", self.sim.elapsed());
            if version < self.version {
                return Err(format!("{version:?} came after {:?}", self.version));
            }
            self.version = version;
        }
        Ok(())
    }

    /// Whether all workers have gone since they were told of an end that a later life of the
    /// servers does not know of: only an end at the last step can be seen on disk.
    fn is_forgotten(&mut self) -> bool {
        let mut workers = (0..self.faults.plan.workers).map(|index| format!("worker{index}"));
        let gone = workers.all(|it| !self.sim.is_host_running(it.as_str()));
        gone && self.wishes.is_forgotten(self.faults.struck.map(|(_, last)| last))
    }

    fn finished(&self) -> Result<(), String> {
        let steps = (self.version.1, self.faults.plan.last_step);
        let struck = self.faults.struck.map(|(_, last)| last);
        self.wishes.judge(steps, struck, &self.seen.borrow().ends)
    }
}

impl Seen {
    fn begins(&mut self, process: String, ear: Ear) {
        match self.servers_ended {
            true => self.early.remove(&process),
            false => self.early.insert(process.clone()),
        };
        self.forgotten |= process == "ps0" && self.is_heard();
        self.ears.insert(process, ear);
    }

    fn server_ended(&mut self, index: u64, host: &str, ended: Result<String, String>) {
        let replaced = ended.as_ref().is_err_and(|it| it.contains("has taken its place"));
        if host == SUCCESSOR && replaced {
            self.turned_away = true;
            return;
        }
        if index == 0 && !self.servers_ended {
            (self.servers_ended, self.in_peace) = (true, self.peace && ended.is_ok());
        }
        // One that comes back after the end finds no server, waits, and says so.
        let late = self.late(&format!("ps{index}"));
        self.ends.push(format!("ps{index} ended: {ended:?}"));
        if let Err(reason) = ended
            && !(late && reason.contains("were gone for"))
        {
            self.failure.get_or_insert(format!("ps{index}: {reason}"));
        }
    }

    /// The first process of ps 0 ended, after another one was started in its place: it was turned
    /// away, or found no server after the end (P-26).
    fn old_server_ended(&mut self, ended: Result<String, BoxError>) {
        self.ends.push(format!("the old ps0 ended: {ended:?}"));
        let Err(error) = ended else { return };
        let is_lawful = match error.downcast_ref() {
            Some(ServeError::Replaced { .. }) => true,
            Some(ServeError::Abandoned { .. }) => self.servers_ended,
            _ => false,
        };
        if !is_lawful {
            self.failure.get_or_insert(format!("the old ps0: {error}"));
        }
    }

    /// Whether this process may not have heard of an end that another has heard of: it came later,
    /// or something was broken (P-2).
    fn late(&self, process: &str) -> bool {
        let ended = self.servers_ended || self.is_heard();
        ended && (process == "ps0" || !(self.in_peace && self.early.contains(process)))
    }

    /// Whether a process that was told of the end has ended.
    fn is_heard(&self) -> bool {
        let heard = |it: &String| it.contains("was reached") || it.contains("asked to end");
        self.ends.iter().any(heard)
    }

    fn worker_ended(
        &mut self,
        index: u64,
        program: &Program,
        ended: Result<crate::ClusterReport<f32>, String>,
    ) {
        let wrong = match &ended {
            Ok(report) => report.variables.as_ref().and_then(|variables| {
                let step = report.global_step.get();
                let right = program.expected(step) == Some(variables.sha256().as_str());
                (!right).then(|| format!("worker{index} got variables that no step has: {step}"))
            }),
            // It came after the end, with no server there to say so. A process that reaches the
            // first server hears of the end, whatever else is away, unless that server does not
            // know.
            Err(reason)
                if self.late(&format!("worker{index}"))
                    && (self.forgotten || reason.contains("ps 0 at")) =>
            {
                None
            }
            Err(reason) => Some(format!("worker{index}: {reason}")),
        };
        let told = ended.map(|report| (report.global_step.get(), report.stopped));
        self.ends.push(format!("worker{index} ended: {told:?}"));
        if let Some(wrong) = wrong {
            self.failure.get_or_insert(wrong);
        }
    }
}
