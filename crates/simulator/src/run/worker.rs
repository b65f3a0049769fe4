//! A replica: its work, until when, and what happens to it.

use std::time::Duration;

use engine::{Incarnation, ReplicaId};

use super::{Event, Run};
use crate::computing::Computing;
use crate::distribution::time;
use crate::plan::{Plan, What};
use crate::stream::Stream;

#[derive(Debug)]
pub(super) struct Worker<'p> {
    times: Computing<'p>,
    churn: Stream,
    /// The life that the engine knows, while it lives.
    pub(super) incarnation: Option<Incarnation>,
    /// The life in which it vanished, until it is back.
    gone: Option<Incarnation>,
    /// How often it has come or gone: events of an earlier life are void.
    pub(super) life: u64,
    /// The number of the work at hand: events of earlier work are void.
    pub(super) work: u64,
    pub(super) computing: bool,
    pub(super) local_step: i64,
    pub(super) granted: Duration,
    pub(super) began: Duration,
    pub(super) due: Duration,
    /// How much of the time since `began` it was stopped.
    pub(super) stood_still: Duration,
    /// What the finished work took.
    pub(super) spent: Duration,
    pub(super) wire: Duration,
    pub(super) still_until: Duration,
    pub(super) sequence: u64,
}

impl<'p> Worker<'p> {
    pub(super) fn new(plan: &'p Plan, replica: u64) -> Self {
        Self {
            times: Computing::new(plan, replica),
            churn: Stream::of_churn(plan.seed, replica),
            incarnation: None,
            gone: None,
            life: 0,
            work: 0,
            computing: false,
            local_step: 0,
            granted: Duration::ZERO,
            began: Duration::ZERO,
            due: Duration::ZERO,
            stood_still: Duration::ZERO,
            spent: Duration::ZERO,
            wire: Duration::ZERO,
            still_until: Duration::ZERO,
            sequence: 0,
        }
    }

    /// Begins to compute, or will as soon as it goes on. Both times are drawn at once, so that
    /// abandoned work takes as many numbers as finished work. A pause in the middle delays the
    /// rest, which then takes as long as it would have without.
    pub(super) fn begin(&mut self, local_step: i64, batch: u64, now: Duration) {
        self.work += 1;
        self.computing = true;
        self.local_step = local_step;
        self.granted = now;
        self.began = now.max(self.still_until);
        let ahead = (self.began - now).as_secs_f64();
        let takes = self.times.draw(batch, now.as_secs_f64(), ahead);
        self.due = self.began.saturating_add(takes);
        self.stood_still = Duration::ZERO;
        self.wire = self.times.draw_wire();
    }

    /// Stops computing, and says how long it has.
    pub(super) fn stop(&mut self, now: Duration) -> Duration {
        self.work += 1;
        self.computing = false;
        now.saturating_sub(self.began).saturating_sub(self.stood_still)
    }

    fn pause(&mut self, length: Duration, now: Duration) {
        let still_until = now.saturating_add(length);
        let more = still_until.saturating_sub(self.still_until.max(now));
        self.still_until = self.still_until.max(still_until);
        if self.computing && self.began <= now {
            self.due = self.due.saturating_add(more);
            self.stood_still += more;
        } else if self.computing {
            self.began = self.began.saturating_add(more);
            self.due = self.due.saturating_add(more);
        }
    }
}

impl Run<'_> {
    /// Lets something happen to a replica; an event that is impossible now has no effect.
    pub(super) fn happens(&mut self, replica: usize, what: What) {
        let now = self.events.now();
        self.shows_life(replica);
        let worker = &mut self.workers[replica];
        let there = worker.incarnation.is_some();
        match what {
            What::Joins if !there => self.join(replica),
            What::Dies if there => self.vanish(replica),
            What::Leaves if there => {
                let incarnation = worker.incarnation;
                self.vanish(replica);
                if let Some(incarnation) = incarnation {
                    let id = ReplicaId::new(replica as u64);
                    self.engine.leave(id, incarnation, now, &mut self.effects);
                }
            }
            What::Pauses(length) if there => {
                worker.pause(length, now);
                let until = worker.still_until;
                self.events.at(until, Event::Wakes { replica });
            }
            _ => {}
        }
    }

    /// Its heartbeats come as long as it lives and is not stopped, the last one just before.
    pub(super) fn shows_life(&mut self, replica: usize) {
        let (now, worker) = (self.events.now(), &self.workers[replica]);
        if let Some(incarnation) = worker.incarnation.filter(|_| worker.still_until <= now) {
            // Refused only to one that is no member, which has no lease.
            let _ = self.engine.renew(ReplicaId::new(replica as u64), incarnation, now);
        }
    }

    fn vanish(&mut self, replica: usize) {
        let now = self.events.now();
        let worker = &mut self.workers[replica];
        if worker.computing {
            self.totals.computed_seconds += worker.stop(now).as_secs_f64();
        }
        worker.work += 1;
        worker.life += 1;
        worker.gone = worker.incarnation.take();
    }

    /// A replica comes, or comes back: its process first reports the end of its last life.
    pub(super) fn join(&mut self, replica: usize) {
        let (now, id) = (self.events.now(), ReplicaId::new(replica as u64));
        let worker = &mut self.workers[replica];
        worker.life += 1;
        worker.still_until = Duration::ZERO;
        if let Some(gone) = worker.gone.take() {
            self.engine.leave(id, gone, now, &mut self.effects);
        }
        if let Ok(incarnation) = self.engine.join(id, now, &mut self.effects) {
            worker.incarnation = Some(incarnation);
            worker.sequence = 0;
            self.churn_begins(replica);
        }
    }

    /// A stopped replica wakes up: its step may be over.
    pub(super) fn wakes(&mut self, replica: usize) {
        self.shows_life(replica);
        let told = self.plan.config.settings().tell_superseded;
        let id = ReplicaId::new(replica as u64);
        if told && self.engine.is_superseded(id) {
            self.superseded(replica);
        }
    }

    fn churn_begins(&mut self, replica: usize) {
        let Some(churn) = &self.plan.churn else { return };
        let worker = &mut self.workers[replica];
        let (life, mut list) = (worker.life, Vec::new());
        if let Some(distribution) = &churn.dies_after {
            list.push((distribution.draw_time(&mut worker.churn), What::Dies));
        }
        if let Some((after, length)) = churn.pauses_after.as_ref().zip(churn.pause.as_ref()) {
            let after = after.draw_time(&mut worker.churn);
            list.push((after, What::Pauses(length.draw_time(&mut worker.churn))));
        }
        for (after, what) in list {
            self.events.after(after, Event::Churn { replica, what, life });
        }
    }

    /// The event that follows a random one.
    pub(super) fn churn_after(&mut self, replica: usize, what: What) {
        let Some(churn) = &self.plan.churn else { return };
        let worker = &mut self.workers[replica];
        let (after, next) = match what {
            What::Dies => match &churn.back_after {
                Some(distribution) => (distribution.draw(&mut worker.churn), What::Joins),
                None => return,
            },
            What::Pauses(length) => {
                let Some((after, pause)) = churn.pauses_after.as_ref().zip(churn.pause.as_ref())
                else {
                    return;
                };
                let after = length.as_secs_f64() + after.draw(&mut worker.churn);
                (after, What::Pauses(pause.draw_time(&mut worker.churn)))
            }
            What::Joins | What::Leaves => return,
        };
        let life = worker.life;
        self.events.after(time(after), Event::Churn { replica, what: next, life });
    }
}
