//! How a caller waits: an attempt, a waker, and an outcome delivered to it.
//!
//! Hand-over, not broadcast: an operation ends exactly the attempts that can end, leaves each its
//! outcome, and wakes those callers and no other.
//!
//! Invariant: an attempt has a slot from its beginning until its caller has the outcome or is gone.
//! Wakers are woken and dropped outside the lock, as either may run a caller's code.

use std::collections::HashMap;
use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

use crate::TokenQueue;
use crate::attempts::{AttemptId, Attempts, Outcome, Request};
use crate::sync::{MutexGuard, PoisonError};

/// What the lock guards.
pub(super) struct State {
    attempts: Attempts,
    slots: HashMap<AttemptId, Slot>,
}

enum Slot {
    Waiting(Waker),
    /// Ended, and its caller has not fetched the outcome yet.
    Ended(Outcome),
}

/// A caller's place in line; dropped before the outcome is taken, it gives everything back.
struct Place<'q> {
    queue: &'q TokenQueue,
    id: AttemptId,
}

impl State {
    pub(super) fn new(attempts: Attempts) -> Self {
        Self { attempts, slots: HashMap::new() }
    }

    /// Brings every new outcome to its slot and returns whom to wake.
    fn deliver(&mut self) -> Vec<Waker> {
        let mut wakers = Vec::new();
        for (id, outcome) in self.attempts.take_completed() {
            if let Some(Slot::Waiting(waker)) = self.slots.insert(id, Slot::Ended(outcome)) {
                wakers.push(waker);
            }
        }
        wakers
    }
}

impl TokenQueue {
    /// Applies one operation that does not wait, and wakes the callers that it served.
    pub(super) fn act<T>(&self, operation: impl FnOnce(&mut Attempts) -> T) -> T {
        self.with_state(|state| operation(&mut state.attempts))
    }

    /// Begins an attempt and waits for its outcome.
    pub(super) async fn wait(&self, request: Request) -> Outcome {
        let waker = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
        let place = self.begin(request, &waker);
        poll_fn(|cx| place.poll(cx)).await
    }

    fn begin(&self, request: Request, waker: &Waker) -> Place<'_> {
        let mut state = self.lock();
        let id = state.attempts.begin(request);
        let others = state.deliver();
        // An attempt that ended as it began has its outcome already, and no waiter to wake.
        state.slots.entry(id).or_insert_with(|| Slot::Waiting(waker.clone()));
        drop(state);
        let place = Place { queue: self, id };
        others.into_iter().for_each(Waker::wake);
        place
    }

    fn with_state<T>(&self, operation: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let answer = operation(&mut state);
        if state.attempts.has_completed() {
            let wakers = state.deliver();
            drop(state);
            wakers.into_iter().for_each(Waker::wake);
        }
        answer
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing between two operations can panic half-way, so what a dead thread left is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place<'_> {
    fn poll(&self, cx: &Context<'_>) -> Poll<Outcome> {
        let waker = Slot::Waiting(cx.waker().clone());
        let mut state = self.queue.lock();
        let was = state.slots.remove(&self.id);
        if let Some(Slot::Ended(outcome)) = was {
            return Poll::Ready(outcome);
        }
        state.slots.insert(self.id, waker);
        drop(state);
        drop(was);
        Poll::Pending
    }
}

impl Drop for Place<'_> {
    // whatever this caller was given and did not take goes to the front of the queue.
    fn drop(&mut self) {
        let _waker = self.queue.with_state(|state| {
            match state.slots.remove(&self.id) {
                Some(Slot::Ended(Outcome::Done(tokens))) => state.attempts.put_back(tokens),
                Some(Slot::Waiting(waker)) => {
                    state.attempts.cancel(self.id);
                    return Some(waker);
                }
                Some(Slot::Ended(Outcome::Closed { .. })) | None => {}
            }
            None
        });
    }
}
