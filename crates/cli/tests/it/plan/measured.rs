//! `plan` from measured times: who is slow, and what is told of few of them.

use std::fs;

use serde_json::Value;

use crate::program::{folder, json, run};

/// Times of replicas named `name(r)` in 60 steps, those below zero left out.
fn times(replicas: i64, name: impl Fn(i64) -> i64, seconds: impl Fn(i64, i64) -> f64) -> String {
    let mut lines = "step,replica,seconds\n".to_owned();
    for step in 0..60 {
        for replica in 0..replicas {
            let seconds = seconds(step, replica) * (1.0 + 1e-4 * ((5 * step + replica) % 7) as f64);
            if seconds >= 0.0 {
                lines += &format!("{},{},{seconds}\n", 10 * step - 100, name(replica));
            }
        }
    }
    lines
}

/// What is said of times, in words and as JSON; no line is longer than a terminal's.
pub(super) fn of_times(text: &str) -> (String, Value) {
    let folder = folder();
    fs::write(folder.path().join("t.csv"), text).expect("is writable");
    let said = run(folder.path(), &["plan", "--times", "t.csv"]);
    assert_eq!((said.status, said.err.as_str()), (0, ""));
    assert!(said.out.lines().all(|line| line.chars().count() <= 80), "{}", said.out);
    let object = run(folder.path(), &["plan", "--trace", "t.csv", "--json"]);
    // One sentence, whatever its lines.
    (said.out.split_whitespace().collect::<Vec<_>>().join(" "), json(&object.out))
}

// P-23: before a backup is advised.
#[test]
fn a_replica_that_is_slow_all_the_time_is_named_first() {
    let slow = |_, replica| if replica == 2 { 2.25 } else { 1.0 };
    let (said, object) = of_times(&times(4, |replica| 7 * replica - 3, slow));
    for words in [
        "240 times of 4 replicas in 60 steps",
        "Replace replica 11: it is the slowest in 100 % of the steps (by chance 25 %), and it \
         takes 2.25 times as long as the others.",
        "each machine does 2.25 times",
        "with a backup instead (A = 3 of N = 4) 1.69 times",
        "After that use A = 4 of N = 4: no backup.",
        "Use A = 3 of N = 4: 1 backup.",
        "Replayed: what this fleet would have made of these 60 steps.",
    ] {
        assert!(said.contains(words), "{said} lacks {words:?}");
    }
    assert!(said.find("Replace replica") < said.find("a backup"), "{said}");
    let standing = &object["diagnosis"]["replicas"][2];
    assert_eq!((&standing["replica"], &standing["verdict"]), (&11.into(), &"slow".into()));
    assert_eq!(object["remedy"]["replicas"], serde_json::json!([11]));
    assert_eq!(object["recommended_once_replaced"], 4);
    let replayed = &object["replay"]["choices"][1];
    assert!(replayed["faster"].as_f64().is_some_and(|it| (it - 2.25).abs() < 0.01), "{replayed}");
}

#[test]
fn episodes_groups_and_nobody_are_told() {
    #[track_caller]
    fn check(text: &str, words: &[&str]) {
        let (said, _) = of_times(text);
        for words in words {
            assert!(said.contains(words), "{said} lacks {words:?}");
        }
        assert!(!said.contains("Replace"), "{said}");
    }
    let even = |_, _| 1.0;
    check(
        &times(4, |it| it, even),
        &["Nobody is slow all the time: in the mean step", "no backup"],
    );
    let together = |step, replica| if step >= 40 && replica < 2 { 2.0 } else { 1.0 };
    let words = [
        "Replica 0 was slow from step 300 to step 490 (20 steps): 2.00 times",
        "Replicas 0 and 1 were slow in the same steps",
    ];
    check(&times(6, |it| it, together), &words);
    let wanders = |step: i64, replica| if (step * step) % 7 == replica { 1.5 } else { 1.0 };
    check(&times(7, |it| it, wanders), &["goes with the batch", "the long ones for ever"]);
    let kinds = |_, replica| [1.0, 1.0, 1.0, 2.0, 2.5][replica as usize];
    let words = [
        "Replica 4 is slow: it is the slowest in 100 % of the steps (by chance 20 %), and it takes \
         2.5",
        "Replica 3 is slow: it takes 2.00 times as long as the others.",
        "machines of two kinds",
        "with backups instead (A = 3 of N = 5) 1.50 times",
    ];
    check(&times(5, |it| it, kinds), &words);
    let absent = |step, replica| if step % 10 == 3 && replica == 1 { -1.0 } else { 1.0 };
    check(&times(3, |it| it, absent), &["6 of 60 steps lack a replica's time"]);
}

// A few steps have no spread that could be told.
#[test]
fn of_few_steps_no_interval_is_told() {
    #[track_caller]
    fn check(steps: i64, note: Option<&str>) {
        let rows = (0..steps).flat_map(|step| (0..2).map(move |it| (step, it)));
        let rows = rows.map(|(step, it)| format!("{step},{it},{}\n", 1 + it));
        let text: String =
            std::iter::once("step,replica,seconds\n".to_owned()).chain(rows).collect();
        let (said, object) = of_times(&text);
        assert_eq!(said.contains("± 0.00"), note.is_none(), "{said}");
        let told = object["notes"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let told: Vec<&str> = told.filter(|it| it.contains("say little")).collect();
        assert_eq!(told, Vec::from_iter(note), "{said}");
    }
    let one =
        "only 1 step was looked at, and so few say little: no intervals are told; measure more";
    check(1, Some(one));
    let nine = "only 9 steps were looked at, and so few say little: no intervals are told; measure \
                more";
    check(9, Some(nine));
    check(10, None);
}
