//! A [`TokenQueue`] run beside the model: answers, sizes, closing and wakes must be the same.
//!
//! Nothing sleeps and no thread is started: calls are polled by hand, and their wakes are counted.
//! Invariant: a call that waits was woken never, one that has ended and not returned once.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use proptest_state_machine::StateMachineTest;

use super::{Answer, AnyBounded, AnyUnbounded, Op, QueueModel, Refusal, Returned};
use crate::{CloseError, DequeueError, EnqueueError, Token, TokenQueue, TryEnqueueError};

/// The test of an unbounded queue, for
/// [`prop_state_machine!`](proptest_state_machine::prop_state_machine).
#[derive(Debug)]
pub struct Unbounded;

/// The test of a bounded queue, in the same way.
#[derive(Debug)]
pub struct Bounded;

/// A queue in the middle of a history, with the calls that have not returned.
pub struct Run {
    queue: TokenQueue,
    calls: BTreeMap<usize, (Call, Arc<Wakes>)>,
    received: Vec<i64>,
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run").finish_non_exhaustive()
    }
}

/// A call, and with its result whether it took tokens.
type Call = Pin<Box<dyn Future<Output = (Returned, bool)>>>;

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

macro_rules! test {
    ($name:ident, $histories:ty) => {
        impl StateMachineTest for $name {
            type SystemUnderTest = Run;
            type Reference = $histories;

            fn init_test(model: &QueueModel) -> Run {
                Run::new(model)
            }

            fn apply(mut run: Run, after: &QueueModel, op: Op) -> Run {
                run.act(after, &op);
                run
            }

            fn check_invariants(run: &Run, model: &QueueModel) {
                run.check(model);
            }

            fn teardown(run: Run, model: QueueModel) {
                run.finish(model);
            }
        }
    };
}

test!(Unbounded, AnyUnbounded);
test!(Bounded, AnyBounded);

impl Run {
    fn new(model: &QueueModel) -> Self {
        let queue = match model.capacity() {
            usize::MAX => TokenQueue::unbounded(),
            // The generators draw no capacity of 0, which is refused.
            capacity => TokenQueue::bounded(capacity).unwrap_or_else(|error| panic!("{error}")),
        };
        Self { queue, calls: BTreeMap::new(), received: Vec::new() }
    }

    fn act(&mut self, after: &QueueModel, op: &Op) {
        let queue = self.queue.clone();
        match *op {
            Op::Put { n, same } => {
                let steps = after.last_offered(n).to_vec();
                self.begin(after, Box::pin(put(queue, steps, same)));
            }
            Op::TryPut(_) => {
                let Answer::Put(step, n, expected) = *after.answer() else { return };
                let put = match n {
                    1 => queue.try_enqueue(Token::new(step)),
                    n => queue.try_enqueue_many(Token::new(step), n),
                };
                assert_eq!(put, expected.map_err(|it| refused(it, n, after)), "a put at once");
            }
            Op::Take { n, up_to } => self.begin(after, Box::pin(take(queue, n, up_to))),
            Op::TryTake => {
                let returned = taken(queue.try_dequeue().map(Vec::from_iter), 1);
                self.received.extend(&returned.steps);
                assert_eq!(&Answer::Call(Some(returned)), after.answer(), "try_dequeue");
            }
            Op::Close => self.begin(
                after,
                Box::pin(async move {
                    let closed = queue.close().await == Err(CloseError::AlreadyClosed);
                    (Returned { steps: Vec::new(), closed, left: 0 }, false)
                }),
            ),
            Op::CloseNow => queue.close_cancelling_pending_enqueues(),
            Op::Poll(nth) => {
                if let Some(id) = self.nth(nth) {
                    self.poll(id, after);
                }
            }
            Op::Drop(nth) => {
                if let Some(id) = self.nth(nth) {
                    self.calls.remove(&id);
                }
            }
            Op::Back(nth) => {
                if !self.received.is_empty() {
                    let step = self.received.swap_remove(nth % self.received.len());
                    queue.put_back(Token::new(step));
                }
            }
            Op::Discard { .. } => {
                let Answer::Discarded(step, n, expected) = *after.answer() else { return };
                let discarded = queue.try_enqueue_many_discarding_older(Token::new(step), n);
                let expected = expected.map_err(|it| refused(it, n, after));
                assert_eq!(discarded, expected, "what a discard found");
            }
        }
    }

