//! Each replica's times against those of the others in the same step.
//!
//! What all replicas have in common, such as a long step, cancels out. Of a batch that was given
//! up, only one thing is known: it would have taken longer. It is slower than the others if it was
//! given up no sooner than most of them were done, and otherwise says nothing.

use super::trace::{Cell, Trace};

/// One replica in one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Relative {
    /// The step's place.
    pub(super) step: usize,
    /// The logarithm of its time over the median of the others.
    pub(super) log: f64,
    /// Whether it finished; if not, the number is a lower bound.
    pub(super) finished: bool,
    /// Whether it is the slowest, or among those that were given up.
    pub(super) slowest: bool,
    /// Whether it is in the slower half.
    pub(super) in_slower_half: bool,
    /// How often both would be so by chance.
    pub(super) chance_slowest: f64,
    pub(super) chance_slower_half: f64,
}

/// Each replica's steps, as far as they tell something.
pub(super) fn by_replica(trace: &Trace) -> Vec<Vec<Relative>> {
    let mut relatives = vec![Vec::new(); trace.replicas().len()];
    for (step, cells) in trace.by_step().enumerate() {
        let Some(times) = Times::of(cells) else { continue };
        for &(replica, time) in &times.by_replica {
            relatives[replica].push(times.relative(step, time));
        }
    }
    relatives
}

/// The median of those that finished.
pub(super) fn level(cells: &[Cell]) -> Option<f64> {
    let mut finished: Vec<f64> =
        cells.iter().filter(|cell| cell.finished).map(|cell| cell.seconds).collect();
    finished.sort_by(f64::total_cmp);
    (!finished.is_empty()).then(|| crate::stats::quantile(&finished, 0.5))
}

/// A time, or a lower bound of one.
#[derive(Clone, Copy)]
struct Time {
    seconds: f64,
    finished: bool,
}

impl Time {
    /// The logarithm, of a nanosecond at least.
    fn log(self) -> f64 {
        libm::log(self.seconds.max(1e-9))
    }

    /// The order of comparison: a replica that was given up is slower than one that was not.
    fn rank(self) -> f64 {
        if self.finished { self.log() } else { f64::INFINITY }
    }
}

/// What one step tells.
struct Times {
    by_replica: Vec<(usize, Time)>,
    /// The same times: finished ones first, then by speed.
    in_order: Vec<Time>,
    given_up: usize,
}

impl Times {
    /// `None` where there is no other to compare with.
    fn of(cells: &[Cell]) -> Option<Self> {
        let least = level(cells)?;
        let telling = cells.iter().filter(|cell| cell.finished || cell.seconds >= least);
        let by_replica: Vec<(usize, Time)> = telling
            .map(|cell| (cell.replica, Time { seconds: cell.seconds, finished: cell.finished }))
            .collect();
        let mut in_order: Vec<Time> = by_replica.iter().map(|(_, time)| *time).collect();
        in_order
            .sort_by(|a, b| a.rank().total_cmp(&b.rank()).then(a.seconds.total_cmp(&b.seconds)));
        let given_up = in_order.iter().filter(|time| !time.finished).count();
        (by_replica.len() > 1).then_some(Self { by_replica, in_order, given_up })
    }

    fn relative(&self, step: usize, time: Time) -> Relative {
        let (count, rank) = (self.in_order.len(), time.rank());
        let own = self.in_order.partition_point(|other| other.rank() < rank);
        // Of others that were given up, at least so much.
        let other = |place: usize| self.in_order[place + usize::from(place >= own)].log();
        let others = f64::midpoint(other((count - 2) / 2), other((count - 1) / 2));
        let half = count / 2;
        // An equally slow replica is not counted as slower.
        let last = self.given_up.max(1);
        let is_among_last = |count_of: usize| rank > self.in_order[count - count_of - 1].rank();
        Relative {
            step,
            log: time.log() - others,
            finished: time.finished,
            slowest: is_among_last(last),
            in_slower_half: is_among_last(half),
            chance_slowest: last as f64 / count as f64,
            chance_slower_half: half as f64 / count as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Row;
    use super::*;

    /// Times of one step, below zero where given up; then, for each that tells something, the ratio
    /// to the others, and whether it is the slowest and in the slower half.
    #[track_caller]
    fn check(seconds: &[f64], expected: &[(f64, bool, bool)]) {
        let rows = seconds.iter().zip(0..).map(|(seconds, replica)| Row {
            step: 3,
            replica,
            seconds: seconds.abs(),
            finished: *seconds >= 0.0,
        });
        let trace = Trace::new(rows.collect()).expect("is a trace");
        let got: Vec<_> = by_replica(&trace).into_iter().flatten().collect();
        assert_eq!(got.len(), expected.len(), "{got:?}");
        for (got, (ratio, slowest, half)) in got.iter().zip(expected) {
            assert!((got.log.exp() - ratio).abs() < 1e-9, "{got:?}, not {ratio}");
            assert_eq!((got.slowest, got.in_slower_half), (*slowest, *half), "{got:?}");
        }
    }

    #[test]
    fn a_time_is_compared_with_the_median_of_the_others() {
        check(&[1.0, 2.0], &[(0.5, false, false), (2.0, true, true)]);
        check(
            &[1.0, 2.0, 4.0],
            &[
                (8_f64.sqrt().recip(), false, false),
                (1.0, false, false),
                (8_f64.sqrt(), true, true),
            ],
        );
        let four =
            [(1.0, false, false), (4.0, true, true), (1.0, false, false), (1.0, false, false)];
        check(&[1.0, 4.0, 1.0, 1.0], &four);
        // No replica is slower than the others where all are alike.
        check(&[2.0; 3], &[(1.0, false, false); 3]);
        check(&[0.0; 2], &[(1.0, false, false); 2]);
        check(&[1.0], &[]);
    }

    #[test]
    fn who_was_given_up_is_slower_or_says_nothing() {
        let usual = (1.0, false, false);
        check(&[1.0, 1.0, 1.0, -1.5], &[usual, usual, usual, (1.5, true, true)]);
        check(&[1.0, 1.0, 1.0, -0.1], &[usual; 3]);
        let slow = (2.0, true, true);
        // For those that finished, the median of the others is a bound.
        let fast = (0.5, false, false);
        check(&[1.0, 1.0, -2.0, -2.0], &[fast, fast, slow, slow]);
        let last = (1.0, true, false);
        check(&[1.0, -1.0, -1.0], &[usual, last, last]);
        check(&[-1.0, -1.0], &[]);
    }
}
