//! Replica order: shares, backups, and who computes what (P-13, P-14).

use super::*;

fn ordered(aggregate: usize, total: usize) -> Settings {
    Settings { order: Order::Replica, ..settings(aggregate, total) }
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
