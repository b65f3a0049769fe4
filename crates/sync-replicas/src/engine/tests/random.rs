//! Random events against a plain model: conservation, staleness, progress (P-5, P-7, P-11, P-15).

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Event {
    Join(u64),
    Leave(u64),
    Turn(u64),
    Repeat(u64),
    GiveUp(u64),
    Request(u64),
    /// Push without applying what it closes.
    Push(u64),
    Apply,
    Tick(u64),
}

fn event() -> impl Strategy<Value = Event> {
    let replica = 0_u64..4;
    prop_oneof![
        2 => replica.clone().prop_map(Event::Join),
        1 => replica.clone().prop_map(Event::Leave),
        6 => replica.clone().prop_map(Event::Turn),
        1 => replica.clone().prop_map(Event::Repeat),
        1 => replica.clone().prop_map(Event::GiveUp),
        1 => replica.clone().prop_map(Event::Request),
        3 => replica.prop_map(Event::Push),
        2 => Just(Event::Apply),
        1 => (0_u64..3).prop_map(Event::Tick),
    ]
}

fn any_settings() -> impl Strategy<Value = Settings> {
    let choices = (any::<bool>(), any::<bool>(), any::<bool>(), 0_usize..3);
    (1_usize..=4, 1_usize..=4, choices).prop_map(|(aggregate, total, choices)| {
        let (keep, replica_order, reference, extra) = choices;
        let needed = aggregate.saturating_sub(total);
        let plain = Settings {
            initial_tokens: InitialTokens::Exactly(needed + extra),
            lease: Some(Duration::from_secs(2)),
            step_deadline: Some(Duration::from_secs(3)),
            ..settings(aggregate, total)
        };
        match (reference, replica_order, keep) {
            (true, ..) => plain.reference(),
            (_, true, _) => Settings { order: Order::Replica, ..plain },
            (_, _, true) => Settings { token_policy: TokenPolicy::KeepLeftovers, ..plain },
            _ => plain,
        }
    })
}

/// What the engine must know, kept in the plainest way.
struct Model {
    /// Contributions that the open step holds.
    held: u64,
    /// The step that gradients must have.
    step: i64,
    /// Closed but not applied.
    due: Vec<Effect>,
}

fn play(bench: &mut Bench, model: &mut Model, event: &Event) -> Result<(), TestCaseError> {
    let needed = bench.engine.config().replicas_to_aggregate() as u64;
    let total = bench.incarnations.len() as u64;
    let live: Vec<u64> = (0..total)
        .filter(|&replica| {
            let incarnation = bench.incarnations[replica as usize];
            bench.engine.clone().renew(id(replica), incarnation, bench.now).is_ok()
        })
        .collect();
    match *event {
        Event::Join(replica) if replica < total && !live.contains(&replica) => {
            bench.join(replica);
        }
        Event::Leave(replica) if live.contains(&replica) => bench.leave(replica),
        Event::Turn(replica) | Event::Push(replica) if live.contains(&replica) => {
            let local = bench.engine.local_step(id(replica)).expect("it has joined").get();
            let (decision, effects) = bench.push_at(replica, local);
            match decision.outcome {
                Outcome::Accepted { count } => {
                    prop_assert!(local >= model.step, "stale, yet accepted");
                    model.held += 1;
                    prop_assert_eq!(count, model.held);
                }
                Outcome::Stale { .. } => prop_assert!(local < model.step, "fresh, yet stale"),
                Outcome::Duplicate { .. } => prop_assert!(local >= model.step),
                Outcome::Partly { .. } => prop_assert!(false, "all lanes were pushed"),
            }
            absorb(model, effects, needed)?;
            if matches!(event, Event::Turn(_)) {
                apply_due(bench, model, needed)?;
            }
        }
        Event::Repeat(replica)
            if live.contains(&replica) && bench.sequences[replica as usize] > 0 =>
        {
            let (decision, effects) = bench.push_again(replica, i64::MAX);
            prop_assert!(decision.repeated && effects.is_empty());
        }
        Event::GiveUp(replica) if live.contains(&replica) => {
            let incarnation = bench.incarnations[replica as usize];
            let (done, effects) =
                bench.event(|engine, now, out| engine.give_up(id(replica), incarnation, now, out));
            prop_assert_eq!(done, Ok(()));
            absorb(model, effects, needed)?;
        }
        Event::Request(replica) if live.contains(&replica) => {
            let incarnation = bench.incarnations[replica as usize];
            let asked =
                bench.event(|engine, now, out| engine.request(id(replica), incarnation, now, out));
            prop_assert_eq!(asked.0, Ok(()));
        }
        Event::Apply => apply_due(bench, model, needed)?,
        Event::Tick(seconds) => {
            bench.now += Duration::from_secs(seconds);
            let (_, effects) = bench.event(|engine, now, out| engine.tick(now, out));
            absorb(model, effects, needed)?;
        }
        _ => {}
    }
    Ok(())
}

