//! Replica order: shares, backups, and who computes what (P-13, P-14).

use super::*;

fn ordered(aggregate: usize, total: usize) -> Settings {
    Settings { order: SummationOrder::Replica, ..settings(aggregate, total) }
}

fn granted(effects: &[Effect]) -> Vec<(u64, Option<u64>, u64)> {
    let grant = |effect: &Effect| match effect {
        Effect::Grant(grant) => Some((grant.replica.get(), grant.share, grant.number)),
        _ => None,
    };
    effects.iter().filter_map(grant).collect()
}

#[test]
fn each_replica_has_its_own_share_first() {
    let mut bench = Bench::new(ordered(3, 3));
    for replica in 0..3 {
        assert_eq!(granted(&bench.join(replica)), [(replica, Some(replica), replica)]);
    }
    // Whatever the order of arrival, the next step's batches are those of the shares.
    bench.turn(2);
    bench.turn(0);
    let (_, effects) = bench.push_at(1, 0);
    let effects = bench.apply(effects);
    assert_eq!(granted(&effects), [(2, Some(2), 5), (0, Some(0), 3), (1, Some(1), 4)]);
}

#[test]
fn a_backup_stands_in_for_the_slowest() {
    // A = 2 of N = 3: the backup computes a share a second time, and the first gradient counts.
    let mut bench = Bench::joined(ordered(2, 3));
    let (first, effects) = bench.push_at(0, 0);
    assert_eq!(first.outcome, Outcome::Accepted { count: 1 });
    // The backup had share 0 too: it is told, and its next try is the share that is missing.
    assert_eq!(effects, [Effect::Superseded { replica: id(2) }]);
    let (duplicate, effects) = bench.push_at(2, 0);
    assert_eq!(duplicate.outcome, Outcome::Duplicate { share: 0 });
    assert_eq!(granted(&effects).len(), 1, "its token was not used up");
    assert_eq!(granted(&effects)[0].1, Some(1));
    let (second, effects) = bench.push_at(granted(&effects)[0].0, 0);
    assert_eq!(second.outcome, Outcome::Accepted { count: 2 });
    assert_eq!(effects[0], Effect::Superseded { replica: id(1) });
    bench.apply(effects);
    assert_eq!(bench.step(), 1, "replica 1 held nobody up");
    assert!(matches!(bench.push_at(1, 0).0.outcome, Outcome::Stale { .. }));
}

#[test]
fn a_dead_replicas_share_goes_to_another() {
    let mut bench = Bench::joined(ordered(2, 2));
    bench.turn(0);
    bench.leave(1);
    // Replica 0 was waiting, so it has the token at once, and with it share 1.
    assert_eq!(bench.turn(0), Outcome::Accepted { count: 2 });
    assert_eq!(bench.step(), 1);
}

#[test]
fn few_replicas_compute_several_shares() {
    // N < A
    let mut bench = Bench::joined(ordered(4, 2));
    for count in 1..=3 {
        assert_eq!(bench.turn(1), Outcome::Accepted { count });
    }
    assert_eq!(bench.engine.waiting().collect::<Vec<_>>(), [id(1)], "share 0 is replica 0's");
    bench.turn(0);
    assert_eq!(bench.step(), 1);
}

#[test]
fn who_comes_when_all_shares_are_in_waits_for_the_chief() {
    // P-14: after a restore replicas may join before the chief starts, and no step closes yet.
    // A = 1: with replica 0's gradient the step has all its shares, and nothing is left to compute.
    let config = ordered(1, 3).check().expect("the settings fit");
    let mut bench = Bench::joined(ordered(1, 3));
    bench.engine = Engine::new(config, 2, GlobalStep::default(), Generation::new(1));
    assert_eq!(granted(&bench.join(0)), [(0, Some(0), 0)]);
    assert_eq!(granted(&bench.join(1)), [(1, Some(0), 0)]);
    assert_eq!(bench.push_at(0, 0).0.outcome, Outcome::Accepted { count: 1 });
    assert_eq!(bench.push_at(1, 0).0.outcome, Outcome::Duplicate { share: 0 });
    assert_eq!(granted(&bench.join(2)), []);
    let (started, effects) =
        bench.event(|engine, now, out| engine.start_chief(InitialTokens::Fewest, now, out));
    assert_eq!(started, Ok(0));
    assert_eq!(effects, [Effect::Close { lane: 0, count: 1 }]);
    let effects = bench.apply(effects);
    assert_eq!(granted(&effects), [(0, Some(0), 1), (1, Some(0), 1), (2, Some(0), 1)]);
}

