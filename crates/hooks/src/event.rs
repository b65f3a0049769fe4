//! Two published facts to wait for: which variables are ready, and how far the steps are.
//!
//! Waiters sleep on a condition variable and are woken by the publisher, by a stop of their
//! coordinator, or by their deadline; none polls.

use std::time::Duration;

use crate::Coordinator;
use crate::sync::{Arc, Condvar, Mutex, MutexGuard, lock, wait_while};

/// Which variables are not yet initialised; clones are the same event.
///
/// # Examples
/// ```
/// let readiness = hooks::Readiness::new(["weights", "bias"]);
/// readiness.publish("bias");
/// assert_eq!(readiness.missing(), ["weights"]);
/// readiness.publish_all();
/// assert!(readiness.is_ready());
/// ```
// R-32
#[derive(Clone, Debug)]
pub struct Readiness {
    event: Arc<Event<Vec<String>>>,
}

impl Readiness {
    /// An event that waits for these variables, none of which is ready.
    pub fn new<N: Into<String>>(names: impl IntoIterator<Item = N>) -> Self {
        Self { event: Arc::new(Event::new(names.into_iter().map(Into::into).collect())) }
    }

    /// Publishes that a variable is ready; a name that no thread waits for changes nothing.
    pub fn publish(&self, name: &str) {
        self.event.change(|missing| missing.retain(|waiting| waiting != name));
    }

    /// Publishes that everything is ready.
    pub fn publish_all(&self) {
        self.event.change(Vec::clear);
    }

    /// The variables that are not ready, in the order in which they were given.
    pub fn missing(&self) -> Vec<String> {
        self.event.lock().clone()
    }

    /// Whether no variable is missing.
    pub fn is_ready(&self) -> bool {
        self.event.lock().is_empty()
    }

    /// Waits until everything is ready; `false` when `timeout` or a stop came first.
    pub fn wait(&self, coordinator: &Coordinator, timeout: Duration) -> bool {
        Event::wait(&self.event, coordinator, timeout, |missing| missing.is_empty())
    }
}

/// The highest global step published so far; clones are the same event.
// R-34
#[derive(Clone, Debug)]
pub struct StepWatch {
    event: Arc<Event<i64>>,
}

impl StepWatch {
    /// An event at this step.
    pub fn new(step: i64) -> Self {
        Self { event: Arc::new(Event::new(step)) }
    }

    /// Publishes a step; one lower than the highest published changes nothing.
    pub fn publish(&self, step: i64) {
        self.event.change(|highest| *highest = step.max(*highest));
    }

    /// The highest step published.
    pub fn step(&self) -> i64 {
        *self.event.lock()
    }

    /// Waits until a step is reached; `false` when `timeout` or a stop came first.
    pub fn wait_until(&self, step: i64, coordinator: &Coordinator, timeout: Duration) -> bool {
        Event::wait(&self.event, coordinator, timeout, |&highest| step <= highest)
    }
}

#[derive(Debug)]
struct Event<T> {
    value: Mutex<T>,
    changed: Condvar,
}

impl<T: Send + 'static> Event<T> {
    fn new(value: T) -> Self {
        Self { value: Mutex::new(value), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, T> {
        lock(&self.value)
    }

    fn change(&self, change: impl FnOnce(&mut T)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    fn wait(
        event: &Arc<Self>,
        coordinator: &Coordinator,
        timeout: Duration,
        done: impl Fn(&T) -> bool,
    ) -> bool {
        let waker = Arc::clone(event);
        // Taking the lock orders the wake after a waiter's look at the coordinator.
        let _wake_at_stop = coordinator.on_stop(move || waker.change(|_| {}));
        let waiting = |value: &T| !done(value) && !coordinator.should_stop();
        done(&wait_while(&event.changed, event.lock(), timeout, waiting))
    }
}
