//! `plan`: advice from a run, from a plan and from a distribution.

mod measured;
mod refused;

use std::fs;

use serde_json::Value;

use crate::program::{folder, json, run, train};
use measured::of_times;

/// A run of so many replicas; each batch of replica r lasts `seconds(r)`.
fn metrics(
    replicas: u64,
    seconds: impl Fn(u64) -> f64,
    outcome: impl Fn(u64) -> &'static str,
) -> String {
    let mut lines = format!(
        "{{\"kind\":\"run\",\"replicas_to_aggregate\":{},\"total_num_replicas\":{replicas}}}\n",
        replicas - 1
    );
    for step in 0..50 {
        for replica in 0..replicas {
            // A little different each time, so that there is something to draw from.
            let length = seconds(replica) * (1.0 + 0.01 * (step % 7) as f64);
            let (start, end) = (10.0 * step as f64, 10.0 * step as f64 + length);
            lines += &format!(
                "{{\"kind\":\"batch\",\"replica\":{replica},\"step\":{step},\"start\":{start},\
                 \"computed\":{end},\"pushed\":null,\"outcome\":\"{}\",\"wait\":0}}\n",
                outcome(replica)
            );
        }
    }
    lines
}

fn advice(text: &str, args: &[&str]) -> Value {
    let folder = folder();
    fs::write(folder.path().join("metrics.jsonl"), text).expect("is writable");
    let said = run(folder.path(), &[&["plan", ".", "--json"], args].concat());
    assert_eq!((said.status, said.err.as_str()), (0, ""));
    json(&said.out)
}

#[test]
fn one_slow_machine_calls_for_one_backup() {
    let slow = metrics(5, |replica| if replica == 4 { 9.0 } else { 1.0 }, |_| "accepted");
    let answer = advice(&slow, &[]);
    assert_eq!(answer["fixed_fleet"]["recommended"], 4);
    let choices = answer["fixed_fleet"]["advice"]["choices"].as_array().expect("is a list");
    let step = |aggregate: usize| choices[aggregate - 1]["step_seconds"].as_f64().expect("a time");
    // Computing and the gap to the next step, which the file says is the rest of 10 s.
    assert!(step(5) > step(4) + 7.0, "{choices:?}");
    // Without stragglers all five count.
    let even = metrics(5, |_| 1.0, |_| "accepted");
    assert_eq!(advice(&even, &[])["fixed_fleet"]["recommended"], 5);
}

// What a restore took back, and a line that was cut off with its process, change no advice.
#[test]
fn a_run_that_went_on_and_was_killed_is_planned_from() {
    let slow = |replica| if replica == 4 { 9.0 } else { 1.0 };
    let run = metrics(5, slow, |_| "accepted");
    let (head, batches) = run.split_once('\n').expect("a first line");
    let again = format!("{run}{{\"kind\":\"restore\",\"step\":0}}\n{head}\n{batches}");
    let cut = format!("{again}{{\"kind\":\"upd");
    assert_eq!(advice(&cut, &[]), advice(&run, &[]));
}

#[test]
fn a_machine_that_never_finished_is_not_counted_on() {
    let outcome = |replica| if replica == 2 { "superseded" } else { "accepted" };
    let answer = advice(&metrics(3, |_| 1.0, outcome), &["--machines", "3"]);
    let choices = answer["fixed_fleet"]["advice"]["choices"].as_array().expect("is a list");
    let bounds: Vec<_> = choices.iter().map(|choice| choice["lower_bound"] == true).collect();
    assert_eq!(bounds, [false, false, true]);
    assert_eq!(answer["fixed_fleet"]["recommended"], 2);
    assert!(answer["notes"][1].as_str().is_some_and(|note| note.contains("replica 2 finished")));
}

/// The lines of tables fit a terminal, and their times have units.
#[track_caller]
fn fits(out: &str) {
    let lines: Vec<&str> = out.lines().filter(|line| line.starts_with([' ', '*'])).collect();
    assert!(lines.len() > 2, "{out}");
    assert!(lines.iter().all(|line| line.chars().count() <= 80), "{out}");
    assert!(lines.iter().any(|line| line.contains(" s ") || line.contains(" ms ")), "{out}");
}

#[test]
fn a_law_answers_both_questions() {
    let folder = folder();
    let law = "shifted-exponential:least=1,mean_excess=1";
    let args = ["plan", "--compute", law, "--machines", "8", "--gradients", "10", "--out", "f"];
    let said = run(folder.path(), &args);
    assert_eq!(said.status, 0, "{}", said.err);
    for words in ["A fixed fleet: 8 machines", "Use A = ", "The shortest step: N = 15, 5 backups"] {
        assert!(said.out.contains(words), "{}", said.out);
    }
    fits(&said.out);
    for figure in ["f/fleet.svg", "f/batch.svg"] {
        assert!(fs::read_to_string(folder.path().join(figure)).is_ok_and(|it| it.contains("<svg")));
    }
    // E[X_(10:10)] = 1 + H_10 = 3.929
    let batch = run(folder.path(), &["plan", "--compute", law, "--gradients", "10", "--json"]);
    let choice = &json(&batch.out)["fixed_batch"]["advice"]["choices"][0];
    let number = |name: &str| choice[name].as_f64().expect("is a number");
    assert!((number("step_seconds") - 3.929).abs() < 2.0 * number("plus_minus"), "{choice}");
    assert!(number("p95") > number("p50") && number("deviation") > 0.5, "{choice}");
    // Work per step in proportion to A, and a shift of 1: the best is known in closed form.
    let fleet = ["plan", "--compute", law, "--machines", "40", "--json", "--mode", "ideal"];
    let best = json(&run(folder.path(), &fleet).out)["fixed_fleet"]["recommended"].clone();
    assert!(best.as_u64().is_some_and(|best| (26..=29).contains(&best)), "{best}");
}

