//! A process that knows its place in a cluster, and what it trains.
//!
//! The training is the one of `train`, from the same settings.

use std::net::SocketAddr;
use std::time::Duration;

use cluster::spec::{Node, Role, Task};
use cluster::{Cluster, ClusterReport, OnCluster, ProcessHandle};
use sync_replicas::checkpoint::RunId;
use sync_replicas::record::Record;
use sync_replicas::{Hooks, SyncReplicas};

use crate::args::{NodeArgs, PsArg, says_what_is_trained};
use crate::command_line::Options;
use crate::commands::security;
use crate::config::{ClusterOptions, Config};
use crate::error::{Error, UsageError};
use crate::optional::set;
use crate::pages::observe;
use crate::run::folder::{FolderSettings, RunFolder};
use crate::run::{batches, learner};
use crate::settings::{Output, Settings};

/// A process that knows its place, ready to run.
#[derive(Debug)]
pub struct Process {
    pub(super) cluster: Cluster,
    pub(super) settings: Settings,
    pub(super) patience: Duration,
    /// Where its page is, if it has one.
    pub(super) page: Option<SocketAddr>,
    /// A worker's own record, for its page.
    pub(super) own_record: Option<Record>,
    /// A launcher has started it, and has recorded that the run begins or goes on.
    pub(super) is_launched: bool,
    /// What it records, if it must: a launcher has done so before it starts processes.
    config: Option<Config>,
}

impl Process {
    /// The place, the key and the settings; `stop` ends its part from outside, even if that was
    /// requested before.
    ///
    /// # Errors
    /// When they are invalid, before anything is opened or written.
    pub fn new(args: NodeArgs, stop: ProcessHandle) -> Result<Self, Error> {
        // Said before anything is opened.
        let page = observe::address(args.train.dashboard, args.metrics_port, &args.security)?;
        let cluster = cluster_of(&args, stop)?.wire(args.wire);
        let workers = cluster.place().num_replicas();
        let mut settings = match cluster.place().task.role {
            Role::Evaluator => Settings::check_of_evaluator(args.train.clone())?,
            _ => Settings::check_in_cluster(args.train.clone(), workers, args.backup)?,
        };
        settings.output.resume = settings.output.resume.in_each_life();
        let cluster = cluster
            .agree("model", settings.trained.kind.name())
            .agree("data", settings.trained.identity())
            .agree("columns", settings.trained.columns())
            .agree("seed", settings.trained.seed)
            .agree("batch size", settings.length.batch_size);
        let (task, is_chief) = (cluster.place().task, cluster.place().is_chief());
        let leads = leads(task);
        if is_chief || leads {
            needs_out(task, &settings.output)?;
        }
        let patience = args.patience;
        let config = (leads && !args.end_with_stdin).then(|| {
            let (wire, security) = (args.wire, &args.security);
            // Each process has its own port.
            let options = ClusterOptions { wire, patience, metrics_port: None, security };
            let mut config = Config::in_cluster(&settings, &options)?;
            config.set_place(&args);
            Ok::<_, UsageError>(config)
        });
        let config = config.transpose()?;
        let own_record =
            (matches!(task.role, Role::Worker | Role::Chief) && page.is_some()).then(Record::new);
        let cluster = set(cluster, own_record.as_ref(), Cluster::own_record);
        Ok(Self {
            cluster,
            config,
            settings,
            patience,
            page,
            own_record,
            is_launched: args.end_with_stdin,
        })
    }

    /// The run folder, for the process that writes the checkpoints.
    pub(super) fn owned(&self) -> Result<RunFolder, Error> {
        owned(&self.settings, self.config.as_ref())
    }

    /// The run folder, for the others.
    pub(super) fn joined(&self) -> Result<RunFolder, Error> {
        RunFolder::join(&self.settings)
    }

    /// This process's part, whichever it is, in a run.
    pub(super) fn fit(
        &self,
        hooks: Hooks<f32>,
        run: RunId,
        record: Option<&Record>,
    ) -> Result<ClusterReport<f32>, Error> {
        let Settings { trained, update, replicas, .. } = &self.settings;
        let variables = trained.variables()?;
        let described = set(replicas.with(update).run_id(run), record, SyncReplicas::record);
        let trainer = described.on(&self.cluster).build(variables)?;
        let learner = learner(&self.settings);
        Ok(trainer.fit(&learner, |_| batches(&self.settings), hooks)?)
    }
}

