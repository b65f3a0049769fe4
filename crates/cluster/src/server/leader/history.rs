//! When training began and ended, and its present speed.

use std::collections::VecDeque;
use std::time::Duration;

use sync_replicas::GlobalStep;
use sync_replicas::record::{Cursor, Record};

use crate::coordinator::Coordinator;
use crate::wire::Recorded;

/// What is known of the past, in the leader's time.
#[derive(Default)]
pub(crate) struct History {
    began: Option<Moment>,
    /// When the newest generation began.
    pub(super) served: Option<Duration>,
    pub(super) ended: Option<Duration>,
    /// Recent steps, with their times.
    lately: VecDeque<Moment>,
}

/// The time of a step.
#[derive(Clone, Copy)]
struct Moment {
    at: Duration,
    step: GlobalStep,
}

const LATELY: Duration = Duration::from_secs(10);
const MOST: usize = 10_000;

impl History {
    /// A generation is served, at this step; whether it is the first.
    pub(super) fn begin(&mut self, at: Duration, step: GlobalStep) -> bool {
        self.served = Some(at);
        let first = self.began.is_none();
        self.began.get_or_insert(Moment { at, step });
        first
    }

    /// A step was made.
    pub(super) fn made(&mut self, at: Duration, step: GlobalStep) {
        self.lately.push_back(Moment { at, step });
        while self.lately.front().is_some_and(|then| at.saturating_sub(then.at) > LATELY) {
            self.lately.pop_front();
        }
        if self.lately.len() > MOST {
            self.lately.pop_front();
        }
    }

    /// The training, as of `now` if it has not ended, for a reader at this position.
    pub(super) fn recorded(
        &self,
        coordinator: &Coordinator,
        record: Option<&Record>,
        mut cursor: Cursor,
        now: Duration,
    ) -> Recorded {
        let step = coordinator.global_step();
        let began = self.began.unwrap_or(Moment { at: now, step });
        Recorded {
            totals: coordinator.final_totals(),
            replicas: coordinator.replica_reports(),
            news: record.map(|it| it.since(&mut cursor)).unwrap_or_default(),
            cursor,
            elapsed: self.ended.unwrap_or(now).saturating_sub(began.at),
            first_step: began.step,
        }
    }

    /// Updates a second, lately.
    pub(crate) fn updates_per_second(&self) -> f64 {
        let (Some(first), Some(last)) = (self.lately.front(), self.lately.back()) else {
            return 0.0;
        };
        let seconds = last.at.saturating_sub(first.at).as_secs_f64();
        if seconds > 0.0 { (last.step.get() - first.step.get()) as f64 / seconds } else { 0.0 }
    }
}
