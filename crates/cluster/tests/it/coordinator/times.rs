//! What replicas did when, as the coordinator records it, and what it counts of them.

use std::time::Duration;

use cluster::driver::coordinator::{Times, Traffic};
use sync_replicas::record::{ReplicaOutcome, SpanKind};

use super::rig::Rig;

/// What was recorded after some lines: replica, step, kind, from and to, in seconds.
#[track_caller]
fn check(lines: &[&str], expected: &[(u64, i64, SpanKind, u64, u64)]) {
    let mut rig = Rig::new(1, 2, 1);
    lines.iter().for_each(|line| drop(rig.run(line)));
    let spans = rig
        .spans
        .iter()
        .map(|it| (it.replica.get(), it.step, it.kind, it.start.as_secs(), it.end.as_secs()));
    assert_eq!(spans.collect::<Vec<_>>(), expected, "{lines:?}");
}

#[test]
fn work_is_placed_by_when_it_was_heard_of() {
    use SpanKind::{Accepted, Sent, Stale, Superseded, Waited};
    let lives = ["hello 0 1", "hello 1 1"];
    let after = |lines: &[&'static str]| [&lives[..], lines].concat();
    check(
        &after(&["wait 4", "took 0 2 1", "commit 0 1 @0"]),
        &[(0, 0, Accepted, 1, 3), (0, 0, Sent, 3, 4)],
    );
    let second = ["wait 2", "took 0 2 0", "commit 0 1 @0", "applied", "took 1 1 0", "wait 2"];
    check(
        &after(&[&second[..], &["commit 0 2 @1", "commit 1 1 @0"]].concat()),
        &[
            (0, 0, Accepted, 0, 2),
            (0, 1, Waited, 2, 3),
            (0, 1, Accepted, 3, 4),
            (1, 0, Waited, 2, 3),
            (1, 0, Stale, 3, 4),
        ],
    );
    check(&after(&["wait 3", "took 0 3 0", "give_up 0 1"]), &[(0, 0, Superseded, 0, 3)]);
    // What it says of itself cannot be more than the time that there was.
    check(
        &after(&["wait 3", "took 99 99 2", "commit 0 1 @0"]),
        &[(0, 0, Accepted, 0, 1), (0, 0, Sent, 1, 3)],
    );
    // What comes twice is recorded once, and what is refused not at all.
    let twice = ["wait 2", "took 0 2 0", "commit 0 1 @0", "commit 0 1 @0", "commit 0 7 @0"];
    check(&after(&twice), &[(0, 0, Accepted, 0, 2)]);
}

// A lookup is the beginning of computing, and no longer than that; each stretch has its own bytes.
#[test]
fn what_travelled_and_how_late_it_came_is_recorded() {
    let mut rig = Rig::new(1, 2, 1);
    ["hello 0 1", "hello 1 1", "wait 4", "commit 0 1 @0", "applied", "commit 0 2 @1", "applied"]
        .iter()
        .for_each(|line| drop(rig.run(line)));
    rig.spans.clear();
    let (traffic, seconds) =
        (Traffic { gradients: 30, variables: 20, rows: 10 }, Duration::from_secs);
    rig.times = Times { looked_up: seconds(5), traffic, ..Times::default() };
    ["took 1 2 1", "commit 1 1 @0"].iter().for_each(|line| drop(rig.run(line)));
    let spans: Vec<_> = rig
        .spans
        .iter()
        .map(|it| (it.kind, it.start.as_secs(), it.end.as_secs(), it.bytes, it.staleness))
        .collect();
    let expected = [
        (SpanKind::Waited, 0, 1, 20, 0),
        (SpanKind::Stale, 1, 3, 0, 2),
        (SpanKind::LookedUp, 1, 3, 10, 0),
        (SpanKind::Sent, 3, 4, 30, 0),
    ];
    assert_eq!(spans, expected);
    assert!(rig.spans.iter().all(|it| it.batch == Some(1)), "{:?}", rig.spans);
}

// P-8: an accepted gradient is one that an update has used.
#[test]
fn what_no_update_used_is_not_accepted_at_the_end() {
    let mut rig = Rig::new(2, 3, 1);
    let lines = ["hello 0 1", "hello 1 1", "hello 2 1", "took 0 0 0"];
    lines.iter().for_each(|line| drop(rig.run(line)));
    ["commit 0 1 @0 5", "commit 1 1 @0 5", "applied"].iter().for_each(|line| drop(rig.run(line)));
    ["commit 2 1 @0 5", "commit 0 2 @1 5"].iter().for_each(|line| drop(rig.run(line)));
    drop(rig.run("fail 1"));
    let totals = rig.coordinator.final_totals();
    assert_eq!((totals.batches, totals.accepted, totals.stale, totals.examples), (4, 2, 1, 10));
    let reports = rig.coordinator.replica_reports();
    let counts: Vec<_> =
        reports.iter().map(|it| (it.batches, it.tally.accepted, it.tally.stale)).collect();
    assert_eq!(counts, [(2, 1, 0), (1, 1, 0), (1, 0, 1)]);
    let failed = ReplicaOutcome::Failed("why".to_owned());
    let ended: Vec<_> = reports.into_iter().map(|it| it.outcome).collect();
    assert_eq!(ended, [ReplicaOutcome::Finished, failed, ReplicaOutcome::Finished]);
}

// P-8: what a restore takes back was done all the same, and counts and sums agree.
#[test]
fn counts_are_of_all_generations() {
    let mut rig = Rig::new(2, 2, 1);
    let step = ["commit 0 1 @0 5", "commit 1 1 @0 5", "applied"];
    let before = [&["hello 0 1", "hello 1 1"][..], &step, &["commit 0 2 @1 5"]].concat();
    let after = [&["restore 0 5", "hello 0 2", "hello 1 2"][..], &step].concat();
    for (lines, accepted, batches) in [(before, 2, 3), (after, 4, 5)] {
        lines.iter().for_each(|line| drop(rig.run(line)));
        let (totals, reports) = (rig.coordinator.final_totals(), rig.coordinator.replica_reports());
        assert_eq!((totals.accepted, totals.batches), (accepted, batches));
        assert_eq!(totals.examples, 5 * accepted);
        assert_eq!(reports.iter().map(|it| it.tally.accepted).sum::<u64>(), accepted);
        assert_eq!(reports.iter().map(|it| it.unused).collect::<Vec<_>>(), [1, 0]);
    }
}
