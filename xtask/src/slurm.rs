//! `cargo xtask slurm`: the digits job on a real Slurm of one node, from the example's own sbatch
//! file.
//!
//! Opt-in, as no part of `ci`: where Slurm is not installed it says so and that is no failure. Not
//! a guide to setting up Slurm. Invariant: the daemons live in a folder of their own and end with
//! the run.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use std::{env, io};

use xshell::{Shell, cmd};

use crate::{Result, steps::announce};

/// What has to be there, and which package of Debian has it.
const TOOLS: [(&str, &str); 6] = [
    ("munged", "munge"),
    ("slurmctld", "slurmctld"),
    ("slurmd", "slurmd"),
    ("sinfo", "slurm-client"),
    ("sbatch", "slurm-client"),
    ("srun", "slurm-client"),
];

const JOB: &str = "docs/cluster/digits.sbatch";

/// The lowest test accuracy, in percent, of the digits job that is no mistake.
const ACCURACY: f64 = 97.0;

/// How long the daemons may take until the node is idle.
const START: Duration = Duration::from_secs(60);

/// Submits the example, waits for it, and looks at how it ended.
///
/// # Errors
/// When Slurm does not start, the job fails, or what it trained is no good.
pub(crate) fn run(sh: &Shell) -> Result {
    let missing: Vec<_> = TOOLS.iter().filter(|(tool, _)| find(tool).is_none()).collect();
    if !missing.is_empty() {
        let names: Vec<_> = missing.iter().map(|(tool, _)| *tool).collect();
        println!("slurm: skipped, as there is no {} here", names.join(", no "));
        println!("slurm: on Debian, `apt-get install munge slurm-wlm` brings all of it");
        return Ok(());
    }
    let build = cmd!(sh, "cargo build --quiet --release --package cli");
    announce(&build);
    build.quiet().run()?;
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    let program = sh.current_dir().join(target).join("release/sync-replicas");

    let folder = sh.create_temp_dir()?;
    let slurm = Slurm::start(folder.path())?;
    let script = sh.current_dir().join(JOB);
    let output = folder.path().join("job.out");
    let mut submit = slurm.command("sbatch")?;
    submit.arg("--wait").arg("--output").arg(&output).arg(script);
    submit.env("SYNC_REPLICAS", program).current_dir(folder.path());
    println!("$ sbatch --wait {JOB}");
    let status = submit.status()?;
    let text = fs::read_to_string(&output).unwrap_or_default();
    let verdict = judge(status.success(), &text);
    if verdict.is_err() {
        print!("{text}{}", slurm.logs());
    }
    let accuracy = verdict?;
    println!("slurm: passed, 7 processes, test accuracy {accuracy} %");
    Ok(())
}

/// What the job's output says about the accuracy, if it is as it should be.
fn judge(success: bool, output: &str) -> Result<f64> {
    if !success {
        return Err(format!("expected {JOB} to end with status 0, got another").into());
    }
    let accuracy = output.lines().rev().find_map(|line| {
        let (_, rest) = line.split_once("test accuracy ")?;
        rest.split_whitespace().next()?.parse::<f64>().ok()
    });
    match accuracy {
        Some(accuracy) if accuracy >= ACCURACY => Ok(accuracy),
        Some(accuracy) => {
            Err(format!("expected a test accuracy of {ACCURACY} % or more, got {accuracy} %")
                .into())
        }
        None => Err("expected a line with `test accuracy`, got none".into()),
    }
}

/// A Slurm of one node, which ends when this is dropped.
struct Slurm {
    folder: PathBuf,
    daemons: Vec<Child>,
}

impl Slurm {
    fn start(folder: &Path) -> Result<Self> {
        let user = read(Command::new("id").arg("-un"))?;
        for name in ["state", "spool"] {
            fs::create_dir(folder.join(name))?;
        }
        // Two listeners at once, so that their ports differ.
        let free = [TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?];
        let [control, node] = &free;
        let ports = [control.local_addr()?.port(), node.local_addr()?.port()];
        drop(free);
        fs::write(folder.join("slurm.conf"), configuration(folder, &user, ports))?;
        let mut slurm = Self { folder: folder.to_owned(), daemons: Vec::new() };

        // The key of munge is any file of random bytes that only this user can read.
        let path = |name: &str| folder.join(name).display().to_string();
        let key = format!("umask 077; head -c 128 /dev/urandom > '{}'", path("munge.key"));
        read(Command::new("sh").args(["-c", &key]))?;
        let munge = ["key-file", "socket", "pid-file", "seed-file", "log-file"]
            .map(|option| format!("--{option}={}", path(&munge_file(option))));
        slurm.daemon("munged", &munge, &["--foreground", "--force"])?;
        slurm.wait("munge's socket", |slurm| slurm.folder.join("munge.socket").exists())?;
        slurm.daemon("slurmctld", &[], &["-D"])?;
        slurm.daemon("slurmd", &[], &["-D", "-N", "localhost"])?;
        slurm.wait("an idle node", |slurm| {
            let sinfo = slurm.command("sinfo").and_then(|mut sinfo| {
                read(sinfo.args(["--noheader", "--format=%T"]).stderr(Stdio::null()))
            });
            sinfo.is_ok_and(|state| state.trim() == "idle")
        })?;
        Ok(slurm)
    }

