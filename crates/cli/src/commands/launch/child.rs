//! One process of a launched cluster: started, watched, started again, ended.
//!
//! Invariant: it is started again only when that can help, and only so many times.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use cluster::exit::Exit;
use cluster::spec::{Role, Task};
use sync_replicas::driver::append_private_file;

use super::signal;

/// Words to a process on its standard input: end training.
pub(super) const END: &str = "end\n";

/// Write a checkpoint.
pub(super) const SAVE: &str = "save\n";

/// Leave: this does not end the training, but takes no further part.
pub(super) const LEAVE: &str = "leave\n";

/// No process that has ended is started again.
pub(super) const NOBODY: &str = "nobody\n";

/// How often one process is started again.
const TIMES: u32 = 10;

/// How a process is started.
pub(super) enum Started {
    /// This program, by these words; it listens to the launcher.
    Own(Vec<OsString>),
    /// A user's, which does not.
    Program { words: Vec<OsString>, environment: Vec<(&'static str, OsString)> },
}

/// A process and its task.
pub(super) struct Child {
    task: Task,
    started: Started,
    log: PathBuf,
    state: State,
    again: u32,
    /// Whether it was asked to end; then so is each of its later lives.
    asked: bool,
    /// Whether it was ended because it does not listen, and the servers are gone.
    released: bool,
}

enum State {
    Runs(std::process::Child),
    /// To start at this time.
    Waits(Instant),
    Ended,
}

/// Whether a process that has ended, with a status that a restart can mend, is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Restart {
    Yes,
    /// Not if a signal has asked it to end: it is the end of all that was requested.
    UnlessAsked,
    No,
}

/// The finding of a check of a process.
pub(super) enum Look {
    Nothing,
    /// It ended, and is started again, in these words.
    Again(String),
    Done,
    /// A signal has asked it to end, which does as well.
    Left,
    Failed(String),
}

impl Child {
    pub(super) fn start(task: Task, mut started: Started, logs: &Path) -> io::Result<Self> {
        let log = logs.join(format!("{}-{}.log", task.role, task.index));
        if let Started::Own(words) = &mut started {
            words.extend(["--log".into(), log.clone().into()]);
        }
        let state = State::Ended;
        let mut child = Self { task, started, log, state, again: 0, asked: false, released: false };
        child.spawn()?;
        Ok(child)
    }

    pub(super) fn name(&self) -> String {
        self.task.to_string()
    }

    /// Where a person finds its messages.
    pub(super) fn messages(&self) -> String {
        match &self.started {
            Started::Program { .. } if self.is_chief() => "its messages are above".to_owned(),
            _ => format!("its messages are in {}", self.log.display()),
        }
    }

    pub(super) fn is_chief(&self) -> bool {
        self.task == Task { role: Role::Worker, index: 0 }
    }

    pub(super) fn is_server(&self) -> bool {
        self.task.role == Role::Ps
    }

    /// Whether training cannot end well without it.
    pub(super) fn is_needed(&self) -> bool {
        self.is_server() || self.is_chief()
    }

    pub(super) fn has_ended(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    /// Asks it to end, whatever it is doing: a process that has just been started reads it later,
    /// and one that waits to be started again is started now, since others wait for it.
    pub(super) fn ask_to_end(&mut self) {
        self.asked = true;
        match &mut self.state {
            State::Runs(process) => tell(process, END),
            State::Waits(until) => *until = Instant::now(),
            State::Ended => {}
        }
    }

    /// Sends it this, if it runs: a requested checkpoint needs no process that is being started
    /// again, and goes on from one.
    pub(super) fn say(&mut self, request: &str) {
        match (&self.started, &mut self.state) {
            // The servers are gone, and it listens to no other process.
            (Started::Program { .. }, State::Runs(_)) if request == LEAVE => {
                self.released = true;
                self.kill();
            }
            (_, State::Runs(process)) => tell(process, request),
            _ => {}
        }
    }

    /// Ends it at once, if it runs.
    pub(super) fn kill(&mut self) {
        if let State::Runs(process) = &mut self.state {
            // It may have ended just now.
            let _ = process.kill();
        }
    }

    /// Its state; starts it again when it is time, if `restart` says so.
    pub(super) fn look(&mut self, restart: Restart) -> io::Result<Look> {
        let status = match &mut self.state {
            State::Ended => return Ok(Look::Nothing),
            State::Waits(_) if restart == Restart::No => {
                self.state = State::Ended;
                return Ok(Look::Nothing);
            }
            State::Waits(until) if Instant::now() < *until => return Ok(Look::Nothing),
            State::Waits(_) => {
                self.spawn()?;
                return Ok(Look::Nothing);
            }
            State::Runs(process) => match process.try_wait()? {
                None => return Ok(Look::Nothing),
                Some(status) => status,
            },
        };
        self.state = State::Ended;
        let exit = status.code().and_then(Exit::of);
        let asked =
            exit.is_some_and(Exit::was_asked_for) || (self.released && status.code().is_none());
        let mendable = status.code().is_none() || asked || exit == Some(Exit::Restart);
        let again = match restart {
            _ if status.success() => return Ok(Look::Done),
            Restart::UnlessAsked | Restart::No if asked => return Ok(Look::Left),
            restart => restart != Restart::No && mendable && self.again < TIMES,
        };
        let how = how(status);
        if again {
            let pause = Duration::from_millis(200 << self.again.min(5));
            self.again += 1;
            self.state = State::Waits(Instant::now() + pause);
            let times = format!("{} of at most {TIMES} times", self.again);
            return Ok(Look::Again(format!("{how}; it is started again ({times})")));
        }
        Ok(Look::Failed(how))
    }

    fn spawn(&mut self) -> io::Result<()> {
        let (Started::Own(words) | Started::Program { words, .. }) = &self.started;
        let (program, options) = words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut command = Command::new(program);
        command.args(options);
        match &self.started {
            // It ends when the other end of its standard input does, with this process.
            Started::Own(_) => command.stdin(Stdio::piped()),
            Started::Program { environment, .. } => {
                command.envs(environment.iter().cloned()).stdin(Stdio::null())
            }
        };
        if !self.is_chief() {
            let log = append_private_file(&self.log)?;
            command.stdout(log.try_clone()?).stderr(log);
        }
        if std::env::var_os("RUST_LOG").is_none() {
            command.env("RUST_LOG", "info");
        }
        signal::shield(&mut command);
        let started = command.spawn();
        let named = |error: io::Error| {
            let program = command.get_program().display();
            io::Error::new(error.kind(), format!("{program}: {error}"))
        };
        let mut process = started.map_err(named)?;
        if self.asked {
            tell(&mut process, END);
        }
        self.state = State::Runs(process);
        Ok(())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
        if let State::Runs(process) = &mut self.state {
            let _ = process.wait();
        }
    }
}

/// Over standard input, where no request can come too early, as a signal can.
fn tell(process: &mut std::process::Child, request: &str) {
    if let Some(input) = &mut process.stdin {
        // It may have ended just now.
        let _ = input.write_all(request.as_bytes());
    }
}

fn how(status: ExitStatus) -> String {
    match (status.code(), signal::of(status)) {
        (Some(code), _) => format!("ended with status {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "was ended".to_owned(),
    }
}
