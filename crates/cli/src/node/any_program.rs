//! A parameter server that serves any program of the workers: it knows nothing of the digits.
//!
//! Number 0 also writes the run folder: checkpoints, metrics, what the training came to, and
//! its report.

use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use cluster::spec::Role;
use cluster::{Cluster, ClusterReport, ProcessHandle, ServerFiles};
use sync_replicas::checkpoint::{self, Checkpoints, RunId};
use sync_replicas::record::Record;

use super::coordinator::Writer;
use super::ended::Ended;
use super::process::cluster_of;
use super::raise_descriptors;
use crate::any_state::AnyState;
use crate::args::NodeArgs;
use crate::board::{BOARD, Board};
use crate::config::Config;
use crate::error::Error;
use crate::exports::Exports;
use crate::history::METRICS;
use crate::host_time::{host, rfc_3339};
use crate::lock::lock;
use crate::metrics::{Run, unwritten};
use crate::observe::{self, Observed};
use crate::report::draw;
use crate::run_folder::{FolderSettings, RunFolder, checkpoints_of};
use crate::run_log::RunLog;
use crate::settings::Resume;
use crate::summary::{ReplicaSummary, Summary};
use crate::trace::Place;

/// The name of its run folder, and of the model in its result.
const NAME: &str = "program";

/// Serves until training is over, or until it is asked to leave.
///
/// # Errors
/// When its part fails; the exit status says whether a restart can help.
pub fn serve(args: &NodeArgs, stop: ProcessHandle) -> Result<Ended, Error> {
    raise_descriptors();
    let cluster = cluster_of(args, stop)?;
    let cluster = match args.max_memory {
        Some(megabytes) => cluster.max_memory(megabytes.saturating_mul(1_000_000)),
        None => cluster,
    };
    let page = observe::address(args.train.dashboard, args.metrics_port, &args.security)?;
    let page = observe::listen(page)?;
    let status = cluster.status_handle();
    let observed = Observed::new(move || status.get());
    let task = cluster.place().task;
    if task.role == Role::Ps && task.index == 0 {
        return lead(args, &cluster, page.map(|page| (observed, page)));
    }
    if let Some(page) = page {
        observe::serve(observed, page)?;
    }
    let files = ServerFiles { checkpoints: rows(args), run: RunId::draw(), record: None };
    Ok(Ended::of(&cluster.serve(files)?))
}

/// Where a server that does not lead writes the rows of its tables, if anywhere.
fn rows(args: &NodeArgs) -> Option<Checkpoints> {
    let own = || args.train.out.as_deref().map(checkpoints_of);
    let folder = args.train.checkpoint_dir.clone().or_else(own)?;
    let keep = usize::try_from(args.train.keep).unwrap_or(usize::MAX);
    Some(Checkpoints { folder, steps: args.train.save_every, keep })
}

/// Parameter server 0's part; it shows itself there, if anywhere.
fn lead(
    args: &NodeArgs,
    cluster: &Cluster,
    page: Option<(Observed, TcpListener)>,
) -> Result<Ended, Error> {
    let folder = folder(args)?;
    let (record, run) = (Record::new(), folder.run());
    let exports = Exports::start(&args.train, &record, run, Place::Cluster)?;
    let line = Run {
        version: env!("CARGO_PKG_VERSION"),
        command: folder.command(),
        host: host(),
        started: rfc_3339(SystemTime::now()),
        run,
        settings: folder.config()?.unwrap_or_default(),
    };
    let board = args.train.tensorboard.then(|| Board::open(&folder.root().join(BOARD)));
    let metrics = folder.root().join(METRICS);
    let log = RunLog::open(&metrics, &line, record.clone(), board.transpose()?)?;
    let log = Arc::new(Mutex::new(log));
    if let Some((observed, page)) = page {
        observe::serve(observed.with_record(&record).in_folder(folder.root()), page)?;
    }
    let writer = Writer::start(Arc::clone(&log)).map_err(unwritten)?;
    let keep = usize::try_from(args.train.keep).unwrap_or(usize::MAX);
    let steps = args.train.save_every;
    let checkpoints = Checkpoints { folder: folder.checkpoints().to_owned(), steps, keep };
    let report =
        cluster.serve(ServerFiles { checkpoints: Some(checkpoints), run, record: Some(record) });
    writer.end();
    drop(exports);
    let report = report?;
    lock(&log).flush()?;
    if !report.left {
        let summary = summary(&report, &folder)?;
        let mut log = lock(&log);
        log.result(&summary);
        log.flush()?;
        // The result stands without it.
        if let Err(error) = draw(folder.root()) {
            tracing::error!("the report is not drawn: {error}");
        }
    }
    Ok(Ended::of(&report))
}

