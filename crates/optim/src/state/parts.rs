//! Whether a large update is cut into parts, and what runs them.
//!
//! No thread is started here: the caller hands in a function that runs two closures side by side.

/// Runs both, in any order or at the same time, and returns when both are done.
///
/// `rayon::join` is one, as `|a, b| drop(rayon::join(a, b))`.
pub type Join = fn(&mut (dyn FnMut() + Send), &mut (dyn FnMut() + Send));

/// Elements below which a part is not worth waking a thread: passing over 1 MB of `f32` takes about
/// as long.
pub(super) const SMALLEST_PART: usize = 1 << 18;

/// How large dense updates are cut.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parts {
    pub(super) ways: usize,
    pub(super) join: Join,
}

impl Parts {
    /// All in one.
    pub(super) fn one() -> Self {
        Self {
            ways: 1,
            join: |first, second| {
                first();
                second();
            },
        }
    }
}
