//! Which contributions count: staged everywhere, of this life, and once.

use cluster::driver::coordinator::{
    Answer, Commit, Contribution, Coordinator, CoordinatorSettings, Ticket, Times, batch_size,
    receipt,
};
use cluster::driver::index::{ServerIndex, VariableIndex};
use cluster::driver::place::Caller;
use sync_replicas::ReplicaId;
use sync_replicas::driver::{Generation, LocalStep};
use sync_replicas::engine::{Admission, Outcome, Settings};

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
        "of two in a row that were given up servers may hold all",
        (1, 3, 1),
        &[
            FIRST,
            ("give_up 0 1", &["0 gave up 1", "0 granted 2 @0"]),
            ("give_up 0 2", &["discard 0.2", "0 gave up 2", "0 granted 3 @0"]),
            ("give_up 0 3", &["0 gave up 3", "0 granted 4 @0"]),
            ("commit 0 4 @0", &["admit 0.4", "apply @1", "0 accepted 4"]),
        ],
    );
    check(
        "one that is late is stale",
        (1, 2, 1),
        &[
            FIRST,
            ("hello 1 1", &["1 welcome 1.1", "1 granted 1 @0"]),
            STEP,
            ("applied", &["0 granted 2 @1", "made @1", "1 in vain"]),
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
            ("hello 0 2", &["0 welcome 2.2", "0 granted 1 @0"]),
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

/// A replica commits gradients of these variables, which a server holds; what came of it.
fn commit_of(
    coordinator: &mut Coordinator,
    (replica, ticket): (ReplicaId, Ticket),
    (sequence, step): (u64, i64),
    variables: &[usize],
) -> Outcome {
    let Ticket { generation, incarnation } = ticket;
    let contribution = Contribution { replica, incarnation, sequence };
    let receipts = receipt(0, ServerIndex::LEADER, generation, contribution);
    let (local_step, variables) =
        (LocalStep::new(step), variables.iter().map(|&it| VariableIndex::new(it)).collect());
    let (loss, examples, times) = (None, 1, Times::default());
    let commit =
        Commit { ticket, sequence, local_step, variables, loss, receipts, examples, times };
    coordinator.commit(replica, &commit);
    let answers = coordinator.take_actions().answers.into_iter();
    let outcome = answers.rev().find_map(|(_, _, answer)| match answer {
        Answer::Pushed { outcome, .. } => Some(outcome),
        _ => None,
    });
    outcome.expect("it is answered")
}

/// what is dropped says nothing of which variables have gradients: no step would wait
/// for one that nobody has any more.
#[test]
fn a_stale_commit_fixes_no_variable() {
    let settings = Settings { total_num_replicas: Some(2), ..Settings::new(1) };
    let config = Settings { admission: Admission::PerVariable, ..settings }.check();
    let settings = CoordinatorSettings::new(config.expect("it is valid"));
    let settings = CoordinatorSettings { variables: 2, ..settings };
    let mut coordinator = Coordinator::new(settings, Generation::new(1));
    coordinator.start().expect("it starts");
    let [first, second] = [0, 1].map(|replica| {
        let replica = ReplicaId::new(replica);
        let caller = Caller { process: 1, connection: 1, ticket: None };
        (replica, coordinator.hello(replica, &caller).expect("it is welcome"))
    });
    for (replica, work, variables, expected) in [
        (first, (1, 0), &[0][..], "accepted"),
        (second, (1, 0), &[0, 1], "stale"),
        (first, (2, 1), &[0], "accepted"),
    ] {
        let outcome = commit_of(&mut coordinator, replica, work, variables);
        let got = if outcome.is_accepted() { "accepted" } else { "stale" };
        assert_eq!(got, expected, "{replica:?} {work:?}: {outcome:?}");
        if outcome.is_accepted() {
            coordinator.applied(Some(VariableIndex::new(0)));
            assert_eq!(coordinator.global_step().get(), work.1 + 1, "a step is made");
        }
    }
}

/// P-22: decisions leave together, in their order, and with the update that they are for.
#[test]
fn decisions_leave_in_batches() {
    let join = ("hello 1 1", &["1 welcome 1.1", "1 granted 1 @0"] as &[&str]);
    check(
        "two leave at once, the rest with the update",
        (3, 3, 1),
        &[
            ("batch 2", &[]),
            FIRST,
            join,
            ("hello 2 1", &["2 welcome 1.1", "2 granted 1 @0"]),
            ("commit 1 1 @0", &["1 accepted 1"]),
            ("commit 0 1 @0", &["admit 1.1", "admit 0.1", "0 accepted 1"]),
            ("commit 2 1 @0", &["admit 2.1", "apply @1", "2 accepted 1"]),
        ],
    );
    check(
        "what is void waits as well, until an update comes",
        (1, 2, 1),
        &[
            ("batch 9", &[]),
            FIRST,
            join,
            ("commit 0 1 @0", &["admit 0.1", "apply @1", "0 accepted 1"]),
            ("applied", &["0 granted 2 @1", "made @1", "1 in vain"]),
            ("commit 1 1 @0", &["1 stale 1", "1 granted 2 @1"]),
            ("commit 1 2 @1", &["discard 1.1", "admit 1.2", "apply @2", "1 accepted 2"]),
        ],
    );
}

/// P-22, P-27: shards wait for no word that waits for others.
#[test]
fn decisions_that_are_waited_for_leave_at_once() {
    let join = ("hello 1 1", &["1 welcome 1.1", "1 granted 1 @0"] as &[&str]);
    check(
        "whoever dies makes room at once, and what was decided before leaves before",
        (2, 2, 1),
        &[
            ("batch 9", &[]),
            FIRST,
            join,
            ("commit 0 1 @0", &["0 accepted 1"]),
            ("leave_for_now 1", &["admit 0.1", "discard 1.*", "0 granted 2 @0", "1 left"]),
        ],
    );
    check(
        "a replica is owed one word: shards take no third contribution before",
        (3, 1, 1),
        &[
            ("batch 9", &[]),
            FIRST,
            ("commit 0 1 @0", &["0 accepted 1", "0 granted 2 @0"]),
            ("commit 0 2 @0", &["admit 0.1", "admit 0.2", "0 accepted 2", "0 granted 3 @0"]),
            ("commit 0 3 @0", &["admit 0.3", "apply @1", "0 accepted 3"]),
        ],
    );
    check(
        "what it gave up may be there, too",
        (2, 1, 1),
        &[
            ("batch 9", &[]),
            FIRST,
            ("give_up 0 1", &["0 gave up 1", "0 granted 2 @0"]),
            ("commit 0 2 @0", &["admit 0.2", "0 accepted 2", "0 granted 3 @0"]),
        ],
    );
    check(
        "a restore voids what has not left",
        (2, 2, 1),
        &[
            ("batch 9", &[]),
            FIRST,
            join,
            ("commit 0 1 @0", &["0 accepted 1"]),
            ("restore 0 1", &[]),
            ("hello 1 2", &["1 welcome 2.2", "1 granted 1 @0"]),
            ("leave_for_now 1", &["discard 1.*", "1 left"]),
        ],
    );
}

/// P-22: eight batches a step and the update; where room is short, no more than leaves some.
#[test]
fn batches_are_an_eighth_of_a_step() {
    for (needed, spare, expected) in [
        (1, usize::MAX, 1),
        (8, usize::MAX, 1),
        (9, usize::MAX, 2),
        (256, usize::MAX, 32),
        (1000, usize::MAX, 125),
        (1000, 2, 2),
        (1000, 0, 1),
    ] {
        let got = batch_size(needed, spare);
        assert_eq!(got, expected, "{needed} {spare}");
        assert!(spare < usize::MAX || needed.div_ceil(got) <= 8, "{needed} makes too many");
    }
}
