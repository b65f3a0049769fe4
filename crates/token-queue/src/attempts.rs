//! The queue's rules as a plain state machine: who waits, in which order, and whom an operation
//! completes.
//!
//! An attempt is a call that may have to wait, known here by a number alone: no waker, no lock and
//! no thread. Two lines of attempts exist, one to put tokens (a close that lets earlier enqueues
//! finish waits in it too) and one to take them, and only the first of each line may move.
//!
//! Invariant, between operations: no first attempt of a line can move. Hence while a dequeue
//! waits the queue is empty, and while an enqueue waits it is full.

use std::collections::VecDeque;
use std::mem;

use crate::{Token, Tokens, TryEnqueueError};

/// Names one attempt of one queue; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct AttemptId(u64);

/// The request of an attempt.
#[derive(Debug)]
pub(crate) enum Request {
    /// To put these tokens, in this order.
    Enqueue(Tokens),
    /// To close the queue, once every earlier enqueue has finished.
    Close,
    /// To take exactly `n` tokens.
    Dequeue { n: usize },
    /// To take `n` tokens, or what is left once the queue is closed.
    DequeueUpTo { n: usize },
}

/// How an attempt ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It did all that it requested; a dequeue's tokens are here.
    Done(Tokens),
    /// The queue is closed: an enqueue gets the rest of its tokens, a dequeue the number left.
    Closed { not_enqueued: Tokens, available: usize },
}

/// Tokens, closing, and the attempts that wait.
#[derive(Debug)]
pub(crate) struct Attempts {
    tokens: Tokens,
    capacity: usize,
    closed: bool,
    /// Enqueues and closes that wait, by ascending id.
    entering: VecDeque<Entering>,
    /// Dequeues that wait, by ascending id; only the first may hold tokens.
    leaving: VecDeque<Leaving>,
    next_id: u64,
    completed: Vec<(AttemptId, Outcome)>,
}

#[derive(Debug)]
struct Entering {
    id: AttemptId,
    wants: Entry,
}

#[derive(Debug)]
enum Entry {
    /// The tokens that are not in the queue yet.
    Put(Tokens),
    Close,
}

#[derive(Debug)]
struct Leaving {
    id: AttemptId,
    n: usize,
    rest_will_do: bool,
    /// Tokens that came while it waited for more; the queue's size does not count them.
    held: Tokens,
}

impl Leaving {
    fn new(id: AttemptId, n: usize, rest_will_do: bool) -> Self {
        Self { id, n, rest_will_do, held: Tokens::new() }
    }
}

