//! How to spread a large piece of work: the caller hands in a function that runs two halves of it.
//!
//! No thread is started here. Invariant: the result has the same bits however often it is cut.

/// Runs both, in any order or at the same time, and returns when both are done.
///
/// `rayon::join` is one, as `|a, b| drop(rayon::join(a, b))`.
pub type Join = fn(&mut (dyn FnMut() + Send), &mut (dyn FnMut() + Send));

/// Into how many parts work is cut at most, and the function that runs them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ways {
    pub(crate) ways: usize,
    pub(crate) join: Join,
}

impl Ways {
    /// All in one.
    pub(crate) fn one() -> Self {
        Self {
            ways: 1,
            join: |first, second| {
                first();
                second();
            },
        }
    }

    /// The parts of the first half, and of the second.
    pub(crate) fn halves(self) -> (Self, Self) {
        let first = self.ways / 2;
        (Self { ways: first, ..self }, Self { ways: self.ways - first, ..self })
    }
}
