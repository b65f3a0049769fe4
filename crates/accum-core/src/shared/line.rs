//! The line of waiting takes, under the lock: who is next, and what each receives.
//!
//! Wakes no waiter itself: it hands the answers back, to be sent once the lock is free. Invariant:
//! a waiter is in the line, or its answer is on its way, never both.

use super::*;

/// What the lock guards.
pub(super) struct State<S: Sums> {
    pub(super) accumulator: Accumulator<S>,
    line: VecDeque<Waiter<S::Sum>>,
    next_id: u64,
    pub(super) closed: bool,
}

/// A take that waits, as the accumulator sees it.
pub(super) struct Waiter<T> {
    id: u64,
    required: NonZeroU64,
    pub(super) hand: Hand<T>,
}

/// A take that waits, as the taker sees it.
pub(super) struct Place<T> {
    pub(super) id: u64,
    pub(super) answer: oneshot::Receiver<Answer<T>>,
}

pub(super) type Answer<T> = Result<T, TakeError>;
pub(super) type Hand<T> = oneshot::Sender<Answer<T>>;

/// How a take begins.
pub(super) enum Joined<T> {
    Now(T),
    Later(Place<T>),
}

/// Answers to be sent once the lock is free.
pub(super) type Answers<T> = VecDeque<(Hand<T>, Answer<T>)>;

impl<S: Sums> State<S> {
    pub(super) fn new(accumulator: Accumulator<S>) -> Self {
        Self { accumulator, line: VecDeque::new(), next_id: 0, closed: false }
    }

    pub(super) fn join(&mut self, required: NonZeroU64) -> Result<Joined<S::Sum>, TakeError> {
        if let Some(sum) = self.try_take(required)? {
            return Ok(Joined::Now(sum));
        }
        if self.closed {
            return Err(TakeError::Closed);
        }
        let (hand, answer) = oneshot::channel();
        let id = self.next_id;
        self.next_id += 1;
        self.line.push_back(Waiter { id, required, hand });
        Ok(Joined::Later(Place { id, answer }))
    }

    /// Takes only when no other take waits: the line is strict.
    //
    pub(super) fn try_take(&mut self, required: NonZeroU64) -> Result<Option<S::Sum>, TakeError> {
        if self.line.is_empty() { self.accumulator.take_if(required) } else { Ok(None) }
    }

    /// Completes takes from the front as long as there is enough for the front one.
    pub(super) fn settle(&mut self) -> Answers<S::Sum> {
        let mut done = VecDeque::new();
        while let Some(front) = self.line.front() {
            let answer = match self.accumulator.take_if(front.required) {
                Ok(None) => break,
                Ok(Some(sum)) => Ok(sum),
                Err(error) => Err(error),
            };
            if let Some(front) = self.line.pop_front() {
                done.push_back((front.hand, answer));
            }
        }
        done
    }

    /// Puts back what a taker that is gone was given, and tries the next in line.
    pub(super) fn restore(&mut self, sum: S::Sum) -> Answers<S::Sum> {
        // Refused only where gradients of another shape came since; see `Shared::take_grad`.
        drop(self.accumulator.put_back(sum));
        self.settle()
    }

    pub(super) fn leave(&mut self, id: u64) -> Answers<S::Sum> {
        self.line.retain(|waiter| waiter.id != id);
        self.settle()
    }

    pub(super) fn close(&mut self) -> VecDeque<Waiter<S::Sum>> {
        self.closed = true;
        std::mem::take(&mut self.line)
    }
}
