//! Turns spans into lines of batches, of which a long run keeps only some.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sync_replicas::ReplicaId;
use sync_replicas::record::{Span, SpanKind};

/// After this many lines only every other step's batches are kept: a file grows with the logarithm
/// of a run's length, and has whole steps.
const MANY: u32 = 20_000;

/// One batch of one replica; times are seconds since training began, or went on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Batch {
    /// The replica.
    pub(crate) replica: u64,
    /// The step whose variables it was computed with.
    pub(crate) step: i64,
    /// When computing began.
    pub(crate) start: f64,
    /// When it ended.
    pub(crate) computed: f64,
    /// When the gradient was pushed; not at all when it was given up.
    pub(crate) pushed: Option<f64>,
    /// Its outcome.
    pub(crate) outcome: SpanKind,
    /// How long the replica had waited for its token.
    #[serde(default)]
    pub(crate) wait: f64,
    /// The batch's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) number: Option<u64>,
    /// By how many steps it came too late, if it was stale.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) staleness: u64,
    /// How much of computing was looking up rows, if there was a lookup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lookup: Option<f64>,
    /// Bytes of its gradients sent.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) sent_bytes: u64,
    /// Bytes of variables and rows received.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) received_bytes: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A wait for a token, or several in a row.
#[derive(Clone, Copy, Debug, Default)]
struct Wait {
    seconds: f64,
    bytes: u64,
}

/// Makes batches of the spans of all replicas, as they come.
#[derive(Debug)]
pub(crate) struct Batches {
    /// How each replica has waited since its last batch.
    waited: BTreeMap<ReplicaId, Wait>,
    /// Batches of every so many steps are kept.
    every: i64,
    /// How many were kept at this rate.
    kept: u32,
}

impl Default for Batches {
    fn default() -> Self {
        Self { waited: BTreeMap::new(), every: 1, kept: 0 }
    }
}

impl Batches {
    /// Whether these lines are all that there were.
    pub(crate) fn has_all(lines: usize) -> bool {
        lines < MANY as usize
    }

    /// The batches kept from these spans; each replica's spans are in order of time.
    pub(crate) fn of(&mut self, spans: &[Span]) -> Vec<Batch> {
        let mut batches: Vec<Batch> = Vec::new();
        // By replica: where its last batch is.
        let mut last = BTreeMap::new();
        for span in spans {
            let (start, end) = (span.start.as_secs_f64(), span.end.as_secs_f64());
            match span.kind {
                SpanKind::Waited => {
                    let wait = self.waited.entry(span.replica).or_default();
                    wait.seconds += (end - start).max(0.0);
                    wait.bytes += span.bytes;
                }
                SpanKind::Sent => {
                    if let Some(&at) = last.get(&span.replica) {
                        let batch: &mut Batch = &mut batches[at];
                        batch.pushed = Some(end);
                        batch.sent_bytes = span.bytes;
                    }
                }
                SpanKind::LookedUp => {
                    if let Some(&at) = last.get(&span.replica) {
                        let batch: &mut Batch = &mut batches[at];
                        batch.lookup = Some(end - start);
                        batch.received_bytes += span.bytes;
                    }
                }
                outcome => {
                    let wait = self.waited.remove(&span.replica).unwrap_or_default();
                    if !self.keeps(span.step) {
                        last.remove(&span.replica);
                        continue;
                    }
                    last.insert(span.replica, batches.len());
                    batches.push(Batch {
                        replica: span.replica.get(),
                        step: span.step,
                        start,
                        computed: end,
                        pushed: is_pushed(outcome).then_some(end),
                        outcome,
                        wait: wait.seconds,
                        number: span.batch,
                        staleness: span.staleness,
                        lookup: None,
                        sent_bytes: 0,
                        received_bytes: wait.bytes,
                    });
                }
            }
        }
        batches
    }

    fn keeps(&mut self, step: i64) -> bool {
        if self.kept >= MANY {
            (self.every, self.kept) = (self.every.saturating_mul(2), 0);
        }
        let keeps = step % self.every == 0;
        self.kept += u32::from(keeps);
        keeps
    }
}

fn is_pushed(outcome: SpanKind) -> bool {
    matches!(outcome, SpanKind::Accepted | SpanKind::Stale | SpanKind::Duplicate)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn span(replica: u64, step: i64, kind: SpanKind, start: u64, end: u64) -> Span {
        let times = (Duration::from_secs(start), Duration::from_secs(end));
        Span::new(ReplicaId::new(replica), step, kind, times)
    }

    #[test]
    fn each_batch_has_the_wait_before_it_and_when_it_was_pushed() {
        let mut batches = Batches::default();
        let mut of = |spans: &[Span]| -> Vec<_> {
            let made = batches.of(spans).into_iter();
            made.map(|b| (b.replica, b.step, b.start, b.computed, b.pushed, b.wait)).collect()
        };
        let first = [
            span(0, 0, SpanKind::Accepted, 0, 2),
            span(0, 0, SpanKind::Sent, 2, 3),
            span(1, 0, SpanKind::Superseded, 0, 9),
            // The batch after it comes later.
            span(0, 1, SpanKind::Waited, 3, 5),
        ];
        let expected = [(0, 0, 0.0, 2.0, Some(3.0), 0.0), (1, 0, 0.0, 9.0, None, 0.0)];
        assert_eq!(of(&first), expected);
        let second = [span(0, 1, SpanKind::Stale, 5, 6), span(1, 1, SpanKind::Accepted, 9, 10)];
        let expected = [(0, 1, 5.0, 6.0, Some(6.0), 2.0), (1, 1, 9.0, 10.0, Some(10.0), 0.0)];
        assert_eq!(of(&second), expected);
    }

    #[test]
    fn a_long_run_keeps_whole_steps_now_and_then() {
        let mut batches = Batches::default();
        let step = |step| [0, 1].map(|replica| span(replica, step, SpanKind::Accepted, 0, 1));
        let kept: Vec<_> = (0..1_000_000).flat_map(|it| batches.of(&step(it))).collect();
        assert!(kept.len() < 160_000, "{}", kept.len());
        let first = kept.iter().take(MANY as usize).map(|it| it.step);
        assert!(first.eq((0..i64::from(MANY) / 2).flat_map(|step| [step, step])));
        let last = &kept[kept.len() - 2..];
        assert_eq!((last[0].step, last[0].replica, last[1].replica), (last[1].step, 0, 1));
        assert!(last[0].step > 999_000);
    }
}
