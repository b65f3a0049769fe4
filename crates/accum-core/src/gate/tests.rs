//! The gate's rules, as a table of moves.

use super::*;

enum Do {
    Admit(i64, bool),
    Close(u64, Option<(i64, u64)>),
    Set(i64),
    Undo(bool),
}
use Do::{Admit, Close, Set, Undo};

#[track_caller]
fn check(moves: &[Do], step: i64, count: u64) {
    let mut gate = Gate::new();
    let mut last = None;
    for each in moves {
        match *each {
            Admit(local, accepted) => {
                assert_eq!(gate.judge(local).is_fresh(), accepted);
                assert_eq!(gate.admit(local).is_accepted(), accepted);
            }
            Close(n, expected) => {
                let n = NonZeroU64::new(n).expect("tables ask for one or more");
                let closed = gate.try_close(n).expect("no table is near the last step");
                assert_eq!(closed.map(|c| (c.step.get(), c.count)), expected);
                last = closed.or(last);
            }
            Set(step) => {
                let before = gate.step();
                assert_eq!(gate.set_step(step), before);
            }
            Undo(moved) => {
                assert_eq!(gate.undo_close(last.take().expect("closed before")), moved);
            }
        }
    }
    assert_eq!((gate.step().get(), gate.count()), (step, count));
}

#[test]
fn accepts_the_same_step_and_later_ones() {
    //
    check(&[Admit(0, true), Admit(99, true), Admit(-1, false)], 0, 2);
    check(&[Set(-3), Admit(-3, true), Admit(-4, false)], -3, 1);
}

#[test]
fn closes_with_what_is_there() {
    // the actual count, and one step whatever it was.
    check(&[Close(1, None)], 0, 0);
    check(&[Admit(0, true), Admit(0, true), Admit(0, true), Close(2, Some((0, 3)))], 1, 0);
    check(&[Admit(0, true), Close(2, None), Admit(0, true), Close(2, Some((0, 2)))], 1, 0);
}

#[test]
fn setting_the_step_keeps_the_count() {
    //
    check(&[Admit(0, true), Set(47), Admit(46, false), Close(1, Some((47, 1)))], 48, 0);
    check(&[Set(10), Set(3), Admit(3, true)], 3, 1);
}

#[test]
fn undoing_a_close_takes_the_step_back_unless_it_moved() {
    check(&[Admit(0, true), Close(1, Some((0, 1))), Undo(true)], 0, 1);
    check(&[Admit(0, true), Close(1, Some((0, 1))), Admit(1, true), Undo(true)], 0, 2);
    check(&[Admit(0, true), Close(1, Some((0, 1))), Set(7), Undo(false)], 7, 1);
}

#[test]
fn the_last_step_is_an_error_that_changes_nothing() {
    let mut gate = Gate::new();
    gate.set_step(i64::MAX);
    assert!(gate.admit(i64::MAX).is_accepted());
    let before = gate.clone();
    assert_eq!(
        gate.try_close(NonZeroU64::MIN),
        Err(StepOverflow { step: GlobalStep::new(i64::MAX) })
    );
    assert_eq!(gate, before);
}
