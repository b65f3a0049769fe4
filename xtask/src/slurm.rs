//! `cargo xtask slurm`: the sbatch file of the documents, on a real Slurm of two nodes.
//!
//! Needs Slurm (on Debian: apt-get install munge slurm-wlm) and no rights. Its daemons live in a
//! folder of their own, and end with this command; nodes are named by addresses of this machine,
//! since programs connect to nodes by their names.

use std::{
    env, fs,
    io::Read,
    net::TcpListener,
    os::unix::fs::{OpenOptionsExt, symlink},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use xshell::{Shell, cmd};

use crate::{Result, python, steps::Steps};

const NODES: [&str; 2] = ["127.0.0.2", "127.0.0.3"];

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(240);

/// The file with a program in Python; whether it passed.
pub(crate) fn run(sh: &Shell) -> Result<bool> {
    sh.set_var("PATH", paths());
    for tool in ["munged", "slurmctld", "slurmd", "sbatch", "scontrol", "srun"] {
        if cmd!(sh, "which {tool}").quiet().ignore_stdout().run().is_err() {
            return Err(format!("slurm: no {tool} here; on Debian: munge, slurm-wlm").into());
        }
    }
    let mut steps = Steps::default();
    steps.command("the program", cmd!(sh, "cargo build --quiet --release --package cli"));
    let python = steps.step("the Python package", || python::built(sh));
    if let Some(python) = python {
        steps.step("a program of one's own", || own_program(sh, &python));
    }
    Ok(steps.finish())
}

/// A Python program, of which first a worker dies and then a node, so that Slurm starts the job
/// again.
fn own_program(sh: &Shell, python: &Path) -> Result {
    let mut slurm = Slurm::start(sh)?;
    let program = sh.current_dir().join("crates/python/tests/programs/digits_worker.py");
    let words = [python.display().to_string(), program.display().to_string()];
    let words = words.into_iter().chain(["1000", "0.02", "numpy"].map(str::to_owned));
    let job = slurm.submit(sh, &words.collect::<Vec<_>>())?;
    slurm.reaches(&job, 200)?;
    slurm.kill(|of| of.said("SLURM_PROCID=3") && of.command.contains("digits_worker"))?;
    slurm.reaches(&job, 400)?;
    println!("a worker was killed, and the others went on");
    slurm.lose_node(1)?;
    slurm.until("the job to lose its place", || {
        let state = cmd!(sh, "squeue --noheader --format=%T --job={job}").quiet().read()?;
        Ok(state == "PENDING")
    })?;
    slurm.add_node(1)?;
    // Slurm waits two minutes before it starts a job again.
    let said = slurm.ended(sh, &job)?;
    let accuracy = number_after(&said, "accuracy ").filter(|it| *it >= 0.95);
    let accuracy = accuracy.ok_or_else(|| format!("expected 0.95 or more, got: {said}"))?;
    println!("a node was lost, and the job went on from its checkpoint: accuracy {accuracy}");
    slurm.is_empty()
}

/// Also where Debian has daemons.
fn paths() -> String {
    format!("{}:/usr/sbin:/sbin", env::var("PATH").unwrap_or_default())
}

/// The last number behind these words.
fn number_after(text: &str, words: &str) -> Option<f64> {
    let (_, rest) = text.rsplit_once(words)?;
    let end = rest.find(|it: char| !it.is_ascii_digit() && it != '.').unwrap_or(rest.len());
    rest[..end].parse().ok()
}

/// A controller and two nodes.
struct Slurm {
    folder: PathBuf,
    /// Munge and the controller, in the order of their start.
    daemons: Vec<Child>,
    nodes: [Option<Child>; 2],
}

/// A process of a job.
struct Process {
    number: i32,
    command: String,
    environment: Vec<String>,
}

impl Process {
    /// Whether its environment has this entry.
    fn said(&self, entry: &str) -> bool {
        self.environment.iter().any(|it| it == entry)
    }
}

impl Slurm {
    fn start(sh: &Shell) -> Result<Self> {
        let folder = env::temp_dir().join(format!("slurm-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        for name in ["state", "spool-127.0.0.2", "spool-127.0.0.3"] {
            fs::create_dir_all(folder.join(name))?;
        }
        // Programs of a job find theirs by this name.
        let program = sh.current_dir().join("target/release/sync-replicas");
        symlink(program, folder.join("sync-replicas"))?;
        sh.set_var("SLURM_CONF", folder.join("slurm.conf"));
        sh.set_var("SYNC_REPLICAS", folder.join("sync-replicas"));
        fs::write(folder.join("slurm.conf"), settings(sh, &folder)?)?;
        key(&folder.join("munge.key"))?;
        let mut slurm = Self { folder, daemons: Vec::new(), nodes: [None, None] };
        let file = |name: &str, value: &str| format!("--{name}={}/{value}", slurm.folder.display());
        let words = [
            "--foreground".to_owned(),
            "--force".to_owned(),
            file("key-file", "munge.key"),
            file("socket", "munge.socket"),
            file("pid-file", "munge.pid"),
            file("seed-file", "munge.seed"),
            file("log-file", "munge.log"),
        ];
        let munged = slurm.daemon("munged", &words)?;
        slurm.daemons.push(munged);
        let socket = slurm.folder.join("munge.socket");
        slurm.until("munge", || Ok(socket.exists()))?;
        let controller = slurm.daemon("slurmctld", &["-D".to_owned()])?;
        slurm.daemons.push(controller);
        for node in 0..NODES.len() {
            slurm.add_node(node)?;
        }
        slurm.is_idle(sh)?;
        Ok(slurm)
    }

    /// Waits until both nodes are there, and none has work.
    fn is_idle(&self, sh: &Shell) -> Result {
        self.until("two idle nodes", || {
            let states = cmd!(sh, "sinfo --noheader --format=%T").quiet().ignore_stderr().read();
            Ok(states.is_ok_and(|it| it.trim() == "idle"))
        })
    }

    /// Starts one; what it says is in a file of its name.
    fn daemon(&self, program: &str, words: &[String]) -> Result<Child> {
        let file = self.folder.join(format!("{program}.out"));
        let said = fs::File::options().create(true).append(true).open(file)?;
        let started = Command::new(program)
            .args(words)
            .env("PATH", paths())
            .env("SLURM_CONF", self.folder.join("slurm.conf"))
            .stdin(Stdio::null())
            .stdout(said.try_clone()?)
            .stderr(said)
            .spawn();
        started.map_err(|error| format!("{program}: {error}").into())
    }

    fn add_node(&mut self, node: usize) -> Result {
        let words = ["-D", "-N", NODES[node]].map(str::to_owned);
        self.nodes[node] = Some(self.daemon("slurmd", &words)?);
        Ok(())
    }

    /// Kills a node's daemon, and all that the job has there.
    fn lose_node(&mut self, node: usize) -> Result {
        if let Some(mut daemon) = self.nodes[node].take() {
            daemon.kill()?;
            daemon.wait()?;
        }
        self.kill(|of| of.said(&format!("SLURM_NODEID={node}")))
    }

    /// Kills those processes, of which there is one at least.
    fn kill(&self, which: impl Fn(&Process) -> bool) -> Result {
        let found: Vec<_> = self.processes().into_iter().filter(which).collect();
        if found.is_empty() {
            return Err("slurm: there is no such process to kill".into());
        }
        for process in found {
            let number = process.number.to_string();
            Command::new("kill").args(["-9", &number]).status()?;
        }
        Ok(())
    }

    /// The processes of jobs: those that know of this Slurm.
    fn processes(&self) -> Vec<Process> {
        let mark = format!("SLURM_CONF={}", self.folder.join("slurm.conf").display());
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let process = |entry: fs::DirEntry| {
            let number = entry.file_name().to_str()?.parse().ok()?;
            let read = |name: &str| {
                let bytes = fs::read(entry.path().join(name)).ok()?;
                Some(String::from_utf8_lossy(&bytes).into_owned())
            };
            let command = read("cmdline")?.replace('\0', " ");
            let environment = read("environ")?.split('\0').map(str::to_owned).collect();
            Some(Process { number, command, environment })
        };
        let all = entries.filter_map(process);
        all.filter(|it| {
            it.said(&mark) && it.environment.iter().any(|it| it.starts_with("SLURM_JOB_ID="))
        })
        .collect()
    }

    /// Submits a program by the file of the documents; the job's number.
    fn submit(&self, sh: &Shell, words: &[String]) -> Result<String> {
        let file = sh.current_dir().join("docs/cluster/train.sbatch");
        let out = self.folder.join("job.out");
        let _folder = sh.push_dir(&self.folder);
        let sbatch =
            cmd!(sh, "sbatch --parsable --open-mode=append --output={out} {file} {words...}");
        Ok(sbatch.quiet().read()?.trim().to_owned())
    }

    /// Waits until the job has a checkpoint of this step, or a later one.
    fn reaches(&self, job: &str, step: u64) -> Result {
        let folder = self.folder.join(format!("runs/train-{job}/checkpoint"));
        self.until(&format!("step {step}"), || {
            let names = fs::read_dir(&folder).into_iter().flatten().flatten();
            let steps = names.filter_map(|it| {
                let name = it.file_name().into_string().ok()?;
                name.strip_prefix("checkpoint-")?.parse::<u64>().ok()
            });
            Ok(steps.max().is_some_and(|newest| newest >= step))
        })
    }

    /// Waits for a job to be completed; what it has said.
    fn ended(&mut self, sh: &Shell, job: &str) -> Result<String> {
        let mut state = String::new();
        self.until("the end of the job", || {
            let shown = cmd!(sh, "scontrol show job {job}").quiet().read()?;
            let told = shown.split_whitespace().find_map(|it| it.strip_prefix("JobState="));
            state = told.unwrap_or_default().to_owned();
            Ok(!["PENDING", "RUNNING", "COMPLETING", "CONFIGURING"].contains(&state.as_str()))
        })?;
        let said = self.said();
        if state == "COMPLETED" { Ok(said) } else { Err(format!("{state}: {said}").into()) }
    }

    fn said(&self) -> String {
        fs::read_to_string(self.folder.join("job.out")).unwrap_or_default()
    }

    /// Whether nothing of its jobs is left.
    fn is_empty(&self) -> Result {
        self.until("the last process of the job to end", || Ok(self.processes().is_empty()))
    }

    fn until(&self, what: &str, mut so: impl FnMut() -> Result<bool>) -> Result {
        let begun = Instant::now();
        while !so()? {
            if begun.elapsed() > PATIENCE {
                return Err(format!("slurm: waited in vain for {what}: {}", self.said()).into());
            }
            thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    }
}

impl Drop for Slurm {
    fn drop(&mut self) {
        // Nodes are asked, so that they end what they have started; munge is last, as the others
        // still speak through it.
        let nodes = self.nodes.iter_mut().filter_map(Option::take);
        for mut daemon in nodes.chain(self.daemons.drain(..).rev()) {
            let asked = Command::new("kill").arg(daemon.id().to_string()).status();
            if asked.is_ok() {
                let _ = daemon.wait();
            }
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Random bytes that only this user can read are a key of munge's.
fn key(path: &Path) -> Result {
    let mut bytes = [0; 128];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    let mut file = fs::File::options().write(true).create_new(true).mode(0o600).open(path)?;
    Ok(std::io::Write::write_all(&mut file, &bytes)?)
}

/// Nodes of one machine, that pretend to have enough processors for the jobs.
fn settings(sh: &Shell, folder: &Path) -> Result<String> {
    let held: Vec<_> =
        (0..3).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<std::io::Result<_>>()?;
    let ports: Vec<_> =
        held.iter().map(|it| Ok(it.local_addr()?.port())).collect::<std::io::Result<_>>()?;
    let user = cmd!(sh, "id -un").quiet().read()?;
    let folder = folder.display();
    let mut text = format!(
        "ClusterName=one
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
ReturnToService=2
SlurmdTimeout=5
PartitionName=main Nodes=ALL Default=YES State=UP
",
        ports[0]
    );
    for (node, port) in NODES.iter().zip(&ports[1..]) {
        text += &format!(
            "NodeName={node} NodeHostname=localhost NodeAddr=127.0.0.1 Port={port} CPUs=4 \
             State=UNKNOWN\n"
        );
    }
    Ok(text)
}
