//! A replica leaves, or training ends.

use super::pushes::{SENT, STAGED};
use super::{Lines, ONE, TWO, check};

/// It waits for its second token.
const WAITS: Lines<'static> =
    &[("give_up", &["0 give_up 1"]), ("step", &[]), ("gave_up 0 1", &["0 ask 2"])];

/// P-2, P-6: the coordinator is told for a moment, and over one more connection.
#[test]
fn leave() {
    for (verb, said) in
        [("leave", "0 leave"), ("fail", "0 fail: why"), ("leave_for_now", "0 leave_for_now")]
    {
        check(verb, 1, &[ONE, &[(verb, &[said]), ("left 0", &["0 closed", "has left"])]]);
    }
    check(
        "in the middle of a push",
        1,
        &[
            ONE,
            &[
                ("push", &["0 pull after 1@0", "0 gradients 1", "0 commit 1 of 0"]),
                ("leave_for_now", &["0 leave_for_now"]),
                ("accepted 0 1", &["0 ask 2"]),
                ("left 0", &["0 closed", "has left"]),
            ],
        ],
    );
    check(
        "nobody answers",
        1,
        &[ONE, &[("leave", &["0 leave"]), ("wait 999", &[]), ("wait 1", &["has left"])]],
    );
    check(
        "over a connection that breaks",
        1,
        &[
            ONE,
            &[
                ("leave", &["0 leave"]),
                ("wait 900", &[]),
                ("lost 0", &["0 closed", "0 hello 2 as 1.1"]),
                ("wait 900", &[]),
                ("connected 0", &[]),
                ("welcome 0 1.1 @0", &["0 ask 1", "0 leave"]),
                ("lost 0", &["0 closed", "has left"]),
            ],
        ],
    );
    check(
        "while nobody is there",
        1,
        &[
            ONE,
            WAITS,
            &[
                ("lost 0", &["0 closed", "0 hello 2 as 1.1"]),
                ("failed 0", &[]),
                ("leave", &["0 hello 3 as 1.1"]),
                ("failed 0", &["0 hello 4 as 1.1"]),
                ("failed 0", &["has left"]),
            ],
        ],
    );
    check("whoever never joined", 1, &[&[("leave", &["has left"])]]);
    check("before it is welcome", 1, &[&[("step", &["0 hello 1"]), ("leave", &["has left"])]]);
    check(
        "training ends meanwhile",
        1,
        &[ONE, &[("leave", &["0 leave"]), ("ended 0 @1", &["has left"])]],
    );
}

/// P-1, P-2: training ends, and the variables of its last step are fetched.
#[test]
fn end_of_training() {
    check(
        "in good order",
        2,
        &[
            TWO,
            WAITS,
            &[
                ("ended 0 @3", &["training has ended"]),
                ("step", &["training has ended"]),
                ("last_values", &["0 pull after 1@0", "1 pull after 1@0"]),
                ("values 0 1@3", &[]),
                ("values 1 1@2", &["1 pull after 1@2"]),
                ("values 1 1@3", &["has them"]),
            ],
        ],
    );
    check("that failed", 1, &[ONE, WAITS, &[("broke_off 0 @3", &["training failed"])]]);
    check(
        "what is here is the last",
        1,
        &[ONE, WAITS, &[("ended 0 @0", &["training has ended"]), ("last_values", &["has them"])]],
    );
}

/// A server that does not coordinate tells of the end first.
const FORETOLD: Lines<'static> = &[("ended 1 @1", &[])];

const LEAVES: Lines<'static> = &[("leave", &["0 leave"])];

/// P-1, P-7: whichever server is first to tell of the end, what the coordinator has said before it
/// did is heard, as long as it can be.
#[test]
fn last_words() {
    check(
        "of the last push",
        2,
        &[
            TWO,
            SENT,
            STAGED,
            FORETOLD,
            &[
                ("accepted 0 1", &["0 ask 2", "accepted"]),
                ("step", &[]),
                ("granted 0 2 @1", &[]),
                ("ended 0 @1", &["training has ended"]),
                // Asked for with the push.
                ("last_values", &[]),
                ("values 0 1@1", &[]),
                ("values 1 1@1", &["has them"]),
            ],
        ],
    );
    check(
        "while it computes",
        2,
        &[
            TWO,
            &[
                ("ended 1 @1", &["ended(globalstep(1))"]),
                ("give_up", &["0 give_up 1"]),
                ("step", &[]),
                ("ended 0 @1", &["training has ended"]),
            ],
        ],
    );
    check("to one that leaves", 2, &[TWO, LEAVES, FORETOLD, &[("ended 0 @1", &["has left"])]]);
}

