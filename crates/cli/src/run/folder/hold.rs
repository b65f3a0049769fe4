//! The writer of a run's folders: one process at a time (P-24).
//!
//! A lock on a file, which the system releases when its holder dies, however it dies; the file
//! names the holder.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Write};
use std::path::Path;

use super::whole::unwritable;
use crate::error::Error;
use crate::system::host_time::{host, utc};

/// The file that is locked.
const FILE: &str = ".holder";

/// Given back when dropped.
#[derive(Debug)]
pub(super) struct Hold {
    _file: File,
}

impl Hold {
    /// Takes a folder.
    pub(super) fn take(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(FILE);
        let failed = |error: io::Error| unwritable(&path, &error);
        let mut options = File::options();
        let opened = options.read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = opened.map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut by = String::new();
                // Some systems do not let a locked file be read; it is still held.
                let _ = file.read_to_string(&mut by);
                let by = if by.is_empty() { "another process".to_owned() } else { by };
                return Err(Error::usage(format!(
                    "{} is in use by {by}; wait for it, end it, or give another folder",
                    folder.display()
                )));
            }
            // Some file systems know no locks: across machines the generation decides anyway.
            Err(TryLockError::Error(error)) => {
                tracing::debug!(%error, path = %path.display(), "the folder cannot be locked");
            }
        }
        let since = utc(std::time::SystemTime::now());
        let who = format!("process {} on {}, since {since} UTC", std::process::id(), host());
        file.set_len(0).and_then(|()| file.write_all(who.as_bytes())).map_err(failed)?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_the_first_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = Hold::take(folder.path()).expect("it is free");
        let error = Hold::take(folder.path()).expect_err("it is held").to_string();
        assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
        drop(first);
        Hold::take(folder.path()).expect("it is free again");
    }
}
