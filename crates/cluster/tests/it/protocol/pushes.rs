//! A connection breaks at every point of a push, and an answer comes late or twice.

use super::{Lines, ONE, TWO, check};

pub(super) const SENT: Lines<'static> =
    &[("push", &["1 pull after 1@0", "1 gradients 1", "0 pull after 1@0", "0 gradients 1"])];
pub(super) const STAGED: Lines<'static> = &[("staged 1 1 7", &["0 commit 1 of 7"])];
const ACCEPTED: Lines<'static> = &[("accepted 0 1", &["0 ask 2", "accepted"])];
/// The coordinator's connection breaks, and the next one goes on where it was.
const BACK: Lines<'static> = &[("lost 0", &["0 closed", "0 hello 3 as 1.1"]), ("connected 0", &[])];

/// P-15: what was sent over a connection that broke is sent again, with the same numbers.
#[test]
fn another_servers_connection_breaks() {
    check(
        "the other server's, before anything is sent",
        2,
        &[
            TWO,
            &[
                ("lost 1", &[]),
                // What is sent is lost with it.
                (
                    "push",
                    &[
                        "1 pull after 1@0",
                        "1 gradients 1",
                        "0 pull after 1@0",
                        "0 gradients 1",
                        "1 closed",
                        "1 hello 3 as 1.1",
                    ],
                ),
                ("connected 1", &["1 pull after 1@0", "1 gradients 1"]),
            ],
            STAGED,
            ACCEPTED,
        ],
    );
    check(
        "the other server's, in the middle of its part",
        2,
        &[
            TWO,
            SENT,
            &[
                ("lost 1", &["1 closed", "1 hello 3 as 1.1"]),
                ("staged 1#2 1 7", &[]),
                ("connected 1", &["1 pull after 1@0", "1 gradients 1"]),
            ],
            STAGED,
            ACCEPTED,
        ],
    );
    check(
        "the other server's, once it holds its part",
        2,
        &[
            TWO,
            SENT,
            STAGED,
            &[("lost 1", &["1 closed", "1 hello 3 as 1.1"]), ("connected 1", &[])],
            ACCEPTED,
        ],
    );
}

/// The same of the coordinator, which knows what it was told before.
#[test]
fn the_coordinators_connection_breaks() {
    check(
        "the coordinator's, in the middle of its part",
        2,
        &[
            TWO,
            SENT,
            BACK,
            &[
                // Not to be committed before the coordinator has its own part again.
                ("staged 1 1 7", &[]),
                ("welcome 0 1.1 @0", &["0 pull after 1@0", "0 gradients 1", "0 commit 1 of 7"]),
            ],
            ACCEPTED,
        ],
    );
    check(
        "the coordinator's, before the commit",
        2,
        &[
            TWO,
            SENT,
            &[
                ("lost 0", &["0 closed", "0 hello 3 as 1.1"]),
                ("staged 1 1 7", &[]),
                ("connected 0", &[]),
                // Its own server never says what it holds.
                ("welcome 0 1.1 @0", &["0 pull after 1@0", "0 gradients 1", "0 commit 1 of 7"]),
            ],
            ACCEPTED,
        ],
    );
    check(
        "the coordinator's, before the answer",
        2,
        &[
            TWO,
            SENT,
            STAGED,
            BACK,
            &[("welcome 0 1.1 @0", &["0 pull after 1@0", "0 gradients 1", "0 commit 1 of 7"])],
            ACCEPTED,
        ],
    );
}

