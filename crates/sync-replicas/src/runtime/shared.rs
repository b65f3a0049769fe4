//! A trainer's shared state, and the one way to change it: lock, decide, unlock, act.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{OnceLock, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use accum_core::GlobalStep;

use super::buffers::Buffers;
use super::chief::Chief;
use super::chief_session::{ChiefSession, Update};
use super::core::{Closing, Core, Settled, Totals};
use super::failure::{describe, describe_panic};
use super::incoming::resolve;
use super::pattern::Pattern;
use super::snapshot::Snapshot;
use super::span::Span;
use super::sums::Kind;
use super::superseded::Watch;
use super::timekeeper::Timekeeper;
use super::{PushError, core::Rules};
use crate::engine::{Effect, Engine, InitialTokens, Outcome, Push, StartError, StopReason};
use crate::ids::Generation;
use crate::layout::Layout;
use crate::sync::{Arc, AtomicBool, Condvar, Mutex, MutexGuard, Ordering, lock};
use crate::{Gradients, Scalar, Variables};

/// Called by whoever closes a step, instead of the plain update, while hooks are installed.
pub(crate) type Monitor<T> = Box<dyn FnMut(Closing<T>) -> Result<(), StopReason> + Send>;

/// What all handles of one trainer share.
pub(crate) struct Shared<T: Scalar> {
    core: Mutex<Core<T>>,
    chief: Mutex<Chief<T>>,
    monitor: Mutex<Option<Monitor<T>>>,
    published: Mutex<Arc<Snapshot<T>>>,
    /// Names and shapes never change, so they are read without a lock.
    pub(super) layout: Layout,
    pub(crate) buffers: Arc<Buffers<T>>,
    pattern: Arc<OnceLock<Pattern<T>>>,
    pub(crate) watch: Arc<Watch>,
    pub(crate) origin: Instant,
    pub(crate) timeline: bool,
    pub(crate) tell_superseded: bool,
    /// Closed lanes that nobody has applied yet.
    pub(super) due: Mutex<VecDeque<Closing<T>>>,
    due_changed: Condvar,
    closer: Closer,
    timekeeper: Mutex<Option<Timekeeper>>,
}

/// Who acts as the chief when a step closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closer {
    /// The replica whose push closed it: no hand-over between threads.
    LastPusher,
    /// A runner of the chief's, as in the described system.
    Runner,
}

impl<T: Scalar> Shared<T> {
    pub(crate) fn new(
        engine: Engine,
        variables: Variables<T>,
        chief: Chief<T>,
        rules: Rules,
        timeline: bool,
        closer: Closer,
    ) -> Self {
        let global_step = engine.global_step();
        let generation = engine.generation();
        let layout = variables.layout();
        let config = engine.config();
        // Those of a step that is being applied, and one in the hands of each replica.
        let in_use = config.replicas_to_aggregate() + config.total_num_replicas();
        let buffers = Arc::new(Buffers::new(layout.clone(), in_use));
        let pattern = Arc::new(OnceLock::new());
        Self {
            tell_superseded: config.settings().tell_superseded,
            core: Mutex::new(Core::new(engine, Arc::clone(&buffers), Arc::clone(&pattern), rules)),
            pattern,
            chief: Mutex::new(chief),
            monitor: Mutex::new(None),
            layout,
            buffers,
            published: Mutex::new(Arc::new(Snapshot { global_step, generation, variables })),
            watch: Arc::new(Watch::new(global_step)),
            origin: Instant::now(),
            timeline,
            due: Mutex::default(),
            due_changed: Condvar::new(),
            closer,
            timekeeper: Mutex::new(None),
        }
    }

