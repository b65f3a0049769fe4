//! A belief about one's own settings, held against the engine in random histories.
//!
//! The belief: the queue never holds more tokens than a step puts into it. The histories hold it up
//! for the defaults, and show the shortest way in which it is wrong of the reference's rules.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use engine::Settings;
use engine::test_util::proptest::prelude::*;
use engine::test_util::proptest::test_runner::{
    Config, RngAlgorithm, TestError, TestRng, TestRunner,
};
use engine::test_util::{Event, Run, Setup, event};

/// The shortest history found in which the queue holds more than `most` tokens.
fn too_many_tokens(settings: Settings, most: usize, cases: u32) -> Option<Vec<Event>> {
    let setup = Setup { settings, variables: 1, first_step: 0 };
    let histories = prop::collection::vec(event(), 1..60);
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    // The same histories in every run.
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let outcome = TestRunner::new_with_rng(config, rng).run(&histories, |events| {
        let mut run = Run::new(&setup);
        for event in &events {
            run.event(event); // panics where the engine breaks a rule of its own
            prop_assert!(run.engine().num_tokens() <= most);
        }
        Ok(())
    });
    match outcome {
        Ok(()) => None,
        Err(TestError::Fail(_, events)) => Some(events),
        Err(TestError::Abort(reason)) => panic!("no histories: {reason}"),
    }
}

fn main() {
    let defaults = Settings { total_num_replicas: Some(3), ..Settings::new(2) };
    let way = too_many_tokens(defaults.clone().reference(), 3, 4096).expect("leftovers pile up");
    println!("by the reference's rules there are more than three tokens after {way:?}");
    let none = too_many_tokens(defaults, 3, 256);
    assert!(none.is_none(), "{none:?}");
    println!("by the defaults there are in none of 256 histories");
}
