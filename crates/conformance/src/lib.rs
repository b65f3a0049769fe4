//! Recorded runs of TensorFlow, replayed against the crates of this workspace.
//!
//! A trace is one run of the original implementation, written down operation by operation: what was
//! called, and what was seen. A replay makes the same calls on the public API with the reference
//! settings (P-16) and compares everything that was recorded; the first difference fails the trace.
//!
//! ```
//! let trace = r#"{
//!     "name": "two of three", "kind": "dense_accumulator", "dtype": "float32", "shape": [1],
//!     "reduction": "MEAN",
//!     "ops": [
//!         {"op": "take_grad", "num_required": 2, "id": 0, "expect": {"pending": true}},
//!         {"op": "apply_grad", "local_step": 0, "grad": {"shape": [1], "values": [1.0]},
//!          "expect": {"ok": true}},
//!         {"op": "apply_grad", "local_step": 0, "grad": {"shape": [1], "values": [3.0]},
//!          "expect": {"ok": true},
//!          "completes": [{"id": 0, "value": {"shape": [1], "values": [2.0]}}]}
//!     ],
//!     "still_pending": []
//! }"#;
//! conformance::replay(trace)?;
//!
//! let failure = conformance::replay(&trace.replace("[2.0]", "[2.5]")).expect_err("the mean is 2");
//! assert_eq!(
//!     failure.to_string(),
//!     "operation 2 (apply_grad): call 0: value[0] is 2, expected 2.5"
//! );
//! # Ok::<(), conformance::Failure>(())
//! ```
//!
//! # What it is not
//! It knows no rule: every number it compares was made by the crates, and it takes any trace of the
//! format, not only those that it carries. It sleeps nowhere and starts no thread: calls that block
//! are futures polled by hand, so that "still blocked" is seen, not guessed. Nothing depends on it.
//! [`replay_on_clusters`] is another matter: there every server and every replica is a thread, and
//! what is blocked is asked of the coordinator.
//!
//! - `trace` is the format, one struct a kind
//! - `compare` says what counts as equal
//! - `replay` has one file a kind
//! - `folder` does all of this for a folder

mod compare;
mod failure;
mod folder;
mod replay;
mod trace;

pub use failure::{Failure, Place};
pub use folder::{FolderError, Report, run_folder, run_folder_on_clusters};
pub use replay::{Replayed, replay, replay_on_clusters};

/// The README's example, run as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
