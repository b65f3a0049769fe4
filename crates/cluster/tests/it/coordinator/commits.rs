//! Which contributions count: staged everywhere, of this life, and once.

use super::{FIRST, STEP, check};

/// P-11, P-15: a contribution counts once, however often it comes.
#[test]
fn commit() {
    check(
        "twice in its step",
        (1, 1, 1),
        &[
            FIRST,
            STEP,
            ("commit 0 1 @0", &["discard 0.1", "0 accepted 1"]),
            ("applied", &["0 granted 2 @1", "made @1"]),
            ("commit 0 1 @0", &["discard 0.1", "0 accepted 1"]),
            ("commit 0 2 @1", &["admit 0.2", "apply @2", "0 accepted 2"]),
        ],
    );
    check(
        "one that was never granted",
        (1, 1, 1),
        &[FIRST, ("commit 0 2 @0", &["0 refused 2"]), STEP],
    );
    check(
        "a piece of work that was given up does not count later",
        (1, 2, 1),
        &[
            FIRST,
            ("give_up 0 1", &["0 gave up 1", "0 granted 2 @0"]),
            ("commit 0 1 @0", &["discard 0.1", "0 refused 1"]),
            ("commit 0 2 @0", &["admit 0.2", "apply @1", "0 accepted 2"]),
        ],
    );
    check(
        "one that is late is stale",
        (1, 2, 1),
        &[
            FIRST,
            ("hello 1 1", &["1 welcome 1.1", "1 granted 1 @0"]),
            STEP,
            ("applied", &["0 granted 2 @1", "made @1"]),
            ("commit 1 1 @0", &["discard 1.1", "1 stale 1", "1 granted 2 @1"]),
        ],
    );
    check(
        "from an earlier generation",
        (1, 1, 1),
        &[
            FIRST,
            ("restore 0 1", &[]),
            ("commit 0 1 @0", &["0 join again"]),
            ("hello 0 1", &["0 welcome 2.2", "0 granted 1 @0"]),
            STEP,
        ],
    );
}

/// P-11: a replica's word is not enough; every server's receipt is asked for, of this very life.
#[test]
fn commits_of_what_is_not_staged() {
    let refused: &[&str] = &["discard 0.1", "0 refused 1"];
    let again = ("hello 0 2", &["0 welcome 1.2", "discard 0.*", "0 granted 1 @0"] as &[&str]);
    check(
        "all servers but one hold it",
        (1, 1, 3),
        &[FIRST, ("stage 0 1 0", &[]), ("stage 0 1 2", &[]), ("claim 0 1 @0", refused)],
    );
    check(
        "one server held what an earlier life sent",
        (1, 1, 2),
        &[FIRST, ("stage 0 1 1", &[]), again, ("stage 0 1 0", &[]), ("claim 0 1 @0", refused)],
    );
    check(
        "all hold it, in the end",
        (1, 1, 2),
        &[
            FIRST,
            ("stage 0 1 1", &[]),
            again,
            ("stage 0 1 0", &[]),
            ("stage 0 1 1", &[]),
            ("claim 0 1 @0", STEP.1),
            // What was pushed is answered again, whatever is shown.
            ("stage 0 2 1", &[]),
            ("claim 0 1 @0", &["discard 0.1", "0 accepted 1"]),
        ],
    );
}

/// Commits that no replica sends.
#[test]
fn commits_of_nonsense() {
    check(
        "one that waits for its token",
        (1, 1, 1),
        &[
            FIRST,
            STEP,
            ("commit 0 2 @0", &["0 refused 2"]),
            ("applied", &["0 granted 2 @1", "made @1"]),
        ],
    );
    check(
        "more examples than can be counted",
        (1, 1, 1),
        &[
            FIRST,
            ("commit 0 1 @0 18446744073709551615", &["admit 0.1", "apply @1", "0 accepted 1"]),
            ("applied", &["0 granted 2 @1", "made @1"]),
            ("commit 0 2 @1 18446744073709551615", &["admit 0.2", "apply @2", "0 accepted 2"]),
        ],
    );
}
