//! Runs: replayed to the bit, with the engine's rules, through deaths, pauses and returns.

use simulator::{Mode, Outcome, Plan, plans, simulate};

fn run(text: &str) -> Outcome {
    simulate(&Plan::read(text).unwrap_or_else(|error| panic!("{error}\n{text}")))
}

fn carried(name: &str, change: impl FnOnce(&mut Plan)) -> Outcome {
    let text = plans::carried(name).expect("is carried").text;
    let mut plan = Plan::read(text).expect("is a plan");
    change(&mut plan);
    simulate(&plan)
}

#[test]
fn a_seed_replays_to_the_byte_and_another_differs() {
    for plan in plans::CARRIED {
        let json = |seed: u64| {
            let outcome = carried(plan.name, |plan| (plan.seed, plan.steps) = (seed, 200));
            let report = serde_json::to_string(&outcome.report).expect("is JSON");
            (report, outcome.step_seconds)
        };
        assert_eq!(json(7), json(7), "{}", plan.name);
        assert_ne!(json(7), json(8), "{}", plan.name);
    }
}

/// Whatever the platform: changes here mean that every published seed is void.
#[test]
fn the_first_steps_of_a_seed_are_fixed_for_ever() {
    #[track_caller]
    fn check(name: &str, expected: [f64; 2]) {
        let outcome = carried(name, |plan| plan.steps = 2);
        assert_eq!(outcome.step_seconds, expected, "{name}");
    }
    check("chen-2016", [1.658491639, 3.247810012]);
    check("osdi-2016", [1.910269226, 2.122131082]);
    check("spot-machines", [1.329166289, 1.277101682]);
}

#[test]
fn a_replica_more_does_not_move_the_times_of_the_others() {
    let text = |total: usize| {
        format!(
            "mode = \"ideal\"\nreplicas_to_aggregate = 1\ntotal_num_replicas = {total}\n\
             steps = 50\ncompute.exponential.mean = 1\n"
        )
    };
    let (two, three) = (run(&text(2)), run(&text(3)));
    let pairs = two.step_seconds.iter().zip(&three.step_seconds);
    let (mut same, mut faster) = (0, 0);
    for (two, three) in pairs {
        assert!(three <= two, "the first of three came after the first of two of them");
        if two == three { same += 1 } else { faster += 1 }
    }
    assert!(same > 20 && faster > 5, "{same} {faster}");
}

/// Computing takes one second each time, so a run can be followed by hand.
#[track_caller]
fn check(lines: &str, steps: &[f64], gradients: [u64; 3]) {
    let outcome = run(&format!("steps = {}\n{lines}", steps.len()));
    assert_eq!(outcome.step_seconds, steps, "{lines}\n{:?}", outcome.report);
    let got = outcome.report.gradients;
    assert_eq!([got.accepted, got.stale, got.superseded], gradients, "{lines}");
}

#[test]
fn runs_that_can_be_followed_by_hand() {
    let one = "compute.constant.seconds = 1\n";
    check(&format!("replicas_to_aggregate = 1\n{one}"), &[1.0, 1.0], [2, 0, 0]);
    let sent = "network.constant.seconds = 0.5\nupdate.constant.seconds = 0.25\n";
    check(&format!("replicas_to_aggregate = 2\n{one}{sent}"), &[1.75, 1.75], [4, 0, 0]);
    // with fewer replicas than gradients each computes several.
    let few = format!("replicas_to_aggregate = 4\ntotal_num_replicas = 2\n{one}");
    check(&few, &[2.0, 2.0], [8, 0, 0]);
    check(&format!("mode = \"ideal\"\n{few}"), &[2.0, 2.0], [8, 0, 0]);
    // The backup is told, and begins afresh with the others.
    let slow = "replicas_to_aggregate = 1\ntotal_num_replicas = 2\n\
                [[replica]]\nnumber = 1\ncompute.constant.seconds = 5\n";
    check(&format!("{one}{slow}"), &[1.0, 1.0], [2, 0, 2]);
    check(&format!("tell_superseded = false\n{one}{slow}"), &[1.0; 6], [6, 1, 0]);
}

