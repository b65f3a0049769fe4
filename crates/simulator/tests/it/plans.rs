//! Reading plans: what is carried can be read, and what cannot be meant is refused where it stands.

use proptest::prelude::*;
use simulator::{Arrivals, Distribution, Mode, Plan, What, plans};

/// A plan of 4 of 5 with these lines added.
fn plan(lines: &str) -> String {
    format!(
        "replicas_to_aggregate = 4\ntotal_num_replicas = 5\ncompute.constant.seconds = 1\n{lines}"
    )
}

#[test]
fn every_carried_plan_can_be_read_and_bears_its_name() {
    for carried in plans::CARRIED {
        let plan = Plan::read(carried.text).unwrap_or_else(|e| panic!("{}: {e}", carried.name));
        assert_eq!(plan.name, carried.name);
        assert!(!plan.about.is_empty(), "{}", carried.name);
    }
    assert_eq!(plans::carried("nobody"), None);
}

/// what a plan's comments say that it was made like, which is how many times longer a
/// step takes than without its slowest one or two.
#[test]
fn plans_of_traces_are_like_their_traces() {
    #[track_caller]
    fn check(name: &str, gains: [f64; 2], within: f64) {
        let plan = Plan::read(plans::carried(name).expect("is carried").text).expect("is a plan");
        let total = plan.total();
        let plan = plan.with(|settings| settings.replicas_to_aggregate = total).expect("fits");
        let mut arrivals = Arrivals::new(&plan);
        let mut sums = [0.0; 3];
        for _ in 0..5000 {
            let times = arrivals.step().iter().rev();
            sums.iter_mut().zip(times).for_each(|(sum, time)| *sum += time.arrives);
        }
        for (without, expected) in sums[1..].iter().zip(gains) {
            let got = sums[0] / without;
            assert!((got / expected - 1.0).abs() < within, "{name}: {got}, not {expected}");
        }
    }
    check("bytedance-sequences", [1.065, 1.103], 0.02);
    check("bytedance-slow-rank", [2.247, 2.258], 0.01);
    check("pai-quiet", [1.05, 1.07], 0.03);
    check("pai-two-kinds", [1.09, 1.53], 0.1);
}

#[test]
fn what_is_not_said_is_the_front_doors_default() {
    let plan = Plan::read(&plan("")).expect("is a plan");
    let front_door = engine::Settings { total_num_replicas: Some(5), ..engine::Settings::new(4) };
    assert_eq!(plan.config.settings(), &front_door);
    assert_eq!((plan.mode, plan.seed, plan.steps), (Mode::Tokens, 0, 1000));
    assert!(matches!(plan.distribution(3), Distribution::Constant { .. }));
}

#[test]
fn events_come_in_the_order_of_time() {
    let events = "[[event]]\nat = 2\nreplica = 1\nwhat = \"joins\"\n\
                  [[event]]\nat = 1\nreplica = 0\nwhat = \"pauses\"\nseconds = 3\n";
    let plan = Plan::read(&plan(events)).expect("is a plan");
    let what: Vec<_> = plan.events.iter().map(|event| (event.replica, event.what)).collect();
    assert_eq!(what, [(0, What::Pauses(std::time::Duration::from_secs(3))), (1, What::Joins)]);
}

#[track_caller]
fn refused(text: &str, line: Option<usize>, parts: &[&str]) {
    let error = Plan::read(text).expect_err("is no plan");
    assert_eq!(error.line(), line, "{error}");
    for part in parts {
        assert!(error.to_string().contains(part), "{error} does not say {part:?}");
    }
}

#[test]
fn what_cannot_be_meant_is_refused_with_its_line() {
    refused("", Some(1), &["missing field `replicas_to_aggregate`"]);
    refused("replicas_to_aggregate = 4\n", Some(1), &["missing field `compute`"]);
    refused("a = ", Some(1), &[]);
    refused(&plan("step = 5"), Some(4), &["unknown field `step`", "`steps`"]);
    refused(&plan("steps = 0"), Some(4), &["1 to 10000000", "got 0"]);
    refused(&plan("steps = 2.5"), Some(4), &["2.5", "u64"]);
    refused(&plan("seed = -1"), Some(4), &["-1"]);
    refused(&plan("mode = \"perfect\""), Some(4), &["`perfect`", "`ideal`", "`tokens`"]);
    refused(&plan("token_policy = \"lose\""), Some(4), &["`lose`", "`discard`", "`keep`"]);
    refused(&plan("lease = \"long\""), Some(4), &["seconds", "none"]);
    refused(&plan("lease = 0"), Some(1), &["lease is zero"]);
    refused(&plan("network.constant.seconds = -1"), Some(4), &["0 to 1e9 seconds", "-1"]);
    refused(&plan("network.constant.seconds = nan"), Some(4), &["NaN"]);
    refused(&plan("network.constant.second = 1"), Some(4), &["keys in table: second"]);
    refused(&plan("network.gamma.shape = 1"), Some(4), &["unknown variant `gamma`", "`pareto`"]);
    refused(&plan("network.samples.seconds = []"), Some(4), &["at least one time"]);
    let pareto = "network.pareto = { least = 1, alpha = 0 }";
    refused(&plan(pareto), Some(4), &["above 0", "got 0"]);
    let mixture = "network.mixture = { probability = 2, body.constant.seconds = 1, \
                   straggler.constant.seconds = 1 }";
    refused(&plan(mixture), Some(4), &["from 0 to 1", "got 2"]);
}

