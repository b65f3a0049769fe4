//! Checkpoints: all of a run's state at one step, in one folder, the old one or the new one whole.
//!
//! A checkpoint is a folder `checkpoint-STEP` with `tensors.safetensors` and `manifest.json`, and
//! files of rows where there are tables. It is written beside its place, synced, and renamed into
//! it, so a reader never meets half of one; every byte is covered by a checksum, so a damaged one
//! is refused instead of loaded.

use std::path::PathBuf;

mod aside;
mod bytes;
mod claim;
mod disk;
mod error;
mod file_entry;
mod folder;
mod listing;
mod manifest;
mod reading;
mod retry;
mod run_id;
mod state;
mod tables;
mod turn;

pub use aside::{Kept, Tested, set_aside};
pub use bytes::from_bytes;
pub use claim::{claim, newest_generation};
#[cfg(feature = "crash-points")]
pub use disk::{Disk, SystemDisk};
pub use error::CheckpointError;
pub use folder::{
    RowsToSave, aside_name, discard_rows, size_on_disk, write, write_rows, write_with_rows,
};
#[cfg(feature = "crash-points")]
pub use folder::{write_on, write_rows_on};
pub use reading::{
    all, has_f64, latest, newest_definition, newest_run, open, read, recover, tables_of,
};
pub use retry::{FEWEST_KEPT, Retry};
pub use run_id::{RunId, RunIdError};
pub use state::TrainingState;
pub use tables::{SavedTable, SavedTables, TableShare};

pub use crate::stored::Stored;

/// Where checkpoints go, how often, and how many are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoints {
    /// The folder.
    pub folder: PathBuf,
    /// Every so many updates.
    pub steps: u64,
    /// How many are kept.
    pub keep: usize,
}
