//! The coordinator by itself: each message, once, twice, late or from an earlier life.
//!
//! Tables of histories; random ones are in [`histories`].

mod commits;
mod histories;
mod leaving;
mod place;
mod rig;
mod skipped;
mod times;

use rig::Rig;
use sync_replicas::checkpoint::Tested;
use sync_replicas::engine::{Settings, SummationOrder};

type Lines<'a> = &'a [(&'a str, &'a [&'a str])];

/// A history of A of N replicas over some shards: each line, and all that comes of it.
#[track_caller]
fn check(name: &str, (aggregate, total, shards): (usize, usize, usize), lines: Lines<'_>) {
    let mut rig = Rig::new(aggregate, total, shards);
    for (at, (line, expected)) in lines.iter().enumerate() {
        let got = rig.run(line);
        assert_eq!(got, *expected, "{name}, line {at}: {line}");
    }
}

const FIRST: (&str, &[&str]) = ("hello 0 1", &["0 welcome 1.1", "0 granted 1 @0"]);
const STEP: (&str, &[&str]) = ("commit 0 1 @0", &["admit 0.1", "apply @1", "0 accepted 1"]);

const ENDED: &[&str] = &["0 granted 2 @1", "made @1", "ended: step 1 was reached"];

/// P-9, P-15: who comes, who comes back, and who is too late.
#[test]
fn hello() {
    let one = (1, 1, 1);
    check("a first life begins at once", one, &[FIRST, STEP]);
    check(
        "a ticket goes on where it was",
        one,
        &[FIRST, ("hello 0/0 2", &["0 welcome 1.1"]), ("ask 0 1", &["0 granted 1 @0"])],
    );
    check(
        "a process that begins anew ends its earlier life, whose token comes back",
        one,
        &[
            FIRST,
            ("hello 0 2", &["0 welcome 1.2", "discard 0.*", "0 granted 1 @0"]),
            ("commit 0/0 1 @0", &["0 join again"]),
            STEP,
        ],
    );
    check(
        "nobody joins after the end",
        one,
        &[
            ("last_step 1", &[]),
            FIRST,
            STEP,
            ("applied", ENDED),
            ("hello 0 2", &["0 refused: training has ended; no replica can join", "discard 0.*"]),
        ],
    );
}

/// P-13, P-22: of a step hear those who work on an earlier one, at every step until they have done,
/// and no others.
#[test]
fn in_vain() {
    let join = ("hello 1 1", &["1 welcome 1.1", "1 granted 1 @0"] as &[&str]);
    let made = ("applied", &["0 granted 2 @1", "made @1", "1 in vain"] as &[&str]);
    let next = ("commit 0 2 @1", &["admit 0.2", "apply @2", "0 accepted 2"] as &[&str]);
    let alone = ("applied", &["0 granted 3 @2", "made @2"] as &[&str]);
    let two = (1, 2, 1);
    let again = ("applied", &["0 granted 3 @2", "made @2", "1 in vain"] as &[&str]);
    check("as long as it works", two, &[FIRST, join, STEP, made, next, again]);
    let gives_up = ("give_up 1 1", &["1 gave up 1", "1 granted 2 @1"] as &[&str]);
    check("on the newest step it is not", two, &[FIRST, join, STEP, made, gives_up]);
    let leaves = ("leave_for_now 1", &["discard 1.*", "1 left"] as &[&str]);
    check("nobody is there any more", two, &[FIRST, join, STEP, made, leaves, next, alone]);
    let restored = [
        FIRST,
        join,
        ("restore 0 1", &[]),
        ("hello 0 2", &["0 welcome 2.2", "0 granted 1 @0"]),
        STEP,
        ("applied", &["0 granted 2 @1", "made @1"]),
    ];
    check("it worked in an earlier life", two, &restored);
    let settings = Settings { total_num_replicas: Some(2), ..Settings::new(1) };
    let mut rig = Rig::of(Settings { tell_superseded: false, ..settings }, 1);
    [FIRST, join, STEP].into_iter().for_each(|(line, _)| drop(rig.run(line)));
    assert_eq!(rig.run("applied"), ["0 granted 2 @1", "made @1"], "where nobody is to be told");
}

/// P-15: a token that is asked for again is the same one.
#[test]
fn ask_and_give_up() {
    check(
        "asked twice",
        (1, 1, 1),
        &[
            FIRST,
            ("ask 0 1", &["0 granted 1 @0"]),
            ("ask 0 1", &["0 granted 1 @0"]),
            STEP,
            ("ask 0 1", &[]),
            ("ask 0 2", &[]),
            ("ask 0 2", &[]),
            ("applied", &["0 granted 2 @1", "made @1"]),
        ],
    );
    check(
        "given up twice",
        (1, 1, 1),
        &[
            FIRST,
            ("give_up 0 1", &["0 gave up 1", "0 granted 2 @0"]),
            ("give_up 0 1", &["0 gave up 1"]),
            ("commit 0 2 @0", &["admit 0.2", "apply @1", "0 accepted 2"]),
        ],
    );
    // Its answer was lost with a line, over whose successor the replica asks.
    check(
        "asked for after it was given up",
        (1, 2, 1),
        &[
            FIRST,
            ("give_up 0 1", &["0 gave up 1", "0 granted 2 @0"]),
            ("ask 0 1", &["0 gave up 1"]),
            ("ask 0 2", &["0 granted 2 @0"]),
        ],
    );
    check(
        "with the ticket of an earlier life",
        (1, 1, 1),
        &[
            FIRST,
            ("hello 0 2", &["0 welcome 1.2", "discard 0.*", "0 granted 1 @0"]),
            ("ask 0/0 1", &["0 join again"]),
            ("give_up 0/0 1", &["0 join again"]),
            STEP,
        ],
    );
}

/// P-5: in replica order a batch goes to another replica when one has failed at it, but not for
/// ever.
#[test]
fn a_deadly_batch_is_tried_by_three_and_named() {
    #[track_caller]
    fn check(order: SummationOrder, expected: &[&str]) {
        let mut rig = Rig::ordered(order, (1, 4, 1));
        for line in ["hello 0 1", "hello 1 1", "hello 2 1", "hello 3 1", "fail 0", "fail 1"] {
            assert!(!rig.run(line).join(" ").contains("failed:"), "{line}");
        }
        assert_eq!(rig.run("fail 2"), expected);
    }
    let named = "failed: batch 0 made 3 replicas fail, so no other one tries it; mend it or the \
                 model, or leave it out: why";
    check(SummationOrder::Replica, &["discard 2.*", "2 left", named]);
    check(SummationOrder::Arrival, &["discard 2.*", "2 left"]);
}

/// P-2, P-6: training ends once nobody is left, and not before.
#[test]
fn leave() {
    check(
        "all data has ended",
        (1, 2, 1),
        &[
            FIRST,
            ("hello 1 1", &["1 welcome 1.1", "1 granted 1 @0"]),
            ("leave 0", &["discard 0.*", "0 left"]),
            ("leave 0", &["0 left"]),
            ("leave 1", &["discard 1.*", "1 left", "ended: every replica has left"]),
        ],
    );
    check(
        "one failed, the other's data ended",
        (1, 2, 1),
        &[
            FIRST,
            ("hello 1 1", &["1 welcome 1.1", "1 granted 1 @0"]),
            ("fail 0", &["discard 0.*", "0 left"]),
            ("leave 1", &["discard 1.*", "1 left", "ended: every replica has left"]),
        ],
    );
    check(
        "who was taken for dead may leave all the same",
        (1, 1, 1),
        &[
            FIRST,
            ("wait 6", &["discard 0.*"]),
            ("leave 0", &["0 left", "ended: every replica has left"]),
        ],
    );
    check(
        "who left before a restore has left",
        (1, 2, 1),
        &[
            FIRST,
            ("leave 0", &["discard 0.*", "0 left"]),
            ("restore 0 1", &[]),
            ("hello 1 1", &["1 welcome 2.1", "1 granted 1 @0"]),
            ("leave 1", &["discard 1.*", "1 left", "ended: every replica has left"]),
        ],
    );
    check(
        "the leave of an earlier life is late",
        (1, 1, 1),
        &[
            FIRST,
            ("hello 0 2", &["0 welcome 1.2", "discard 0.*", "0 granted 1 @0"]),
            ("leave 0/0", &["0 left"]),
            STEP,
        ],
    );
}

/// P-5: whoever is silent for a lease gives its token back; whoever says that it lives does not.
#[test]
fn alive_and_tick() {
    check(
        "silent",
        (1, 2, 1),
        &[
            FIRST,
            ("wait 3", &[]),
            ("hello 1 1", &["1 welcome 1.1", "1 granted 1 @0"]),
            ("wait 3", &["discard 0.*"]),
            ("commit 0 1 @0", &["0 join again"]),
            ("commit 1 1 @0", &["admit 1.1", "apply @1", "1 accepted 1"]),
            ("applied", &["1 granted 2 @1", "made @1"]),
        ],
    );
    // It may be waiting for a token that will not come: nothing else would tell it.
    check(
        "taken for dead while it waits",
        (2, 2, 1),
        &[
            FIRST,
            ("commit 0 1 @0", &["admit 0.1", "0 accepted 1"]),
            ("wait 6", &["discard 0.*"]),
            ("alive 0", &["0 join again"]),
            ("hello 0 2", &["0 welcome 1.2", "0 granted 1 @0"]),
            ("alive 0/0", &["0 join again"]),
            ("alive 0", &[]),
        ],
    );
    check(
        "alive",
        (1, 1, 1),
        &[
            FIRST,
            ("wait 3", &[]),
            ("alive 0", &[]),
            ("wait 3", &[]),
            ("alive 0", &[]),
            ("wait 3", &[]),
            STEP,
        ],
    );
}

/// the step is made once every shard has applied, and not twice.
#[test]
fn applied() {
    check(
        "by three shards",
        (1, 1, 3),
        &[
            FIRST,
            ("one_applied", &[]),
            STEP,
            ("one_applied", &[]),
            ("one_applied", &[]),
            ("one_applied", &["0 granted 2 @1", "made @1"]),
            ("one_applied", &[]),
        ],
    );
    check(
        "the last step is exact",
        (2, 2, 1),
        &[
            ("last_step 1", &[]),
            FIRST,
            ("hello 1 1", &["1 welcome 1.1", "1 granted 1 @0"]),
            ("commit 0 1 @0", &["admit 0.1", "0 accepted 1"]),
            ("commit 1 1 @0", &["admit 1.1", "apply @1", "1 accepted 1"]),
            (
                "applied",
                &["0 granted 2 @1", "1 granted 2 @1", "made @1", "ended: step 1 was reached"],
            ),
            ("commit 0 2 @1", &["discard 0.2"]),
        ],
    );
    check(
        "a report of before the restore",
        (1, 1, 2),
        &[
            FIRST,
            STEP,
            ("one_applied", &[]),
            ("restore 0 1", &[]),
            ("one_applied", &[]),
            ("hello 0 2", &["0 welcome 2.2", "0 granted 1 @0"]),
            STEP,
            ("one_applied", &[]),
            ("one_applied", &["0 granted 2 @1", "made @1"]),
        ],
    );
}

/// P-25: nothing of a step is made whose loss or update is not finite.
#[test]
fn not_finite() {
    let failed = "failed: the loss was NaN at global step 1; try a lower learning rate or clipping";
    let guard = ("nan_guard", &[][..]);
    let bad = "commit 0 1 @0 1 NaN";
    check(
        "the guard ends training before the update",
        (1, 1, 2),
        &[guard, FIRST, (bad, &["admit 0.1", "0 accepted 1", failed]), ("applied", &[])],
    );
    check("nobody looks unasked", (1, 1, 1), &[FIRST, (bad, STEP.1)]);
    check(
        "an update that is not finite is not made, whatever the other shards did",
        (1, 1, 2),
        &[
            FIRST,
            STEP,
            ("one_applied", &[]),
            ("not_finite", &["failed: w"]),
            ("hello 0 2", &["0 refused: training has ended; no replica can join", "discard 0.*"]),
        ],
    );
}

/// P-25: the losses tell which checkpoints are good, those of before the end as well.
#[test]
fn tested() {
    #[track_caller]
    fn check(lines: &[&str], expected: Option<&[(i64, bool)]>) {
        let mut rig = Rig::new(1, 1, 1);
        for line in lines {
            rig.run(line);
        }
        let expected = expected.map(|losses| {
            let mut tested = Tested::default();
            losses.iter().for_each(|&(step, finite)| tested.loss(step, finite));
            tested
        });
        assert_eq!(rig.coordinator.tested_when_not_finite(), expected, "{lines:?}");
    }
    let steps = ["nan_guard", "hello 0 1", "commit 0 1 @0", "applied"];
    let with = |more: &[&'static str]| [&steps[..], more].concat();
    check(&steps, None);
    check(&with(&["commit 0 2 @1 1 inf"]), Some(&[(0, true), (1, false)]));
    check(&with(&["commit 0 2 @1", "not_finite"]), Some(&[(1, true)]));
    check(&with(&["leave 0", "not_finite"]), None);
    check(&with(&["commit 0 2 @1 1 inf", "restore 0 1"]), None);
}
