//! How a replica learns at once that its work is superseded (P-13), and how its pauses end.
//!
//! One watch for the whole trainer, so that closing a step costs the same for any number of
//! replicas; a flag for each replica, for shares that another was first with.

use std::future::{Future, poll_fn};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use accum_core::{GlobalStep, LocalStep};

use crate::runtime::wake::wake;
use crate::sync::{Arc, AtomicBool, AtomicI64, AtomicU64, Condvar, Mutex, Ordering, lock};

/// The open step, and whether training has ended; readable without a lock, waitable with one.
#[derive(Debug)]
pub(crate) struct Watch {
    /// The lowest step that a gradient may claim: ahead of the global step while an update is
    /// under way.
    open: AtomicI64,
    ended: AtomicBool,
    waiting: Mutex<Waiting>,
    moved: Condvar,
}

/// The threads and tasks that wait for a cancellation.
#[derive(Debug, Default)]
struct Waiting {
    /// How many threads: without any, waking costs no system call.
    threads: usize,
    /// Tasks, by unique numbers.
    tasks: Vec<(u64, Waker)>,
    next: u64,
}

impl Watch {
    pub(crate) fn new(step: GlobalStep) -> Self {
        Self {
            open: AtomicI64::new(step.get()),
            ended: AtomicBool::new(false),
            waiting: Mutex::default(),
            moved: Condvar::new(),
        }
    }

    /// Gradients of earlier steps would be dropped from now on. The caller must wake those that
    /// pause.
    pub(crate) fn open(&self, step: GlobalStep) {
        self.open.store(step.get(), Ordering::Release);
    }

    /// Training has ended. The caller must wake those that pause.
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

    /// Wakes all waiters, to look. The lock ensures that no thread is between looking and sleeping.
    pub(crate) fn wake(&self) {
        let (threads, tasks) = {
            let mut waiting = lock(&self.waiting);
            (waiting.threads, std::mem::take(&mut waiting.tasks))
        };
        if threads > 0 {
            self.moved.notify_all();
        }
        // A waker is foreign code, so it runs without the lock.
        tasks.into_iter().for_each(|(_, waker)| wake(waker));
    }
}

/// Whether the work on one batch has become useless, to ask or to await.
///
/// # Examples
/// A model that computes in tasks ends them with the step that they are for:
/// ```
/// use sync_replicas::Work;
///
/// async fn loss(work: &Work<'_, f32>, layers: impl Future<Output = f32>) -> Option<f32> {
///     tokio::select! {
///         loss = layers => Some(loss),
///         () = work.cancellation().cancelled() => None,
///     }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Cancellation {
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

    /// The newest grant, and all before it, are for work that is no longer needed.
    pub(crate) fn supersede(&self) {
        self.over.store(self.newest, Ordering::Release);
    }

    /// Whether the newest one, as it was when this was cloned, is superseded.
    fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire) >= self.newest
    }
}

impl Cancellation {
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
    pub fn is_cancelled(&self) -> bool {
        self.watch.has_ended() || self.is_over()
    }

    /// The same, ignoring the end.
    pub(crate) fn is_over(&self) -> bool {
        self.told
            && (self.grants.is_over()
                || self.watch.open.load(Ordering::Acquire) > self.local_step.get())
    }

    /// Waits for `duration` or until it is cancelled; returns whether it is.
    #[must_use]
    pub fn wait(&self, duration: Duration) -> bool {
        let begun = Instant::now();
        let mut waiting = lock(&self.watch.waiting);
        waiting.threads += 1;
        let mut left = duration;
        while !self.is_cancelled() && !left.is_zero() {
            waiting = self
                .watch
                .moved
                .wait_timeout(waiting, left)
                .map_or_else(|poisoned| poisoned.into_inner().0, |(waiting, _)| waiting);
            left = duration.saturating_sub(begun.elapsed());
        }
        waiting.threads -= 1;
        self.is_cancelled()
    }

