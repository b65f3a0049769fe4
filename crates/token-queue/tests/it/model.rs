//! Random operations, cancellations among them, against a slow model that moves one token at a
//! time.
//!
//! After every operation the calls that have ended, their results, the wake counts, the size and
//! the closing must equal the model's. At the end no token is missing and none is there twice.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::task::Poll;

use proptest::prelude::*;
use token_queue::{DequeueError, EnqueueError, Token, TokenQueue};

use crate::script::{Call, WakeCount, poll};

#[derive(Clone, Debug)]
enum Op {
    Put(usize),
    Take {
        n: usize,
        up_to: bool,
    },
    Close,
    CloseNow,
    /// Polls a call, which must end exactly when the model says so.
    Poll(usize),
    /// Drops a call, whether it waits or has a result that it never returned.
    Drop(usize),
    /// Puts a token that a call returned back in front.
    Back(usize),
    /// Discards all tokens older than the newest but `keep`, and puts `n`.
    Discard {
        keep: i64,
        n: usize,
    },
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0..5usize).prop_map(Op::Put),
        6 => (0..5usize, any::<bool>()).prop_map(|(n, up_to)| Op::Take { n, up_to }),
        2 => Just(Op::Close),
        1 => Just(Op::CloseNow),
        4 => any::<usize>().prop_map(Op::Poll),
        4 => any::<usize>().prop_map(Op::Drop),
        2 => any::<usize>().prop_map(Op::Back),
        1 => (0..6i64, 0..3usize).prop_map(|(keep, n)| Op::Discard { keep, n }),
    ]
}

/// What a call returned: the tokens it took or could not put, and whether the queue was closed.
#[derive(Clone, Debug, PartialEq)]
struct Returned {
    steps: Vec<i64>,
    closed: bool,
}

enum Wish {
    Put(VecDeque<i64>),
    Close,
    Take { n: usize, up_to: bool, held: VecDeque<i64> },
}

/// The rules in their plainest form.
#[derive(Default)]
struct Model {
    line: VecDeque<i64>,
    capacity: usize,
    closed: bool,
    wishes: BTreeMap<usize, Wish>,
    ended: BTreeMap<usize, (Returned, bool)>,
    discarded: Vec<i64>,
    never_entered: Vec<i64>,
}

impl Model {
    fn first(&self, take: bool) -> Option<usize> {
        let kind = |wish: &Wish| matches!(wish, Wish::Take { .. }) == take;
        self.wishes.iter().find(|(_, wish)| kind(wish)).map(|(id, _)| *id)
    }

    fn end(&mut self, id: usize, steps: impl IntoIterator<Item = i64>, closed: bool) {
        let took = matches!(self.wishes.remove(&id), Some(Wish::Take { .. }));
        let steps = steps.into_iter().collect();
        self.ended.insert(id, (Returned { steps, closed }, took));
    }

    /// One smallest move of the first put or close, then of the first take, until nothing moves.
    fn settle(&mut self) {
        while self.move_put() || self.move_take() {}
    }

    fn move_put(&mut self) -> bool {
        let Some(id) = self.first(false) else { return false };
        let full = self.line.len() >= self.capacity;
        match self.wishes.get_mut(&id) {
            Some(Wish::Put(rest)) if self.closed || rest.is_empty() => {
                let (rest, closed) = (rest.clone(), !rest.is_empty());
                self.end(id, rest, closed);
            }
            Some(Wish::Put(_)) if full => return false,
            Some(Wish::Put(rest)) => self.line.extend(rest.pop_front()),
            _ => {
                self.end(id, [], self.closed);
                self.closed = true;
            }
        }
        true
    }

    fn move_take(&mut self) -> bool {
        let Some(id) = self.first(true) else { return false };
        let Some(Wish::Take { n, up_to, held }) = self.wishes.get_mut(&id) else { return false };
        let (n, up_to) = (*n, *up_to);
        if held.len() < n && !(self.closed && held.len() + self.line.len() < n) {
            let Some(token) = self.line.pop_front() else { return false };
            held.push_back(token);
            return true;
        }
        let mut held = std::mem::take(held);
        if held.len() == n {
            self.end(id, held, false);
            return true;
        }
        held.append(&mut self.line);
        let closed = !up_to || held.is_empty();
        if closed {
            self.line = std::mem::take(&mut held);
        }
        self.end(id, held, closed);
        true
    }