#[test]
fn impossible_distributions_are_refused_by_name() {
    for name in ["machine", "batch"] {
        let zero = plan(&format!("steps = 5\n{name}.constant.factor = 0"));
        refused(&zero, Some(5), &[&format!("`{name}`"), "above 0", "got 0"]);
        let some = "mixture = { probability = 0.1, body.constant.factor = 1, \
                    straggler.samples.factors = [2, 0] }";
        refused(&plan(&format!("{name}.{some}")), Some(4), &[&format!("`{name}`"), "got 0"]);
        let infinite = plan(&format!("steps = 5\n{name}.constant.factor = inf"));
        refused(&infinite, Some(5), &["to 1e9", "got inf"]);
    }
    let whole = "every.constant.seconds = 9\nlast.constant.seconds = 3\n\
                 factor.constant.factor = 2\ngroup = 4\n";
    let episodes =
        |old: &str, new: &str| plan(&format!("[[episodes]]\n{}", whole.replace(old, new)));
    assert_eq!(Plan::read(&episodes("", "")).expect("is a plan").episodes.len(), 1);
    refused(&episodes("= 9", "= 0"), Some(4), &["`every`", "above 0", "got 0"]);
    refused(&episodes("= 3", "= 0"), Some(4), &["`last`", "above 0", "got 0"]);
    refused(&episodes("= 2", "= 0"), Some(4), &["`factor`", "above 0", "got 0"]);
    refused(&episodes("= 4", "= 0"), Some(8), &["`0`", "nonzero"]);
    refused(&episodes("= 4", "= -1"), Some(8), &["-1"]);
    refused(&episodes("group", "groups"), Some(8), &["`groups`", "`group`"]);
    refused(&episodes("last.constant.seconds = 3\n", ""), Some(4), &["missing field `last`"]);
    refused(&plan("correlation = 1"), Some(4), &["0 to below 1", "got 1"]);
    refused(&plan("correlation = -0.5"), Some(4), &["0 to below 1", "-0.5"]);
}

//
#[test]
fn numbers_that_do_not_fit_each_other_are_refused() {
    let compute = "compute.constant.seconds = 1\n";
    refused(&format!("{compute}replicas_to_aggregate = 0"), Some(2), &["is 0", "at least 1"]);
    refused(
        &format!("{compute}replicas_to_aggregate = 70000"),
        Some(2),
        &["at most 65536", "70000"],
    );
    let few = "replicas_to_aggregate = 4\ntotal_num_replicas = 2\ninitial_tokens = 1\n";
    refused(&format!("{compute}{few}"), Some(2), &["1 given", "at least 2"]);
    refused(&plan("order = \"replica\"\ntoken_policy = \"keep\""), Some(1), &["replica order"]);
    let own = "[[replica]]\nnumber = 5\ncompute.constant.seconds = 1\n";
    refused(&plan(own), Some(4), &["from 0 to 4", "got 5"]);
    let twice = own.replace('5', "1").repeat(2);
    refused(&plan(&twice), Some(7), &["replica 1", "twice"]);
    let event = |what: &str| format!("[[event]]\nat = 1\nreplica = 1\nwhat = {what}\n");
    refused(&plan(&event("\"pauses\"")), Some(4), &["`seconds` for a pause"]);
    refused(&plan(&event("\"dies\"\nseconds = 1")), Some(4), &["only for a pause"]);
    refused(&plan(&event("\"explodes\"")), Some(7), &["explodes", "`dies`"]);
    let ideal = format!("mode = \"ideal\"\n{}", event("\"dies\""));
    refused(&plan(&ideal), None, &["no events", "tokens"]);
    refused(&plan("[churn]\npause.constant.seconds = 1"), Some(4), &["together"]);
    refused(&plan("[churn]\nback_after.constant.seconds = 1"), Some(4), &["dies_after"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// A carried plan with some of it cut out, doubled or replaced.
    #[test]
    fn no_text_makes_the_reader_panic(
        which in 0..plans::CARRIED.len(),
        from in 0_usize..800,
        length in 0_usize..80,
        piece in "[ -~\n]{0,20}",
    ) {
        let text = plans::CARRIED[which].text;
        let at = from.min(text.len());
        let end = (at + length).min(text.len());
        let changed = format!("{}{piece}{}", &text[..at], &text[end..]);
        if let Err(error) = Plan::read(&changed) {
            prop_assert!(!error.to_string().is_empty());
        }
    }
}
