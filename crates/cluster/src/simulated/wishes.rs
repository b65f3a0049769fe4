//! Requests that come while faults happen: that training ends, that it is saved, that a worker
//! leaves. All drawn from the seed.
//!
//! A request meets every state that a training can be in: the start, an update, a save, a recovery,
//! the end. Invariant: a process that heard one and lived on carries it out.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::Seen;
use super::faults::Draw;
use super::program::Plan;
use crate::client::Connector;
use crate::{Cluster, ProcessHandle};

/// How one life of a process hears requests.
#[derive(Clone)]
pub(super) struct Ear {
    stop: ProcessHandle,
    save: Arc<Notify>,
}

impl Ear {
    pub(super) fn of(cluster: &Cluster) -> Self {
        Self { stop: cluster.process_handle(), save: Arc::default() }
    }

    /// Asks the coordinator for a checkpoint whenever one is requested, as a program does; never
    /// done.
    pub(super) async fn pass_saves_on(&self, connector: &Connector) {
        loop {
            self.save.notified().await;
            // The requester of a checkpoint hears whether it is begun, and may ask again.
            let _ = crate::save(connector).await;
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Stop,
    Save,
    Leave,
}

/// When a request comes.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// So long after the beginning.
    At(Duration),
    /// So long after the first crash of a server.
    AfterCrash(Duration),
    /// So long after this step was made.
    AfterStep(i64, Duration),
}

#[derive(Clone, Debug)]
struct Wish {
    kind: Kind,
    process: String,
    moment: Moment,
}

/// The requests of one run.
pub(super) struct Wishes {
    open: Vec<Wish>,
    /// When the step of an open request was made.
    reached: Option<Duration>,
    /// When the end was requested, and the step at that time.
    stopped: Option<(Duration, i64)>,
}

impl Wishes {
    /// None in two seeds of five, so that whole trainings are also played.
    pub(super) fn new(seed: u64, plan: &Plan) -> Self {
        let mut draw = Draw::new(seed ^ 0x5749_5348);
        let count = [0, 0, 1, 1, 2][draw.below(5) as usize];
        let open = (0..count).map(|_| wish(&mut draw, plan)).collect();
        Self { open, reached: None, stopped: None }
    }

    /// Makes the requests that are due by now. A crashed process hears nothing.
    pub(super) fn tell(
        &mut self,
        now: Duration,
        (step, crashed): (i64, Option<Duration>),
        seen: &Seen,
        trace: &mut String,
    ) {
        let due = |wish: &Wish, reached: &mut Option<Duration>| match wish.moment {
            Moment::At(then) => now >= then,
            Moment::AfterCrash(pause) => crashed.is_some_and(|then| now >= then + pause),
            Moment::AfterStep(least, pause) => {
                step >= least && now >= *reached.get_or_insert(now) + pause
            }
        };
        let mut reached = self.reached;
        let told: Vec<Wish> = self.open.extract_if(.., |wish| due(wish, &mut reached)).collect();
        self.reached = reached;
        for Wish { kind, process, .. } in told {
            let Some(ear) = seen.ears.get(&process) else { continue };
            let _ = writeln!(trace, "{now:?} {process} hears a wish: {kind:?}");
            match kind {
                Kind::Save => ear.save.notify_one(),
                Kind::Leave => ear.stop.leave(),
                Kind::Stop => {
                    ear.stop.end_training();
                    self.stopped.get_or_insert((now, step));
                }
            }
        }
    }

    /// Whether the end was requested, and a server crashed after that.
    pub(super) fn is_forgotten(&self, crashed: Option<Duration>) -> bool {
        self.stopped.is_some_and(|(then, _)| crashed.is_some_and(|crashed| crashed >= then))
    }

    /// Whether training ended as requested, or at its last step if there was no request.
    ///
    /// # Errors
    /// What is wrong.
    pub(super) fn judge(
        &self,
        (step, last): (i64, i64),
        crashed: Option<Duration>,
        reasons: &[String],
    ) -> Result<(), String> {
        let asked = reasons.iter().any(|it| it.contains("asked to end"));
        let left = reasons.iter().any(|it| it.contains("has left"));
        match self.stopped {
            None if asked => Err(format!("it ended at {step}, and nobody had asked for it")),
            // What a crashed process had heard is unknown.
            Some((then, at))
                if !asked && !left && at + FEW < last && crashed.is_none_or(|it| it < then) =>
            {
                Err(format!("asked to end at step {at}, it went on to {step}"))
            }
            _ if step == last || asked || left => Ok(()),
            _ => Err(format!("ended at step {step}")),
        }
    }
}

/// So many steps may overtake a request that is under way.
const FEW: i64 = 4;

fn wish(draw: &mut Draw, plan: &Plan) -> Wish {
    let kind = [Kind::Stop, Kind::Stop, Kind::Save, Kind::Leave][draw.below(4) as usize];
    let process = match kind {
        Kind::Leave => format!("worker{}", draw.below(plan.workers)),
        _ => format!("ps{}", draw.below(plan.ps)),
    };
    let moment = match draw.below(3) {
        0 => Moment::At(Duration::from_millis(draw.below(3000))),
        1 => Moment::AfterCrash(Duration::from_millis(draw.below(6000))),
        _ => {
            let step = draw.below(plan.last_step.unsigned_abs() + 1) as i64;
            Moment::AfterStep(step, Duration::from_millis(draw.below(300)))
        }
    };
    Wish { kind, process, moment }
}
