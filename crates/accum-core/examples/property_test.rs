//! An accumulator of one's own, run against the reference model in random histories.
//!
//! The wrapper has a typical mistake: it forgets to tell stale from fresh. The model finds it and
//! shows the shortest history that does.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use accum_core::test_util::proptest::test_runner::{Config, TestError, TestRunner};
use accum_core::test_util::proptest_state_machine::{ReferenceStateMachine, StateMachineTest};
use accum_core::test_util::{Act, Against, DenseHistories, Pushed, Rows, Subject, Take};
use accum_core::{Applied, ApplyError, ConditionalAccumulator, TakeError, Taken};

/// Claims the present step for every gradient, however old it is.
struct Careless(ConditionalAccumulator<f64>);

impl Subject for Careless {
    type Histories = DenseHistories;

    fn new() -> Self {
        Self(Subject::new())
    }

    fn push(&mut self, gradient: &Pushed, _: i64) -> Result<Applied, ApplyError> {
        let now = self.0.step();
        self.0.push(gradient, now)
    }

    fn take(&mut self, required: i64) -> Take {
        self.0.take(required)
    }

    fn try_take(&mut self, required: i64) -> Result<Option<Taken<Rows>>, TakeError> {
        self.0.try_take(required)
    }

    fn set_step(&mut self, step: i64) -> i64 {
        self.0.set_step(step)
    }

    fn step(&self) -> i64 {
        self.0.step()
    }

    fn count(&self) -> u64 {
        self.0.count()
    }

    fn close(&mut self) {
        Subject::close(&mut self.0);
    }

    fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

/// The shortest history found in which `S` differs from the model, and in what.
fn first_difference<S: Subject>() -> Option<(Vec<Act>, String)> {
    let config = Config { failure_persistence: None, ..Config::default() };
    let histories = S::Histories::sequential_strategy(1..40);
    let outcome = TestRunner::new(config.clone()).run(&histories, |(state, acts, seen)| {
        Against::<S>::test_sequential(config.clone(), state, acts, seen);
        Ok(())
    });
    match outcome {
        Ok(()) => None,
        Err(TestError::Fail(reason, (_, acts, _))) => Some((acts, reason.to_string())),
        Err(TestError::Abort(reason)) => panic!("no histories: {reason}"),
    }
}

fn main() {
    // The failing runs panic inside; what they say is in the outcome.
    std::panic::set_hook(Box::new(|_| {}));
    let careless = first_difference::<Careless>();
    let plain = first_difference::<ConditionalAccumulator<f64>>();
    drop(std::panic::take_hook());

    let (acts, reason) = careless.expect("the mistake is found");
    println!("the careless wrapper differs after {} act(s): {acts:?}\n{reason}", acts.len());
    assert!(plain.is_none(), "{plain:?}");
    println!("the accumulator itself keeps every rule");
}
