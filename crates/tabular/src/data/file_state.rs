//! How a file on disk was when it was opened, so that a change is noticed.

use std::fs::Metadata;
use std::time::SystemTime;

/// A file's length, its time of change, and which file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileState {
    pub(crate) length: u64,
    modified: Option<SystemTime>,
    /// Different for another file of the same name.
    number: Option<u64>,
}

impl FileState {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        let number = Some(std::os::unix::fs::MetadataExt::ino(metadata));
        #[cfg(not(unix))]
        let number = None;
        Self { length: metadata.len(), modified: metadata.modified().ok(), number }
    }

    /// The first difference from a later state, for an error: what was, and what is now.
    pub(crate) fn difference(&self, now: &Self) -> Option<[String; 2]> {
        let words = |was: &str, is: &str| Some([was, is].map(str::to_owned));
        if now.length != self.length {
            return Some([self.length, now.length].map(|length| format!("{length} bytes")));
        }
        if now.number != self.number {
            return words("the file that it was", "another in its place");
        }
        if now != self {
            return words("the time of change that it had", "another");
        }
        None
    }
}
