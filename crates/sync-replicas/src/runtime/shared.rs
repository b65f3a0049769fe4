//! A trainer's shared state, and the one way to change it: lock, decide, unlock, act.

pub(super) mod core;
pub(super) mod generations;
pub(super) mod stop_request;
pub(super) mod timekeeper;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use accum_core::SparseMerge;
use hooks::RunningHook;
use ndarray::Array2;

use self::core::{Core, FollowUp, PushReport};
use self::stop_request::StopRequest;
use self::timekeeper::Timekeeper;
use super::buffers::GradientBuffers;
use super::chief::Chief;
use super::due::Due;
use super::replica::cancellation::Watch;
use super::wake::wake;
use super::{Monitor, PushError, UpdateThread};
use crate::hook_host::TrainingView;
use crate::lookup::room;
use crate::record::Record;
use crate::store::{
    GradientError, GradientKind, GradientSpec, Layout, Snapshot, SumOptions, Tables, Totals,
    Version, fit, kinds, named,
};
use crate::sync::{Arc, Mutex, MutexGuard, lock};
use crate::{Gradients, LookupError, Scalar, VariableError, Variables, cores};
use engine::{
    Effect, Engine, Generation, InitialTokens, NonFinite, Outcome, Push, ReplicaId, StartError,
    StopReason,
};

/// What all handles of one trainer share.
pub(crate) struct Shared<T: Scalar> {
    core: Mutex<Core<T>>,
    chief: Mutex<Chief<T>>,
    pub(super) monitor: Mutex<Option<Monitor<T>>>,
    /// Which of the installed hooks is running.
    pub(super) hook: Mutex<Option<RunningHook>>,
    published: Mutex<Arc<Snapshot<T>>>,
    /// Names and shapes never change, so reading them takes no lock.
    pub(crate) layout: Layout,
    pub(crate) buffers: Arc<GradientBuffers<T>>,
    spec: Arc<GradientSpec>,
    /// Replicas look them up without the chief.
    pub(super) tables: Arc<Tables<T>>,
    /// How equal rows of sparse gradients are merged.
    merge: SparseMerge,
    pub(crate) watch: Arc<Watch>,
    pub(crate) origin: Instant,
    pub(crate) record: Option<Record>,
    pub(crate) tell_superseded: bool,
    /// Gradients that are not finite are left out.
    // P-25
    skips: bool,
    pub(super) due: Due<T>,
    update_thread: UpdateThread,
    pub(crate) stop_request: Arc<StopRequest>,
    timekeeper: OnceLock<Timekeeper>,
}

impl<T: Scalar> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("layout", &self.layout)
            .field("watch", &self.watch)
            .finish_non_exhaustive()
    }
}

impl<T: Scalar> Shared<T> {
    pub(crate) fn new(
        engine: Engine,
        variables: Variables<T>,
        chief: Chief<T>,
        options: SumOptions,
        record: Option<Record>,
        update_thread: UpdateThread,
    ) -> Self {
        let global_step = engine.global_step();
        let generation = engine.generation();
        let layout = variables.layout().clone();
        let config = engine.config();
        // Those of a step that is being applied, and one in the hands of each replica.
        let in_use = config.replicas_to_aggregate() + config.total_num_replicas();
        let buffers = Arc::new(GradientBuffers::new(&variables, in_use));
        let tables = Arc::clone(chief.store.tables());
        tables.begin((generation, global_step));
        let spec = Arc::new(GradientSpec::new(layout.len(), config.settings().admission));
        Self {
            tell_superseded: config.settings().tell_superseded,
            skips: config.settings().non_finite == NonFinite::Skip,
            core: Mutex::new(Core::new(engine, Arc::clone(&buffers), Arc::clone(&spec), options)),
            spec,
            tables,
            merge: options.merge,
            chief: Mutex::new(chief),
            monitor: Mutex::new(None),
            hook: Mutex::new(None),
            layout,
            buffers,
            published: Mutex::new(Arc::new(Snapshot { global_step, generation, variables })),
            watch: Arc::new(Watch::new(global_step)),
            origin: Instant::now(),
            record,
            due: Due::default(),
            update_thread,
            stop_request: Arc::new(StopRequest::new()),
            timekeeper: OnceLock::new(),
        }
    }

