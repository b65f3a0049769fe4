//! P-26: one process at a time has a replica's place, and no number or clock orders two.

use super::{ENDED, FIRST, Lines, STEP, check};

const OLD: &str = "0 not admitted: this connection of replica 0 is open already, or a later one is";
const HELD: &str = "0 not admitted: another process has the place of replica 0 and is connected; \
                    the place is free once its connection is closed or its lease ends";
const REPLACED: &str = "0 not admitted: another process has taken the place of replica 0; end one \
                        of the two if both run";
/// What a process hears that takes the place of one that lived.
const TAKEN: &[&str] = &["0 welcome 1.2", "discard 0.*", "0 granted 1 @0"];

/// A history of the one replica of a training.
#[track_caller]
fn alone(name: &str, lines: Lines<'_>) {
    check(name, (1, 1, 1), lines);
}

#[test]
fn a_place_that_is_held() {
    alone(
        "an earlier connection of the same process",
        &[("hello 0 5", FIRST.1), ("hello 0/0 5", &[OLD]), ("hello 0/0 4", &[OLD]), STEP],
    );
    alone(
        "a process with a large number, or a small one",
        &[FIRST, ("hello 0 18446744073709551615.1", &[HELD]), ("hello 0 0.9", &[HELD]), STEP],
    );
    alone(
        "after the end whoever is connected fetches its variables in peace",
        &[("last_step 1", &[]), FIRST, STEP, ("applied", ENDED), ("hello 0 2.1", &[HELD])],
    );
}

#[test]
fn a_place_that_is_free() {
    alone(
        "a process that is started again, where the earlier one has died",
        &[FIRST, ("lost 0", &[]), ("hello 0 2.1", TAKEN), STEP, ("hello 0/0 2", &[REPLACED])],
    );
    alone(
        "not by what the same process had sent before it connected anew",
        &[("hello 0 5", FIRST.1), ("lost 0", &[]), ("hello 0/0 4", &[OLD]), STEP],
    );
    alone(
        "when the lease ends of one that nobody hears of",
        &[
            FIRST,
            ("wait 4", &[]),
            ("hello 0 2.1", &[HELD]),
            ("wait 1", &["discard 0.*"]),
            ("hello 0 2.1", &["0 welcome 1.2", "0 granted 1 @0"]),
            // Its ticket helps the other as little as a larger number of a connection.
            ("hello 0/0 2", &[REPLACED]),
            ("hello 0/0 1.99", &[REPLACED]),
            STEP,
        ],
    );
    alone(
        "of one that was away for longer than its lease, and that nobody has replaced",
        &[
            FIRST,
            ("wait 5", &["discard 0.*"]),
            ("hello 0/0 2", &["0 welcome 1.2", "0 granted 1 @0"]),
            STEP,
        ],
    );
    alone(
        "of one with the largest numbers that there are",
        &[
            ("hello 0 18446744073709551615.18446744073709551615", FIRST.1),
            ("lost 0", &[]),
            ("hello 0 1.1", TAKEN),
            STEP,
        ],
    );
    alone(
        "a restore remembers who was replaced",
        &[
            FIRST,
            ("lost 0", &[]),
            ("hello 0 2.1", TAKEN),
            ("restore 0 1", &[]),
            ("hello 0 2", &[REPLACED]),
            ("hello 0 2.2", &["0 welcome 2.3", "0 granted 1 @0"]),
        ],
    );
}
