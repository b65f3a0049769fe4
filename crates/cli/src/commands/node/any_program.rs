//! A parameter server that serves any program of the workers: it knows nothing of what is trained.
//!
//! Number 0 also writes the run folder: checkpoints, metrics, what the training came to, and
//! its report.

use std::net::TcpListener;
use std::path::PathBuf;

use cluster::{Cluster, ClusterReport, ProcessHandle, ServerFiles};
use sync_replicas::checkpoint::{self, Checkpoints, RunId};

use super::coordinator::lead;
use super::ended::Ended;
use super::process::{cluster_of, leads, needs_out, owned};
use super::raise_descriptors;
use crate::args::NodeArgs;
use crate::commands::report::draw;
use crate::config::Config;
use crate::error::Error;
use crate::optional::set;
use crate::pages::observe::{self, Observed};
use crate::run::folder::{FolderSettings, checkpoints_of};
use crate::run::summary::{ReplicaSummary, Summary};
use crate::run::{AnyState, RunRecord};
use crate::settings::Output;

/// The name of its run folder, and of the model in its result.
const NAME: &str = "program";

/// Serves until training is over, or until it is asked to leave.
///
/// # Errors
/// When its part fails; the exit status says whether a restart can help.
pub fn serve(args: &NodeArgs, stop: ProcessHandle) -> Result<Ended, Error> {
    raise_descriptors();
    let memory = args.max_memory.map(|megabytes| megabytes.saturating_mul(1_000_000));
    let cluster = set(cluster_of(args, stop)?, memory, Cluster::max_memory);
    let mut output = Output::check(&args.train)?;
    output.resume = output.resume.in_each_life();
    let page = observe::address(output.dashboard, args.metrics_port, &args.security)?;
    let page = observe::listen(page)?;
    if leads(cluster.place().task) {
        return write_run(args, &output, &cluster, page);
    }
    if let Some(page) = page {
        let status = cluster.status_handle();
        observe::serve(Observed::new(move || status.get()), page)?;
    }
    let files = ServerFiles { checkpoints: rows(&output), run: RunId::draw(), record: None };
    Ok(Ended::of(&cluster.serve(files)?))
}

/// Parameter server 0's part.
fn write_run(
    args: &NodeArgs,
    output: &Output,
    cluster: &Cluster,
    page: Option<TcpListener>,
) -> Result<Ended, Error> {
    needs_out(cluster.place().task, output)?;
    let config = (!args.end_with_stdin).then(|| {
        let mut config = Config::of_program(output);
        config.set_place(args);
        config
    });
    let settings = FolderSettings::of_program(NAME.to_owned(), output.clone());
    let folder = owned(settings, config.as_ref())?;
    let config = folder.config()?.unwrap_or_default();
    let (record, report) = lead(cluster, output, folder, config, page, |record| {
        let folder = record.folder();
        let checkpoints = Some(checkpoints(output, folder.checkpoints().to_owned()));
        let record = Some(record.record().clone());
        cluster.serve(ServerFiles { checkpoints, run: folder.run(), record })
    })?;
    let report = report?;
    record.flush()?;
    if !report.left {
        record.write_result(&summary(&report, &record)?)?;
        // The result stands without it.
        if let Err(error) = draw(record.folder().root()) {
            tracing::error!("the report is not drawn: {error}");
        }
    }
    Ok(Ended::of(&report))
}

/// Where a server that does not lead writes the rows of its tables, if anywhere.
fn rows(output: &Output) -> Option<Checkpoints> {
    let own = || output.out.as_deref().map(checkpoints_of);
    let folder = output.checkpoint_dir.clone().or_else(own)?;
    Some(checkpoints(output, folder))
}

fn checkpoints(output: &Output, folder: PathBuf) -> Checkpoints {
    Checkpoints { folder, steps: output.save_every, keep: output.keep }
}

/// The result of the training.
fn summary(report: &ClusterReport<f32>, record: &RunRecord) -> Result<Summary, Error> {
    let newest = checkpoint::latest(record.folder().checkpoints())?;
    let state = newest.as_deref().map(AnyState::read).transpose()?;
    let (last, first) = (report.global_step.get(), report.first_step.get());
    let replicas = report.replicas.iter().map(|replica| ReplicaSummary::new(replica, None));
    Ok(Summary {
        model: NAME.to_owned(),
        optimizer: state.as_ref().map(|it| it.optimizer().to_owned()).unwrap_or_default(),
        updates: last.unsigned_abs(),
        updates_this_run: last.saturating_sub(first).unsigned_abs(),
        seconds: report.elapsed.as_secs_f64(),
        generation: report.generation.get(),
        variables_sha256: state.map(|it| it.variables_sha256()).unwrap_or_default(),
        ..record.counts(&report.totals, replicas.collect())?
    })
}
