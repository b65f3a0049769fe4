//! The exact answers to single events, in their order (R-20 to, P-9, P-12, P-15).

use super::*;

fn grants(effects: &[Effect]) -> Vec<(u64, i64)> {
    let grant = |effect: &Effect| match effect {
        Effect::Grant(grant) => Some((grant.replica.get(), grant.local_step.get())),
        _ => None,
    };
    effects.iter().filter_map(grant).collect()
}

#[test]
fn a_step_closes_then_moves_then_tokens_go_out() {
    // update, global step, tokens; nothing moves before the update is reported.
    let mut bench = Bench::joined(settings(2, 2));
    let (first, effects) = bench.push_at(0, 0);
    assert_eq!(first.outcome, Outcome::Accepted { count: 1 });
    assert_eq!(effects, []);
    let (second, effects) = bench.push_at(1, 0);
    assert_eq!(second.outcome, Outcome::Accepted { count: 2 });
    assert_eq!(effects, [Effect::Close { lane: 0, count: 2 }]);
    assert_eq!(bench.step(), 0);
    let (_, effects) = bench.event(|engine, now, out| engine.applied(0, now, out));
    assert_eq!(effects[0], Effect::Advanced { global_step: GlobalStep::new(1) });
    assert_eq!(grants(&effects[1..]), [(0, 1), (1, 1)], "first come, first served");
}

#[test]
fn a_push_counts_once_in_each_lane_that_it_names() {
    // P-15, R-25
    #[track_caller]
    fn check(lanes: &[usize], expected: Result<&[u64], Refused>) {
        let mut bench = Bench::joined(settings(3, 3).reference());
        let push = Push {
            replica: id(0),
            incarnation: bench.incarnations[0],
            generation: bench.engine.generation(),
            sequence: 1,
            local_step: LocalStep::new(0),
            lanes: Some(lanes.to_vec()),
        };
        let (pushed, _) = bench.event(|engine, now, out| engine.push(&push, now, out));
        let counts: Vec<_> = (0..2).filter_map(|at| bench.engine.num_accumulated(at)).collect();
        assert_eq!(pushed.map(|_| &counts[..]), expected, "{lanes:?}");
    }
    check(&[0], Ok(&[1, 0]));
    check(&[1, 0], Ok(&[1, 1]));
    check(&[0, 0], Ok(&[1, 0]));
    check(&[1, 0, 1], Ok(&[1, 1]));
    check(&[], Err(Refused::Empty));
    check(&[2], Err(Refused::Lane { lane: 2, lanes: 2 }));
}

#[test]
fn tokens_per_step_is_the_larger_of_both() {
    // T = max(N, A)
    for (aggregate, total, expected) in [(2, 3, 3), (4, 2, 4), (3, 3, 3), (1, 1, 1)] {
        let config = settings(aggregate, total).check().expect("they fit");
        assert_eq!(config.tokens_per_step(), expected, "A={aggregate} N={total}");
    }
    assert_eq!(Settings::new(3).check().expect("they fit").total_num_replicas(), 3);
}

#[test]
fn initial_tokens() {
    // R-24, P-3: (A, N, choice) -> how many, or how many would be needed
    #[track_caller]
    fn check(
        aggregate: usize,
        total: usize,
        choice: InitialTokens,
        expected: Result<usize, usize>,
    ) {
        let settings = Settings { initial_tokens: choice, ..settings(aggregate, total) };
        let got = match settings.check() {
            Ok(config) => config.initial_tokens(choice).map_err(|_| 0),
            Err(ConfigError::Start(StartError::TooFewTokens { needed, .. })) => Err(needed),
            Err(other) => panic!("{other}"),
        };
        assert_eq!(got, expected, "A={aggregate} N={total} {choice:?}");
    }
    use InitialTokens::{Aggregate, Exactly, Fewest};
    check(4, 2, Aggregate, Ok(4));
    check(4, 2, Fewest, Ok(2));
    check(4, 2, Exactly(0), Err(2));
    check(4, 2, Exactly(1), Err(2));
    check(4, 2, Exactly(2), Ok(2));
    check(4, 2, Exactly(3), Ok(3));
    check(2, 3, Aggregate, Ok(2));
    check(2, 3, Fewest, Ok(0));
    check(2, 3, Exactly(0), Ok(0));
    check(2, 2, Fewest, Ok(0));
}

#[test]
fn settings_that_do_not_fit_are_refused() {
    // R-18, P-14
    let zero = |name| ConfigError::Zero { name };
    assert_eq!(settings(0, 2).check(), Err(zero("replicas_to_aggregate")));
    assert_eq!(settings(2, 0).check(), Err(zero("total_num_replicas")));
    let ordered = Settings { order: SummationOrder::Replica, ..settings(2, 2) };
    assert_eq!(
        ordered.clone().reference().check().map(|c| c.settings().order),
        Ok(SummationOrder::Arrival)
    );
    let kept = Settings { token_policy: TokenPolicy::KeepLeftovers, ..ordered };
    assert_eq!(kept.check(), Err(ConfigError::Order));
    let hurried = Settings { lease: Some(Duration::ZERO), ..settings(2, 2) };
    assert_eq!(hurried.check(), Err(ConfigError::NoTime { name: "lease" }));
}