impl Attempts {
    /// An open, empty queue that holds up to `capacity` tokens before enqueues wait.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            tokens: Tokens::new(),
            capacity,
            closed: false,
            entering: VecDeque::new(),
            leaving: VecDeque::new(),
            next_id: 0,
            completed: Vec::new(),
        }
    }

    /// Starts an attempt behind those of its line; it may complete at once.
    ///
    /// An empty batch never waits, and succeeds on a closed queue too. // E-14
    pub(crate) fn begin(&mut self, request: Request) -> AttemptId {
        let id = AttemptId(self.next_id);
        self.next_id += 1;
        match request {
            Request::Enqueue(batch) if batch.is_empty() => self.end_empty(id),
            Request::Dequeue { n: 0 } | Request::DequeueUpTo { n: 0 } => self.end_empty(id),
            Request::Enqueue(batch) => {
                self.entering.push_back(Entering { id, wants: Entry::Put(batch) });
            }
            Request::Close => self.entering.push_back(Entering { id, wants: Entry::Close }),
            Request::Dequeue { n } => self.leaving.push_back(Leaving::new(id, n, false)),
            Request::DequeueUpTo { n } => self.leaving.push_back(Leaving::new(id, n, true)),
        }
        self.settle();
        id
    }

    /// Removes a waiting attempt from its line: tokens that it held go back in front, tokens that
    /// it had put stay.
    //
    pub(crate) fn cancel(&mut self, id: AttemptId) {
        if let Ok(at) = self.leaving.binary_search_by_key(&id, |attempt| attempt.id) {
            if let Some(cancelled) = self.leaving.remove(at) {
                self.tokens.put_back_all(cancelled.held);
            }
        } else if let Ok(at) = self.entering.binary_search_by_key(&id, |attempt| attempt.id) {
            self.entering.remove(at);
        }
        self.settle();
    }

    /// Puts tokens back in front, in their order, whatever the capacity, closed or not.
    // P-5, R-13
    pub(crate) fn put_back(&mut self, tokens: Tokens) {
        self.tokens.put_back_all(tokens);
        self.settle();
    }

    /// Puts `n` tokens of `step` at once, or none.
    #[inline]
    pub(crate) fn try_enqueue(&mut self, step: Token, n: usize) -> Result<(), TryEnqueueError> {
        self.admit(n, self.tokens.len())?;
        self.tokens.put_many(step, n);
        self.settle();
        Ok(())
    }

    /// Drops every token older than `step`, those held by a dequeue that waits for more included,
    /// and puts `n` tokens of `step`; returns how many were dropped. Or changes nothing.
    // P-12
    pub(crate) fn try_enqueue_discarding(
        &mut self,
        step: Token,
        n: usize,
    ) -> Result<usize, TryEnqueueError> {
        self.admit(n, self.tokens.len() - self.tokens.count_older(step))?;
        let held = self.leaving.front_mut().map_or(0, |first| first.held.discard_older(step));
        let discarded = held + self.tokens.put_many_discarding(step, n);
        self.settle();
        Ok(discarded)
    }

    /// Takes the first token, if there is one.
    #[inline]
    pub(crate) fn try_dequeue(&mut self) -> Option<Token> {
        // While a dequeue waits there is no token, so this overtakes none.
        let token = self.tokens.try_take()?;
        self.settle();
        Some(token)
    }

    /// Closes at once and ends every enqueue and close that waits; tokens already put stay.
    //
    pub(crate) fn close_cancelling(&mut self) {
        self.closed = true;
        self.settle();
    }

    /// Whether any attempt ended since they were last taken.
    #[inline]
    pub(crate) fn has_completed(&self) -> bool {
        !self.completed.is_empty()
    }

    /// The attempts that ended since the last call, in the order in which they did.
    pub(crate) fn take_completed(&mut self) -> Vec<(AttemptId, Outcome)> {
        mem::take(&mut self.completed)
    }

    /// How many tokens the queue holds; those of an unfinished dequeue do not count.
    pub(crate) fn size(&self) -> usize {
        self.tokens.len()
    }

    /// Whether the queue is closed; false while a close waits for earlier enqueues.
    // E-15
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    fn end_empty(&mut self, id: AttemptId) {
        self.completed.push((id, Outcome::Done(Tokens::new())));
    }

    /// Whether `n` tokens can be put on top of `size` without waiting.
    #[inline]
    fn admit(&self, n: usize, size: usize) -> Result<(), TryEnqueueError> {
        if n == 0 {
            return Ok(());
        }
        if self.closed {
            return Err(TryEnqueueError::Closed { requested: n });
        }
        let free = self.capacity.saturating_sub(size);
        let room = if self.entering.is_empty() { free } else { 0 };
        if n > room {
            return Err(TryEnqueueError::Full { requested: n, room, capacity: self.capacity });
        }
        Ok(())
    }

    /// Moves the first attempt of each line until neither can move.
    #[inline]
    fn settle(&mut self) {
        // The usual case: no attempt waits.
        if self.entering.is_empty() && self.leaving.is_empty() {
            return;
        }
        self.settle_waiting();
    }

    fn settle_waiting(&mut self) {
        loop {
            let mut moved = false;
            while self.advance_entering() {
                moved = true;
            }
            while self.advance_leaving() {
                moved = true;
            }
            if !moved {
                return;
            }
        }
    }

    /// Moves the first enqueue or close as far as it goes; says whether it ended.
    fn advance_entering(&mut self) -> bool {
        let Some(first) = self.entering.front_mut() else { return false };
        let outcome = match &mut first.wants {
            wants if self.closed => {
                let not_enqueued = match wants {
                    Entry::Put(batch) => mem::take(batch),
                    Entry::Close => Tokens::new(),
                };
                Outcome::Closed { not_enqueued, available: self.tokens.len() }
            }
            Entry::Close => {
                self.closed = true;
                Outcome::Done(Tokens::new())
            }
            Entry::Put(batch) => {
                let room = self.capacity.saturating_sub(self.tokens.len());
                batch.move_to(&mut self.tokens, room);
                if !batch.is_empty() {
                    // The queue is full: nothing more until a token leaves.
                    return false;
                }
                Outcome::Done(Tokens::new())
            }
        };
        self.completed.push((first.id, outcome));
        self.entering.pop_front();
        true
    }

    /// Moves the first dequeue as far as it goes; says whether anything changed.
    fn advance_leaving(&mut self) -> bool {
        let Some(first) = self.leaving.front_mut() else { return false };
        let missing = first.n - first.held.len();
        let before = self.tokens.len();
        let outcome = if self.closed && before < missing {
            // It will never be full: the next caller must find what it held, in order. // E-13
            self.tokens.put_back_all(mem::take(&mut first.held));
            let available = self.tokens.len();
            if first.rest_will_do && available > 0 {
                Outcome::Done(mem::take(&mut self.tokens))
            } else {
                Outcome::Closed { not_enqueued: Tokens::new(), available }
            }
        } else {
            self.tokens.move_to(&mut first.held, missing);
            if first.held.len() < first.n {
                return before > 0;
            }
            Outcome::Done(mem::take(&mut first.held))
        };
        self.completed.push((first.id, outcome));
        self.leaving.pop_front();
        true
    }
}

#[cfg(test)]
mod tests;