    /// As [`QueueModel::pending`]: the same calls are pending here.
    fn nth(&self, nth: usize) -> Option<usize> {
        let len = self.calls.len();
        (len > 0).then(|| self.calls.keys().nth(nth % len).copied()).flatten()
    }

    fn begin(&mut self, after: &QueueModel, call: Call) {
        self.calls.insert(after.last_call(), (call, Arc::default()));
        self.poll(after.last_call(), after);
    }

    fn poll(&mut self, id: usize, after: &QueueModel) {
        let Some((call, wakes)) = self.calls.get_mut(&id) else { return };
        let waker = Waker::from(Arc::clone(wakes));
        let returned = match call.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Pending => None,
            Poll::Ready((returned, took)) => {
                self.calls.remove(&id);
                if took {
                    self.received.extend(&returned.steps);
                }
                Some(returned)
            }
        };
        assert_eq!(&Answer::Call(returned), after.answer(), "call {id}");
    }

    fn check(&self, model: &QueueModel) {
        assert_eq!(self.queue.size(), model.size(), "the size");
        assert_eq!(self.queue.is_closed(), model.is_closed(), "whether it is closed");
        let (offered, found) = model.books();
        assert_eq!(found, offered, "R-13: every token is in one place");
        for (id, (_, wakes)) in &self.calls {
            let expected = usize::from(model.woken().any(|woken| woken == *id));
            let got = wakes.0.load(Ordering::SeqCst);
            assert_eq!(got, expected, "call {id}: woken once, when it ends");
        }
    }

    /// Drops all calls, and takes what is there: tokens and order are the model's to the last.
    fn finish(mut self, mut model: QueueModel) {
        while !self.calls.is_empty() {
            model.apply(&Op::Drop(0));
            self.act(&model, &Op::Drop(0));
            self.check(&model);
        }
        for _ in 0..=model.size() {
            model.apply(&Op::TryTake);
            self.act(&model, &Op::TryTake);
            self.check(&model);
        }
    }
}

async fn put(queue: TokenQueue, steps: Vec<i64>, same: bool) -> (Returned, bool) {
    let tokens = steps.iter().copied().map(Token::new);
    let done = match steps[..] {
        [step] => queue.enqueue(Token::new(step)).await,
        [step, ..] if same => queue.enqueue_many(Token::new(step), steps.len()).await,
        _ => queue.enqueue_all(tokens).await,
    };
    let returned = match done {
        Ok(()) => Returned { steps: Vec::new(), closed: false, left: 0 },
        Err(EnqueueError::Closed { not_enqueued }) => {
            let steps = not_enqueued.iter().map(Token::step).collect();
            Returned { steps, closed: true, left: 0 }
        }
    };
    (returned, false)
}

async fn take(queue: TokenQueue, n: usize, up_to: bool) -> (Returned, bool) {
    let tokens = match (n, up_to) {
        (1, false) => queue.dequeue().await.map(|token| vec![token]),
        (_, false) => queue.dequeue_many(n).await,
        (_, true) => queue.dequeue_up_to(n).await,
    };
    (taken(tokens, n), true)
}

/// What a take of `n` returned.
fn taken(tokens: Result<Vec<Token>, DequeueError>, n: usize) -> Returned {
    match tokens {
        Ok(tokens) => {
            let steps = tokens.into_iter().map(Token::step).collect();
            Returned { steps, closed: false, left: 0 }
        }
        Err(DequeueError::Closed { requested, available }) => {
            assert_eq!(requested, n, "how many were asked for");
            Returned { steps: Vec::new(), closed: true, left: available }
        }
    }
}

fn refused(refusal: Refusal, requested: usize, model: &QueueModel) -> TryEnqueueError {
    match refusal {
        Refusal::Closed => TryEnqueueError::Closed { requested },
        Refusal::Full(room) => {
            TryEnqueueError::Full { requested, room, capacity: model.capacity() }
        }
    }
}
