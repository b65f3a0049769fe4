//! A line of one's own, run against the reference model of the queue in random histories.
//!
//! It has a typical mistake: the newest token goes out first. The model finds it and shows the
//! shortest history that does.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::collections::VecDeque;

use token_queue::test_util::proptest::prelude::*;
use token_queue::test_util::proptest::test_runner::{Config, TestError, TestRunner};
use token_queue::test_util::{Answer, Op, QueueModel, Returned};

/// The shortest history found in which `take` gives another token than the model, and which.
fn first_difference(take: fn(&mut VecDeque<i64>) -> Option<i64>) -> Option<(Vec<Op>, String)> {
    let put = (1_usize..4).prop_map(|n| Op::Put { n, same: false });
    let histories = prop::collection::vec(prop_oneof![put, Just(Op::TryTake)], 1..40);
    let config = Config { failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&histories, |ops| {
        let (mut model, mut line) = (QueueModel::new(None), VecDeque::new());
        for op in ops {
            model.apply(&op);
            if let Op::Put { n, .. } = op {
                line.extend(model.last_offered(n));
            } else {
                let steps = take(&mut line).into_iter().collect();
                let taken = Answer::Call(Some(Returned { steps, closed: false, left: 0 }));
                prop_assert_eq!(&taken, model.answer());
            }
        }
        Ok(())
    });
    match outcome {
        Ok(()) => None,
        Err(TestError::Fail(reason, ops)) => Some((ops, reason.to_string())),
        Err(TestError::Abort(reason)) => panic!("no histories: {reason}"),
    }
}

fn main() {
    let (ops, reason) = first_difference(VecDeque::pop_back).expect("the mistake is found");
    println!("newest first differs after {ops:?}\n{reason}");
    let plain = first_difference(VecDeque::pop_front);
    assert!(plain.is_none(), "{plain:?}");
    println!("oldest first keeps the order");
}