    /// A program of Slurm that uses this one's configuration, and no other's job around it.
    fn command(&self, tool: &str) -> Result<Command> {
        let path = find(tool).ok_or_else(|| format!("expected {tool} in the path, got none"))?;
        let mut command = Command::new(path);
        command.env("SLURM_CONF", self.folder.join("slurm.conf"));
        Ok(command)
    }

    fn daemon(&mut self, tool: &str, options: &[String], more: &[&str]) -> Result {
        println!("$ {tool} {}", more.join(" "));
        let log = File::create(self.folder.join(format!("{tool}.out")))?;
        let mut command = self.command(tool)?;
        command.args(options).args(more).stdin(Stdio::null());
        self.daemons.push(command.stdout(log.try_clone()?).stderr(log).spawn()?);
        Ok(())
    }

    fn wait(&mut self, what: &str, ready: impl Fn(&Self) -> bool) -> Result {
        let start = Instant::now();
        while !ready(self) {
            let ended = self.daemons.iter_mut().any(|it| !matches!(it.try_wait(), Ok(None)));
            if ended || start.elapsed() > START {
                let reason = if ended { "a daemon that ended" } else { "nothing for too long" };
                return Err(format!("expected {what}, got {reason}\n{}", self.logs()).into());
            }
            sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// What the daemons said, for whoever looks for the reason.
    fn logs(&self) -> String {
        let log = |(tool, _): &(&str, &str)| {
            let text = fs::read_to_string(self.folder.join(format!("{tool}.out"))).ok()?;
            Some(format!("--- {tool}\n{text}"))
        };
        TOOLS.iter().filter_map(log).collect()
    }
}

impl Drop for Slurm {
    fn drop(&mut self) {
        // Backwards: munge last, as the others still speak through it. Asked, not killed, so that
        // slurmd ends what it started.
        for daemon in self.daemons.iter_mut().rev() {
            let _ = Command::new("kill").arg(daemon.id().to_string()).status();
            let _ = daemon.wait();
        }
    }
}

fn munge_file(option: &str) -> String {
    format!("munge.{}", option.trim_end_matches("-file"))
}

/// A controller and a node on one machine, that pretends to have enough processors for the job.
fn configuration(folder: &Path, user: &str, [control, node]: [u16; 2]) -> String {
    let (folder, user) = (folder.display(), user.trim());
    format!(
        "ClusterName=one\n\
         SlurmctldHost=localhost(127.0.0.1)\n\
         SlurmctldPort={control}\n\
         SlurmdPort={node}\n\
         SlurmUser={user}\n\
         SlurmdUser={user}\n\
         AuthType=auth/munge\n\
         AuthInfo=socket={folder}/munge.socket\n\
         StateSaveLocation={folder}/state\n\
         SlurmdSpoolDir={folder}/spool\n\
         SlurmctldPidFile={folder}/slurmctld.pid\n\
         SlurmdPidFile={folder}/slurmd.pid\n\
         ProctrackType=proctrack/linuxproc\n\
         TaskPlugin=task/none\n\
         MpiDefault=none\n\
         SelectType=select/cons_tres\n\
         SelectTypeParameters=CR_CPU\n\
         SlurmdParameters=config_overrides\n\
         ReturnToService=2\n\
         NodeName=localhost NodeAddr=127.0.0.1 CPUs=8 State=UNKNOWN\n\
         PartitionName=main Nodes=ALL Default=YES State=UP\n"
    )
}

/// In the path, or where Debian has daemons, which is not in everybody's path.
fn find(tool: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.map(|folder| folder.join(tool)).find(|it| it.is_file())
}

fn read(command: &mut Command) -> Result<String> {
    let output = command.output()?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(io::Error::other(format!("{command:?}: {error}")).into());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(success: bool, output: &str, expected: &str) {
        let got = match judge(success, output) {
            Ok(accuracy) => accuracy.to_string(),
            Err(error) => error.to_string(),
        };
        assert!(got.contains(expected), "expected {expected:?} in {got:?}");
    }

    #[test]
    fn a_job_is_judged_by_its_status_and_its_accuracy() {
        check(true, "x\ntest accuracy 98.33 % after 1000 updates\nend", "98.33");
        check(true, "test accuracy 98 %\ntest accuracy 96.99 %", "got 96.99 %");
        check(true, "3: test accuracy 97 % after", "97");
        check(true, "", "got none");
        check(false, "test accuracy 98.33 %", "to end with status 0");
    }
}
