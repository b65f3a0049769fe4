//! A replica's protocol by itself: each event, in time, late, twice or from an earlier life.

mod ends;
mod lookups;
mod pushes;
mod rig;
mod together;
mod work;

use rig::Rig;

type Lines<'a> = &'a [(&'a str, &'a [&'a str])];

/// A history of a replica with so many servers: each line, and all that comes of it.
#[track_caller]
fn check(name: &str, servers: usize, histories: &[Lines<'_>]) {
    let mut rig = Rig::new(servers);
    for (at, (line, expected)) in histories.iter().copied().flatten().enumerate() {
        let got = rig.run(line);
        assert_eq!(got, *expected, "{name}, line {at}: {line}");
    }
}

/// It joins one server, and computes its first batch.
const ONE: Lines<'static> = &[
    ("step", &["0 hello 1"]),
    ("connected 0", &[]),
    ("welcome 0 1.1 @0", &["superseded", "begin @0", "0 ask 1"]),
    ("granted 0 1 @0", &["0 pull"]),
    ("values 0 1@0", &["compute @0"]),
];

/// It joins two servers, and computes its first batch.
const TWO: Lines<'static> = &[
    ("step", &["0 hello 1"]),
    ("connected 0", &[]),
    ("welcome 0 1.1 @0", &["superseded", "begin @0", "0 ask 1", "1 hello 2 as 1.1"]),
    ("connected 1", &[]),
    ("granted 0 1 @0", &["0 pull", "1 pull"]),
    ("values 1 1@0", &[]),
    ("writing 0", &[]),
    ("values 0 1@0", &["compute @0"]),
];

/// It is told of its first push what became of it.
const PUSHED: Lines<'static> = &[
    ("push", &["1 pull after 1@0", "1 gradients 1", "0 pull after 1@0", "0 gradients 1"]),
    ("staged 1 1 7", &["0 commit 1 of 7"]),
    ("accepted 0 1", &["0 ask 2", "accepted"]),
];

/// P-9: who joins, who is told to wait, and who may not.
#[test]
fn join() {
    check(
        "two servers",
        2,
        &[
            TWO,
            PUSHED,
            &[
                ("step", &[]),
                ("values 1 1@1", &[]),
                // Asked for with the push, and not once more.
                ("granted 0 2 @1", &[]),
                ("values 0 1@1", &["compute @1"]),
            ],
        ],
    );
    check(
        "servers that do not let it in yet",
        1,
        &[&[
            ("step", &["0 hello 1"]),
            ("connected 0", &[]),
            ("join_again 0", &["superseded", "0 closed"]),
            ("wait 99", &[]),
            ("wait 1", &["0 hello 2"]),
            ("connected 0", &[]),
            ("welcome 0 1.1 @3", &["superseded", "begin @3", "0 ask 1"]),
        ]],
    );
    check("another program", 1, &[&[("step", &["0 hello 1"]), ("shut 0", &["refused"])]]);
    check(
        "a server that says so later",
        2,
        &[&TWO[..4], &[("shut_out 1", &["1 closed", "refused"])]],
    );
    check(
        "a server that does not coordinate has no ticket to give",
        2,
        &[&[
            ("step", &["0 hello 1"]),
            ("connected 0", &[]),
            ("welcome 0", &[]),
            ("granted 0/1.1 1 @0", &[]),
            ("welcome 0 1.1 @0", &["superseded", "begin @0", "0 ask 1", "1 hello 2 as 1.1"]),
            ("connected 1", &[]),
            ("welcome 1 2.2 @0", &[]),
            ("granted 0/2.2 1 @0", &[]),
        ]],
    );
}

/// P-26: one process at a time has a replica's place.
#[test]
fn place() {
    check(
        "another process has taken its place",
        1,
        &[
            ONE,
            &[
                ("step", &[]),
                ("lost 0", &["0 closed", "0 hello 2 as 1.1"]),
                ("replaced 0", &["replaced"]),
            ],
        ],
    );
    check(
        "another process has its place, and is tried to outlast",
        1,
        &[&[
            ("step", &["0 hello 1"]),
            ("held 0", &[]),
            ("wait 50", &["0 hello 2"]),
            ("wait 10000", &[]),
            ("held 0", &[]),
            ("wait 100", &["0 hello 3"]),
            ("held 0", &["is not let in for 10.15 s"]),
        ]],
    );
}

/// Servers are tried one after the other, each time after a longer pause, and not for ever.
#[test]
fn reconnect_timeout() {
    let tried: Lines<'_> = &[
        ("step", &["0 hello 1"]),
        ("failed 0", &[]),
        ("wait 50", &["0 hello 2"]),
        ("failed 0", &[]),
        ("wait 99", &[]),
        ("wait 1", &["0 hello 3"]),
        ("failed 0", &[]),
        ("wait 200", &["0 hello 4"]),
        ("failed 0", &[]),
        ("wait 400", &["0 hello 5"]),
    ];
    check(
        "nobody is there",
        1,
        &[
            tried,
            &[
                ("wait 9250", &[]),
                ("failed 0", &[]),
                ("wait 800", &["0 hello 6"]),
                ("failed 0", &["0 is unreachable for 10.8 s"]),
                // Whoever asks again gets one attempt.
                ("step", &["0 hello 7"]),
                ("failed 0", &["0 is unreachable for 10.8 s"]),
            ],
        ],
    );
    check(
        "the time begins anew once it is welcome",
        1,
        &[
            ONE,
            &[
                ("step", &[]),
                ("lost 0", &["0 closed", "0 hello 2 as 1.1"]),
                ("wait 9999", &[]),
                ("failed 0", &[]),
                ("wait 50", &["0 hello 3 as 1.1"]),
                ("connected 0", &[]),
                ("welcome 0 1.1 @0", &["0 ask 1"]),
                ("lost 0", &["0 closed", "0 hello 4 as 1.1"]),
                ("wait 9999", &[]),
                ("failed 0", &[]),
                ("wait 100", &["0 hello 5 as 1.1"]),
                ("failed 0", &["0 is unreachable for 10.049 s"]),
            ],
        ],
    );
    check(
        "in the middle of a push",
        2,
        &[
            TWO,
            &[
                (
                    "push",
                    &["1 pull after 1@0", "1 gradients 1", "0 pull after 1@0", "0 gradients 1"],
                ),
                ("lost 1", &["1 closed", "1 hello 3 as 1.1"]),
                ("wait 10000", &[]),
                ("failed 1", &[]),
                ("wait 50", &["1 hello 4 as 1.1"]),
                ("failed 1", &["1 is unreachable for 10.05 s"]),
            ],
        ],
    );
}

