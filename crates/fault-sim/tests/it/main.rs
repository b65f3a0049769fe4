//! The simulation itself: no invariant breaks, a seed replays, a run says what it did.

use fault_sim::{Happenings, run, sweep};

#[test]
fn no_invariant_breaks() {
    // P-5, P-9, P-11, P-13, P-14, P-15 under faults; `cargo xtask sim` plays any number of seeds.
    let report = sweep(0..100);
    assert!(report.is_clean(), "{report}");
    assert!(report.to_string().ends_with("100 passed, 0 failed"), "{report}");
}

#[test]
fn a_seed_replays_to_the_byte_and_seeds_differ() {
    let (first, again) = (run(7, true), run(7, true));
    assert_eq!(first.trace, again.trace);
    assert_eq!((first.hash, first.events), (again.hash, again.events));
    assert_eq!(first.hash, run(7, false).hash, "whether it is written down changes nothing");
    assert_ne!(first.hash, run(8, false).hash);
}

#[test]
fn a_fault_that_never_occurs_is_missed() {
    assert!(Happenings::default().absent().any(|words| words == "leases that ran out"));
    let happenings = sweep(0..100).happenings().clone();
    assert!(!happenings.absent().any(|words| words == "leases that ran out"), "{happenings}");
}
