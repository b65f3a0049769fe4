//! Stands for the exporter in a program built without it: it refuses the option, and says how to
//! get it.

use sync_replicas::checkpoint::RunId;
use sync_replicas::record::Record;

use crate::args::CollectorUrl;
use crate::error::Error;

/// Never there.
#[derive(Debug)]
pub(crate) enum Otlp {}

impl Otlp {
    /// Begins nothing.
    ///
    /// # Errors
    /// As [`check`].
    pub(crate) fn start(
        url: Option<&CollectorUrl>,
        _: &Record,
        _: RunId,
    ) -> Result<Option<Self>, Error> {
        check(url).map(|()| None)
    }
}

/// Refuses the option.
///
/// # Errors
/// When it is given.
pub(crate) fn check(url: Option<&CollectorUrl>) -> Result<(), Error> {
    let Some(url) = url else { return Ok(()) };
    Err(Error::usage(format!(
        "--otlp {url}: this program was built without it: build it with `--features otlp`"
    )))
}
