//! Checkpoints: all of a run's state at one step, in one folder, the old one or the new one whole.
//!
//! A checkpoint is a folder `checkpoint-STEP` with `tensors.safetensors` and `manifest.json`, and
//! files of rows where there are tables. It is written beside its place, synced, and renamed into
//! it, so a reader never meets half of one; every byte is covered by a checksum, so a damaged one
//! is refused instead of loaded.

mod aside;
mod bytes;
mod claim;
mod disk;
mod error;
mod folder;
mod listing;
mod manifest;
mod reading;
mod retry;
mod run_id;
mod state;
mod stored;
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
pub(crate) use manifest::sha256_hex;
pub use reading::{all, has_f64, latest, newest_definition, newest_run, open, read, recover};
pub use retry::{FEWEST_KEPT, Retry};
pub use run_id::{RunId, RunIdError};
pub use state::TrainingState;
pub use stored::Stored;
pub use tables::{SavedTable, SavedTables};

pub use crate::hook_list::Checkpoints;
pub use crate::trainer::SaveHandle;