#[test]
fn what_happens_to_replicas() {
    let two = "replicas_to_aggregate = 2\ncompute.constant.seconds = 1\nlease = 3\n";
    let event = |at: f64, what: &str| format!("[[event]]\nat = {at}\nreplica = 1\nwhat = {what}\n");
    // P-2: a leaver's token goes to the other at once, which then computes twice a step.
    check(&format!("{two}{}", event(1.5, "\"leaves\"")), &[1.0, 2.0, 2.0], [6, 0, 0]);
    // P-5: a dead one's when its lease ends, three seconds after its last sign of life.
    check(&format!("{two}{}", event(1.5, "\"dies\"")), &[1.0, 4.5, 2.0], [6, 0, 0]);
    // A pause within the lease only delays.
    let pause = event(1.5, "\"pauses\"\nseconds = 1.5");
    check(&format!("{two}{pause}"), &[1.0, 2.5, 1.0], [6, 0, 0]);
    // P-28: one that lives keeps its token beyond a lease, but not beyond the step timeout.
    let deaf = format!(
        "tell_superseded = false\n{two}[[replica]]\nnumber = 1\ncompute.constant.seconds = 50\n"
    );
    let with = |limit: &str| format!("step_timeout = {limit}\n{deaf}");
    check(&with("8"), &[9.0, 2.0, 2.0], [6, 0, 0]);
    check(&with("\"automatic\""), &[11.0, 2.0, 2.0], [6, 0, 0]);
    check(&with("\"none\""), &[50.0], [2, 0, 0]);
    // P-9: who comes back waits for a token of its own.
    let back = event(1.5, "\"leaves\"") + &event(3.5, "\"joins\"");
    check(&format!("{two}{back}"), &[1.0, 2.0, 1.5, 1.0], [8, 0, 0]);
    // Who is not there at the start is not waited for beyond a lease.
    check(&format!("{two}{}", event(9.0, "\"joins\"")), &[4.0, 2.0, 2.0], [6, 0, 0]);
}

#[test]
fn a_run_that_cannot_go_on_says_so() {
    let stuck = |outcome: &Outcome| outcome.report.stuck.clone().unwrap_or_default();
    let dead = carried("dead-without-lease", |_| {});
    assert!(stuck(&dead).contains("1 of 2 gradients are in, 1 of 3 replicas live"), "{dead:?}");
    assert!(dead.report.steps > 50);
    // With leases the last one goes on alone.
    let leased = carried("dead-without-lease", |plan| {
        *plan = plan
            .with(|settings| {
                *settings =
                    engine::Settings { total_num_replicas: Some(3), ..engine::Settings::new(2) }
            })
            .expect("fits");
    });
    assert_eq!((leased.report.stuck, leased.report.steps), (None, 1000));
    let all_dead = "replicas_to_aggregate = 1\ncompute.constant.seconds = 1\n\
                    [[event]]\nat = 3.5\nreplica = 0\nwhat = \"dies\"\n";
    let dead = run(all_dead);
    assert!(stuck(&dead).contains("0 of 1 replicas live"), "{dead:?}");
    assert_eq!(dead.report.steps, 3);
    // P-5: a deadline says who is missing.
    let late = run("replicas_to_aggregate = 2\nstep_deadline = 5\nlease = \"none\"\n\
                    compute.constant.seconds = 1\n\
                    [[replica]]\nnumber = 1\ncompute.constant.seconds = 50\n");
    assert!(stuck(&late).contains("1 of 2 gradients are in, and replica 1 has"), "{late:?}");
    // Deaths without end, and no time for a step between them.
    let churn = "replicas_to_aggregate = 1\ncompute.constant.seconds = 1\n\
                 [churn]\ndies_after.constant.seconds = 0\nback_after.constant.seconds = 0\n";
    assert!(stuck(&run(churn)).contains("events made no step"));
}