/// The run folder, for the process that writes the checkpoints: an earlier life of it may have been
/// there. What it records is `config`; without one its launcher has prepared the folder.
pub(super) fn owned(
    settings: impl Into<FolderSettings>,
    config: Option<&Config>,
) -> Result<RunFolder, Error> {
    let Some(config) = config else {
        let mut folder = RunFolder::join(settings)?;
        return folder.hold().map(|()| folder);
    };
    let settings = settings.into();
    let folder = RunFolder::open(settings.clone())?;
    folder.record(settings, config)?;
    if let Some(from) = folder.from() {
        tracing::info!("{}", from.words());
    }
    Ok(folder)
}

/// Whether it is parameter server 0, which coordinates and writes.
pub(super) fn leads(task: Task) -> bool {
    task == Task { role: Role::Ps, index: 0 }
}

/// Refuses a process that writes into a run folder without a name for it.
pub(super) fn needs_out(task: Task, output: &Output) -> Result<(), Error> {
    match output.out {
        Some(_) => Ok(()),
        None => Err(Error::usage(format!(
            "{task} writes into the run folder, and a later life of it must find that again: give \
             --out"
        ))),
    }
}

/// The place of a process, and how it talks to the others.
pub(super) fn cluster_of(args: &NodeArgs, stop: ProcessHandle) -> Result<Cluster, Error> {
    let cluster = Cluster::new(place(args)?).with_handle(stop).reconnect_timeout(args.patience);
    let cluster = set(cluster, security::key(&args.security)?, Cluster::key);
    let cluster = set(cluster, security::tls(&args.security), Cluster::tls);
    Ok(set(cluster, args.listen, Cluster::listen))
}

/// Whether this process is a parameter server that serves any program: one that was told nothing of
/// what is trained.
///
/// # Errors
/// When its place is invalid.
pub fn serves_any_program(args: &NodeArgs, options: &Options) -> Result<bool, Error> {
    // Which a program says itself.
    let of_ours = |name: &str| ["backup", "wire"].contains(&name) || says_what_is_trained(name);
    Ok(place(args)?.task.role == Role::Ps && options.find(of_ours).is_none())
}