fn absorb(model: &mut Model, effects: Vec<Effect>, needed: u64) -> Result<(), TestCaseError> {
    for effect in effects {
        if let Effect::Close { lane, count } = effect {
            prop_assert!(count >= needed, "closed with {count} of {needed}");
            prop_assert_eq!(count, model.held);
            model.due.push(effect);
            if lane == 0 {
                model.step += 1;
            }
        }
    }
    // All lanes close at the same push here, so what is held belongs to the next step.
    if !model.due.is_empty() && model.held >= needed {
        model.held = 0;
    }
    Ok(())
}

fn apply_due(bench: &mut Bench, model: &mut Model, needed: u64) -> Result<(), TestCaseError> {
    while !model.due.is_empty() {
        for effect in std::mem::take(&mut model.due) {
            if let Effect::Close { lane, .. } = effect {
                let (_, effects) = bench.event(|engine, now, out| engine.applied(lane, now, out));
                absorb(model, effects, needed)?;
            }
        }
    }
    prop_assert_eq!(bench.step(), model.step);
    Ok(())
}

/// With leases, whoever lives makes progress: nobody needs the dead or the stuck.
fn goes_on(bench: &mut Bench, model: &mut Model) -> Result<(), TestCaseError> {
    let needed = bench.engine.config().replicas_to_aggregate() as u64;
    apply_due(bench, model, needed)?;
    let total = bench.incarnations.len();
    if bench.engine.num_live() == 0 {
        bench.join(0);
    }
    let living = (0..total as u64)
        .find(|&replica| {
            let incarnation = bench.incarnations[replica as usize];
            bench.engine.clone().renew(id(replica), incarnation, bench.now).is_ok()
        })
        .expect("one lives");
    let until = bench.step() + 3;
    for _ in 0..200 {
        if bench.step() >= until {
            return Ok(());
        }
        let incarnation = bench.incarnations[living as usize];
        bench
            .event(|engine, now, out| engine.request(id(living), incarnation, now, out))
            .0
            .expect("it lives");
        let waits = bench.engine.waiting().any(|waiting| waiting == id(living));
        if waits {
            // Everybody else is stuck: their leases run out.
            bench.now += Duration::from_secs(2);
            let (_, effects) = bench.event(|engine, now, out| engine.tick(now, out));
            absorb(model, effects, needed)?;
        } else {
            play(bench, model, &Event::Turn(living))?;
        }
    }
    prop_assert!(false, "replica {} made no progress\n{:#?}", living, bench.engine);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn events_keep_the_invariants(
        settings in any_settings(),
        events in prop::collection::vec(event(), 1..100),
    ) {
        let leased = settings.lease.is_some();
        let mut bench = Bench::new(settings);
        let mut model = Model { held: 0, step: 0, due: Vec::new() };
        for event in &events {
            play(&mut bench, &mut model, event)?;
        }
        if leased {
            goes_on(&mut bench, &mut model)?;
        }
    }
}
