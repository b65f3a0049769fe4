//! What is launched: a model of ours, or a program of the user's; its run folder, and the words
//! that start each process.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;

use cluster::spec::{Role, Task};
use sync_replicas::driver::printable;

use super::child::Started;
use crate::args::{ExportArgs, LaunchArgs, SecurityArgs, says_what_is_trained};
use crate::command_line::Options;
use crate::config::{ClusterOptions, Config};
use crate::error::{Error, UsageError};
use crate::run::exports::Exports;
use crate::run::folder::{FolderSettings, RunFolder};
use crate::settings::{Output, Replicas, Settings};
use crate::system::output::say;

/// Options that are the launcher's own, or that it sets for each process. An evaluator does not
/// know how many workers there are, which epochs depend on.
const OWN: [&str; 13] = [
    "ps",
    "workers",
    "evaluator",
    "out",
    "checkpoint_dir",
    "resume",
    "dashboard",
    "trace",
    "otlp",
    "metrics_port",
    "key_file",
    "epochs",
    "updates",
];

/// What is launched.
pub(super) struct Job {
    pub(super) folder: RunFolder,
    /// News for a user who waits for the first update.
    pub(super) beginning: String,
    /// What starts a process of ours.
    itself: Vec<OsString>,
    /// What all processes of ours are told of the training.
    words: Vec<OsString>,
    /// What the workers run, if it is not a model of ours.
    program: Option<Program>,
}

/// A user's program.
struct Program {
    words: Vec<OsString>,
    backup: u64,
    patience: String,
}

/// Where all processes are, and how they are let in.
pub(super) struct Places {
    pub(super) ps: Vec<String>,
    pub(super) workers: Vec<String>,
    /// Of parameter server 0's page, if there are any.
    pub(super) page: Option<SocketAddr>,
    /// Of parameter server 0's record.
    pub(super) exports: ExportArgs,
}

impl Job {
    /// Prepares its run folder.
    pub(super) fn new(
        args: &LaunchArgs,
        options: &Options,
        itself: &[OsString],
    ) -> Result<Self, Error> {
        let (mut job, config, settings) = match args.program.is_empty() {
            true => Self::of_model(args, options, itself)?,
            false => Self::of_program(args, options, itself)?,
        };
        // It may be in the run folder.
        if let Err(error) = Exports::check(&args.train.exports) {
            job.folder.abandon();
            return Err(error);
        }
        job.folder.record(settings, &config)?;
        // Parameter server 0 holds it.
        job.folder.let_go();
        Ok(job)
    }

    fn of_model(
        args: &LaunchArgs,
        options: &Options,
        itself: &[OsString],
    ) -> Result<(Self, Config, FolderSettings), Error> {
        let settings = Settings::check_in_cluster(args.train.clone(), args.workers, args.backup)?;
        if settings.output.keep_best.is_some() && !args.evaluator {
            let expected = "--evaluator with it, which tests the checkpoints and keeps the best";
            return Err(UsageError::option("--keep-best", expected, "none").into());
        }
        let (wire, patience, security) = (args.wire, args.patience, &args.security);
        let of_cluster =
            ClusterOptions { wire, patience, metrics_port: args.metrics_port, security };
        let mut config = Config::in_cluster(&settings, &of_cluster)?;
        set_counts(&mut config, args);
        config.set("evaluator", args.evaluator);
        let folder = RunFolder::open(&settings)?;
        let mut words = options.words_without(&OWN);
        words.extend(["--updates".into(), settings.length.updates.to_string().into()]);
        if let Some(story) = settings.trained.story().filter(|_| !settings.output.quiet) {
            say(story);
        }
        let Replicas { replicas_to_aggregate: a, total_num_replicas: n, .. } = settings.replicas;
        let beginning = format!("the first {a} of {n} workers make an update");
        Ok((
            Self { folder, beginning, itself: itself.to_vec(), words, program: None },
            config,
            (&settings).into(),
        ))
    }

