//! A cluster of processes on this machine, started, watched and ended together.
//!
//! Every process is this program with `node`, or a worker that runs the user's own. Invariant: none
//! outlives the launcher, however that ends.

mod child;
mod job;
mod listen;
mod reach;
mod signal;
mod watcher;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use cluster::spec::{Role, Task};
use sync_replicas::driver::create_private_folder;

use self::child::{Child, LEAVE, Look, NOBODY, Restart, SAVE};
use self::job::{Job, Places, nth_page};
pub use self::listen::listen_to_launcher;
pub(crate) use self::reach::Reach;
use self::reach::Reachable;
use self::watcher::Watcher;
use crate::args::{LaunchArgs, SecurityArgs};
use crate::command_line::Options;
use crate::commands::security;
use crate::error::Error;
use crate::pages::observe;
use crate::run::folder::files::LOGS;
use crate::system::interrupt::Interrupt;
use crate::system::output::say;
use crate::system::ports;

/// The time between two checks of the processes.
const LOOK: Duration = Duration::from_millis(50);

/// How long processes may take to end once they should.
const GRACE: Duration = Duration::from_secs(15);

/// How a launched training ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launched {
    /// Where its files are.
    pub run_dir: PathBuf,
    /// Whether it ended early.
    pub interrupted: bool,
    /// Whether there is a checkpoint to go on from.
    pub saved: bool,
}

/// Runs a cluster to its end; the chief shows progress and the result. `options` are those that the
/// user gave, and `itself` starts this program again when words are appended.
///
/// # Errors
/// When nothing could be begun, or the training failed; every process has ended by then.
pub fn launch(
    args: &LaunchArgs,
    options: &Options,
    itself: &[OsString],
    interrupt: &Interrupt,
) -> Result<Launched, Error> {
    // Said here, and not by every process in its log.
    check_security(&args.security)?;
    let (ps, workers) = (args.ps as usize, args.workers as usize);
    let ports = ports::free(ps + workers)?;
    let page = observe::address(args.train.dashboard, args.metrics_port, &args.security)?;
    if let Some(first) = page {
        // Each process binds its own.
        (0..args.ps).try_for_each(|index| ports::bind_metrics(nth_page(first, index)).map(drop))?;
    }
    let mut job = Job::new(args, options, itself)?;
    if let Some(from) = job.folder.from().filter(|_| !args.train.quiet) {
        say(from.words());
    }
    let list = |ports: &[u16]| ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    let places = Places {
        ps: list(&ports[..ps]),
        workers: list(&ports[ps..]),
        page,
        exports: args.train.exports.clone(),
    };
    // Until it ends: then nothing listens there.
    let root = job.folder.root().to_owned();
    let (_reachable, security) = Reachable::new(&root, places.ps.clone(), &args.security)?;
    if !args.train.quiet {
        let (root, beginning) = (root.display(), &job.beginning);
        say(format!("run folder {root}: {beginning}; how it is: sync-replicas status {root}"));
    }
    if let Some(page) = page {
        say(format!("live page: http://{page}/"));
    }
    let logs = root.join(LOGS);
    create_private_folder(&logs).map_err(not_started)?;
    let all = |role, count| (0..count).map(move |index| Task { role, index });
    let tasks = all(Role::Ps, args.ps).chain(all(Role::Worker, args.workers));
    let children = tasks
        .chain(all(Role::Evaluator, args.evaluator.into()))
        .map(|task| Child::start(task, job.start(task, &places, &security), &logs));
    let children = children.collect::<Result<_, _>>().map_err(not_started)?;
    let watched = !args.program.is_empty() && !args.train.quiet;
    let watcher = watched.then(|| Watcher::start(&places.ps[0], &security)).transpose()?;
    let mut processes = Processes { children, quiet: args.train.quiet, patience: args.patience };
    let ended = processes.watch(interrupt);
    drop(watcher);
    let Some(interrupted) = ended? else {
        return Err(Error::failed(format!(
            "the training did not end within {} s of the interrupt, and its processes were ended; \
             {} has its newest checkpoint, and the messages are in {}",
            GRACE.as_secs(),
            job.folder.checkpoints().display(),
            logs.display()
        )));
    };
    if interrupted {
        job.folder.abandon();
    } else if !args.program.is_empty() && !job.folder.has_ended() {
        return Err(Error::failed(format!(
            "the program of worker 0 has ended, and training has not; it trains from its first \
             `next_step` or `fit` to the end, or not at all; the messages are above and in {}",
            logs.display()
        )));
    }
    let saved = job.folder.checkpoints().is_dir();
    Ok(Launched { run_dir: root, interrupted, saved })
}

fn not_started(error: io::Error) -> Error {
    Error::failed(format!("a process could not be started: {error}"))
}