    pub(crate) fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    pub(crate) fn core(&self) -> MutexGuard<'_, Core<T>> {
        lock(&self.core)
    }

    pub(crate) fn chief(&self) -> MutexGuard<'_, Chief<T>> {
        lock(&self.chief)
    }

    pub(crate) fn published(&self) -> MutexGuard<'_, Arc<Snapshot<T>>> {
        lock(&self.published)
    }

    /// The newest variables; one reference count, no copy.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot<T>> {
        Arc::clone(&self.published())
    }

    pub(crate) fn averages(&self) -> Option<Variables<T>> {
        let chief = self.chief();
        let averages = chief.averages.as_ref()?;
        let mut variables = self.snapshot().variables.clone();
        for index in 0..variables.len() {
            let name = variables.name(index).to_owned();
            if let Some(average) = averages.average(&name) {
                variables.get_mut(index).assign(&average);
            }
        }
        Some(variables)
    }

    pub(crate) fn totals(&self) -> Totals {
        self.core().totals
    }

    pub(crate) fn num_lanes(&self) -> usize {
        self.core().engine.num_lanes()
    }

    /// Runs an event of the engine under the lock and does what follows from it.
    pub(crate) fn event<R>(
        &self,
        event: impl FnOnce(&mut Core<T>, Duration, &mut Vec<Effect>) -> R,
    ) -> R {
        self.event_at(self.now(), event)
    }

    /// The same at a time that the caller has just read: a clock costs as much as a lock.
    pub(crate) fn event_at<R>(
        &self,
        now: Duration,
        event: impl FnOnce(&mut Core<T>, Duration, &mut Vec<Effect>) -> R,
    ) -> R {
        let (result, settled) = {
            let mut core = self.core();
            let mut effects = std::mem::take(&mut core.effects);
            let result = event(&mut core, now, &mut effects);
            let settled = core.settle(now, &mut effects);
            core.effects = effects;
            // Under the lock, so that a late change cannot fall into the next generation (P-9).
            if settled.superseded || !settled.closings.is_empty() {
                self.watch.open(core.engine.open_step());
            }
            if settled.ended {
                self.watch.end();
            }
            (result, settled)
        };
        self.carry_out(settled);
        result
    }

    /// The chief starts: initial tokens go out, steps close from now on.
    pub(crate) fn start_chief(&self, initial: InitialTokens) -> Result<usize, StartError> {
        self.event(|core, now, effects| core.engine.start_chief(initial, now, effects))
    }

    pub(crate) fn stop(&self, reason: StopReason) {
        self.event(|core, _, effects| core.engine.stop(reason, effects));
    }

    /// Ends training unless a restore has begun another generation since (P-9).
    pub(crate) fn stop_generation(&self, generation: Generation, reason: StopReason) {
        self.event(|core, _, effects| {
            if core.engine.generation() == generation {
                core.engine.stop(reason, effects);
            }
        });
    }

    /// Pushes one replica's gradients (P-11).
    pub(crate) fn push(
        &self,
        push: &Push,
        gradients: Gradients<T>,
        (share, loss, examples): (Option<u64>, Option<f64>, u64),
        now: Duration,
    ) -> Result<Outcome, PushError> {
        let mut gradients = resolve(&self.layout, gradients)?;
        let checked = self.pattern.get().map(|of| of.check(&self.layout, &gradients));
        let outcome = self.event_at(now, |core, now, effects| {
            // Before the check, which lets the first push say what the later ones must be like.
            core.engine.vet(push)?;
            let stale = core.engine.judges_stale(push.local_step);
            if !stale {
                // what is dropped is not validated.
                checked.unwrap_or_else(|| core.check_first(&self.layout, &gradients))?;
            }
            core.push(push, &mut gradients, (share, loss, examples), now, effects)
        });
        self.buffers.take_back(gradients);
        outcome
    }

    /// Declares which variables have gradients before the first push.
    pub(crate) fn declare(&self, kinds: &[Kind]) {
        self.core().declare(&self.layout, kinds);
    }

    /// A lane was updated; the new step, if that moved it.
    pub(crate) fn applied(&self, lane: usize) -> Option<GlobalStep> {
        self.event(|core, now, effects| {
            core.engine.applied(lane, now, effects);
            effects.iter().find_map(|effect| match effect {
                Effect::Advanced { global_step } => Some(*global_step),
                _ => None,
            })
        })
    }

    /// Applies what is due, unless somebody else is at it, who then does this too.
    pub(crate) fn close_due(&self) {
        loop {
            // Held by whoever acts as the chief, perhaps by this very thread further up, when an
            // update let the next step close at once. The holder looks again after letting go.
            let mut monitor = match self.monitor.try_lock() {
                Ok(monitor) => monitor,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return,
            };
            while let Some(closing) = { lock(&self.due).pop_front() } {
                self.close(&mut monitor, closing);
            }
            drop(monitor);
            if lock(&self.due).is_empty() {
                return;
            }
        }
    }

    /// Waits for a closed lane; `false` once training ended or `leave` is set. For the chief's
    /// runner.
    pub(crate) fn wait_due(&self, leave: &AtomicBool) -> bool {
        let mut due = lock(&self.due);
        loop {
            if leave.load(Ordering::Acquire) || self.watch.has_ended() {
                return false;
            }
            if !due.is_empty() {
                return true;
            }
            due = self.due_changed.wait(due).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Has the chief's runner look whether it is to leave. The lock makes sure that it is not
    /// between looking and sleeping.
    pub(crate) fn wake_runner(&self) {
        drop(lock(&self.due));
        self.due_changed.notify_all();
    }

    fn close(&self, monitor: &mut Option<Monitor<T>>, closing: Closing<T>) {
        let generation = closing.generation;
        if self.watch.has_ended() {
            return;
        }
        let apply = || match monitor {
            Some(run) => run(closing),
            None => match self.chief().apply(self, closing) {
                Ok(_) => Ok(()),
                Err(error) => Err(StopReason::Failed(describe(&error))),
            },
        };
        // P-1: nobody else would apply this step, so a hook's panic must not leave them waiting.
        let result = catch_unwind(AssertUnwindSafe(apply)).unwrap_or_else(|panic| {
            Err(StopReason::Failed(format!("the chief panicked: {}", describe_panic(&*panic))))
        });
        if let Err(reason) = result {
            self.stop_generation(generation, reason);
        }
    }

    pub(crate) fn install(&self, monitor: Monitor<T>) {
        *lock(&self.monitor) = Some(monitor);
    }

    pub(crate) fn uninstall(&self) {
        *lock(&self.monitor) = None;
    }

    /// Starts the clock, if anything can run out.
    pub(crate) fn keep_time(self: &Arc<Self>) {
        let settings = self.core().config().settings().clone();
        if settings.lease.is_none() && settings.step_deadline.is_none() {
            return;
        }
        match Timekeeper::start(Arc::downgrade(self)) {
            Ok(timekeeper) => *lock(&self.timekeeper) = Some(timekeeper),
            Err(error) => {
                tracing::error!(%error, "no clock thread: leases and deadlines will not run out");
            }
        }
    }

    /// The timekeeper's call; how long it may sleep now, `None` once training ended.
    pub(crate) fn tick(&self) -> Option<Duration> {
        let next = self.event(|core, now, effects| core.engine.tick(now, effects))?;
        Some(next.saturating_sub(self.now()))
    }

    /// Everything that the replicas recorded, in order of time.
    pub(crate) fn take_spans(&self) -> Vec<Span> {
        let mut spans: Vec<Span> = Vec::new();
        for seat in &mut self.core().seats {
            spans.append(&mut seat.log.spans);
        }
        spans.sort_by_key(|span| (span.start, span.replica));
        spans
    }

    pub(crate) fn session(self: &Arc<Self>, update: &Arc<Mutex<Update<T>>>) -> ChiefSession<T> {
        ChiefSession::new(Arc::clone(self), Arc::clone(update))
    }

    fn carry_out(&self, settled: Settled<T>) {
        if settled.superseded || settled.ended {
            self.watch.wake();
        }
        for waker in settled.wakers {
            waker.wake();
        }
        if settled.ended {
            self.wake_runner();
        }
        if settled.closings.is_empty() {
            return;
        }
        lock(&self.due).extend(settled.closings);
        match self.closer {
            Closer::LastPusher => self.close_due(),
            Closer::Runner => self.due_changed.notify_one(),
        }
    }
}
