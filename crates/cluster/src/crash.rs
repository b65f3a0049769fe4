//! Named points at which a test ends or stops this very process, with a real signal.
//!
//! Only with the feature `crash-points`; without it none of this is compiled, and a point is an
//! empty statement. `docs/faults.md` says what is true at each point, and what must follow.

/// Marks a point; every name has a line in the table of `docs/faults.md`.
macro_rules! crash_point {
    ($name:literal) => {
        #[cfg(all(unix, feature = "crash-points"))]
        crate::crash::reach($name);
    };
}

#[cfg(all(unix, feature = "crash-points"))]
mod disk;
#[cfg(all(unix, feature = "crash-points"))]
mod plan;

#[cfg(all(unix, feature = "crash-points"))]
pub(crate) use disk::{write_checkpoint, write_rows};
#[cfg(all(unix, feature = "crash-points"))]
pub(crate) use plan::{enter, reach};
#[cfg(not(all(unix, feature = "crash-points")))]
pub(crate) use sync_replicas::checkpoint::{write_rows, write_with_rows as write_checkpoint};