/// P-25: the share's next batch stands in, and no number comes twice.
#[test]
fn the_next_batch_of_its_share_stands_in() {
    let mut bench = Bench::joined(ordered(2, 2));
    assert_eq!(granted(&bench.skip(1)), [(1, Some(1), 3)]);
    assert_eq!(granted(&bench.skip(1)), [(1, Some(1), 5)]);
    bench.turn(1);
    let (_, effects) = bench.push_at(0, 0);
    let effects = bench.apply(effects);
    assert_eq!(granted(&effects), [(1, Some(1), 7), (0, Some(0), 2)]);
    let count = |bench: &Bench, of| bench.engine.tally(id(of)).expect("it joined").non_finite;
    assert_eq!((count(&bench, 0), count(&bench, 1)), (0, 2));
}

/// P-25: a backup computes the same batch: it is told, and leaves it out no second time.
#[test]
fn a_batch_is_left_out_once() {
    #[track_caller]
    fn check(second: impl Fn(&mut Bench) -> Vec<(u64, Option<u64>, u64)>) {
        let mut bench = Bench::joined(ordered(2, 3));
        let effects = bench.skip(2);
        assert_eq!(effects[0], Effect::Superseded { replica: id(0) });
        assert_eq!(granted(&effects), [(2, Some(0), 2)]);
        assert!(bench.engine.is_superseded(id(0)) && !bench.engine.is_superseded(id(2)));
        // Both shares have a worker now: it is a backup, of the batch that stands in.
        assert_eq!(second(&mut bench), [(0, Some(0), 2)]);
        let skipped = bench.engine.positions(GlobalStep::default()).skipped;
        assert_eq!(skipped, [1, 0]);
    }
    check(|bench| granted(&bench.skip(0)));
    check(|bench| granted(&bench.give_up(0)));
    // What it has for a batch that is left out is not used.
    check(|bench| {
        let (decision, effects) = bench.push_at(0, 0);
        assert_eq!(decision.outcome, Outcome::Duplicate { share: 0 });
        granted(&effects)
    });
}

/// P-25: what is over when it is found is counted, and leaves nothing out.
#[test]
fn a_batch_whose_step_is_over_is_not_left_out() {
    let mut bench = Bench::joined(ordered(2, 3));
    bench.turn(0);
    bench.turn(1);
    assert_eq!(bench.step(), 1);
    bench.skip(2);
    assert_eq!(bench.engine.positions(1.into()).skipped, [0; 0]);
    assert_eq!(bench.engine.tally(id(2)).expect("it joined").non_finite, 1);
}

/// P-5: the batch at which a replica fails is left out when it leaves, and is counted once.
#[test]
fn a_failing_batch_is_left_out() {
    let mut bench = Bench::joined(ordered(2, 3));
    let mut leave_out = |replica: u64| {
        let incarnation = bench.incarnations[replica as usize];
        let (left_out, effects) = bench
            .event(|engine, _, effects| engine.leave_batch_out(id(replica), incarnation, effects));
        bench.leave(replica);
        (left_out.expect("it is there"), effects)
    };
    assert_eq!(leave_out(0), (true, vec![Effect::Superseded { replica: id(2) }]));
    // It was computing the same batch.
    assert_eq!(leave_out(2), (false, vec![]));
    assert_eq!(bench.engine.positions(0.into()).skipped, [1, 0]);
    assert_eq!(bench.turn(1), Outcome::Accepted { count: 1 });
    assert_eq!(bench.turn(1), Outcome::Accepted { count: 2 });
    let failed = |of| bench.engine.tally(id(of)).expect("it joined").failed_batches;
    assert_eq!((failed(0), failed(1), failed(2)), (1, 0, 0));
}

