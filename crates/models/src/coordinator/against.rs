//! A [`Coordinator`] run beside the model: answers, stops, errors and callbacks must be the same.
//!
//! No thread is started. Invariant: no call is made that the model says would wait.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hooks::{Coordinator, JoinError, OnStop, Registration, Reported, RunError};
use proptest_state_machine::StateMachineTest;

use super::{Answer, CoordinatorAct, CoordinatorModel, Coordinators, Told};

/// The test of a coordinator, for
/// [`prop_state_machine!`](proptest_state_machine::prop_state_machine).
#[derive(Debug)]
pub struct CoordinatorTest;

/// A coordinator in the middle of a history.
#[derive(Debug, Default)]
pub struct Under {
    coordinator: Coordinator,
    threads: Vec<Registration>,
    callbacks: Vec<(OnStop, Arc<AtomicU64>)>,
    registered: usize,
}

fn error(told: Told) -> RunError {
    match told {
        Told::Clean => RunError::EndOfInput,
        Told::Lost(number) => RunError::recoverable(format!("loss {number}")),
        Told::Failed(number) => RunError::fatal(format!("error {number}")),
    }
}

/// The words that tell one error from another: a loss has them in its cause.
fn words(error: &(dyn Error + 'static)) -> String {
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}

impl Under {
    fn act(&mut self, act: &CoordinatorAct, would_wait: bool) -> Answer {
        match *act {
            CoordinatorAct::RequestStop(number) => {
                self.coordinator.request_stop(format!("reason {number}"));
            }
            CoordinatorAct::Report(told) => {
                return match self.coordinator.request_stop_with_error(error(told)) {
                    Reported::First => Answer::First,
                    Reported::Clean => Answer::Clean,
                    Reported::Late(back) => Answer::Late(words(&*back)),
                    Reported::Joined(back) => Answer::AfterJoin(words(&*back)),
                    other => panic!("the model does not know {other:?}"),
                };
            }
            CoordinatorAct::Register => {
                let name = format!("thread {}", self.registered);
                self.registered += 1;
                self.threads.push(self.coordinator.register(name));
            }
            CoordinatorAct::End(nth, told) => {
                if let Some(place) = nth.checked_rem(self.threads.len()) {
                    let thread = self.threads.remove(place);
                    thread.run(|_| told.map_or(Ok(()), |told| Err(error(told))));
                }
            }
            CoordinatorAct::OnStop => {
                let times = Arc::new(AtomicU64::new(0));
                let count = Arc::clone(&times);
                let callback = move || {
                    count.fetch_add(1, Ordering::SeqCst);
                };
                self.callbacks.push((self.coordinator.on_stop(callback), times));
            }
            CoordinatorAct::TakeOut(nth) => {
                if let Some(place) = nth.checked_rem(self.callbacks.len()) {
                    drop(self.callbacks.remove(place));
                }
            }
            CoordinatorAct::Join { .. } if would_wait => {}
            CoordinatorAct::Join { leaving } => return self.join(leaving),
        }
        Answer::Nothing
    }

    fn join(&self, leaving: bool) -> Answer {
        let joined = if leaving {
            self.coordinator.join_leaving(Duration::ZERO).map(Answer::Left)
        } else {
            self.coordinator.join(Duration::ZERO).map(|()| Answer::Joined)
        };
        match joined {
            Ok(joined) => joined,
            Err(JoinError::Failed(error)) => Answer::Failed(words(error.as_ref())),
            Err(JoinError::StillRunning { names, grace }) => {
                assert_eq!(grace, Duration::ZERO, "how long they were given");
                Answer::StillRunning(names)
            }
            Err(other) => panic!("the model does not know {other:?}"),
        }
    }

    fn check(&self, model: &CoordinatorModel) {
        let it = &self.coordinator;
        assert_eq!(it.should_stop(), model.should_stop(), "whether there is a stop");
        let woken = it.wait_for_stop(Duration::ZERO);
        assert_eq!(woken, model.should_stop(), "whether a wait for the stop ends");
        assert_eq!(it.is_ending(), model.is_ending(), "whether the run ends");
        let (reason, failure) = (it.stop_reason(), it.first_error());
        let failure = failure.map(|error| words(error.as_ref()));
        assert_eq!((reason.as_deref(), failure.as_deref()), model.kept(), "what is kept");
        let times = self.callbacks.iter().map(|(_, times)| times.load(Ordering::SeqCst));
        assert_eq!(times.collect::<Vec<_>>(), model.callbacks(), "how often each was called");
    }
}

impl StateMachineTest for CoordinatorTest {
    type SystemUnderTest = Under;
    type Reference = Coordinators;

    fn init_test(_: &CoordinatorModel) -> Under {
        Under::default()
    }

    fn apply(mut run: Under, after: &CoordinatorModel, act: CoordinatorAct) -> Under {
        // A join changes nothing that decides whether it would wait.
        assert_eq!(&run.act(&act, after.waits()), after.answer(), "the answer");
        run.check(after);
        run
    }

    /// The threads end, and what a join without a time limit would wait for is over.
    fn teardown(mut run: Under, mut model: CoordinatorModel) {
        while model.waits() {
            let end = CoordinatorAct::End(0, None);
            model.apply(&end);
            run = Self::apply(run, &model, end);
        }
        let join = CoordinatorAct::Join { leaving: false };
        model.apply(&join);
        Self::apply(run, &model, join);
    }
}