#[test]
fn a_late_gradient_is_dropped_and_said_to_be() {
    // P-7: N = 3, A = 2; the backup comes late
    let mut bench = Bench::joined(settings(2, 3));
    bench.turn(0);
    bench.turn(2);
    assert_eq!(bench.step(), 1);
    let stale = Outcome::Stale { local_step: LocalStep::new(0), global_step: GlobalStep::new(1) };
    assert_eq!(bench.turn(1), stale);
    assert_eq!(bench.engine.tally(id(1)).map(|tally| (tally.accepted, tally.stale)), Some((0, 1)));
    assert_eq!(bench.engine.local_step(id(1)), Some(LocalStep::new(1)), "it goes on with step 1");
}

#[test]
fn leftover_tokens_are_no_work_unless_kept() {
    // P-12, P-13: A = 2 of N = 4, the last two replicas dead from the start. Kept leftovers waste
    // half of what the living compute. Discarded ones let a fast replica begin another gradient of
    // the same step; it is told when that has become useless, so nothing is computed to the end in
    // vain.
    for (policy, wasted) in [(TokenPolicy::DiscardLeftovers, 0), (TokenPolicy::KeepLeftovers, 40)] {
        let mut bench = Bench::new(Settings { token_policy: policy, ..settings(2, 4) });
        bench.join(0);
        bench.join(1);
        let mut stale = 0;
        while bench.step() < 20 {
            for replica in [0, 1] {
                if policy == TokenPolicy::DiscardLeftovers
                    && bench.engine.is_superseded(id(replica))
                {
                    bench.give_up(replica);
                } else if bench.engine.waiting().all(|waiting| waiting != id(replica)) {
                    stale += u64::from(matches!(bench.turn(replica), Outcome::Stale { .. }));
                }
            }
        }
        // The first step leaves T tokens for the second, and so on: T - A each.
        assert!(stale.abs_diff(wasted) <= 4, "{policy:?}: {stale} wasted, {wasted} expected");
    }
}

#[test]
fn steady_state_of_tensorflow() {
    // T pushes claim each step and T - A are dropped, also when the others are dead:
    // (A, N, living, completions a step)
    for (aggregate, total, living, expected) in
        [(3, 3, 3, 3), (2, 3, 3, 3), (2, 3, 2, 3), (2, 4, 2, 4), (2, 6, 2, 6), (4, 2, 2, 4)]
    {
        let mut bench = Bench::new(settings(aggregate, total).reference());
        (0..living).for_each(|replica| drop(bench.join(replica)));
        let turns = |bench: &mut Bench, steps: i64| -> i64 {
            let (mut turns, until) = (0_i64, bench.step() + steps);
            while bench.step() < until {
                for replica in 0..living {
                    if bench.engine.waiting().all(|waiting| waiting != id(replica)) {
                        bench.turn(replica);
                        turns += 1;
                    }
                }
            }
            turns
        };
        turns(&mut bench, 10);
        let got = turns(&mut bench, 100);
        assert!((got - 100 * expected).abs() <= expected, "A={aggregate} N={total}: {got}");
    }
}

#[test]
fn one_gradient_a_replica_and_step() {
    // P-3: with A = N and the fewest tokens, a fast replica waits; it never pushes twice a step.
    let mut bench = Bench::joined(settings(2, 2));
    bench.turn(0);
    assert_eq!(bench.engine.waiting().collect::<Vec<_>>(), [id(0)]);
    bench.turn(1);
    assert_eq!(bench.engine.num_tokens(), 0, "each has one");
    // TensorFlow's default lets it: the chief alone reaches step 6 in 13 turns.
    let mut bench = Bench::joined(settings(2, 2).reference());
    let mut turns = 0;
    while bench.engine.waiting().next().is_none() {
        bench.turn(0);
        turns += 1;
        if turns == 13 {
            break;
        }
    }
    assert_eq!((turns, bench.step()), (13, 6));
}

#[test]
fn a_repeated_push_counts_once() {
    // P-15
    let mut bench = Bench::joined(settings(2, 2));
    let (first, _) = bench.push_at(0, 0);
    let (again, effects) = bench.push_again(0, 0);
    assert_eq!(again, Decision { outcome: first.outcome, repeated: true });
    assert_eq!(effects, []);
    assert_eq!(bench.engine.num_accumulated(0), Some(1));
}

