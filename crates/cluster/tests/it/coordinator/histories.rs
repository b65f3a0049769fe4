//! Random histories of a coordinator: every message may come twice, late, and from an earlier life.
//!
//! What must hold whatever comes: a contribution is admitted at most once, and only where every
//! shard holds it; orders name what was committed, a step is made of exactly A contributions, and
//! steps follow one another.

use std::collections::HashSet;

use proptest::prelude::*;

use super::rig::Rig;

const REPLICAS: u64 = 3;

/// A message; most are near the truth, so that histories get somewhere.
fn line() -> impl Strategy<Value = String> {
    let replica = 0..REPLICAS;
    prop_oneof![
        2 => (replica.clone(), 1..4_u64, 1..4_u64)
            .prop_map(|(r, process, n)| format!("hello {r} {process}.{n}")),
        1 => (replica.clone(), 0..3_usize, 1..4_u64, 1..5_u64)
            .prop_map(|(r, life, process, n)| format!("hello {r}/{life} {process}.{n}")),
        2 => replica.clone().prop_map(|r| format!("lost {r}")),
        10 => (replica.clone(), 1..8_u64, 0..6_u64)
            .prop_map(|(r, sequence, step)| format!("commit {r} {sequence} @{step}")),
        1 => (replica.clone(), 0..3_usize, 1..5_u64, 0..3_u64)
            .prop_map(|(r, life, sequence, step)| format!("commit {r}/{life} {sequence} @{step}")),
        6 => (replica.clone(), 1..5_u64, 0..2_u64)
            .prop_map(|(r, sequence, shard)| format!("stage {r} {sequence} {shard}")),
        1 => (replica.clone(), 0..3_usize, 1..5_u64, 0..2_u64)
            .prop_map(|(r, life, sequence, shard)| format!("stage {r}/{life} {sequence} {shard}")),
        6 => (replica.clone(), 1..5_u64, 0..4_u64)
            .prop_map(|(r, sequence, step)| format!("claim {r} {sequence} @{step}")),
        2 => (replica.clone(), 1..8_u64).prop_map(|(r, n)| format!("ask {r} {n}")),
        2 => (replica.clone(), 1..8_u64).prop_map(|(r, n)| format!("give_up {r} {n}")),
        1 => (replica.clone(), 1..8_u64).prop_map(|(r, n)| format!("skip {r} {n}")),
        1 => replica.clone().prop_map(|r| format!("leave {r}")),
        2 => replica.prop_map(|r| format!("alive {r}")),
        1 => (1..4_u64).prop_map(|seconds| format!("wait {seconds}")),
        6 => Just("applied".to_owned()),
        3 => Just("one_applied".to_owned()),
        1 => (0..3_i64).prop_map(|step| format!("restore {step} 1")),
    ]
}

/// What was seen so far, in the running generation.
#[derive(Default)]
struct Seen {
    step: i64,
    /// Replica, life and piece of work.
    admitted: HashSet<(String, usize, String)>,
    open: usize,
}

impl Seen {
    fn take(&mut self, line: &str, said: &[String], aggregate: usize, life: usize) {
        for it in said {
            let words: Vec<&str> = it.split_whitespace().collect();
            match words[..] {
                ["admit", which] => {
                    let committed = line.starts_with("commit") || line.starts_with("claim");
                    assert!(committed, "{line}: {it}");
                    let (who, sequence) = which.split_once('.').expect("both");
                    let key = (who.to_owned(), life, sequence.to_owned());
                    assert!(self.admitted.insert(key), "{line}: admitted twice: {it}");
                    self.open += 1;
                }
                ["apply", _] => {
                    // the mean is over all that are held; a later step's may be among them.
                    assert!(self.open >= aggregate, "{line}: {it}");
                    self.open = 0;
                }
                ["made", step] => {
                    let step = step.trim_start_matches('@').parse().expect("a number");
                    assert_eq!(step, self.step + 1, "{line}: steps follow one another");
                    self.step = step;
                }
                _ => {}
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// P-9, P-11, P-15, R-21: whatever comes, each contribution counts at most once.
    #[test]
    fn contributions_count_once(
        lines in proptest::collection::vec(line(), 1..120),
        aggregate in 1..=3_usize,
        shards in 1..=2_usize,
    ) {
        let mut rig = Rig::new(aggregate, REPLICAS as usize, shards);
        let mut seen = Seen::default();
        for line in &lines {
            if line.starts_with("restore") {
                let step = line.split_whitespace().nth(1).and_then(|it| it.parse().ok());
                seen = Seen { step: step.unwrap_or_default(), ..Seen::default() };
            }
            let life = rig.lives(line);
            let said = rig.run(line);
            seen.take(line, &said, aggregate, life);
            prop_assert!(rig.coordinator.global_step().get() == seen.step);
            if said.iter().any(|it| it.starts_with("ended")) {
                break;
            }
        }
    }
}