/// P-28: the end is not waited for where the coordinator cannot tell of it.
#[test]
fn no_last_words() {
    check(
        "the coordinator died",
        2,
        &[
            TWO,
            SENT,
            STAGED,
            FORETOLD,
            &[
                ("lost 0", &["0 closed", "training has ended"]),
                ("last_values", &["0 hello 3 as 1.1"]),
                ("values 1 1@1", &[]),
                ("failed 0", &[]),
                ("wait 5000", &["0 hello 4 as 1.1"]),
                ("wait 5000", &["has them not"]),
            ],
        ],
    );
    check(
        "the coordinator was away",
        2,
        &[
            TWO,
            WAITS,
            &[
                ("lost 0", &["0 closed", "0 hello 3 as 1.1"]),
                ("ended 1 @1", &["training has ended"]),
                ("record", &[]),
                ("connected 0", &["0 recall"]),
            ],
        ],
    );
    check(
        "the coordinator hangs",
        2,
        &[
            TWO,
            WAITS,
            FORETOLD,
            &[
                ("lost 1", &["1 closed"]),
                ("wait 4000", &[]),
                ("writing 0", &[]),
                ("wait 5999", &[]),
                ("wait 1", &["training has ended"]),
            ],
        ],
    );
    check(
        "it is silent while the replica leaves",
        2,
        &[
            TWO,
            LEAVES,
            FORETOLD,
            &[("wait 1000", &["has left"]), ("step", &["training has ended"])],
        ],
    );
}

/// The last variables are waited for as long as some come.
#[test]
fn last_values_are_late() {
    let asked: Lines<'_> = &[
        ("ended 0 @3", &["training has ended"]),
        ("last_values", &["0 pull after 1@0", "1 pull after 1@0"]),
    ];
    check(
        "servers are gone",
        2,
        &[
            TWO,
            WAITS,
            asked,
            &[("lost 1", &["1 closed", "1 hello 3 as 1.1"]), ("wait 5000", &["has them not"])],
        ],
    );
    check(
        "they are large, and come slowly",
        2,
        &[
            TWO,
            WAITS,
            asked,
            &[
                ("writing 0", &[]),
                ("wait 5000", &[]),
                ("writing 0", &[]),
                ("wait 5000", &[]),
                ("values 0 1@3", &[]),
                ("wait 4999", &[]),
                ("values 1 1@3", &["has them"]),
            ],
        ],
    );
}

/// Which variables are the last ones.
#[test]
fn last_values() {
    check(
        "with all bits, where they travel rounded",
        2,
        &[
            TWO,
            WAITS,
            &[
                ("ended 0 @0", &["training has ended"]),
                ("all_bits", &["0 pull all bits", "1 pull all bits"]),
                ("values 0 1@0", &[]),
                ("values 1 1@0", &["has them"]),
            ],
        ],
    );
    check(
        "nobody lets it in",
        1,
        &[
            ONE,
            WAITS,
            &[
                ("ended 0 @3", &["training has ended"]),
                ("last_values", &["0 pull after 1@0"]),
                ("lost 0", &["0 closed", "0 hello 2 as 1.1"]),
                ("shut 0", &["has them not"]),
            ],
        ],
    );
    check(
        "it has seen a step that a later life of the servers took back",
        1,
        &[
            ONE,
            WAITS,
            &[
                ("values 0 1@5", &[]),
                ("ended 0 @3", &["training has ended"]),
                ("last_values", &["0 pull after 1@5"]),
                ("values 0 2@3", &["has them"]),
            ],
        ],
    );
}

/// The coordinator's record is asked for once over each connection, and not waited for long.
#[test]
fn record() {
    check(
        "nobody answers",
        1,
        &[
            ONE,
            WAITS,
            &[
                ("ended 0 @3", &["training has ended"]),
                ("record", &["0 recall"]),
                ("wait 1000", &[]),
                ("lost 0", &["0 closed", "0 hello 2 as 1.1"]),
                ("connected 0", &["0 recall"]),
                ("wait 4000", &["no record"]),
            ],
        ],
    );
}
