//! Rows are looked up while connections break, steps are made and lives end (P-17).

use super::{Lines, ONE, TWO, check};

const ASKED: Lines<'static> = &[("look", &["0 lookup 1 of 1@0", "1 lookup 1 of 1@0"])];

#[test]
fn rows_of_all_servers_are_waited_for() {
    check("both have some", 2, &[TWO, ASKED, &[("rows 1 1", &[]), ("rows 0 1", &["has rows"])]]);
    check(
        "one has all, and another none",
        2,
        &[TWO, &[("look_at_last", &["1 lookup 1 of 1@0"]), ("rows 1 1", &["has rows"])]],
    );
    check(
        "two lookups of one step",
        1,
        &[
            ONE,
            &[
                ("look", &["0 lookup 1 of 1@0"]),
                ("rows 0 1", &["has rows"]),
                ("look", &["0 lookup 2 of 1@0"]),
                // What comes late of the first is not the second's.
                ("rows 0 1", &[]),
                ("gone 0 1", &[]),
                ("rows 0 2", &["has rows"]),
            ],
        ],
    );
}

/// Whoever comes too late is told by any server.
#[test]
fn rows_of_another_step_are_gone() {
    check(
        "of one server",
        2,
        &[TWO, ASKED, &[("rows 0 1", &[]), ("gone 1 1", &["they are gone"])]],
    );
    check(
        "and the next step's are asked for anew",
        1,
        &[
            ONE,
            &[
                ("look", &["0 lookup 1 of 1@0"]),
                ("gone 0 1", &["they are gone"]),
                ("give_up", &["0 give_up 1"]),
                ("step", &[]),
                ("gave_up 0 1", &["0 ask 2"]),
                ("granted 0 2 @1", &["0 pull after 1@0"]),
                ("values 0 1@1", &["compute @1"]),
                ("look", &["0 lookup 2 of 1@1"]),
                ("rows 0 2", &["has rows"]),
            ],
        ],
    );
}

/// P-15: what was asked over a connection that broke is asked again, and what came is kept.
#[test]
fn a_connection_breaks() {
    check(
        "before the answer",
        2,
        &[
            TWO,
            ASKED,
            &[
                ("rows 0 1", &[]),
                ("lost 1", &["1 closed", "1 hello 3 as 1.1"]),
                ("connected 1", &["1 lookup 1 of 1@0"]),
                ("rows 1 1", &["has rows"]),
            ],
        ],
    );
    check(
        "after the answer",
        2,
        &[
            TWO,
            ASKED,
            &[
                ("rows 1 1", &[]),
                ("lost 1", &["1 closed", "1 hello 3 as 1.1"]),
                ("rows 0 1", &["has rows"]),
            ],
        ],
    );
    check(
        "before it is asked",
        2,
        &[
            TWO,
            &[
                ("lost 1", &[]),
                (
                    "look",
                    &["0 lookup 1 of 1@0", "1 lookup 1 of 1@0", "1 closed", "1 hello 3 as 1.1"],
                ),
                ("rows 0 1", &[]),
                ("connected 1", &["1 lookup 1 of 1@0"]),
                ("rows 1 1", &["has rows"]),
            ],
        ],
    );
    check(
        "and the server stays away",
        1,
        &[
            ONE,
            &[
                ("look", &["0 lookup 1 of 1@0"]),
                ("lost 0", &["0 closed", "0 hello 2 as 1.1"]),
                ("wait 10000", &[]),
                ("failed 0", &[]),
                ("wait 50", &["0 hello 3 as 1.1"]),
                ("failed 0", &["0 is unreachable for 10.05 s"]),
            ],
        ],
    );
}

/// P-9, P-1: a new life, an end and a departure leave no wait behind.
#[test]
fn the_life_ends() {
    check(
        "it joins anew",
        1,
        &[
            ONE,
            &[
                ("look", &["0 lookup 1 of 1@0"]),
                ("lost 0", &["0 closed", "0 hello 2 as 1.1"]),
                ("connected 0", &["0 lookup 1 of 1@0"]),
                ("welcome 0 2.1 @0", &["superseded", "begin @0", "0 ask 1", "they are gone"]),
            ],
        ],
    );
    check(
        "training ends",
        1,
        &[ONE, &[("look", &["0 lookup 1 of 1@0"]), ("ended 0 @1", &["they are gone"])]],
    );
}
