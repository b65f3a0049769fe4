//! Work that is put down, and tokens that come twice.

use super::{Lines, ONE, check};

/// P-5, P-25: work that is not finished.
#[test]
fn give_up() {
    check(
        "over a connection that is gone",
        1,
        &[
            ONE,
            &[
                ("lost 0", &[]),
                ("give_up", &["0 give_up 1"]),
                ("step", &["0 closed", "0 hello 2 as 1.1"]),
                ("connected 0", &[]),
                // It was not heard of: the token is granted once more.
                ("welcome 0 1.1 @0", &["0 ask 1"]),
                ("granted 0 1 @0", &["compute @0"]),
            ],
        ],
    );
    check(
        "what is not finite",
        1,
        &[ONE, &[("skip", &["0 skip 1"]), ("step", &[]), ("gave_up 0 1", &["0 ask 2"])]],
    );
    check(
        "the step takes too long",
        1,
        &[
            ONE,
            &[
                ("give_up", &["0 give_up 1"]),
                ("step", &[]),
                ("gave_up 0 1", &["0 ask 2"]),
                ("overdue 0", &["0 ask 2", "overdue"]),
                ("step", &[]),
                ("granted 0 2 @0", &["compute @0"]),
            ],
        ],
    );
}

/// P-11, P-15: its token is asked for after a welcome, and may come twice.
#[test]
fn a_token_that_comes_twice() {
    let second: Lines<'_> = &[
        ("push", &["0 pull after 1@0", "0 gradients 1", "0 commit 1 of 0"]),
        ("accepted 0 1", &["0 ask 2", "accepted"]),
        ("step", &[]),
        ("values 0 1@1", &[]),
        ("granted 0 2 @1", &["compute @1"]),
    ];
    check(
        "after its work was put down",
        1,
        &[
            ONE,
            second,
            &[
                ("give_up", &["0 give_up 2"]),
                ("step", &[]),
                // The answer to "ask 2".
                ("granted 0 2 @1", &[]),
                ("gave_up 0 2", &[]),
                ("granted 0 3 @1", &["compute @1"]),
                ("push", &["0 pull after 1@1", "0 gradients 3", "0 commit 3 of 0"]),
            ],
        ],
    );
    check(
        "after its step was over",
        1,
        &[
            ONE,
            &[
                ("push", &["0 pull after 1@0", "0 gradients 1", "0 commit 1 of 0"]),
                ("accepted 0 1", &["0 ask 2", "accepted"]),
                ("step", &[]),
                ("values 0 1@2", &[]),
                ("granted 0 2 @1", &["0 decline 2"]),
                ("granted 0 2 @1", &[]),
                ("gave_up 0 2", &[]),
            ],
        ],
    );
    check(
        "and its work is told late to be put down",
        1,
        &[
            ONE,
            second,
            &[
                ("push", &["0 pull after 1@1", "0 gradients 2", "0 commit 2 of 0"]),
                ("gave_up 0 2", &["push lost"]),
                ("step", &[]),
                ("granted 0 3 @1", &["compute @1"]),
            ],
        ],
    );
}
