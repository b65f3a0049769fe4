//! Measurements of a machine: how long its batches took, including those that it gave up.

use crate::stream::Stream;

/// One batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Observation {
    /// How long the machine computed.
    pub seconds: f64,
    /// Whether it finished; if not, the batch would have taken longer.
    pub finished: bool,
}

/// The batches of one machine, at least one.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// By time.
    batches: Vec<Observation>,
}

/// How many times of one machine are drawn from; more would tell nothing new.
const MOST_DRAWN: usize = 1000;

impl Measured {
    /// Batches of a machine; `None` if there are none.
    #[must_use]
    pub fn new(mut batches: Vec<Observation>) -> Option<Self> {
        batches.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
        (!batches.is_empty()).then_some(Self { batches })
    }

    /// How many batches it finished.
    #[must_use]
    pub fn finished(&self) -> usize {
        self.batches.iter().filter(|batch| batch.finished).count()
    }

    /// How many batches it began.
    #[must_use]
    pub fn begun(&self) -> usize {
        self.batches.len()
    }

    /// Times drawn with repetition, and how many of them are lower bounds.
    pub(super) fn resample(&self, stream: &mut Stream) -> (Vec<f64>, usize) {
        let mut bounds = 0;
        let drawn = (0..self.batches.len().min(MOST_DRAWN)).map(|_| {
            let Observation { seconds, finished } = self.draw(stream);
            bounds += usize::from(!finished);
            seconds
        });
        let drawn = drawn.collect();
        (drawn, bounds)
    }

    /// One time, or a lower bound.
    ///
    /// A batch that was given up says only that it would have taken longer. It stands for one that
    /// did: its weight goes to all that took longer, in equal parts, as in Kaplan and Meier's
    /// estimate. If none did, its own time is a lower bound.
    pub(super) fn draw(&self, stream: &mut Stream) -> Observation {
        let batch = self.batches[stream.below(self.batches.len())];
        if batch.finished { batch } else { self.longer(batch.seconds, stream) }
    }

    /// What a batch that was given up after this time stands for.
    pub(super) fn longer(&self, mut seconds: f64, stream: &mut Stream) -> Observation {
        loop {
            let longer = self.batches.partition_point(|it| it.seconds <= seconds);
            let Some(most) = self.batches.len().checked_sub(longer + 1) else {
                return Observation { seconds, finished: false };
            };
            let batch = self.batches[longer + stream.below(most + 1)];
            if batch.finished {
                return batch;
            }
            seconds = batch.seconds;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(batches: &[(f64, bool)], mean: f64, bounds: f64) {
        let batches = batches.iter().cycle().take(900);
        let batches = batches.map(|&(seconds, finished)| Observation { seconds, finished });
        let measured = Measured::new(batches.collect()).expect("there are some");
        let mut stream = Stream::of_resampling(0);
        let (mut drawn, mut lower) = (Vec::new(), 0);
        for _ in 0..50 {
            let (seconds, bounds) = measured.resample(&mut stream);
            drawn.extend(seconds);
            lower += bounds;
        }
        let got = crate::stats::mean(&drawn);
        assert!((got - mean).abs() < 0.03, "{got}, not {mean}");
        let part = lower as f64 / drawn.len() as f64;
        assert!((part - bounds).abs() < 0.02, "{part}, not {bounds}");
    }

    #[test]
    fn what_was_given_up_stands_for_what_took_longer() {
        check(&[(1.0, true), (3.0, true)], 2.0, 0.0);
        // The one given up at 1 took 2 or 4 seconds.
        check(&[(1.0, false), (2.0, true), (4.0, true)], 3.0, 0.0);
        // Nothing took longer than 4: that is a bound.
        check(&[(1.0, true), (4.0, false)], 2.5, 0.5);
        check(&[(1.0, false)], 1.0, 1.0);
        assert_eq!(Measured::new(Vec::new()), None);
    }
}