#[test]
fn an_earlier_life_is_fenced_off() {
    // P-9
    let mut bench = Bench::joined(settings(2, 2));
    bench.push_at(0, 0);
    let old = Push {
        replica: id(1),
        incarnation: bench.incarnations[1],
        generation: bench.engine.generation(),
        sequence: 1,
        local_step: LocalStep::new(7),
        lanes: None,
    };
    bench.engine.restore(GlobalStep::new(7), Generation::new(4), 2);
    assert_eq!(bench.engine.generation(), Generation::new(5), "above both");
    assert_eq!(bench.engine.num_accumulated(0), Some(0), "held gradients are gone");
    assert_eq!(bench.engine.num_tokens(), 0, "tokens too");
    let (refused, _) = bench.event(|engine, now, out| engine.push(&old, now, out));
    let expected = Refused::Generation { expected: Generation::new(5), got: Generation::new(1) };
    assert_eq!(refused, Err(expected));
    let old_incarnation = bench.incarnations[1];
    bench.join(1);
    bench.event(|engine, now, out| engine.leave(id(1), old_incarnation, now, out));
    assert_eq!(bench.engine.num_live(), 1, "the old handle cannot throw the new one out");
}

#[test]
fn who_comes_back_waits_for_a_token() {
    // P-9: its old token has gone to the others; joining gives no second one.
    let mut bench = Bench::joined(settings(2, 2));
    bench.leave(1);
    assert_eq!(bench.engine.num_tokens(), 1, "returned");
    bench.turn(0);
    assert_eq!(bench.engine.num_tokens(), 0, "and taken by the other");
    assert_eq!(bench.join(1), [], "so it waits");
    bench.turn(0);
    assert_eq!(bench.step(), 1);
    assert!(bench.engine.waiting().next().is_none());
}

#[test]
fn the_end_is_told_and_final() {
    // P-1, P-2
    let mut bench = Bench::joined(settings(2, 2));
    bench.turn(0);
    let reason = StopReason::Requested("enough".to_owned());
    let (_, effects) = bench.event(|engine, _, out| engine.stop(reason.clone(), out));
    assert_eq!(effects, [Effect::Ended]);
    let (_, effects) =
        bench.event(|engine, _, out| engine.stop(StopReason::Failed("late".to_owned()), out));
    assert_eq!(effects, [], "the first reason stands");
    assert_eq!(bench.engine.stopped(), Some(&reason));
    let (joined, _) = bench.event(|engine, now, out| engine.join(id(1), now, out));
    assert_eq!(joined, Err(JoinError::Ended));
}

#[test]
fn joining_wrongly() {
    let mut bench = Bench::joined(settings(2, 2));
    for (replica, expected) in [
        (1, JoinError::Present { replica: id(1) }),
        (2, JoinError::Unknown { replica: id(2), total: 2 }),
    ] {
        let (joined, effects) = bench.event(|engine, now, out| engine.join(id(replica), now, out));
        assert_eq!((joined, effects), (Err(expected), vec![]));
    }
}

#[test]
fn a_gradient_outlives_the_chiefs_session() {
    // R-27, E-20: it was pushed before the chief's restart, and counts after it
    let mut bench = Bench::joined(settings(2, 2).reference());
    bench.turn(0);
    let start = |engine: &mut Engine, now, out: &mut Vec<Effect>| {
        engine.start_chief(InitialTokens::Aggregate, now, out)
    };
    bench.event(start).0.expect("it starts again");
    assert_eq!((bench.engine.num_accumulated(0), bench.engine.num_tokens()), (Some(1), 3));
    assert_eq!(bench.turn(1), Outcome::Accepted { count: 2 });
    assert_eq!(bench.step(), 1);
}

#[test]
fn the_step_never_wraps() {
    // E-22
    let config = settings(1, 1).check().expect("they fit");
    let engine = Engine::new(config, 1, GlobalStep::new(i64::MAX), Generation::new(1));
    let mut bench = Bench::joined(settings(1, 1));
    bench.engine = engine;
    bench.event(|e, now, out| e.start_chief(InitialTokens::Fewest, now, out)).0.expect("it starts");
    bench.join(0);
    bench.push_at(0, i64::MAX);
    assert!(matches!(bench.engine.stopped(), Some(StopReason::Failed(_))));
    assert_eq!(bench.step(), i64::MAX);
}

#[test]
fn variables_for_themselves() {
    // P-11's counterpart in TensorFlow: a push of some variables moves those alone.
    let mut bench = Bench::joined(settings(2, 2).reference());
    for replica in [0, 1] {
        let push = Push {
            replica: id(replica),
            incarnation: bench.incarnations[replica as usize],
            generation: bench.engine.generation(),
            sequence: 1,
            local_step: LocalStep::new(0),
            lanes: Some(vec![0]),
        };
        let (pushed, effects) = bench.event(|engine, now, out| engine.push(&push, now, out));
        pushed.expect("both lanes exist");
        bench.apply(effects);
    }
    assert_eq!(bench.step(), 0, "the second variable has no gradient yet");
    bench.sequences = vec![1, 1];
    let (decision, _) = bench.push_at(0, 0);
    assert_eq!(decision.outcome, Outcome::Partly { accepted: vec![1] });
    let (_, effects) = bench.push_at(1, 0);
    bench.apply(effects);
    assert_eq!(bench.step(), 1);
}
