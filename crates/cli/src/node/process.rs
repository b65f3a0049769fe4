//! A process that knows its place in a cluster, and what it trains.
//!
//! The training is the one of `train`, from the same settings.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::time::Duration;

use cluster::spec::{Node, Role};
use cluster::{Cluster, ClusterReport, NumberFormat, OnCluster, ProcessHandle};
use sync_replicas::checkpoint::RunId;
use sync_replicas::record::Record;
use sync_replicas::{Hooks, SyncReplicas};

use crate::args::{NodeArgs, says_what_is_trained};
use crate::config::Config;
use crate::error::{Error, UsageError};
use crate::observe;
use crate::optional::set;
use crate::replicas::replicas;
use crate::resolved::ClusterOptions;
use crate::run_folder::RunFolder;
use crate::security;
use crate::settings::{Resume, Settings};
use crate::train::{learner, shard};

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
            Role::Evaluator => Settings::check_of_evaluator(args.train)?,
            _ => Settings::check_in_cluster(args.train, workers, args.backup)?,
        };
        settings.resume = match settings.resume {
            Resume::From(path) => Resume::OwnOr(path),
            _ => Resume::IfAny,
        };
        let cluster = cluster
            .agree("model", settings.kind.name())
            .agree("data", settings.identity())
            .agree("columns", settings.columns())
            .agree("seed", settings.args.seed)
            .agree("batch size", settings.batch_size);
        let (task, is_chief) = (cluster.place().task, cluster.place().is_chief());
        let leads = task.role == Role::Ps && task.index == 0;
        if (is_chief || leads) && settings.args.out.is_none() {
            return Err(Error::usage(format!(
                "{task} writes into the run folder, and a later life of it must find that again: \
                 give --out"
            )));
        }
        let patience = args.patience;
        let config = (leads && !args.end_with_stdin).then(|| {
            let (wire, security) = (args.wire, &args.security);
            // Each process has its own port.
            let options = ClusterOptions { wire, patience, metrics_port: None, security };
            let mut config = Config::in_cluster(&settings, &options)?;
            config.set("ps", args.ps);
            config.set("worker_hosts", args.worker_hosts);
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

    /// The run folder, for the process that writes the checkpoints: an earlier life of it may have
    /// been there, or its launcher has prepared it.
    pub(super) fn owned(&self) -> Result<RunFolder, Error> {
        match &self.config {
            None => RunFolder::join(&self.settings)
                .and_then(|mut folder| folder.hold().map(|()| folder)),
            Some(config) => RunFolder::open(&self.settings).and_then(|folder| {
                folder.record(&self.settings, config)?;
                if let Some(from) = folder.from() {
                    tracing::info!("{}", from.words());
                }
                Ok(folder)
            }),
        }
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
        let variables = self.settings.model.variables(self.settings.args.seed)?;
        let described = set(replicas(&self.settings)?.run_id(run), record, SyncReplicas::record);
        let trainer = described.on(&self.cluster).build(variables)?;
        let learner = learner(&self.settings);
        Ok(trainer.fit(&learner, |_| shard(&self.settings), hooks)?)
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
pub fn serves_any_program(args: &NodeArgs, words: &[OsString]) -> Result<bool, Error> {
    let is_server = place(args)?.task.role == Role::Ps;
    // Which a program would say itself.
    let of_ours = args.backup.is_some() || args.wire != NumberFormat::default();
    Ok(is_server && !of_ours && says_what_is_trained("node", words).is_none())
}

/// From options if they say it, otherwise from the environment.
fn place(args: &NodeArgs) -> Result<Node, Error> {
    if let (Some(role), None) = (&args.role, &args.worker_hosts) {
        if role != "evaluator" {
            let option = "--role";
            let expected = "--ps and --worker-hosts with it, with everybody's addresses";
            return Err(UsageError::number(option, expected, role).into());
        }
        // It speaks to no process, so that any addresses will do.
        return Ok(Node::from_flags("127.0.0.1:1", "127.0.0.1:2", role, 0)?);
    }
    if let (Some(role), Some(ps), Some(workers)) = (&args.role, &args.ps, &args.worker_hosts) {
        return Ok(Node::from_flags(ps, workers, role, args.index)?);
    }
    let ps = match &args.ps {
        None => 1,
        Some(count) => count.parse().map_err(|_| {
            let expected = "a number, or addresses together with --role and --worker-hosts";
            UsageError::number("--ps", expected, count)
        })?,
    };
    let Some(cluster) = Cluster::from_env(ps)? else {
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
            let serves = serves_any_program(&args, &given.words).expect("it has a place");
            assert_eq!(serves, expected, "{words}");
        }
        check("--role ps", true);
        check("--role ps --save-every 5 --keep 3 --patience 7s --max-memory 100 --quiet", true);
        check("--role ps --key-file k --metrics-port 9 --resume b", true);
        check("--role worker", false);
        check("--role ps --backup 1", false);
        check("--role ps --wire bf16", false);
        check("--role ps --model mlp", false);
        check("--role ps --replicas-to-aggregate 1", false);
        check("--role ps --l1 0.5 --optimizer ftrl", false);
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
        assert_eq!(worker.settings.replicas_to_aggregate, 1);
    }
}