    /// Waits until it is cancelled.
    ///
    /// # Cancel safety
    /// Dropping the future leaves nothing behind.
    pub fn cancelled(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut task = Task { cancellation: self.clone(), number: None };
        poll_fn(move |context| task.poll(context))
    }
}

/// A task that waits for a cancellation.
struct Task {
    cancellation: Cancellation,
    /// Its number in the line, once it was polled.
    number: Option<u64>,
}

impl Task {
    fn poll(&mut self, context: &Context<'_>) -> Poll<()> {
        // Cloning and dropping a waker runs foreign code, so not under the lock.
        let waker = context.waker().clone();
        let before = {
            let mut waiting = lock(&self.cancellation.watch.waiting);
            // Under the lock, so that it is told of what comes after.
            if self.cancellation.is_cancelled() {
                return Poll::Ready(());
            }
            let number = *self.number.get_or_insert_with(|| {
                waiting.next += 1;
                waiting.next
            });
            let place = waiting.tasks.iter().position(|&(task, _)| task == number);
            let before = place.map(|place| waiting.tasks.swap_remove(place));
            waiting.tasks.push((number, waker));
            before
        };
        drop(before);
        Poll::Pending
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        let Some(number) = self.number else { return };
        let own = {
            let mut waiting = lock(&self.cancellation.watch.waiting);
            let place = waiting.tasks.iter().position(|&(task, _)| task == number);
            place.map(|place| waiting.tasks.swap_remove(place))
        };
        drop(own);
    }
}

/// The signalling end of [`Cancellation`], for code that learns of steps from elsewhere.
#[derive(Clone, Debug)]
pub struct CancellationSource {
    watch: Arc<Watch>,
    grants: Arc<Mutex<Grants>>,
}

impl CancellationSource {
    /// At a step, with no work under way.
    #[must_use]
    pub fn new(step: GlobalStep) -> Self {
        Self { watch: Arc::new(Watch::new(step)), grants: Arc::default() }
    }

    /// Work of this step begins; `told` says whether its being superseded counts.
    #[must_use]
    pub fn next(&self, local_step: LocalStep, told: bool) -> Cancellation {
        let mut grants = lock(&self.grants);
        grants.next();
        Cancellation::new(Arc::clone(&self.watch), grants.clone(), local_step, told)
    }

    /// The present work is superseded.
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

#[cfg(all(test, not(loom)))]
mod tests {
    use std::pin::pin;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        }
    }

    /// P-13: of the work of step 3, awaited before and after `act`; whether it is cancelled then,
    /// and how often the task was woken.
    #[track_caller]
    fn check(act: impl FnOnce(&CancellationSource), cancelled: bool, woken: usize) {
        let source = CancellationSource::new(GlobalStep::new(3));
        let work = source.next(LocalStep::new(3), true);
        let wakes = std::sync::Arc::new(Woken::default());
        let waker = Waker::from(std::sync::Arc::clone(&wakes));
        let mut context = Context::from_waker(&waker);
        {
            let mut future = pin!(work.cancelled());
            let mut other = Box::pin(work.cancelled());
            assert!(other.as_mut().poll(&mut context).is_pending());
            assert!(future.as_mut().poll(&mut context).is_pending());
            assert!(future.as_mut().poll(&mut context).is_pending(), "once more");
            drop(other);
            act(&source);
            assert_eq!(wakes.0.load(std::sync::atomic::Ordering::SeqCst), woken);
            assert_eq!(future.as_mut().poll(&mut context).is_ready(), cancelled);
        }
        assert!(lock(&work.watch.waiting).tasks.is_empty(), "it left something behind");
    }

    #[test]
    fn a_task_is_woken_once_its_work_is_in_vain() {
        check(|_| {}, false, 0);
        check(CancellationSource::supersede, true, 1);
        check(CancellationSource::end, true, 1);
        check(|source| source.advance(GlobalStep::new(4)), true, 1);
        // Others' news: it looks, and waits on.
        check(|source| source.advance(GlobalStep::new(3)), false, 1);
    }
}