/// The run folder, which an earlier life of this process or its launcher may have made.
fn folder(args: &NodeArgs) -> Result<RunFolder, Error> {
    if args.train.out.is_none() {
        return Err(Error::usage(
            "the first parameter server writes into the run folder, and a later life of it must \
             find that again: give --out",
        ));
    }
    let settings = FolderSettings {
        model: None,
        name: NAME.to_owned(),
        out: args.train.out.clone(),
        checkpoint_dir: args.train.checkpoint_dir.clone(),
        resume: match Resume::new(args.train.resume.as_deref(), true)? {
            Resume::From(path) => Resume::OwnOr(path),
            _ => Resume::IfAny,
        },
        keep: usize::try_from(args.train.keep).unwrap_or(usize::MAX),
        updates: None,
        told: Vec::new(),
    };
    if args.end_with_stdin {
        return RunFolder::join(settings).and_then(|mut folder| folder.hold().map(|()| folder));
    }
    let folder = RunFolder::open(settings.clone())?;
    let mut config = Config::default();
    config.set("save_every", args.train.save_every);
    config.set("keep", args.train.keep);
    config.set("tensorboard", args.train.tensorboard);
    config.set("ps", args.ps.clone());
    config.set("worker_hosts", args.worker_hosts.clone());
    folder.record(settings, &config)?;
    if let Some(from) = folder.from() {
        tracing::info!("{}", from.words());
    }
    Ok(folder)
}

/// The result of the training.
fn summary(report: &ClusterReport<f32>, folder: &RunFolder) -> Result<Summary, Error> {
    let newest = checkpoint::latest(folder.checkpoints())?;
    let state = newest.as_deref().map(AnyState::read).transpose()?;
    let (last, first) = (report.global_step.get(), report.first_step.get());
    let replicas: Vec<_> =
        report.replicas.iter().map(|replica| ReplicaSummary::new(replica, None)).collect();
    let count = |of: fn(&ReplicaSummary) -> u64| replicas.iter().map(of).sum();
    Ok(Summary {
        model: NAME.to_owned(),
        optimizer: state.as_ref().map(|it| it.optimizer().to_owned()).unwrap_or_default(),
        updates: last.unsigned_abs(),
        updates_this_run: last.saturating_sub(first).unsigned_abs(),
        batches: report.totals.batches,
        examples: report.totals.examples,
        accepted: report.totals.accepted,
        stale: report.totals.stale,
        duplicates: count(|it| it.duplicates),
        unused: count(|it| it.unused),
        superseded: count(|it| it.superseded),
        non_finite: count(|it| it.non_finite),
        seconds: report.elapsed.as_secs_f64(),
        generation: report.generation.get(),
        resumed_from: folder.resumed().map(|it| it.checkpoint.display().to_string()),
        run_dir: folder.root().display().to_string(),
        checkpoint: newest.map(|path| path.display().to_string()).unwrap_or_default(),
        variables_sha256: state.map(|it| it.variables_sha256()).unwrap_or_default(),
        failed_batches: count(|it| it.failed_batches),
        failed_replicas: replicas.iter().filter(|it| it.failure.is_some()).count(),
        replicas,
        ..Summary::default()
    })
}
