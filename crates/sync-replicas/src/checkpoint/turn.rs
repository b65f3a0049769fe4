//! Turns at writing into a folder of checkpoints: a lock on the folder itself, which the system
//! releases when its holder dies.
//!
//! It holds between threads and between processes. Where a folder cannot be opened or locked (other
//! than on Unix, and on some file systems), every writer has the turn.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::{Duration, Instant};

use super::CheckpointError;

/// Longer than any checkpoint takes to write.
const LONGEST: Duration = Duration::from_secs(600);

/// How often to check whether the other writer is done.
const PAUSE: Duration = Duration::from_millis(5);

/// Given back when dropped.
#[derive(Debug)]
pub(super) struct Turn {
    _lock: Option<File>,
}

impl Turn {
    /// Waits until no other thread or process writes into the folder.
    pub(super) fn wait(folder: &Path) -> Result<Self, CheckpointError> {
        Self::wait_for(folder, LONGEST)
    }

    fn wait_for(folder: &Path, longest: Duration) -> Result<Self, CheckpointError> {
        let everybodys = |error: std::io::Error| {
            tracing::debug!(%error, path = %folder.display(), "the folder cannot be locked");
            Ok(Self { _lock: None })
        };
        let lock = match File::open(folder) {
            Ok(lock) => lock,
            Err(error) => return everybodys(error),
        };
        let begun = Instant::now();
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(Self { _lock: Some(lock) }),
                Err(TryLockError::WouldBlock) if begun.elapsed() < longest => {
                    std::thread::sleep(PAUSE);
                }
                Err(TryLockError::WouldBlock) => {
                    let (path, waited) = (folder.to_owned(), longest);
                    return Err(CheckpointError::Busy { path, waited });
                }
                Err(TryLockError::Error(error)) => return everybodys(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_and_nobody_waits_for_ever() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = Turn::wait(folder.path()).expect("it is free");
        let second = Turn::wait_for(folder.path(), Duration::ZERO);
        assert!(matches!(second, Err(CheckpointError::Busy { .. })), "{second:?}");
        drop(first);
        Turn::wait_for(folder.path(), Duration::ZERO).expect("it is free again");
    }
}