/// P-13: what is told of work under way, and what becomes of it.
#[test]
fn superseded() {
    check(
        "by another replica, and it gives up",
        1,
        &[
            ONE,
            &[
                ("superseded 0 2", &[]),
                ("superseded 0/1.2 1", &[]),
                ("superseded 0 1", &["superseded"]),
                ("give_up", &["0 give_up 1"]),
                ("step", &[]),
                ("gave_up 0 1", &["0 ask 2"]),
                ("granted 0 2 @0", &["compute @0"]),
            ],
        ],
    );
    check(
        "it finishes all the same",
        1,
        &[
            ONE,
            &[
                ("superseded 0 1", &["superseded"]),
                ("push", &["0 pull after 1@0", "0 gradients 1", "0 commit 1 of 0"]),
                ("stale 0 1", &["0 ask 2", "stale"]),
            ],
        ],
    );
    check(
        "the step was over before it began",
        1,
        &[
            ONE,
            &[
                ("give_up", &["0 give_up 1"]),
                ("step", &[]),
                ("gave_up 0 1", &["0 ask 2"]),
                ("values 0 1@3", &[]),
                ("granted 0 2 @2", &["0 decline 2"]),
                // The piece of work is over once the coordinator says so.
                ("lost 0", &["0 closed", "0 hello 2 as 1.1"]),
                ("connected 0", &[]),
                ("welcome 0 1.1 @3", &["0 ask 2"]),
                ("gave_up 0 2", &["0 ask 3"]),
                ("granted 0 3 @3", &["compute @3"]),
            ],
        ],
    );
    check(
        "an end, and a step of another generation",
        1,
        &[ONE, &[("ended 0 @9", &["ended(globalstep(9))"])]],
    );
}

/// P-9: a coordinator that was replaced knows nobody; whoever was in the middle of its work joins
/// anew, and what it pushed is lost.
#[test]
fn a_new_generation() {
    let again: Lines<'_> = &[
        ("connected 0", &[]),
        ("welcome 0 2.2 @0", &["superseded", "begin @0", "0 ask 1"]),
        ("granted 0/1.1 1 @9", &[]),
        ("granted 0 1 @0", &["0 pull after 1@5", "1 pull after 1@5"]),
        ("values 0 2@0", &[]),
        ("values 1 2@0", &["compute @0"]),
    ];
    check(
        "while it waits",
        2,
        &[
            TWO,
            PUSHED,
            &[
                ("step", &[]),
                ("values 0 1@5", &[]),
                ("values 1 1@5", &[]),
                ("lost 0", &["0 closed", "0 hello 3 as 1.1"]),
            ],
            again,
        ],
    );
    check(
        "while it computes",
        2,
        &[
            TWO,
            &[
                ("join_again 0", &[]),
                ("step", &["superseded", "0 closed"]),
                ("wait 100", &["0 hello 3"]),
            ],
            &[("connected 0", &[]), ("welcome 0 2.2 @0", &["superseded", "begin @0", "0 ask 1"])],
        ],
    );
    check(
        "a push of the earlier life is lost",
        2,
        &[
            TWO,
            &[
                (
                    "push",
                    &["1 pull after 1@0", "1 gradients 1", "0 pull after 1@0", "0 gradients 1"],
                ),
                ("lost 0", &["0 closed", "0 hello 3 as 1.1"]),
                ("connected 0", &[]),
                ("welcome 0 2.2 @0", &["superseded", "begin @0", "0 ask 1", "push lost"]),
                // And the answer that comes late is of no use.
                ("step", &[]),
                ("accepted 0/1.1 1", &[]),
                ("granted 0 1 @0", &["0 pull after 1@0"]),
            ],
        ],
    );
}

/// P-9: what was granted in one life is not pushed in another.
#[test]
fn a_grant_of_an_earlier_life() {
    check(
        "a grant of the earlier life is for nothing in the next",
        1,
        &[
            ONE,
            &[
                ("step", &[]),
                ("lost 0", &["0 closed", "0 hello 2 as 1.1"]),
                ("connected 0", &[]),
                ("welcome 0 1.2 @0", &["superseded", "begin @0", "0 ask 1"]),
                ("push", &["push lost"]),
            ],
        ],
    );
    check(
        "a grant of the earlier life is no more",
        1,
        &[
            ONE,
            &[
                ("join_again 0", &[]),
                ("step", &["superseded", "0 closed"]),
                ("wait 100", &["0 hello 2"]),
                ("push", &["push lost"]),
            ],
        ],
    );
}