    fn begin(&mut self, id: usize, wish: Wish) {
        let empty = match &wish {
            Wish::Put(rest) => rest.is_empty(),
            Wish::Take { n, .. } => *n == 0,
            Wish::Close => false,
        };
        self.wishes.insert(id, wish);
        if empty {
            self.end(id, [], false);
        }
        self.settle();
    }

    fn give_back(&mut self, tokens: impl DoubleEndedIterator<Item = i64>) {
        tokens.rev().for_each(|token| self.line.push_front(token));
        self.settle();
    }

    fn abandon(&mut self, id: usize) {
        match self.wishes.remove(&id) {
            Some(Wish::Take { held, .. }) => self.give_back(held.into_iter()),
            Some(Wish::Put(rest)) => self.never_entered.extend(rest),
            Some(Wish::Close) | None => {}
        }
        if let Some((Returned { steps, .. }, took)) = self.ended.remove(&id) {
            if took {
                self.give_back(steps.into_iter());
            } else {
                self.never_entered.extend(steps);
            }
        }
        self.settle();
    }

    /// `None` when it is refused.
    fn discard(&mut self, step: i64, n: usize) -> Option<usize> {
        let stays = self.line.iter().filter(|&&token| token >= step).count();
        let fits = self.first(false).is_none() && stays + n <= self.capacity;
        if n > 0 && (self.closed || !fits) {
            return None;
        }
        let before = self.discarded.len();
        let head = self.first(true);
        let held = head.and_then(|id| match self.wishes.get_mut(&id) {
            Some(Wish::Take { held, .. }) => Some(held),
            _ => None,
        });
        for line in held.into_iter().chain([&mut self.line]) {
            self.discarded.extend(line.iter().filter(|&&token| token < step));
            line.retain(|&token| token >= step);
        }
        self.line.extend([step].repeat(n));
        let discarded = self.discarded.len() - before;
        self.settle();
        Some(discarded)
    }
}

struct Flying {
    id: usize,
    call: Call<Returned>,
    wakes: Arc<WakeCount>,
}

/// The queue, the model, and the calls that have not returned.
struct Run {
    queue: TokenQueue,
    model: Model,
    flying: Vec<Flying>,
    received: Vec<i64>,
    /// Tokens are numbered as they are offered, so that each is unlike all others.
    offered: i64,
    calls: usize,
}

impl Run {
    fn new(capacity: Option<usize>) -> Self {
        let queue = capacity.map_or_else(TokenQueue::unbounded, |capacity| {
            TokenQueue::bounded(capacity).expect("a capacity of at least 1")
        });
        let model = Model { capacity: capacity.unwrap_or(usize::MAX), ..Model::default() };
        Self { queue, model, flying: vec![], received: vec![], offered: 0, calls: 0 }
    }

    fn apply(&mut self, op: &Op) {
        let queue = self.queue.clone();
        match *op {
            Op::Put(n) => {
                let steps: VecDeque<_> = (self.offered..).take(n).collect();
                self.offered += i64::try_from(n).expect("a small count");
                self.begin(Wish::Put(steps.clone()), Box::pin(put(queue, steps)));
            }
            Op::Take { n, up_to } => {
                let wish = Wish::Take { n, up_to, held: VecDeque::new() };
                self.begin(wish, Box::pin(take(queue, n, up_to)));
            }
            Op::Close => self.begin(
                Wish::Close,
                Box::pin(async move {
                    Returned { steps: vec![], closed: queue.close().await.is_err() }
                }),
            ),
            Op::CloseNow => {
                queue.close_cancelling_pending_enqueues();
                self.model.closed = true;
                self.model.settle();
            }
            Op::Poll(index) if !self.flying.is_empty() => self.poll(index % self.flying.len()),
            Op::Drop(index) if !self.flying.is_empty() => {
                let Flying { id, call, .. } = self.flying.swap_remove(index % self.flying.len());
                drop(call);
                self.model.abandon(id);
            }
            Op::Back(index) if !self.received.is_empty() => {
                let step = self.received.swap_remove(index % self.received.len());
                queue.put_back(Token::new(step));
                self.model.give_back([step].into_iter());
            }
            Op::Discard { keep, n } => {
                // A step that no other token has, so that none is there twice.
                let n = n.min(1);
                let step = if n == 0 { (self.offered - keep).max(0) } else { self.offered };
                let discarded = queue.try_enqueue_many_discarding_older(Token::new(step), n);
                assert_eq!(discarded.clone().ok(), self.model.discard(step, n), "{discarded:?}");
                self.offered += i64::from(n == 1 && discarded.is_ok());
            }
            Op::Poll(_) | Op::Drop(_) | Op::Back(_) => {}
        }
    }