    pub(crate) fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    pub(crate) fn core(&self) -> MutexGuard<'_, Core<T>> {
        lock(&self.core)
    }

    pub(crate) fn chief(&self) -> MutexGuard<'_, Chief<T>> {
        self.refuse_while_updating();
        lock(&self.chief)
    }

    pub(crate) fn published(&self) -> MutexGuard<'_, Arc<Snapshot<T>>> {
        self.refuse_while_updating();
        lock(&self.published)
    }

    /// The rows of these keys, as they are at a version.
    pub(crate) fn lookup(
        &self,
        at: Version,
        table: &str,
        keys: &[i64],
    ) -> Result<Array2<T>, LookupError> {
        self.refuse_while_updating();
        let (number, mut rows) = room(&self.layout, table, keys.len())?;
        // In order, as it was made.
        let memory = rows.as_slice_mut().unwrap_or_default();
        let found = self.tables.lookup(at, number, keys, memory);
        found.map_err(|_| LookupError::Superseded { step: at.1 }).map(|()| rows)
    }

    /// The same as they are now.
    pub(crate) fn lookup_newest(
        &self,
        table: &str,
        keys: &[i64],
    ) -> Result<Array2<T>, VariableError> {
        let (number, mut rows) = room(&self.layout, table, keys.len())?;
        // Between two updates.
        let _chief = self.chief();
        self.tables.lookup_newest(number, keys, rows.as_slice_mut().unwrap_or_default());
        Ok(rows)
    }

    /// How many rows a table has.
    pub(crate) fn num_rows(&self, table: &str) -> Option<usize> {
        self.refuse_while_updating();
        Some(self.tables.rows(self.layout.table(table)?))
    }

    /// Runs the optimizer's own code, which must not ask for what it is writing: it would wait for
    /// itself.
    pub(super) fn updating<R>(&self, update: impl FnOnce() -> R) -> R {
        cores::marked(std::ptr::from_ref(self).addr(), update)
    }

    fn refuse_while_updating(&self) {
        assert!(
            cores::mark() != std::ptr::from_ref(self).addr(),
            "an optimizer asked for the variables, slots or averages of the training whose update \
             it was making; it must do with what it was given"
        );
    }

    /// Runs an event of the engine under the lock and carries out its effects.
    pub(crate) fn event<R>(
        &self,
        event: impl FnOnce(&mut Core<T>, Duration, &mut Vec<Effect>) -> R,
    ) -> R {
        self.event_at(self.now(), None, event)
    }

    /// The same at a time that the caller has just read, since a clock costs as much as a lock; and
    /// on a replica's own thread, if `replica` names one.
    pub(crate) fn event_at<R>(
        &self,
        now: Duration,
        replica: Option<ReplicaId>,
        event: impl FnOnce(&mut Core<T>, Duration, &mut Vec<Effect>) -> R,
    ) -> R {
        let (result, settled) = {
            let mut core = self.core();
            let mut effects = std::mem::take(&mut core.effects);
            self.heed(&mut core, &mut effects);
            // What the engine has decided by then is carried out, whatever becomes of the rest.
            let result = catch_unwind(AssertUnwindSafe(|| event(&mut core, now, &mut effects)));
            let settled = self.settle(&mut core, now, &mut effects);
            core.effects = effects;
            (result, settled)
        };
        self.carry_out(settled, replica);
        result.unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// A request to end training is part of the next event, whichever that is.
    pub(super) fn heed(&self, core: &mut Core<T>, effects: &mut Vec<Effect>) {
        if let Some(reason) = self.stop_request.take() {
            core.engine.stop(StopReason::Requested(reason), effects);
        }
    }

    /// What the effects require outside the lock; and what must happen under it, so that a late
    /// change cannot fall into the next generation.
    // P-9
    pub(super) fn settle(
        &self,
        core: &mut Core<T>,
        now: Duration,
        effects: &mut Vec<Effect>,
    ) -> FollowUp<T> {
        let settled = core.settle(now, effects);
        if settled.superseded || settled.closing.is_some() {
            self.watch.open(core.engine.open_step());
        }
        if settled.ended {
            self.watch.end();
        }
        settled
    }

    /// The chief starts: initial tokens go out, steps close from now on.
    //
    pub(crate) fn start_chief(&self, initial: InitialTokens) -> Result<usize, StartError> {
        self.event(|core, now, effects| core.engine.start_chief(initial, now, effects))
    }

    pub(crate) fn stop(&self, reason: StopReason) {
        self.event(|core, _, effects| core.engine.stop(reason, effects));
    }

    /// Ends training unless a restore has begun another generation since.
    // P-9
    pub(crate) fn stop_generation(&self, generation: Generation, reason: StopReason) -> bool {
        self.event(|core, _, effects| {
            let runs = core.engine.generation() == generation && core.engine.stopped().is_none();
            if runs {
                core.engine.stop(reason, effects);
            }
            runs
        })
    }

    /// Pushes one replica's gradients.
    // P-11
    pub(crate) fn push(
        &self,
        push: &Push,
        gradients: Gradients<T>,
        report: PushReport,
        now: Duration,
    ) -> Result<Outcome, PushError> {
        let mut gradients = named(&self.layout, gradients)?;
        let finite = !self.skips || gradients.iter().all(|(_, gradient)| gradient.is_finite());
        let checked = self.spec.check(kinds(&gradients));
        let checked = checked
            .map_err(|misfit| GradientError::kind(&self.layout, misfit))
            .and_then(|fixed| fit(&self.layout, &gradients, self.merge).map(|()| fixed));
        let outcome = self.event_at(now, Some(push.replica), |core, now, effects| {
            // Before the check, which lets the first push say what the later ones must be like.
            core.engine.vet(push)?;
            if !finite {
                core.engine.skip(push.replica, push.incarnation, now, effects)?;
                return Ok(Outcome::NotFinite);
            }
            let stale = core.engine.judges_stale(push.local_step);
            // what is dropped is not validated.
            if !stale && !checked? {
                core.check_first(&self.layout, &gradients)?;
            }
            core.push(push, &mut gradients, report, now, effects)
        });
        self.buffers.take_back(gradients);
        outcome
    }

    /// Declares which variables have gradients before the first push.
    //
    pub(crate) fn declare(&self, kinds: &[GradientKind]) {
        self.core().declare(&self.layout, kinds);
    }

    /// The variables of these lanes were updated, or of all that are left, which moves the step.
    pub(crate) fn updated(&self, lanes: Option<&[usize]>) {
        self.event(|core, now, effects| match lanes {
            Some(lanes) => lanes.iter().for_each(|&lane| core.engine.applied(lane, now, effects)),
            None => core.engine.updated(now, effects),
        });
    }

    /// Starts the clock, which ends with the trainer; or tells it that there is something new.
    pub(crate) fn keep_time(self: &Arc<Self>) {
        if let Some(timekeeper) = self.timekeeper.get() {
            return timekeeper.rouse();
        }
        match Timekeeper::start(Arc::downgrade(self)) {
            Ok(timekeeper) => {
                // Of two that come at once one is dropped, which ends it.
                let kept = self.timekeeper.get_or_init(|| timekeeper);
                self.stop_request.serve_by(kept.thread().clone());
            }
            Err(error) => {
                tracing::error!(%error, "no clock thread: leases and deadlines will not run out");
            }
        }
    }

    /// The timekeeper's call; returns how long it may sleep now.
    pub(crate) fn tick(&self) -> Duration {
        let (next, hooks) = self.event(|core, now, effects| {
            let next = core.tick(now, effects);
            let deadline = core.config().settings().step_deadline;
            let taken = core.engine.hooks_since().map(|since| now.saturating_sub(since));
            (next, taken.zip(deadline).filter(|(taken, deadline)| taken >= deadline))
        });
        if let Some((taken, deadline)) = hooks {
            let hook = lock(&self.hook).as_ref().and_then(|hook| hook.name().map(str::to_owned));
            let hook = hook.unwrap_or_else(|| "the update".to_owned());
            tracing::warn!(hook, ?taken, ?deadline, "all replicas wait for a hook of the chief's");
        }
        next.map_or(Duration::MAX, |next| next.saturating_sub(self.now()))
    }

    pub(super) fn carry_out(&self, settled: FollowUp<T>, replica: Option<ReplicaId>) {
        let closes = settled.closing.is_some();
        if let Some(closing) = settled.closing {
            self.due.push(closing);
        }
        if settled.superseded || settled.ended {
            self.watch.wake();
        }
        settled.wakers.into_iter().for_each(wake);
        if settled.ended {
            self.wake_runner();
        }
        match self.update_thread {
            _ if !closes => {}
            UpdateThread::LastPusher => self.apply_due(replica),
            UpdateThread::Runner => self.wake_runner(),
        }
    }
}

impl<T: Scalar> TrainingView<T> for Shared<T> {
    fn snapshot(&self) -> Arc<Snapshot<T>> {
        Arc::clone(&self.published())
    }

    fn averages(&self) -> Option<Variables<T>> {
        let chief = self.chief();
        let averages = chief.store.averages()?;
        let mut variables = self.snapshot().variables.clone();
        for index in 0..variables.len() {
            let name = variables.layout().name(index).to_owned();
            if let Some(average) = averages.average(&name) {
                variables.get_mut(index).assign(&average);
            }
        }
        Some(variables)
    }

    fn totals(&self) -> Totals {
        self.core().totals
    }
}
