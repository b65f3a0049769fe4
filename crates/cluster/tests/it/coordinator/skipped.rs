//! Batches whose gradients are not finite: told once or twice, early or late (P-25).

use sync_replicas::ReplicaId;
use sync_replicas::engine::{FailingBatch, Settings, SummationOrder};

use super::rig::Rig;
use super::{FIRST, STEP, check};

/// P-25: as a batch given up, and once however often it is said.
#[test]
fn a_batch_that_is_not_finite_is_left_out() {
    check(
        "said twice",
        (1, 1, 1),
        &[
            FIRST,
            ("skip 0 1", &["0 gave up 1", "0 granted 2 @0"]),
            ("skip 0 1", &["0 gave up 1"]),
            ("ask 0 1", &["0 gave up 1"]),
            ("commit 0 2 @0", &["admit 0.2", "apply @1", "0 accepted 2"]),
        ],
    );
    check(
        "with the ticket of an earlier life",
        (1, 1, 1),
        &[
            FIRST,
            ("hello 0 2", &["0 welcome 1.2", "discard 0.*", "0 granted 1 @0"]),
            ("skip 0/0 1", &["0 join again"]),
            STEP,
        ],
    );
    let mut rig = Rig::ordered(SummationOrder::Replica, (2, 3, 1));
    let numbers = |rig: &Rig| rig.coordinator.engine().positions(0.into()).skipped;
    let count = |rig: &Rig| rig.coordinator.engine().tally(ReplicaId::new(0)).expect("it came");
    for line in ["hello 0 1", "hello 1 1", "hello 2 1"] {
        rig.run(line);
    }
    // The third stands by for the first, with the same batch.
    let first = ["2 superseded 1", "0 gave up 1", "0 granted 2 @0"];
    let mut said = rig.run("skip 0 1");
    said.sort_unstable();
    let mut expected = first.map(str::to_owned);
    expected.sort_unstable();
    assert_eq!(said, expected);
    rig.run("skip 2 1");
    rig.run("skip 0 1");
    assert_eq!((numbers(&rig), count(&rig).non_finite), (vec![1, 0], 1));
    // Once more is the second batch.
    rig.run("skip 0 2");
    assert_eq!((numbers(&rig), count(&rig).non_finite), (vec![2, 0], 2));
}

/// P-5: by choice a batch at which three have failed is left out, and the fourth has the next.
#[test]
fn by_choice_a_deadly_batch_is_left_out() {
    let settings = Settings {
        order: SummationOrder::Replica,
        total_num_replicas: Some(4),
        failing_batch: FailingBatch::Skip,
        ..Settings::new(1)
    };
    let mut rig = Rig::of(settings, 1);
    for line in ["hello 0 1", "hello 1 1", "hello 2 1", "fail 0", "fail 1"] {
        assert!(!rig.run(line).join(" ").contains("failed:"), "{line}");
    }
    assert_eq!(rig.run("fail 2"), ["discard 2.*", "2 left"]);
    rig.run("hello 3 1");
    assert_eq!(rig.coordinator.engine().positions(0.into()).skipped, [1]);
    assert_eq!(rig.run("commit 3 1 @0"), ["admit 3.1", "apply @1", "3 accepted 1"]);
    let tally = rig.coordinator.engine().tally(ReplicaId::new(2)).expect("it came");
    assert_eq!(tally.failed_batches, 1);
}

/// P-25: ten in a row of one replica; then checkpoints that nothing was computed from are not known
/// to be good.
#[test]
fn ten_batches_in_a_row_that_are_not_finite_end_training() {
    let mut rig = Rig::new(1, 2, 1);
    for line in ["hello 0 1", "hello 1 1"] {
        rig.run(line);
    }
    for sequence in 1..10 {
        rig.run(&format!("skip 0 {sequence}"));
        rig.run(&format!("skip 1 {sequence}"));
    }
    assert_eq!(rig.coordinator.tested_when_not_finite(), None);
    let said = rig.run("skip 0 10");
    let ended = "failed: replica 0 had gradients that are not finite (NaN or infinite) in 10 \
                 batches in a row;";
    assert!(said.last().is_some_and(|said| said.starts_with(ended)), "{said:?}");
    assert_eq!(said[0], "0 gave up 10");
    assert!(rig.coordinator.tested_when_not_finite().is_some());
}
