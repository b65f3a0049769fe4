//! How a call failed, in words.

use sync_replicas::driver::printable;

/// A status in words, with its cause.
pub(crate) fn describe(status: &tonic::Status) -> String {
    let text = match status.message() {
        "" => status.code().to_string(),
        said => printable(said).into_owned(),
    };
    sync_replicas::driver::with_causes(text, status)
}
