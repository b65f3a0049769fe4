//! How a replica learns at once that it computes in vain (P-13), and how its pauses end.
//!
//! One watch for the whole trainer, so that closing a step costs the same for any number of
//! replicas; a flag of its own for each replica, for shares that another was first with.

use std::time::{Duration, Instant};

use accum_core::{GlobalStep, LocalStep};

use crate::sync::{Arc, AtomicBool, AtomicI64, AtomicU64, Condvar, Mutex, Ordering, lock};

/// The open step, and whether training has ended; readable without a lock, waitable with one.
#[derive(Debug)]
pub(crate) struct Watch {
    /// The lowest step that a gradient may claim: ahead of the global step while an update is
    /// under way.
    open: AtomicI64,
    ended: AtomicBool,
    /// How many pause: where nobody does, waking costs no call of the system.
    pausing: Mutex<usize>,
    moved: Condvar,
}

impl Watch {
    pub(crate) fn new(step: GlobalStep) -> Self {
        Self {
            open: AtomicI64::new(step.get()),
            ended: AtomicBool::new(false),
            pausing: Mutex::new(0),
            moved: Condvar::new(),
        }
    }

    /// Gradients of earlier steps would be dropped from now on. Whoever pauses must be woken.
    pub(crate) fn open(&self, step: GlobalStep) {
        self.open.store(step.get(), Ordering::Release);
    }

    /// Training has ended. Whoever pauses must be woken.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    pub(crate) fn begin(&self, step: GlobalStep) {
        self.open(step);
        self.ended.store(false, Ordering::Release);
    }

    /// Wakes whoever pauses. The lock makes sure that nobody is between looking and sleeping.
    pub(crate) fn wake(&self) {
        let pausing = *lock(&self.pausing);
        if pausing > 0 {
            self.moved.notify_all();
        }
    }
}

/// Whether one piece of work has become useless.
#[derive(Clone, Debug)]
pub struct Superseded {
    watch: Arc<Watch>,
    grants: Grants,
    local_step: LocalStep,
    told: bool,
}

/// One replica's grants, by serial number: those up to `over` are superseded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Grants {
    over: Arc<AtomicU64>,
    /// The number of the newest, from 1 upwards.
    newest: u64,
}

impl Grants {
    /// The next grant, by its number.
    pub(crate) fn next(&mut self) -> u64 {
        self.newest += 1;
        self.newest
    }

    /// The newest grant, and all before it, are for work that nobody wants any more.
    pub(crate) fn supersede(&self) {
        self.over.store(self.newest, Ordering::Release);
    }

    /// Whether the newest one, as it was when this was cloned, is superseded.
    fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire) >= self.newest
    }
}

impl Superseded {
    pub(crate) fn new(
        watch: Arc<Watch>,
        grants: Grants,
        local_step: LocalStep,
        told: bool,
    ) -> Self {
        Self { watch, grants, local_step, told }
    }

    /// Other work begins: that of the grant with this number.
    pub(crate) fn begin(&mut self, serial: u64, local_step: LocalStep) {
        self.grants.newest = serial;
        self.local_step = local_step;
    }

    /// Whether its gradient would be dropped, or training has ended. Where superseded replicas are
    /// not told (the `reference` preset), only the end counts.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.watch.has_ended() || self.is_over()
    }

    /// The same without the end.
    pub(crate) fn is_over(&self) -> bool {
        self.told
            && (self.grants.is_over()
                || self.watch.open.load(Ordering::Acquire) > self.local_step.get())
    }

    /// Waits for `duration` or until it is set; returns whether it is.
    #[must_use]
    pub fn wait(&self, duration: Duration) -> bool {
        let begun = Instant::now();
        let mut pausing = lock(&self.watch.pausing);
        *pausing += 1;
        let mut left = duration;
        while !self.is_set() && !left.is_zero() {
            pausing = self
                .watch
                .moved
                .wait_timeout(pausing, left)
                .map_or_else(|poisoned| poisoned.into_inner().0, |(pausing, _)| pausing);
            left = duration.saturating_sub(begun.elapsed());
        }
        *pausing -= 1;
        self.is_set()
    }
}

/// The telling end of [`Superseded`], for whoever learns of steps from elsewhere.
#[derive(Clone, Debug)]
pub struct SupersededSignal {
    watch: Arc<Watch>,
    grants: Arc<Mutex<Grants>>,
}

impl SupersededSignal {
    /// At a step, with no work under way.
    #[must_use]
    pub fn new(step: GlobalStep) -> Self {
        Self { watch: Arc::new(Watch::new(step)), grants: Arc::default() }
    }

    /// Work of this step begins; `told` says whether its being superseded counts.
    #[must_use]
    pub fn next(&self, local_step: LocalStep, told: bool) -> Superseded {
        let mut grants = lock(&self.grants);
        grants.next();
        Superseded::new(Arc::clone(&self.watch), grants.clone(), local_step, told)
    }

    /// The present work is in vain.
    pub fn supersede(&self) {
        lock(&self.grants).supersede();
        self.watch.wake();
    }

    /// The step moved.
    pub fn advance(&self, step: GlobalStep) {
        self.watch.open(step);
        self.watch.wake();
    }

    /// Training ended.
    pub fn end(&self) {
        self.watch.end();
        self.watch.wake();
    }

    /// Another life begins at a step.
    pub fn begin(&self, step: GlobalStep) {
        self.watch.begin(step);
    }

    /// The newest step that was told.
    #[must_use]
    pub fn step(&self) -> GlobalStep {
        GlobalStep::new(self.watch.open.load(Ordering::Acquire))
    }
}
