//! How long each replica took in each step of a real training, and which replicas did not finish.
//!
//! Of a replica and a step there is one time at most; there may be none. Its invariant: steps and
//! replicas ascend, each has a time at least, and every time is finite and not below zero.

use super::measured::{Measured, Observation};
use crate::distribution::{NumberError, Seconds};

/// One replica's time in one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// The step; steps need not be consecutive.
    pub step: i64,
    /// The replica; any number names one.
    pub replica: i64,
    /// How long it computed.
    pub seconds: f64,
    /// Whether it finished; if not, it would have taken longer.
    pub finished: bool,
}

/// The times of one training.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    replicas: Vec<i64>,
    steps: Vec<i64>,
    cells: Vec<Cell>,
    /// Where each step's cells begin, and where the last one's end.
    bounds: Vec<usize>,
}

/// A row whose replica is known by its place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cell {
    pub(super) replica: usize,
    pub(super) seconds: f64,
    pub(super) finished: bool,
}

impl Cell {
    pub(super) fn of(replica: usize, Observation { seconds, finished }: Observation) -> Self {
        Self { replica, seconds, finished }
    }
}

/// Why times are not a trace.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TraceError {
    /// There are no times.
    #[error("expected the time of a replica in a step, got none")]
    Empty,
    /// One is not a time.
    #[error("step {step}, replica {replica}: {error}")]
    Number {
        /// Its step.
        step: i64,
        /// Its replica.
        replica: i64,
        /// What is wrong with it.
        error: NumberError,
    },
    /// There are two of the same step and replica.
    #[error(
        "step {step}, replica {replica}: expected one time, got several; number the steps so that \
         each replica has one in each"
    )]
    Twice {
        /// Their step.
        step: i64,
        /// Their replica.
        replica: i64,
    },
}

impl Trace {
    /// A trace of times in any order.
    ///
    /// # Errors
    /// [`TraceError`] when there are none, one is invalid, or one is there twice.
    pub fn new(mut rows: Vec<Row>) -> Result<Self, TraceError> {
        if rows.is_empty() {
            return Err(TraceError::Empty);
        }
        rows.sort_by_key(|row| (row.step, row.replica));
        for pair in rows.windows(2) {
            let Row { step, replica, .. } = pair[1];
            if (pair[0].step, pair[0].replica) == (step, replica) {
                return Err(TraceError::Twice { step, replica });
            }
        }
        let mut replicas: Vec<i64> = rows.iter().map(|row| row.replica).collect();
        replicas.sort_unstable();
        replicas.dedup();
        let mut trace = Self { replicas, steps: Vec::new(), cells: Vec::new(), bounds: Vec::new() };
        for Row { step, replica, seconds, finished } in rows {
            if trace.steps.last() != Some(&step) {
                trace.bounds.push(trace.cells.len());
                trace.steps.push(step);
            }
            let number = |error| TraceError::Number { step, replica, error };
            let seconds = Seconds::try_from(seconds).map_err(number)?.get();
            let replica = trace.replicas.partition_point(|id| *id < replica);
            trace.cells.push(Cell { replica, seconds, finished });
        }
        trace.bounds.push(trace.cells.len());
        Ok(trace)
    }

    /// The replicas' names, ascending.
    #[must_use]
    pub fn replicas(&self) -> &[i64] {
        &self.replicas
    }

    /// The steps' numbers, ascending.
    #[must_use]
    pub fn steps(&self) -> &[i64] {
        &self.steps
    }

    /// How many times there are.
    #[must_use]
    pub fn times(&self) -> usize {
        self.cells.len()
    }

    /// How many steps have the time of every replica, finished or not.
    #[must_use]
    pub fn whole_steps(&self) -> usize {
        self.by_step().filter(|cells| cells.len() == self.replicas.len()).count()
    }

    /// Each step's times, by replica.
    pub(super) fn by_step(&self) -> impl ExactSizeIterator<Item = &[Cell]> {
        self.bounds.windows(2).map(|ends| &self.cells[ends[0]..ends[1]])
    }

    /// Each replica's times, whatever their order.
    #[must_use]
    pub fn machines(&self) -> Vec<Measured> {
        let mut batches = vec![Vec::new(); self.replicas.len()];
        for cell in &self.cells {
            let Cell { seconds, finished, .. } = *cell;
            batches[cell.replica].push(Observation { seconds, finished });
        }
        batches.into_iter().filter_map(Measured::new).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(step: i64, replica: i64, seconds: f64) -> Row {
        Row { step, replica, seconds, finished: true }
    }

    #[test]
    fn times_in_any_order_are_steps_of_replicas() {
        let rows = vec![row(9, 70, 1.0), row(-1, 5, 2.0), row(9, -3, 3.0), row(-1, 70, 4.0)];
        let trace = Trace::new(rows).expect("is a trace");
        assert_eq!((trace.steps(), trace.replicas()), (&[-1, 9][..], &[-3, 5, 70][..]));
        let cells = |cells: &[Cell]| cells.iter().map(|it| (it.replica, it.seconds)).collect();
        let steps: Vec<Vec<_>> = trace.by_step().map(cells).collect();
        assert_eq!(steps, [[(1, 2.0), (2, 4.0)], [(0, 3.0), (2, 1.0)]]);
        assert_eq!((trace.times(), trace.whole_steps(), trace.machines().len()), (4, 0, 3));
    }

    #[test]
    fn what_is_no_trace_is_refused() {
        #[track_caller]
        fn check(rows: &[Row], fragments: &[&str]) {
            let error = Trace::new(rows.to_vec()).expect_err("is no trace").to_string();
            for fragment in fragments {
                assert!(error.contains(fragment), "{error} lacks {fragment:?}");
            }
        }
        check(&[], &["expected the time", "none"]);
        check(&[row(1, 2, 3.0), row(0, 2, 3.0), row(1, 2, 4.0)], &["step 1, replica 2", "several"]);
        for wrong in [f64::NAN, f64::INFINITY, -1.0, 1e10] {
            check(&[row(4, 5, wrong)], &["step 4, replica 5", "0 to 1e9 seconds"]);
        }
    }
}