    fn of_program(
        args: &LaunchArgs,
        options: &Options,
        itself: &[OsString],
    ) -> Result<(Self, Config, FolderSettings), Error> {
        let of_ours =
            |name: &str| ["evaluator", "wire"].contains(&name) || says_what_is_trained(name);
        if let Some(option) = options.find(of_ours) {
            return Err(Error::usage(format!(
                "{option} is of our own models; what is trained is the program's affair: give it \
                 to the program, behind --"
            )));
        }
        let backup = args.backup.unwrap_or(0);
        if backup >= args.workers {
            let expected = format!("fewer than the {} workers", args.workers);
            return Err(UsageError::option("--backup", expected, backup).into());
        }
        let program = Path::new(&args.program[0]);
        let name = program.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let output = Output::check(&args.train)?;
        let mut config = Config::of_program(&output);
        set_counts(&mut config, args);
        config.set("backup", backup);
        let patience = format!("{}s", args.patience.as_secs_f64());
        config.set("patience", patience.clone());
        config.set("max_memory", args.max_memory);
        let told = vec![("program", printable(&name).into_owned())];
        let settings = FolderSettings { told, ..FolderSettings::of_program(name, output) };
        let folder = RunFolder::open(settings.clone())?;
        // Which the program itself says.
        let words = options.words_without(&[&OWN[..], &["backup"]].concat());
        let beginning = format!("{} of {} workers are backups", backup, args.workers);
        let program = Program { words: args.program.clone(), backup, patience };
        Ok((
            Self { folder, beginning, itself: itself.to_vec(), words, program: Some(program) },
            config,
            settings,
        ))
    }

    /// How a process is started.
    pub(super) fn start(&self, task: Task, places: &Places, security: &SecurityArgs) -> Started {
        match &self.program {
            Some(program) if task.role == Role::Worker => {
                self.program_at(program, task, places, security)
            }
            _ => Started::Own(self.words_at(task, places, security)),
        }
    }

    fn words_at(&self, task: Task, places: &Places, security: &SecurityArgs) -> Vec<OsString> {
        let mut words = self.itself.clone();
        words.extend(["node".into(), "--end-with-stdin".into()]);
        words.extend(self.words.iter().cloned());
        words.extend(["--out".into(), self.folder.root().into()]);
        words.extend(["--checkpoint-dir".into(), self.folder.checkpoints().into()]);
        words.extend(["--ps".into(), places.ps.join(",").into()]);
        words.extend(["--worker-hosts".into(), places.workers.join(",").into()]);
        if let Some(file) = &security.key_file {
            words.extend(["--key-file".into(), file.into()]);
        }
        let Task { role, index } = task;
        words.extend(["--role".into(), role.to_string().into()]);
        words.extend(["--index".into(), index.to_string().into()]);
        if let (Role::Ps, Some(first)) = (role, places.page) {
            let page = nth_page(first, index).to_string();
            words.extend(["--dashboard".into(), page.into()]);
        }
        if let (Role::Ps, 0) = (role, index) {
            let ExportArgs { trace, otlp } = &places.exports;
            words.extend(trace.iter().flat_map(|file| ["--trace".into(), file.into()]));
            words.extend(otlp.iter().flat_map(|url| ["--otlp".into(), url.to_string().into()]));
        }
        words
    }

    /// A worker that takes its place from its environment.
    fn program_at(
        &self,
        program: &Program,
        task: Task,
        places: &Places,
        security: &SecurityArgs,
    ) -> Started {
        let place = serde_json::json!({
            "cluster": { "ps": places.ps, "worker": places.workers },
            "task": { "type": task.role.to_string(), "index": task.index },
        });
        let root = std::path::absolute(self.folder.root());
        let root = root.unwrap_or_else(|_| self.folder.root().to_owned());
        let mut environment: Vec<(&str, OsString)> = vec![
            ("TF_CONFIG", place.to_string().into()),
            ("SYNC_REPLICAS_BACKUP", program.backup.to_string().into()),
            ("SYNC_REPLICAS_PATIENCE", program.patience.trim_end_matches('s').into()),
            ("SYNC_REPLICAS_RUN_DIR", root.into()),
            ("SYNC_REPLICAS_LAUNCHED", "1".into()),
        ];
        let key = security.key_file.as_ref().map(|file| ("SYNC_REPLICAS_KEY_FILE", file.into()));
        environment.extend(key);
        Started::Program { words: program.words.clone(), environment }
    }
}

fn set_counts(config: &mut Config, args: &LaunchArgs) {
    config.set("ps", args.ps);
    config.set("workers", args.workers);
}

/// The page of a parameter server: each has the next port.
pub(super) fn nth_page(first: SocketAddr, index: u64) -> SocketAddr {
    SocketAddr::new(first.ip(), first.port().saturating_add(index as u16))
}
