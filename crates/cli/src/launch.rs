//! A cluster of processes on this machine, started, watched and ended together.
//!
//! Every process is this program with `node`. Invariant: none outlives the launcher, however that
//! ends.

mod child;
mod listen;
mod reach;
mod signal;

use std::ffi::OsString;
use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use sync_replicas::driver::create_private_folder;

use self::child::{Child, LEAVE, Look, NOBODY, Restart, SAVE};
pub use self::listen::listen_to_launcher;
pub(crate) use self::reach::Reach;
use self::reach::Reachable;
use crate::args::{LaunchArgs, SecurityArgs};
use crate::command_line::without;
use crate::config::Config;
use crate::error::{Error, UsageError};
use crate::interrupt::Interrupt;
use crate::output::say;
use crate::ports;
use crate::resolved::ClusterOptions;
use crate::run_folder::RunFolder;
use crate::security;
use crate::settings::Settings;

/// Between two looks at the processes.
const LOOK: Duration = Duration::from_millis(50);

/// How long processes may take to end once they should.
const GRACE: Duration = Duration::from_secs(15);

/// Options that are the launcher's own, or that it gives each process itself.
const OWN: [&str; 7] =
    ["--ps", "--workers", "--out", "--checkpoint-dir", "--resume", "--metrics-port", "--key-file"];

/// How a launched training ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launched {
    /// Where its files are.
    pub run_dir: PathBuf,
    /// Whether it was ended before its time.
    pub interrupted: bool,
    /// Whether there is a checkpoint to go on from.
    pub saved: bool,
}

/// Runs a cluster to its end; the chief shows how far it is, and the result. `words` are the
/// command line's, without the program and the command.
///
/// # Errors
/// When nothing could be begun, or the training failed; every process has ended by then.
pub fn launch(
    args: LaunchArgs,
    words: &[OsString],
    interrupt: &Interrupt,
) -> Result<Launched, Error> {
    // Said here, and not by every process in its log.
    check_security(&args.security)?;
    let (ps, workers) = (args.ps as usize, args.workers as usize);
    let ports = ports::free(ps + workers)?;
    if let Some(first) = args.metrics_port {
        // Each process binds its own.
        (0..ps).try_for_each(|index| {
            ports::bind_metrics(Ipv4Addr::LOCALHOST.into(), first + index as u16).map(drop)
        })?;
    }
    let settings = Settings::check_in_cluster(args.train, args.workers, args.backup)?;
    if settings.args.keep_best.is_some() && !args.evaluator {
        let expected = "--evaluator with it, which tests the checkpoints and keeps the best";
        return Err(UsageError::number("--keep-best", expected, "none").into());
    }
    let (wire, patience, security) = (args.wire, args.patience, &args.security);
    let options = ClusterOptions { wire, patience, metrics_port: args.metrics_port, security };
    let mut config = Config::in_cluster(&settings, &options)?;
    for (key, count) in [("ps", args.ps), ("workers", args.workers)] {
        config.set(key, count);
    }
    config.set("evaluator", args.evaluator);
    let mut folder = RunFolder::open(&settings)?;
    folder.record(&settings, &config)?;
    // Parameter server 0 holds it.
    folder.let_go();
    if let Some(from) = folder.from().filter(|_| !settings.args.quiet) {
        say(from.words());
    }
    let list =
        |ports: &[u16]| ports.iter().map(|port| format!("127.0.0.1:{port}")).collect::<Vec<_>>();
    // Until it ends: then nobody listens there any more.
    let (_reachable, security) = Reachable::new(folder.root(), list(&ports[..ps]), security)?;
    if !settings.args.quiet {
        say(beginning(&folder, &settings));
    }
    let logs = folder.root().join("logs");
    create_private_folder(&logs).map_err(not_started)?;

    let mut common: Vec<OsString> = vec!["node".into(), "--end-with-stdin".into()];
    let words = words.iter().filter(|word| *word != "--evaluator");
    common.extend(without(words.cloned(), &OWN));
    common.extend(["--out".into(), folder.root().into()]);
    common.extend(["--checkpoint-dir".into(), folder.checkpoints().into()]);
    common.extend(["--ps".into(), list(&ports[..ps]).join(",").into()]);
    common.extend(["--worker-hosts".into(), list(&ports[ps..]).join(",").into()]);
    if let Some(file) = &security.key_file {
        common.extend(["--key-file".into(), file.into()]);
    }
    let tasks = (0..ps).map(|i| ("ps", i)).chain((0..workers).map(|i| ("worker", i)));
    let tasks = tasks.chain(args.evaluator.then_some(("evaluator", 0)));
    let children = tasks.map(|(role, index)| {
        let mut words = common.clone();
        words.extend(["--role".into(), role.into(), "--index".into(), index.to_string().into()]);
        if let ("ps", Some(port)) = (role, args.metrics_port) {
            words.extend(["--metrics-port".into(), (port + index as u16).to_string().into()]);
        }
        Child::start(role, index, words, &logs)
    });
    let children = children.collect::<Result<_, _>>().map_err(not_started)?;
    let mut processes = Processes { children, quiet: settings.args.quiet, patience };
    let Some(interrupted) = processes.watch(interrupt)? else {
        return Err(Error::failed(format!(
            "the training did not end within {} s of the interrupt, and its processes were ended; \
             {} has its newest checkpoint, and the messages are in {}",
            GRACE.as_secs(),
            folder.checkpoints().display(),
            logs.display()
        )));
    };
    if interrupted {
        folder.abandon();
    }
    let saved = folder.checkpoints().is_dir();
    Ok(Launched { run_dir: folder.root().to_owned(), interrupted, saved })
}

/// What a user who waits for the first update wants to know.
fn beginning(folder: &RunFolder, settings: &Settings) -> String {
    let (a, n) = (settings.replicas_to_aggregate, settings.total_num_replicas);
    format!(
        "run folder {root}: the first {a} of {n} workers make an update; how it is: \
         sync-replicas status {root}",
        root = folder.root().display()
    )
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
    /// How long the chief may take after the last server, if that is not shorter than the others
    /// get.
    patience: Duration,
}

impl Processes {
    /// Waits for the chief's result; whether it was interrupted. `None` if there is no result soon
    /// after an interrupt.
    fn watch(&mut self, interrupt: &Interrupt) -> Result<Option<bool>, Error> {
        let mut told: Option<Instant> = None;
        // A server has left for good, which saves but does not end the training: no process can.
        let mut parted = false;
        // Since when no server runs any more.
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
                        let (name, log) = (child.name(), child.log().display());
                        let failed = format!("{name} {how}; its messages are in {log}");
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
            let (name, seconds, log) = (child.name(), GRACE.as_secs(), child.log().display());
            say(format!(
                "\n{name}: still runs {seconds} s after the end, and is killed; its messages are \
                 in {log}"
            ));
        }
    }

    fn have_servers_ended(&self) -> bool {
        self.children.iter().filter(|child| child.is_server()).all(Child::has_ended)
    }

    /// At the end: the servers need not wait for workers where none is left or started again, and
    /// the first one for no process at all where it is the last. In a later life it is told again.
    fn release_servers(&mut self) {
        let Some((first, others)) = self.children.split_first_mut() else { return };
        if others.iter().all(|child| child.is_server() || child.has_ended()) {
            first.say(LEAVE);
        }
        if others.iter().all(Child::has_ended) {
            first.say(NOBODY);
        }
    }
}
