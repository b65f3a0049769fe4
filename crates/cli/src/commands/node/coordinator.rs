//! Parameter server 0: it writes what happens in the cluster, and the result.
//!
//! It knows every update and every replica, whatever process is away. Invariant: a disk that takes
//! no lines ends no training; they are tried again.

use std::net::TcpListener;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use cluster::{Cluster, ClusterReport};
use sync_replicas::record::Record;

use super::chief::{checkpoint_of, outcome_of};
use super::ended::Ended;
use super::last_test;
use super::process::Process;
use crate::config::Config;
use crate::error::Error;
use crate::lock::lock;
use crate::pages::observe::{self, Observed};
use crate::run::exports::Exports;
use crate::run::folder::RunFolder;
use crate::run::log::RunLog;
use crate::run::metrics::unwritten;
use crate::run::table_rows::TableRows;
use crate::run::trace::Place;
use crate::run::{RunRecord, hooks, settings_of};
use crate::settings::Output;

/// The time between two reads of the record.
const LOOK: Duration = Duration::from_millis(250);

pub(super) fn run(process: &Process) -> Result<Ended, Error> {
    let settings = &process.settings;
    let page = observe::listen(process.page)?;
    let folder = process.owned()?;
    let config = settings_of(settings, &folder)?;
    let (record, report) =
        lead(&process.cluster, &settings.output, folder, config, page, |record| {
            let folder = record.folder();
            process.fit(hooks(settings, None, Some(folder)), folder.run(), Some(record.record()))
        })?;
    if let Err(error) = write_end(process, &record, report.as_ref().ok()) {
        tracing::error!(%error, "the end of the metrics is not written");
    }
    Ok(Ended::of(&report?))
}

/// Writes, shows and sends what happens in a cluster, whatever is trained, while `serve` has part
/// in it.
pub(super) fn lead<R>(
    cluster: &Cluster,
    output: &Output,
    folder: RunFolder,
    config: Config,
    page: Option<TcpListener>,
    serve: impl FnOnce(&RunRecord) -> R,
) -> Result<(RunRecord, R), Error> {
    let events = Record::new();
    let exports = Exports::start(&output.exports, &events, folder.run(), Place::Cluster)?;
    let record = RunRecord::open(folder, events, config, output.tensorboard)?;
    if let Some(page) = page {
        let status = cluster.status_handle();
        let observed = Observed::new(move || status.get()).with_record(record.record());
        observe::serve(observed.in_folder(record.folder().root()), page)?;
    }
    let writer = Writer::start(Arc::clone(record.log())).map_err(unwritten)?;
    let served = serve(&record);
    writer.end();
    drop(exports);
    Ok((record, served))
}

/// The lines still to write, and the result of a finished training.
fn write_end(
    process: &Process,
    record: &RunRecord,
    report: Option<&ClusterReport<f32>>,
) -> Result<(), Error> {
    record.flush()?;
    let (settings, folder) = (&process.settings, record.folder());
    let Some(report) = report.filter(|report| !report.left) else { return Ok(()) };
    let last = report.global_step.get().unsigned_abs();
    let Some(state) = checkpoint_of(last, folder) else { return Ok(()) };
    if report.first_step == report.global_step
        && let Some(summary) = record.told(last)
    {
        // It had ended before, and was started again.
        return record.write_result(&summary);
    }
    let averages = state.averaged();
    let rows = TableRows::Saved(state.tables);
    let outcome = outcome_of(report, settings, (state.variables, averages, rows));
    last_test::wait(process, folder, &outcome)?;
    record.write_result(&record.summarize(settings, &outcome)?)
}

/// A thread that writes lines until it is ended.
struct Writer {
    thread: JoinHandle<()>,
    goes_on: Sender<()>,
}

impl Writer {
    fn start(log: Arc<Mutex<RunLog>>) -> std::io::Result<Self> {
        let (goes_on, end) = channel();
        let thread = std::thread::Builder::new().name("metrics".to_owned()).spawn(move || {
            while end.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                // Soon, since a checkpoint may be ahead of what a killed process has written.
                let mut log = lock(&log);
                log.follow();
                log.hand_over(true);
            }
        })?;
        Ok(Self { thread, goes_on })
    }

    fn end(self) {
        drop(self.goes_on);
        // Nothing in it panics.
        let _ = self.thread.join();
    }
}