/// Reads the key and the certificates once.
fn check_security(args: &SecurityArgs) -> Result<(), Error> {
    security::key(args)?;
    if let Some(tls) = security::tls(args) {
        tls.server()?;
    }
    Ok(())
}

/// All processes.
struct Processes {
    children: Vec<Child>,
    quiet: bool,
    /// How long the chief may take after the last server, if that is longer than the others get.
    patience: Duration,
}

impl Processes {
    /// Waits for the chief's result; whether it was interrupted. `None` if there is no result soon
    /// after an interrupt.
    fn watch(&mut self, interrupt: &Interrupt) -> Result<Option<bool>, Error> {
        let mut told: Option<Instant> = None;
        // A server has left for good, which saves but does not end the training: no process can.
        let mut parted = false;
        // Since when no server has been running.
        let mut alone: Option<Instant> = None;
        loop {
            if interrupt.take_save() {
                self.children[0].say(SAVE);
            }
            if interrupt.requested() && told.is_none() {
                // Which ends training everywhere, with a checkpoint.
                self.children[0].ask_to_end();
                told = Some(Instant::now());
            }
            if told.is_some_and(|told| told.elapsed() > GRACE) {
                return Ok(None);
            }
            // It waits a while for replicas that died, to say that it is over.
            let serves = !self.children[0].has_ended();
            for child in &mut self.children {
                // The end needs the servers' state and the chief, as the training does.
                let restart = match told {
                    None => Restart::Yes,
                    Some(_) if parted => Restart::No,
                    Some(_) if serves || child.is_needed() => Restart::UnlessAsked,
                    Some(_) => Restart::No,
                };
                match child.look(restart).map_err(not_started)? {
                    Look::Nothing => {}
                    Look::Again(what) => {
                        if !self.quiet {
                            say(format!("\n{}: {what}", child.name()));
                        }
                    }
                    Look::Done if child.is_chief() => {
                        self.wait();
                        return Ok(Some(told.is_some()));
                    }
                    Look::Left => parted |= child.is_server(),
                    Look::Done => {}
                    Look::Failed(how) if child.is_needed() => {
                        let failed = format!("{} {how}; {}", child.name(), child.messages());
                        return Err(Error::failed(failed));
                    }
                    Look::Failed(how) => {
                        if !self.quiet && told.is_none() {
                            say(format!("\n{}: {how}; the others go on", child.name()));
                        }
                    }
                }
            }
            if parted {
                self.children.iter_mut().for_each(|child| child.say(LEAVE));
            }
            if told.is_some() {
                self.release_servers();
            }
            alone = self.have_servers_ended().then(|| alone.unwrap_or_else(Instant::now));
            if alone.is_some_and(|since| since.elapsed() > self.patience.max(GRACE)) {
                // It hangs. Its next life has the result, from the last checkpoint.
                self.children.iter_mut().filter(|child| child.is_chief()).for_each(Child::kill);
                alone = None;
            }
            // A signal to the whole group has asked the chief as well, and there is no result.
            if told.is_some() && self.children.iter().all(Child::has_ended) {
                return Ok(Some(true));
            }
            sleep(LOOK);
        }
    }

    /// The others end by themselves, once the chief has its result.
    fn wait(&mut self) {
        let since = Instant::now();
        while since.elapsed() < GRACE {
            let serves = !self.children[0].has_ended();
            for (place, child) in self.children.iter_mut().enumerate() {
                // A process that died comes back to hear that it is over, while a server can say
                // so. What cannot be looked at is ended with the launcher.
                let again = serves && place > 0;
                drop(child.look(if again { Restart::UnlessAsked } else { Restart::No }));
            }
            self.release_servers();
            if self.children.iter().all(Child::has_ended) {
                return;
            }
            sleep(LOOK);
        }
        for child in self.children.iter().filter(|child| !child.has_ended() && !self.quiet) {
            let (name, seconds) = (child.name(), GRACE.as_secs());
            say(format!(
                "\n{name}: still runs {seconds} s after the end, and is killed; {}",
                child.messages()
            ));
        }
    }

    fn have_servers_ended(&self) -> bool {
        self.children.iter().filter(|child| child.is_server()).all(Child::has_ended)
    }

    /// At the end: the servers need not wait for workers if none is left or started again, and the
    /// first one for no process at all if it is the last. A later life is told again.
    fn release_servers(&mut self) {
        let Some((first, others)) = self.children.split_first_mut() else { return };
        if others.iter().all(|child| child.is_server() || child.has_ended()) {
            first.say(LEAVE);
            if first.has_ended() {
                // No process is left that could tell them of an end.
                others.iter_mut().for_each(|child| child.say(LEAVE));
            }
        }
        if others.iter().all(Child::has_ended) {
            first.say(NOBODY);
        }
    }
}