#[test]
fn a_replica_whose_batches_are_given_up_is_named_as_well() {
    let outcome = |replica| if replica == 2 { "superseded" } else { "accepted" };
    let folder = folder();
    // It is given up soon after the others are done, so nobody sees how slow it is.
    let run_of = metrics(4, |replica| if replica == 2 { 1.05 } else { 1.0 }, outcome);
    fs::write(folder.path().join("metrics.jsonl"), run_of).expect("is writable");
    let said = run(folder.path(), &["plan", "."]);
    assert_eq!(said.status, 0, "{}", said.err);
    let words: Vec<&str> = said.out.split_whitespace().collect();
    let said = words.join(" ");
    assert!(said.contains("Look at replica 2: it is given up as the last in 100 %"), "{said}");
    assert!(said.contains("but what it computes is wasted"), "{said}");
    assert!(said.contains("each machine does 1.33 times"), "{said}");
}

#[test]
fn a_replica_without_a_batch_is_left_out() {
    let run = metrics(4, |_| 1.0, |_| "accepted");
    let lines = run.lines().filter(|line| !line.contains("\"replica\":1,"));
    let run: String = lines.map(|line| format!("{line}\n")).collect();
    let answer = advice(&run, &[]);
    assert_eq!(answer["fixed_fleet"]["machines"], 3);
    assert_eq!(answer["notes"][1], "of 4 replicas 1 has no batch: nothing is said of it");
}

#[test]
fn few_gradients_a_step_are_looked_at_as_well() {
    // Memoryless times: the first gradient alone trains fastest, with any number of machines.
    let folder = folder();
    let law = ["plan", "--compute", "exponential:mean=1", "--json", "--machines", "20"];
    let answer = json(&run(folder.path(), &law).out)["fixed_fleet"].clone();
    let costs = |place: &str| {
        let choices = &answer["advice"]["choices"];
        let mut choices = choices.as_array().expect("a list").iter();
        let of = choices.find(|it| it["replicas_to_aggregate"] == answer[place]);
        of.and_then(|it| it["cost"].as_f64()).expect("it is a choice")
    };
    assert!(costs("recommended") < 1.05, "{answer}");
    // 12 of 20 are ten times slower: the other 8 cost 20 / 8.
    let slow = metrics(20, |replica| if replica < 12 { 8.0 } else { 0.8 }, |_| "accepted");
    assert_eq!(advice(&slow, &[])["fixed_fleet"]["recommended"], 8);
}

#[test]
fn nothing_is_promised_beyond_the_points() {
    let folder = folder();
    let points = ["--iterations", "50=137500,100=76200", "--machines", "200"];
    let args = [&["plan", "--plan", "chen-2016"], &points[..]].concat();
    let said = run(folder.path(), &args);
    assert_eq!(said.status, 0, "{}", said.err);
    for words in ["beyond that nothing is known", "Use A = 100 of N = 200", "as far as the points"]
    {
        assert!(said.out.contains(words), "{}", said.out);
    }
    fits(&said.out);
    let answer = json(&run(folder.path(), &[&args[..], &["--json"]].concat()).out);
    let fleet = &answer["fixed_fleet"];
    let looked_at = fleet["advice"]["choices"].as_array().map_or(0, Vec::len) as u64;
    assert_eq!(fleet["at_edge"], true);
    assert_eq!(fleet["advice"]["by_formula_alone"].as_u64(), Some(51 - looked_at));
}

#[test]
fn a_training_can_be_planned_with() {
    let folder = folder();
    let quick = ["--model", "softmax", "--updates", "30", "--straggler", "4=2", "--out", "run"];
    train(folder.path(), &quick);
    let said = run(folder.path(), &["plan", "run"]);
    assert_eq!(said.status, 0, "{}", said.err);
    for words in ["From the run run", "A fixed fleet: 5", "A fixed batch: 4"] {
        assert!(said.out.contains(words), "{}", said.out);
    }
    let file = run(folder.path(), &["plan", "run/metrics.jsonl"]);
    assert_eq!(file.status, 0, "{}", file.err);
}

#[test]
fn one_of_something_is_told_as_one() {
    let (said, _) = of_times("step,replica,seconds\n0,0,1\n0,1,1\n");
    assert!(said.contains("2 times of 2 replicas in 1 step - "), "{said}");
    assert!(said.contains("made of this step."), "{said}");
    let law = ["plan", "--compute", "exponential:mean=1", "--machines", "1", "--gradients", "1"];
    let said = run(folder().path(), &law);
    for words in ["A fixed fleet: 1 machine, ", "A fixed batch: 1 gradient a step"] {
        assert!(said.out.contains(words), "{}{}", said.out, said.err);
    }
}

#[cfg(unix)]
#[test]
fn what_a_folder_is_called_does_nothing_to_a_terminal() {
    let folder = folder();
    let name = "a\u{1b}[31m\nb";
    fs::create_dir(folder.path().join(name)).expect("is writable");
    let text = metrics(2, |_| 1.0, |_| "accepted");
    fs::write(folder.path().join(name).join("metrics.jsonl"), text).expect("is writable");
    for command in ["plan", "report"] {
        let said = run(folder.path(), &[command, name]);
        assert_eq!(said.status, 0, "{}", said.err);
        assert!(said.out.contains("[31m") && !said.out.contains('\u{1b}'), "{:?}", said.out);
        assert!(!said.out.contains("[31m\nb"), "{:?}", said.out);
    }
}
