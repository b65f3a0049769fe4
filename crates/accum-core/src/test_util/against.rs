//! A subject run beside the model: answers, values, counts, steps and wakes must be the same.
//!
//! Nothing sleeps and no thread is started: takes are polled by hand, and their wakes are counted.
//! Invariant: a take that waits was woken never, one that is answered and not read once.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use proptest_state_machine::StateMachineTest;

use super::{Act, Answer, Given, Kind, Pushed, Rows, StalenessModel, Subject, Take, WIDTH};
use crate::{Applied, ApplyError, SlicesError, TakeError, Taken};

/// The test of `S` against its model, for
/// [`prop_state_machine!`](proptest_state_machine::prop_state_machine).
#[derive(Debug)]
pub struct Against<S>(PhantomData<S>);

/// A subject in the middle of a history, with the takes that it has not answered.
pub struct Run<S> {
    subject: S,
    takes: BTreeMap<usize, (Take, Arc<Wakes>)>,
}

impl<S> std::fmt::Debug for Run<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run").finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl<S: Subject> StateMachineTest for Against<S> {
    type SystemUnderTest = Run<S>;
    type Reference = S::Histories;

    fn init_test(_: &StalenessModel) -> Run<S> {
        Run { subject: S::new(), takes: BTreeMap::new() }
    }

    fn apply(mut run: Run<S>, after: &StalenessModel, act: Act) -> Run<S> {
        run.act(after, &act);
        run
    }

    fn check_invariants(run: &Run<S>, model: &StalenessModel) {
        //
        assert_eq!(run.subject.step(), model.step, "the step");
        assert_eq!(run.subject.count(), model.held.len() as u64, "the count");
        assert_eq!(run.subject.is_closed(), model.closed, "whether it is closed");
        for (id, (_, wakes)) in &run.takes {
            let expected = usize::from(model.answered.contains_key(id));
            let got = wakes.0.load(Ordering::SeqCst);
            assert_eq!(got, expected, "take {id}: woken once, when it is answered");
        }
    }
}

impl<S: Subject> Run<S> {
    fn act(&mut self, after: &StalenessModel, act: &Act) {
        match *act {
            Act::Push { age, ref gradient } => {
                // The subject's own step, which the check before compared with the model's.
                let local_step = self.subject.step().saturating_add(age);
                let applied = match self.subject.push(gradient, local_step) {
                    Ok(Applied::Accepted { count }) => Answer::Accepted(count),
                    Ok(Applied::Stale { local_step, global_step }) => Answer::Stale {
                        local_step: local_step.get(),
                        global_step: global_step.get(),
                    },
                    Err(error) => {
                        assert_eq!(error, misfit(gradient, after.kind), "why it was refused");
                        Answer::Refused
                    }
                };
                assert_eq!(applied, after.answer, "what became of the push");
            }
            Act::Take { required } => {
                let take = (self.subject.take(required), Arc::default());
                self.takes.insert(after.takes - 1, take);
                self.poll(after.takes - 1, after);
            }
            Act::TryTake { required } => match self.subject.try_take(required).transpose() {
                Some(answer) => taken("try_take", answer, after),
                None => assert_eq!(after.answer, Answer::TooFewHeld, "try_take gives nothing"),
            },
            Act::Poll { nth } => {
                if let Some(id) = self.nth(nth) {
                    self.poll(id, after);
                }
            }
            Act::Drop { nth } => {
                if let Some(id) = self.nth(nth) {
                    self.takes.remove(&id);
                }
            }
            Act::SetStep { step } => {
                let old = Answer::Number(self.subject.set_step(step));
                assert_eq!(old, after.answer, "the step before");
            }
            Act::Count => {
                let count = Answer::Number(self.subject.count() as i64);
                assert_eq!(count, after.answer, "the count");
            }
            Act::Close => self.subject.close(),
        }
    }

    /// As [`StalenessModel::pending`]: the same takes are pending here.
    fn nth(&self, nth: usize) -> Option<usize> {
        let len = self.takes.len();
        (len > 0).then(|| self.takes.keys().nth(nth % len).copied()).flatten()
    }

    fn poll(&mut self, id: usize, after: &StalenessModel) {
        let Some((take, wakes)) = self.takes.get_mut(&id) else { return };
        let waker = Waker::from(Arc::clone(wakes));
        let Poll::Ready(answer) = take.as_mut().poll(&mut Context::from_waker(&waker)) else {
            assert_eq!(after.answer, Answer::Pending, "the take waits");
            return;
        };
        self.takes.remove(&id);
        taken(&format!("take {id}"), answer, after);
    }
}

/// What a take answers, an error's numbers included.
fn taken(what: &str, answer: Result<Taken<Rows>, TakeError>, after: &StalenessModel) {
    match (answer, &after.answer) {
        (Ok(taken), Answer::Took(given)) => same(&taken, given, after.kind),
        (Err(TakeError::Closed), Answer::Closed) => {}
        (Err(TakeError::StepOverflow(error)), Answer::LastStep(step)) => {
            assert_eq!(error.step.get(), *step, "the last step");
        }
        (Err(TakeError::NumRequired { got }), Answer::TooFewAsked(asked)) => {
            assert_eq!(got, *asked, "how many were asked for");
        }
        (answer, expected) => panic!("{what} answers {answer:?}, expected {expected:?}"),
    }
}

/// what is said of a gradient that does not fit; of its indices before its rows.
fn misfit(gradient: &Pushed, kind: Kind) -> ApplyError {
    if kind == Kind::Dense {
        return ApplyError::Shape {
            expected: [WIDTH as usize].into(),
            got: [gradient.rows.len()].into(),
        };
    }
    let outside = |&(_, (index, _)): &(usize, &(i64, f64))| !(0..WIDTH).contains(index);
    let Some((position, &(index, _))) = gradient.rows.iter().enumerate().find(outside) else {
        return ApplyError::RowShape { expected: [1].into(), got: [gradient.columns].into() };
    };
    let rows = Some(WIDTH as usize);
    SlicesError::IndexOutOfRange { position, index, rows }.into()
}

/// the mean within n · eps · sum |g|, the count and the step exactly.
fn same(taken: &Taken<Rows>, given: &Given, kind: Kind) {
    assert_eq!(taken.count, given.held.len() as u64, "gradients taken");
    assert_eq!(taken.step.get(), given.step, "the step that was closed");
    let mean = given.mean(kind);
    let close = |(got, want): (&(i64, f64), &(i64, f64, f64))| {
        got.0 == want.0 && (got.1 - want.1).abs() <= want.2
    };
    let fits = taken.value.len() == mean.len() && taken.value.iter().zip(&mean).all(close);
    assert!(fits, "the mean is {:?}, expected (with its tolerance) {mean:?}", taken.value);
}