/// Told at once and with nothing on the wire, the engine's steps are the formula's, whatever slows
/// replicas: batches have the same numbers, and episodes come at the same times.
#[test]
fn distributions_mean_the_same_in_both_modes() {
    #[track_caller]
    fn check(distributions: &str) {
        let text = |mode: &str, distributions: &str| {
            format!(
                "mode = \"{mode}\"\nreplicas_to_aggregate = 6\ntotal_num_replicas = 8\n\
                 lease = \"none\"\nsteps = 300\n\
                 compute.log-normal = {{ median = 1, sigma = 0.1 }}\n\
                 update.constant.seconds = 0.25\n{distributions}"
            )
        };
        let (ideal, tokens) =
            (run(&text("ideal", distributions)), run(&text("tokens", distributions)));
        assert_ne!(ideal.step_seconds, run(&text("ideal", "")).step_seconds, "{distributions}");
        for (step, pair) in ideal.step_seconds.iter().zip(&tokens.step_seconds).enumerate() {
            assert!((pair.0 - pair.1).abs() < 1e-6, "{distributions}, step {step}: {pair:?}");
        }
    }
    let episodes = "[[episodes]]\nevery.exponential.mean = 20\nlast.exponential.mean = 5\n\
                    factor.log-normal = { median = 2, sigma = 0.2 }\ngroup = 3\n";
    let machine = "machine.log-normal = { median = 1, sigma = 0.3 }\n";
    let batch = "batch.pareto = { least = 1, alpha = 3 }\n";
    let correlation = "correlation = 0.9\n";
    for distributions in [episodes, machine, batch, correlation] {
        check(distributions);
    }
    check(&[correlation, batch, machine, episodes].concat());
}

#[test]
fn who_comes_back_has_its_machine_and_its_batch() {
    let away = "[[event]]\nat = 0.5\nreplica = 0\nwhat = \"dies\"\n\
                [[event]]\nat = 0.75\nreplica = 0\nwhat = \"joins\"\n";
    for distribution in ["machine", "batch"] {
        let text = |events: &str| {
            format!(
                "replicas_to_aggregate = 1\nsteps = 3\ncompute.constant.seconds = 1\n\
                 {distribution}.shifted-exponential = {{ least = 1, mean_excess = 1 }}\n{events}"
            )
        };
        let mut steps = run(&text("")).step_seconds;
        steps[0] += 0.75;
        assert_eq!(run(&text(away)).step_seconds, steps, "{distribution}");
    }
    // P-14: in replica order another computes the share of one that is gone, and its batch, of
    // which one takes a second here, the other seven.
    let text = |events: &str| {
        format!(
            "replicas_to_aggregate = 2\nsteps = 1\ncompute.constant.seconds = 1\nseed = 1\n\
             order = \"replica\"\nbatch.samples.factors = [1, 7]\n{events}"
        )
    };
    let left = "[[event]]\nat = 0.5\nreplica = 1\nwhat = \"leaves\"\n";
    let steps = ["", left].map(|events| run(&text(events)).step_seconds[0]);
    assert_eq!(steps, [7.0, 8.0]);
}

/// P-14: in replica order no batch is left out, so a backup wins nothing on a long one: it computes
/// the same again, and takes as long.
#[test]
fn no_backup_makes_a_long_batch_of_replica_order_shorter() {
    let steps = |total: usize, order: &str| {
        let text = plans::carried("bytedance-sequences").expect("is carried").text;
        let text = text.replace("_replicas = 32", &format!("_replicas = {total}"));
        run(&format!("order = \"{order}\"\n{}", text.replace("20000", "500"))).step_seconds
    };
    assert_eq!(steps(32, "replica"), steps(31, "replica"));
    let mean = |seconds: Vec<f64>| seconds.iter().sum::<f64>() / 500.0;
    let gain = mean(steps(31, "arrival")) / mean(steps(32, "arrival"));
    assert!((1.05..1.08).contains(&gain), "{gain}");
}

// R-22, P-12, P-13
#[test]
fn policies_cost_what_they_should() {
    let step = |tell: bool, keep: bool, mode: Mode| {
        let outcome = carried("chen-2016", |plan| {
            *plan = plan
                .with(|settings| {
                    settings.tell_superseded = tell;
                    if !keep {
                        settings.token_policy = engine::TokenPolicy::DiscardLeftovers;
                    }
                })
                .expect("fits");
            (plan.steps, plan.mode) = (2000, mode);
        });
        outcome.report.step_seconds.mean
    };
    let ideal = step(false, false, Mode::Ideal);
    assert!((1.68..1.73).contains(&ideal), "{ideal}");
    let told = step(true, false, Mode::Tokens);
    assert!((told - ideal).abs() < 0.005, "{told} {ideal}");
    let described = step(false, true, Mode::Tokens);
    assert!((1.98..2.09).contains(&described), "{described}");
    // Kept leftovers are given up by those who are told, so they cost no more than a moment.
    let both = step(true, true, Mode::Tokens);
    assert!(both < described, "{both} {described}");
}
