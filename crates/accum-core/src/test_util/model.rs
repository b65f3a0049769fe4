//! The reference model: the rules of an accumulator with its line, in their plainest form.
//!
//! Slow on purpose, and without any of the accumulators' code. Invariant: the take in front of the
//! line asks for more than is held.

use std::collections::{BTreeMap, VecDeque};

use super::{Act, Kind, Pushed};

/// What an accumulator is, as far as anyone can see from outside.
#[derive(Clone, Debug, PartialEq)]
pub struct StalenessModel {
    /// Dense or sparse.
    pub kind: Kind,
    /// The accumulator's own step.
    pub step: i64,
    /// Accepted and not yet taken: local step and gradient.
    pub held: Vec<(i64, Pushed)>,
    /// Takes in line: their number, and how many gradients each asks for.
    pub waiting: VecDeque<(usize, u64)>,
    /// Takes with an unread answer. Exactly these were woken.
    pub answered: BTreeMap<usize, Answer>,
    /// Whether it was closed.
    pub closed: bool,
    /// What the last act must answer.
    pub answer: Answer,
    /// How many takes were begun.
    pub takes: usize,
}

/// What an act answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Nothing.
    Nothing,
    /// The push was accepted, and so many are held with it.
    Accepted(u64),
    /// The push was stale.
    Stale {
        /// Its step.
        local_step: i64,
        /// The accumulator's.
        global_step: i64,
    },
    /// The push was refused, as the gradient does not fit.
    Refused,
    /// The take was refused, as it asks for so few.
    TooFewAsked(i64),
    /// The take must wait.
    Pending,
    /// The take gives this.
    Took(Given),
    /// The take ends because of a close.
    Closed,
    /// A take that never waits gives nothing.
    TooFewHeld,
    /// The take fails, as there is no step after this one.
    LastStep(i64),
    /// A count, or the step before it was set.
    Number(i64),
}

/// What a take gives: gradients, and the step that it closed.
#[derive(Clone, Debug, PartialEq)]
pub struct Given {
    /// Local step and gradient of each, in arrival order.
    pub held: Vec<(i64, Pushed)>,
    /// The step that it closed.
    pub step: i64,
}

impl Given {
    /// The mean by index: index, value, and the largest error that summing it may make.
    ///
    /// A dense element is divided by the number of gradients, a sparse row by the number of those
    /// that had it.
    //
    pub fn mean(&self, kind: Kind) -> Vec<(i64, f64, f64)> {
        let mut sums = BTreeMap::<i64, (f64, f64, u64)>::new();
        for (_, gradient) in &self.held {
            let mut seen = Vec::new();
            for &(index, value) in &gradient.rows {
                let (sum, size, having) = sums.entry(index).or_default();
                (*sum, *size) = (*sum + value, *size + value.abs());
                if !seen.contains(&index) {
                    *having += 1;
                    seen.push(index);
                }
            }
        }
        let all = self.held.len() as u64;
        sums.into_iter()
            .map(|(index, (sum, size, having))| {
                let n = if kind == Kind::Dense { all } else { having } as f64;
                (index, sum / n, n * f64::EPSILON * size)
            })
            .collect()
    }
}

impl StalenessModel {
    /// A new accumulator: step 0, nothing held.
    //
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            step: 0,
            held: Vec::new(),
            waiting: VecDeque::new(),
            answered: BTreeMap::new(),
            closed: false,
            answer: Answer::Nothing,
            takes: 0,
        }
    }

    /// Does one act; what it must answer is then in [`answer`](Self::answer).
    pub fn apply(&mut self, act: &Act) {
        self.answer = match *act {
            Act::Push { age, ref gradient } => self.push(self.step.saturating_add(age), gradient),
            Act::Take { required } => self.begin(required),
            Act::TryTake { required } if required < 1 => Answer::TooFewAsked(required),
            Act::TryTake { required } => {
                self.at_once(required as u64).unwrap_or(Answer::TooFewHeld)
            }
            Act::Poll { nth } => self.poll(nth),
            Act::Drop { nth } => self.give_up(nth),
            Act::SetStep { step } => Answer::Number(std::mem::replace(&mut self.step, step)),
            Act::Count => Answer::Number(self.held.len() as i64),
            Act::Close => {
                self.closed = true;
                let waiting = self.waiting.drain(..);
                self.answered.extend(waiting.map(|(id, _)| (id, Answer::Closed)));
                Answer::Nothing
            }
        };
    }

    /// The take that is meant by a number: of all that were not read or dropped, in order.
    pub fn pending(&self, nth: usize) -> Option<usize> {
        let mut ids: Vec<usize> = self.waiting.iter().map(|(id, _)| *id).collect();
        ids.extend(self.answered.keys());
        ids.sort_unstable();
        (!ids.is_empty()).then(|| ids[nth % ids.len()])
    }

    /// stale is dropped unseen; fresh must fit.
    fn push(&mut self, local_step: i64, gradient: &Pushed) -> Answer {
        if local_step < self.step {
            return Answer::Stale { local_step, global_step: self.step };
        }
        if !gradient.fits(self.kind) {
            return Answer::Refused;
        }
        self.held.push((local_step, gradient.clone()));
        let count = self.held.len() as u64;
        self.settle();
        Answer::Accepted(count)
    }

    fn begin(&mut self, required: i64) -> Answer {
        let id = self.takes;
        self.takes += 1;
        if required < 1 {
            return Answer::TooFewAsked(required);
        }
        if let Some(answer) = self.at_once(required as u64) {
            return answer;
        }
        if self.closed {
            return Answer::Closed;
        }
        self.waiting.push_back((id, required as u64));
        Answer::Pending
    }

    /// Overtakes no waiting take.
    fn at_once(&mut self, required: u64) -> Option<Answer> {
        if self.waiting.is_empty() { self.try_take(required) } else { None }
    }

    fn poll(&mut self, nth: usize) -> Answer {
        let Some(id) = self.pending(nth) else { return Answer::Nothing };
        self.answered.remove(&id).unwrap_or(Answer::Pending)
    }

    /// a take that is dropped frees those behind it; what it was given goes back.
    fn give_up(&mut self, nth: usize) -> Answer {
        let Some(id) = self.pending(nth) else { return Answer::Nothing };
        self.waiting.retain(|(other, _)| *other != id);
        if let Some(Answer::Took(mut given)) = self.answered.remove(&id) {
            if given.step.checked_add(1) == Some(self.step) {
                self.step = given.step;
            }
            given.held.append(&mut self.held);
            self.held = given.held;
        }
        self.settle();
        Answer::Nothing
    }

    /// Takes in line complete in order, as long as there is enough for the first.
    fn settle(&mut self) {
        while let Some(&(id, required)) = self.waiting.front() {
            let Some(answer) = self.try_take(required) else { return };
            self.waiting.pop_front();
            self.answered.insert(id, answer);
        }
    }

    fn try_take(&mut self, required: u64) -> Option<Answer> {
        if (self.held.len() as u64) < required {
            return None;
        }
        let Some(next) = self.step.checked_add(1) else { return Some(Answer::LastStep(self.step)) };
        let step = std::mem::replace(&mut self.step, next);
        Some(Answer::Took(Given { held: std::mem::take(&mut self.held), step }))
    }
}
