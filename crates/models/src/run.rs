//! The runner: draws histories, counts what it ran, keeps the seed of a failure.
//!
//! It knows no model. Invariant: histories that only shrink a failure are not counted.

use std::cell::Cell;
use std::fmt::{self, Debug};

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, FileFailurePersistence, TestError, TestRunner};
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest};

/// How much to run.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Histories.
    pub cases: u32,
    /// Transitions of the longest.
    pub transitions: usize,
}

/// A model by name.
pub struct Model {
    /// `crate/what`.
    pub name: &'static str,
    /// Where seeds of failures are kept.
    seeds: &'static str,
    run: fn(&mut Runner) -> Result<(), String>,
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Model").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What was run, and what failed.
#[derive(Debug)]
pub struct Report {
    /// The model's name.
    pub name: &'static str,
    /// Histories that were run, a failing one included, its shorter forms not.
    pub cases: u64,
    /// Transitions in them, as far as they were drawn.
    pub transitions: u64,
    /// The difference and the shortest history found that shows it.
    pub failure: Option<String>,
}

/// A model by its name and the `StateMachineTest` that compares it.
#[macro_export]
#[doc(hidden)]
macro_rules! model {
    ($name:literal, $test:ty) => {
        $crate::property!($name, |runner: &mut $crate::run::Runner| runner.machine::<$test>())
    };
}

/// A property by its name and a function of a runner.
#[macro_export]
#[doc(hidden)]
macro_rules! property {
    ($name:literal, $run:expr) => {
        $crate::run::Model::new(
            $name,
            concat!(env!("CARGO_MANIFEST_DIR"), "/proptest-regressions/", $name, ".txt"),
            $run,
        )
    };
}

impl Model {
    pub(crate) fn new(
        name: &'static str,
        seeds: &'static str,
        run: fn(&mut Runner) -> Result<(), String>,
    ) -> Self {
        Self { name, seeds, run }
    }

    /// Runs so many histories, or fewer when one fails.
    ///
    /// Each seed that failed before is tried first, and counts as a case.
    pub fn run(&self, size: Size) -> Report {
        let config = Config {
            cases: size.cases,
            failure_persistence: Some(Box::new(FileFailurePersistence::Direct(self.seeds))),
            source_file: Some(self.seeds),
            ..Config::default()
        };
        let mut runner = Runner { config, longest: size.transitions, cases: 0, transitions: 0 };
        let failure = (self.run)(&mut runner).err();
        let Runner { cases, transitions, .. } = runner;
        Report { name: self.name, cases, transitions, failure }
    }
}

/// One line, or for a failure `FAILED at case N: MODEL`, which programs read, and what failed.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, cases, transitions, failure } = self;
        match failure {
            None => write!(f, "model {name}: {cases} cases, {transitions} transitions"),
            Some(failure) => write!(
                f,
                "FAILED at case {cases}: {name}\n{transitions} transitions run\n{failure}"
            ),
        }
    }
}

/// One run of one model.
#[derive(Debug)]
pub struct Runner {
    config: Config,
    longest: usize,
    cases: u64,
    transitions: u64,
}

impl Runner {
    /// A state machine and the real thing, side by side.
    pub(crate) fn machine<T: StateMachineTest>(&mut self) -> Result<(), String>
    where
        <T::Reference as ReferenceStateMachine>::State: Debug,
        <T::Reference as ReferenceStateMachine>::Transition: Debug,
    {
        let histories = T::Reference::sequential_strategy(1..=self.longest);
        let config = self.config.clone();
        self.histories(
            &histories,
            |(_, transitions, _)| transitions.len(),
            |(state, transitions, seen)| {
                T::test_sequential(config.clone(), state, transitions, seen)
            },
        )
    }

    /// The length that a history may have.
    pub(crate) fn longest(&self) -> usize {
        self.longest
    }

    /// A property of drawn values, each of which has a length to be counted; it panics if broken.
    pub(crate) fn histories<S: Strategy>(
        &mut self,
        values: &S,
        len: impl Fn(&S::Value) -> usize,
        holds: impl Fn(S::Value),
    ) -> Result<(), String> {
        let (cases, transitions) = (Cell::new(0), Cell::new(0));
        let shrinking = Cell::new(false);
        let outcome = TestRunner::new(self.config.clone()).run(values, |value| {
            if !shrinking.get() {
                cases.set(cases.get() + 1);
                transitions.set(transitions.get() + len(&value) as u64);
            }
            // A panic leaves it set, and all that comes after is a shorter form of this value.
            shrinking.set(true);
            holds(value);
            shrinking.set(false);
            Ok(())
        });
        (self.cases, self.transitions) = (cases.get(), transitions.get());
        outcome.map_err(|error| match error {
            TestError::Fail(reason, shortest) => {
                format!("{reason}\nthe shortest history found: {shortest:#?}")
            }
            TestError::Abort(reason) => format!("no history could be drawn: {reason}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_broken_rule_is_found_and_shown_in_its_shortest_form() {
        // Nothing is to be kept of a failure that is expected.
        let config = Config { failure_persistence: None, ..Config::default() };
        let mut runner = Runner { config, longest: 50, cases: 0, transitions: 0 };
        let histories = prop::collection::vec(0_u8..100, 1..=runner.longest());
        let outcome = runner.histories(&histories, Vec::len, |history| {
            assert!(history.iter().all(|it| *it < 50), "a number is too large");
        });
        let failure = outcome.expect_err("half of all numbers are");
        assert!(failure.contains("a number is too large"), "{failure}");
        assert!(failure.ends_with("the shortest history found: [\n    50,\n]"), "{failure}");
        // One failure has many shorter forms, which are no cases of their own.
        assert!((1..10).contains(&runner.cases), "{} cases", runner.cases);
        assert!(runner.transitions >= runner.cases);
    }

    #[test]
    fn a_failure_is_one_line_for_programs_and_the_rest_for_people() {
        #[track_caller]
        fn check(failure: Option<&str>, expected: &str) {
            let failure = failure.map(str::to_owned);
            let report = Report { name: "crate/what", cases: 17, transitions: 90, failure };
            assert_eq!(report.to_string().lines().next(), Some(expected));
        }
        check(None, "model crate/what: 17 cases, 90 transitions");
        check(Some("left: 1\nright: 2"), "FAILED at case 17: crate/what");
    }
}
