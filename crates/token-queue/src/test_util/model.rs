//! The reference model: the rules of a queue in their plainest form.
//!
//! One token moves at a time, and nothing is fast. Invariant: every token offered is in exactly one
//! place; see [`QueueModel::books`].

use std::collections::{BTreeMap, VecDeque};

use super::Op;

const EMPTY: &VecDeque<i64> = &VecDeque::new();

/// What a call returned.
#[derive(Clone, Debug, PartialEq)]
pub struct Returned {
    /// The tokens that it took or could not put.
    pub steps: Vec<i64>,
    /// Whether it failed because the queue is closed.
    pub closed: bool,
    /// How many tokens are left, by a take that failed.
    pub left: usize,
}

/// Why a call that never waits put nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Refusal {
    /// The queue is closed.
    Closed,
    /// There is room for so many only.
    Full(usize),
}

/// What an operation must answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Nothing.
    Nothing,
    /// A call that was begun or polled returned this, or `None` while it waits.
    Call(Option<Returned>),
    /// So many tokens of this step were put, or none.
    Put(i64, usize, Result<(), Refusal>),
    /// A discard below this step, putting so many of it, discarded so many, or nothing.
    Discarded(i64, usize, Result<usize, Refusal>),
}

#[derive(Clone, Debug)]
enum Wish {
    Put(VecDeque<i64>),
    Close,
    Take { n: usize, up_to: bool, held: VecDeque<i64> },
}

/// A queue and all calls on it that have not returned.
//
#[derive(Clone, Debug)]
pub struct QueueModel {
    line: VecDeque<i64>,
    capacity: usize,
    closed: bool,
    wishes: BTreeMap<usize, Wish>,
    ended: BTreeMap<usize, (Returned, bool)>,
    discarded: Vec<i64>,
    never_entered: Vec<i64>,
    received: Vec<i64>,
    /// Tokens are numbered as they are offered; only those of one `enqueue_many` are alike.
    offered: Vec<i64>,
    next: i64,
    calls: usize,
    answer: Answer,
}

impl QueueModel {
    /// Empty, with room for so many; `None`: without bound.
    pub fn new(capacity: Option<usize>) -> Self {
        Self {
            line: VecDeque::new(),
            capacity: capacity.unwrap_or(usize::MAX),
            closed: false,
            wishes: BTreeMap::new(),
            ended: BTreeMap::new(),
            discarded: Vec::new(),
            never_entered: Vec::new(),
            received: Vec::new(),
            offered: Vec::new(),
            next: 0,
            calls: 0,
            answer: Answer::Nothing,
        }
    }

    /// Does one operation; what it must answer is then in [`answer`](Self::answer).
    pub fn apply(&mut self, op: &Op) {
        self.answer = match *op {
            Op::Put { n, same } => {
                let first = self.next;
                let steps: VecDeque<_> =
                    if same { [first].repeat(n).into() } else { (first..).take(n).collect() };
                self.next = steps.back().map_or(first, |last| last + 1);
                self.offered.extend(&steps);
                self.begin(Wish::Put(steps))
            }
            Op::TryPut(n) => {
                let (step, refused) = (self.next, self.refusal(n, self.line.len()));
                if refused.is_none() {
                    let tokens = [step].repeat(n);
                    self.next += i64::from(n > 0);
                    self.offered.extend(&tokens);
                    self.line.extend(tokens);
                    self.settle();
                }
                Answer::Put(step, n, refused.map_or(Ok(()), Err))
            }
            Op::Take { n, up_to } => self.begin(Wish::Take { n, up_to, held: VecDeque::new() }),
            Op::TryTake => self.try_take(),
            Op::Close => self.begin(Wish::Close),
            Op::CloseNow => {
                self.closed = true;
                self.settle();
                Answer::Nothing
            }
            Op::Poll(nth) => {
                self.pending(nth).map_or(Answer::Nothing, |id| Answer::Call(self.read(id)))
            }
            Op::Drop(nth) => {
                if let Some(id) = self.pending(nth) {
                    self.abandon(id);
                }
                Answer::Nothing
            }
            Op::Back(nth) => {
                if !self.received.is_empty() {
                    let step = self.received.swap_remove(nth % self.received.len());
                    self.give_back([step].into_iter());
                }
                Answer::Nothing
            }
            Op::Discard { keep, put } => {
                let step = if put { self.next } else { (self.next - keep).max(0) };
                let n = usize::from(put);
                let discarded = self.discard(step, n);
                if put && discarded.is_ok() {
                    self.offered.push(step);
                    self.next += 1;
                }
                Answer::Discarded(step, n, discarded)
            }
        };
    }