    fn begin(&mut self, wish: Wish, mut call: Call<Returned>) {
        let (id, wakes) = (self.calls, WakeCount::new());
        self.calls += 1;
        self.model.begin(id, wish);
        match poll(&mut call, &wakes) {
            Poll::Ready(returned) => self.receive(id, returned),
            Poll::Pending => self.flying.push(Flying { id, call, wakes }),
        }
    }

    fn poll(&mut self, at: usize) {
        let Flying { id, call, wakes } = &mut self.flying[at];
        let id = *id;
        match poll(call, wakes) {
            Poll::Ready(returned) => {
                self.flying.swap_remove(at);
                self.receive(id, returned);
            }
            Poll::Pending => assert!(!self.model.ended.contains_key(&id), "call {id} has ended"),
        }
    }

    fn receive(&mut self, id: usize, returned: Returned) {
        let (expected, took) = self.model.ended.remove(&id).expect("the model still waits");
        assert_eq!(returned, expected);
        if took {
            self.received.extend(returned.steps);
        } else {
            self.model.never_entered.extend(returned.steps);
        }
    }

    fn check(&self) {
        assert_eq!(self.queue.size(), self.model.line.len());
        assert_eq!(self.queue.is_closed(), self.model.closed);
        for Flying { id, wakes, .. } in &self.flying {
            let ended = self.model.ended.contains_key(id);
            assert_eq!(wakes.get(), usize::from(ended), "call {id}: one wake when it ends");
        }
    }

    /// every token offered is in exactly one place.
    fn finish(mut self) {
        while !self.flying.is_empty() {
            self.apply(&Op::Drop(0));
            self.check();
        }
        let mut seen = self.received;
        while let Ok(Some(token)) = self.queue.try_dequeue() {
            seen.push(token.step());
        }
        seen.append(&mut self.model.discarded);
        seen.append(&mut self.model.never_entered);
        seen.sort_unstable();
        assert_eq!(seen, (0..self.offered).collect::<Vec<_>>());
    }
}

async fn put(queue: TokenQueue, steps: VecDeque<i64>) -> Returned {
    match queue.enqueue_all(steps.into_iter().map(Token::new)).await {
        Ok(()) => Returned { steps: vec![], closed: false },
        Err(EnqueueError::Closed { not_enqueued, .. }) => {
            Returned { steps: not_enqueued.iter().map(Token::step).collect(), closed: true }
        }
        Err(other) => panic!("{other}"),
    }
}

async fn take(queue: TokenQueue, n: usize, up_to: bool) -> Returned {
    let taken = match (n, up_to) {
        (1, false) => queue.dequeue().await.map(|token| vec![token]),
        (_, false) => queue.dequeue_many(n).await,
        (_, true) => queue.dequeue_up_to(n).await,
    };
    match taken {
        Ok(tokens) => {
            Returned { steps: tokens.into_iter().map(Token::step).collect(), closed: false }
        }
        Err(DequeueError::Closed { .. }) => Returned { steps: vec![], closed: true },
        Err(other) => panic!("{other}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    // P-5, P-12.
    #[test]
    fn the_queue_is_its_model(
        capacity in prop::option::of(1..5usize),
        ops in prop::collection::vec(op(), 0..80),
    ) {
        let mut run = Run::new(capacity);
        for op in &ops {
            run.apply(op);
            run.check();
        }
        run.finish();
    }
}
