//! What a training's record sends elsewhere while it trains, if requested: `--trace` and `--otlp`.
//!
//! The same for one process and for parameter server 0 of a cluster.

use sync_replicas::checkpoint::RunId;
use sync_replicas::record::Record;

use crate::args::ExportArgs;
use crate::error::Error;
use crate::run::otlp::{self, Otlp};
use crate::run::trace::{self, Place, Trace};

/// Exports that are under way; dropping them waits for their ends.
#[derive(Debug)]
pub(crate) struct Exports {
    _trace: Option<Trace>,
    _otlp: Option<Otlp>,
}

impl Exports {
    /// Refuses what can be refused before anything is written.
    ///
    /// # Errors
    /// An option is invalid, or its file cannot be written.
    pub(crate) fn check(args: &ExportArgs) -> Result<(), Error> {
        trace::check(args.trace.as_deref())?;
        otlp::check(args.otlp.as_ref())
    }

    /// Begins those requested.
    ///
    /// # Errors
    /// As [`check`](Self::check), and the system's errors.
    pub(crate) fn start(
        args: &ExportArgs,
        record: &Record,
        run: RunId,
        place: Place,
    ) -> Result<Self, Error> {
        Ok(Self {
            _trace: Trace::start(args.trace.as_deref(), record, place)?,
            _otlp: Otlp::start(args.otlp.as_ref(), record, run)?,
        })
    }
}