/// From options if they say it, otherwise from the environment.
fn place(args: &NodeArgs) -> Result<Node, Error> {
    let count = match (args.role, &args.ps, &args.worker_hosts) {
        (Some(role), Some(PsArg::At(ps)), Some(workers)) => {
            let [ps, workers, role] = [ps.to_string(), workers.to_string(), role.to_string()];
            return Ok(Node::from_flags(&ps, &workers, &role, args.index)?);
        }
        // It speaks to no process, so that any addresses will do.
        (Some(role @ Role::Evaluator), _, None) => {
            return Ok(Node::from_flags("127.0.0.1:1", "127.0.0.1:2", &role.to_string(), 0)?);
        }
        (Some(role), ..) => {
            let expected = "--ps and --worker-hosts with it, with everybody's addresses";
            return Err(UsageError::option("--role", expected, role).into());
        }
        (None, Some(PsArg::At(ps)), _) => {
            let expected = "a number, or addresses together with --role and --worker-hosts";
            return Err(UsageError::option("--ps", expected, ps).into());
        }
        (None, Some(PsArg::Count(count)), _) => *count,
        (None, None, _) => 1,
    };
    let Some(cluster) = Cluster::from_env(count)? else {
        return Err(Error::usage(
            "expected a place in a cluster from --role, --index, --ps and --worker-hosts, from \
             TF_CONFIG, or from srun, got none of them; `sync-replicas launch` starts all \
             processes",
        ));
    };
    Ok(cluster.place().clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Command;
    use crate::command_line;

    fn process(words: &str, out: &str, config: Option<&str>) -> Process {
        let words = ["x", "node", "--out", out].into_iter().chain(words.split_whitespace());
        let words = words.chain(config.into_iter().flat_map(|file| ["--config", file]));
        match command_line::read(words.map(Into::into)).expect("is valid").command {
            Command::Node(args) => Process::new(*args, ProcessHandle::new()).expect("is valid"),
            other => panic!("{other:?}"),
        }
    }

    /// A parameter server that is told nothing of what is trained.
    #[test]
    fn a_server_that_is_told_nothing_serves_any_program() {
        #[track_caller]
        fn check(words: &str, expected: bool) {
            let place = "--ps h:1 --worker-hosts h:2,h:3 --out a";
            let words = format!("x node {place} {words}");
            let given = command_line::read(words.split_whitespace().map(Into::into));
            let given = given.expect("is valid");
            let Command::Node(args) = given.command else { panic!("{words}") };
            let serves = serves_any_program(&args, &given.options).expect("it has a place");
            assert_eq!(serves, expected, "{words}");
        }
        check("--role ps", true);
        check("--role ps --save-every 5 --keep 3 --patience 7s --max-memory 100 --quiet", true);
        check("--role ps --key-file k --metrics-port 9 --resume b", true);
        check("--role worker", false);
        check("--role ps --backup 1", false);
        check("--role ps --wire bf16", false);
        check("--role ps --wire=f32", false);
        check("--role ps --model mlp", false);
        check("--role ps --replicas-to-aggregate 1", false);
        check("--role ps --l1 0.5 --optimizer ftrl", false);
    }

    /// What cannot be a place is refused, by its option.
    #[test]
    fn a_place_is_whole() {
        #[track_caller]
        fn check(words: &str, expected: &str) {
            let given = command_line::read(words.split_whitespace().map(Into::into));
            let told = given.map_err(|error| error.to_string()).and_then(|given| {
                let Command::Node(args) = given.command else { panic!("{words}") };
                place(&args).map(|node| node.task.to_string()).map_err(|error| error.to_string())
            });
            let words = told.unwrap_or_else(|error| error);
            assert!(words.contains(expected), "{words} does not say {expected}");
        }
        check("x node --role ps --ps h:1,h:2 --worker-hosts h:3 --index 1", "ps 1");
        check("x node --role evaluator --ps h:1", "evaluator 0");
        let all =
            "--role: expected --ps and --worker-hosts with it, with everybody's addresses, got";
        check("x node --role worker", all);
        check("x node --role worker --worker-hosts h:1", all);
        check("x node --role worker --ps 2 --worker-hosts h:1", all);
        check("x node --ps h:1", "--ps: expected a number, or addresses together with --role");
        check("x node --ps h", "expected HOST:PORT,... or a number");
        check("x node --ps h:1,h:0", "expected host:port with a port from 1 to 65535, got h:0");
        check("x node --role worker --worker-hosts h", "expected host:port with a port");
        check("x node --role boss", "[possible values: ps, worker, evaluator]");
    }

    /// The files are of the whole cluster; each process says which it is.
    #[test]
    fn a_cluster_is_repeated_from_its_folder() {
        let dir = tempfile::tempdir().expect("a folder");
        let at = |name: &str| dir.path().join(name).display().to_string();
        let hosts = "--role ps --ps h:1 --worker-hosts h:2,h:3 --listen 127.0.0.1 --metrics-port 9";
        let words = format!("{hosts} --backup 1 --wire bf16 --patience 7s --model softmax");
        let first = process(&words, &at("a"), None);
        drop(first.owned().expect("is writable"));
        let written = at("a/config.toml");
        let text = std::fs::read_to_string(&written).expect("is written");
        for line in ["ps = \"h:1\"", "worker_hosts = \"h:2,h:3\"", "patience = \"7s\""] {
            assert!(text.contains(&format!("{line}\n")), "{line} is not in\n{text}");
        }
        let again = process("--role ps", &at("b"), Some(&written));
        assert_eq!(again.config, first.config);
        let worker = process("--role worker --index 1", &at("b"), Some(&written));
        assert_eq!(worker.cluster.place().num_replicas(), 2);
        assert_eq!(worker.settings.replicas.replicas_to_aggregate, 1);
    }
}