/// P-15: nothing is sent twice to who holds it.
#[test]
fn all_connections_break() {
    check(
        "both, before the answer",
        2,
        &[
            TWO,
            SENT,
            STAGED,
            &[
                ("lost 1", &["1 closed", "1 hello 3 as 1.1"]),
                ("lost 0", &["0 closed"]),
                ("connected 1", &["0 hello 4 as 1.1"]),
                ("connected 0", &[]),
                ("welcome 0 1.1 @0", &["0 pull after 1@0", "0 gradients 1", "0 commit 1 of 7"]),
            ],
            ACCEPTED,
        ],
    );
    check(
        "the only server's, before the answer",
        1,
        &[
            ONE,
            &[
                ("push", &["0 pull after 1@0", "0 gradients 1", "0 commit 1 of 0"]),
                ("lost 0", &["0 closed", "0 hello 2 as 1.1"]),
                ("connected 0", &[]),
                ("welcome 0 1.1 @0", &["0 pull after 1@0", "0 gradients 1", "0 commit 1 of 0"]),
            ],
            ACCEPTED,
        ],
    );
}

/// Where there is room for fewer contributions than there are replicas, the first server gives it
/// for all.
#[test]
fn room() {
    check(
        "then all others at once",
        3,
        &[&[
            ("step", &["0 hello 1"]),
            ("connected 0", &[]),
            (
                "welcome 0 1.1 @0 bounded",
                &["superseded", "begin @0", "0 ask 1", "1 hello 2 as 1.1"],
            ),
            ("connected 1", &["2 hello 3 as 1.1"]),
            ("connected 2", &[]),
            ("granted 0 1 @0", &["0 pull", "1 pull", "2 pull"]),
            ("values 0 1@0", &[]),
            ("values 1 1@0", &[]),
            ("values 2 1@0", &["compute @0"]),
            ("push", &["0 pull after 1@0", "0 gradients 1"]),
            ("room 1 1", &[]),
            ("room 0 9", &[]),
            ("lost 0", &["0 closed", "0 hello 4 as 1.1"]),
            ("connected 0", &[]),
            ("welcome 0 1.1 @0 bounded", &["0 pull after 1@0", "0 gradients 1"]),
            (
                "room 0 1",
                &["2 pull after 1@0", "2 gradients 1", "1 pull after 1@0", "1 gradients 1"],
            ),
            ("staged 2 1 7", &[]),
            ("staged 1 1 5", &["0 commit 1 of 2"]),
        ]],
    );
}

/// P-15: an answer counts once, and for its own piece of work.
#[test]
fn answers() {
    check(
        "of another piece of work",
        2,
        &[
            TWO,
            SENT,
            &[("staged 1 2 7", &[]), ("accepted 0 2", &[]), ("gave_up 0 0", &[])],
            STAGED,
            ACCEPTED,
            &[("hear", &["push lost"])],
            &[("step", &[]), ("accepted 0 1", &[]), ("granted 0 2 @1", &[])],
        ],
    );
    check(
        "of an earlier life",
        2,
        &[
            TWO,
            SENT,
            &[("staged 1/1.0 1 7", &[]), ("accepted 0/1.0 1", &[]), ("left 0/1.0", &[])],
            STAGED,
            &[("refused 0/1.0 1", &[]), ("overdue 0/1.0", &[])],
            ACCEPTED,
        ],
    );
    check(
        "that it is refused, and it goes on",
        2,
        &[
            TWO,
            SENT,
            &[
                ("refused 0 1", &["0 give_up 1", "push refused"]),
                ("step", &[]),
                ("gave_up 0 1", &["0 ask 2"]),
            ],
        ],
    );
    check(
        "that it is no member any more",
        2,
        &[
            TWO,
            SENT,
            &[
                ("join_again 0/1.1 1", &["superseded", "0 closed", "push lost"]),
                ("step", &[]),
                ("wait 100", &["0 hello 3"]),
            ],
        ],
    );
    check(
        "that another server does not know of its life yet",
        2,
        &[
            TWO,
            SENT,
            &[
                ("join_again 1/1.1 1", &["1 closed"]),
                ("wait 100", &["1 hello 3 as 1.1"]),
                ("connected 1", &["1 pull after 1@0", "1 gradients 1"]),
            ],
            STAGED,
            ACCEPTED,
        ],
    );
    check("that training ended", 2, &[TWO, SENT, &[("ended 0 @4", &["training has ended"])]]);
}