    /// How many tokens are in the queue, those kept for a take in line not counted.
    pub fn size(&self) -> usize {
        self.line.len()
    }

    /// Whether it is closed.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// How many tokens it has room for; `usize::MAX` without bound.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// What the last operation must answer.
    pub fn answer(&self) -> &Answer {
        &self.answer
    }

    /// The number of the call begun last.
    pub fn last_call(&self) -> usize {
        self.calls - 1
    }

    /// The tokens that the last operation offered, if it was a put of `n`.
    pub fn last_offered(&self, n: usize) -> &[i64] {
        &self.offered[self.offered.len() - n..]
    }

    /// The calls that have ended and not returned: exactly these were woken, once each.
    pub fn woken(&self) -> impl Iterator<Item = usize> {
        self.ended.keys().copied()
    }

    /// The token that putting back the `nth` one means.
    pub fn received(&self, nth: usize) -> Option<i64> {
        (!self.received.is_empty()).then(|| self.received[nth % self.received.len()])
    }

    /// The call that is meant by a place: of all that have not returned, in order.
    pub fn pending(&self, nth: usize) -> Option<usize> {
        let mut ids: Vec<usize> = self.wishes.keys().chain(self.ended.keys()).copied().collect();
        ids.sort_unstable();
        (!ids.is_empty()).then(|| ids[nth % ids.len()])
    }

    /// All tokens offered, and where all of them are now; both sorted.
    //
    pub fn books(&self) -> (Vec<i64>, Vec<i64>) {
        let held = self.wishes.values().flat_map(|wish| match wish {
            Wish::Put(rest) => rest.iter(),
            Wish::Take { held, .. } => held.iter(),
            Wish::Close => EMPTY.iter(),
        });
        let ended = self.ended.values().flat_map(|(returned, _)| &returned.steps);
        let lists = [&self.discarded, &self.never_entered, &self.received];
        let lists = lists.into_iter().flatten().chain(&self.line).chain(held).chain(ended);
        let (mut offered, mut found) = (self.offered.clone(), lists.copied().collect::<Vec<_>>());
        offered.sort_unstable();
        found.sort_unstable();
        (offered, found)
    }

    fn try_take(&mut self) -> Answer {
        let nobody_waits = self.first(true).is_none();
        let token = nobody_waits.then(|| self.line.pop_front()).flatten();
        self.received.extend(token);
        let closed = token.is_none() && self.closed && nobody_waits;
        self.settle();
        let returned = Returned { steps: token.into_iter().collect(), closed, left: 0 };
        Answer::Call(Some(returned))
    }

    fn read(&mut self, id: usize) -> Option<Returned> {
        let (returned, took) = self.ended.remove(&id)?;
        let to = if took { &mut self.received } else { &mut self.never_entered };
        to.extend(&returned.steps);
        Some(returned)
    }

    fn first(&self, take: bool) -> Option<usize> {
        let kind = |wish: &Wish| matches!(wish, Wish::Take { .. }) == take;
        self.wishes.iter().find(|(_, wish)| kind(wish)).map(|(id, _)| *id)
    }

    fn end(&mut self, id: usize, steps: impl IntoIterator<Item = i64>, closed: bool) {
        let took = matches!(self.wishes.remove(&id), Some(Wish::Take { .. }));
        let steps = steps.into_iter().collect();
        let left = if took && closed { self.line.len() } else { 0 };
        self.ended.insert(id, (Returned { steps, closed, left }, took));
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

    fn begin(&mut self, wish: Wish) -> Answer {
        let id = self.calls;
        self.calls += 1;
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
        Answer::Call(self.read(id))
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

    /// Why `n` tokens cannot be put on top of those that stay, if they cannot.
    fn refusal(&self, n: usize, stays: usize) -> Option<Refusal> {
        let room =
            if self.first(false).is_none() { self.capacity.saturating_sub(stays) } else { 0 };
        match n {
            0 => None,
            _ if self.closed => Some(Refusal::Closed),
            n => (n > room).then_some(Refusal::Full(room)),
        }
    }

    fn discard(&mut self, step: i64, n: usize) -> Result<usize, Refusal> {
        let stays = self.line.iter().filter(|&&token| token >= step).count();
        if let Some(refusal) = self.refusal(n, stays) {
            return Err(refusal);
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
        Ok(discarded)
    }
}
