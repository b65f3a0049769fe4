//! A belief about hooks, held against the model of a session's life in random histories.
//!
//! The belief: every hook that has begun is told of the end. The histories show the shortest life
//! in which it is wrong, and that a monitored session lives as the model says.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use hooks::test_util::proptest::prelude::*;
use hooks::test_util::proptest::test_runner::{Config, TestError, TestRunner};
use hooks::test_util::proptest_state_machine::{ReferenceStateMachine, StateMachineTest};
use hooks::test_util::{Act, LifeModel, LifeTest, Lives};

fn runner() -> TestRunner {
    TestRunner::new(Config { failure_persistence: None, ..Config::default() })
}

/// Every call from the start to the close.
fn calls(mut life: LifeModel, acts: &[Act]) -> Vec<String> {
    let mut calls = life.calls().to_vec();
    for act in acts.iter().chain([&Act::Close(Vec::new())]) {
        life.apply(act);
        calls.extend_from_slice(life.calls());
    }
    calls
}

/// The shortest life found in which a hook has begun and sees no end.
fn without_end() -> Option<Vec<String>> {
    let outcome = runner().run(&Lives::sequential_strategy(1..20), |(life, acts, _)| {
        let calls = calls(life, &acts);
        let times = |call: &str| calls.iter().filter(|made| *made == call).count();
        prop_assert_eq!(times("a.begin"), times("a.end"));
        Ok(())
    });
    match outcome {
        Ok(()) => None,
        Err(TestError::Fail(_, (life, acts, _))) => Some(calls(life, &acts)),
        Err(TestError::Abort(reason)) => panic!("no histories: {reason}"),
    }
}

fn main() {
    let calls = without_end().expect("a failure skips the end");
    println!("no end in this life: {}", calls.join(" "));
    let real = runner().run(&Lives::sequential_strategy(1..20), |(life, acts, seen)| {
        LifeTest::test_sequential(Config::default(), life, acts, seen);
        Ok(())
    });
    assert!(real.is_ok(), "{real:?}");
    println!("a monitored session makes the model's calls");
}