/// P-25: ten in a row of one replica, and not of several.
#[test]
fn ten_in_a_row_end_training() {
    for order in [SummationOrder::Arrival, SummationOrder::Replica] {
        let mut bench = Bench::joined(Settings { order, ..settings(1, 2) });
        let skips = |bench: &mut Bench, count| (0..count).for_each(|_| drop(bench.skip(0)));
        skips(&mut bench, 9);
        bench.skip(1);
        // A push ends the row, also one that is dropped.
        bench.push_at(0, -1);
        skips(&mut bench, 9);
        assert_eq!(bench.engine.stopped(), None);
        assert_eq!(bench.skip(0), [Effect::Ended]);
        assert!(bench.engine.ended_not_finite());
        let reason = bench.engine.stopped().map(ToString::to_string).unwrap_or_default();
        let said = "it failed: replica 0 had gradients that are not finite (NaN or infinite) in 10 \
                    batches in a row;";
        assert!(reason.starts_with(said), "{reason}");
        assert_eq!(bench.engine.tally(id(0)).expect("it joined").non_finite, 19);
    }
}

/// P-25: in arrival order the batch goes, and the replica's next one comes; it is given by no
/// later life either.
#[test]
fn in_arrival_order_the_token_goes_back() {
    let mut bench = Bench::joined(settings(2, 2));
    assert_eq!(granted(&bench.skip(1)), [(1, None, 3)]);
    assert_eq!(bench.engine.tally(id(1)).expect("it joined").superseded, 0);
    bench.turn(0);
    bench.turn(1);
    assert_eq!(bench.step(), 1);
    let positions = bench.engine.positions(1.into());
    assert_eq!((&positions.given[..], &positions.again[..]), (&[1, 2][..], &[][..]));
}

/// Where a run is: A, the step, and how many batches of each share were left out.
fn at(aggregate: usize, first: u64, skipped: &[u64]) -> Positions {
    let mut bench = Bench::new(ordered(aggregate, 1));
    let start = Positions {
        given: vec![first],
        first_of_step: Some(first),
        skipped: skipped.to_vec(),
        ..Positions::default()
    };
    assert!(bench.engine.set_positions(&start), "it is its own");
    bench.engine.positions(bench.engine.global_step())
}

/// P-25: a run that goes on leaves out what it left out, and gives nothing twice.
#[test]
fn what_was_left_out_stays_so_when_a_run_goes_on() {
    /// The first batches that are given, and whether none is missed.
    #[track_caller]
    fn check(positions: &Positions, on: Settings, first: &[u64], exact: bool) {
        let mut bench = Bench::new(on);
        assert_eq!(bench.engine.set_positions(positions), exact);
        let joined = (0..bench.incarnations.len() as u64).flat_map(|replica| bench.join(replica));
        let joined: Vec<Effect> = joined.collect();
        let numbers: Vec<u64> = granted(&joined).into_iter().map(|(_, _, number)| number).collect();
        assert_eq!(numbers, first, "{positions:?}");
    }
    let none = at(3, 6, &[]);
    assert_eq!((&none.given[..], &none.skipped[..]), (&[6][..], &[][..]));
    check(&none, ordered(3, 3), &[6, 7, 8], true);
    check(&none, settings(3, 3), &[6, 7, 8], true);
    // The second of three shares has left two batches out: its next one is 7 + 2 * 3.
    let some = at(3, 6, &[0, 2, 0]);
    assert_eq!((&some.given[..], some.first_of_step), (&[2, 4, 2][..], Some(6)));
    check(&some, ordered(3, 3), &[6, 13, 8], true);
    check(&some, ordered(3, 1), &[6], true);
    check(&some, settings(3, 3), &[6, 13, 8], true);
    check(&some, settings(2, 2), &[6, 8], true);
    // Shares of another number are other streams: all begin after those that were given.
    check(&some, ordered(2, 2), &[12, 13], false);
    // The first batch of a step may have any number, once A has changed.
    check(&at(3, 7, &[0, 2, 0]), settings(3, 3), &[9, 7, 14], true);
}
