//! `plan`: who is slow, advice from a run, from anybody's times, from a plan and from a
//! distribution, and what is refused.

use std::fs;

use serde_json::Value;

use crate::program::{folder, json, run, train};

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
fn of_times(text: &str) -> (String, Value) {
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
    assert!(said.contains("but what it computes is in vain"), "{said}");
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

#[test]
fn what_cannot_be_meant_is_refused() {
    #[track_caller]
    fn check(args: &str, fragments: &[&str]) {
        let folder = folder();
        let root = folder.path();
        fs::write(root.join("empty"), "").expect("is writable");
        fs::write(root.join("torn"), "{\"kind\":\"run\"}\n{\"kind\":\"ba\n").expect("is writable");
        let killed = metrics(2, |_| 1.0, |_| "accepted");
        let killed = killed.split_inclusive('\n').next().unwrap_or_default();
        fs::write(root.join("killed"), killed).expect("is writable");
        let wrong = metrics(2, |_| -1.0, |_| "accepted");
        fs::write(root.join("wrong"), wrong).expect("is writable");
        let args: Vec<&str> = args.split_whitespace().collect();
        let said = run(root, &[&["plan"], &args[..]].concat());
        assert_eq!((said.status, said.out.as_str()), (2, ""), "{}", said.err);
        for fragment in fragments {
            assert!(said.err.contains(fragment), "{args:?}: {} lacks {fragment:?}", said.err);
        }
    }
    check("", &["RUN", "--times", "--plan", "--compute"]);
    check("nowhere", &["nowhere cannot be read", "run folder"]);
    check("empty", &["empty", "kind run", "train again"]);
    check("torn", &["torn, line 2", "JSON object"]);
    check("killed", &["kind batch", "of 2 replicas", "train longer"]);
    check("wrong", &["wrong, line 2", "cannot last"]);
    check("empty --plan exponential", &["cannot be used with"]);
    check("--plan nothing", &["neither a file", "exponential"]);
    check("--compute gamma:k=1 --gradients 2", &["--compute gamma:k=1", "`pareto`"]);
    check("--compute exponential:mean=-1 --gradients 2", &["0 to 1e9 seconds", "-1"]);
    check("--compute exponential --gradients 2", &["missing field `mean`"]);
    check("--compute a={} --gradients 2", &["expected a law"]);
    check("--compute exponential:mean=1", &["--machines", "--gradients"]);
    check("--compute exponential:mean=1 --stragglers 2=constant:seconds=1", &["0 to 1", "got 2"]);
    check("--compute exponential:mean=1 --stragglers x", &["PART=LAW"]);
    check("--stragglers 0.1=constant:seconds=1", &["--compute"]);
    check("--compute exponential:mean=1 --machines 0", &["'0'", "--machines"]);
    check("--compute exponential:mean=1 --machines 9 --iterations fast", &["inverse", "\"fast\""]);
    let beyond = "--compute exponential:mean=1 --machines 9 --iterations 50=9,100=5";
    check(beyond, &["from 1 to 9", "50=9,100=5", "measure"]);
}

#[test]
fn times_that_are_none_are_refused() {
    #[track_caller]
    fn check(text: impl AsRef<[u8]>, fragments: &[&str]) {
        let folder = folder();
        fs::write(folder.path().join("t.csv"), text).expect("is writable");
        let said = run(folder.path(), &["plan", "--times", "t.csv"]);
        assert_eq!((said.status, said.out.as_str()), (2, ""), "{}", said.err);
        for fragment in [&["--times t.csv"], fragments].concat() {
            assert!(said.err.contains(fragment), "{} lacks {fragment:?}", said.err);
        }
    }
    check("", &["line 1", "step, replica, seconds", "got \"\""]);
    check("1,0,2.5\n1,1,2.5\n", &["line 1", "got \"1, 0, 2.5\"", "name the columns"]);
    check("Step,replica,seconds\n", &["got \"Step, replica, seconds\""]);
    check("step,replica,seconds\n", &["got none"]);
    check("step,replica,seconds\n1,0,2\n1,1,fast\n", &["line 3, seconds", "got \"fast\""]);
    check("step,replica,seconds\n1,0,2\n\n1,1,\n", &["line 4, seconds", "got \"\""]);
    check("step,replica,seconds\n1,0,-2\n", &["line 2, seconds", "0 to 1e9 seconds, got -2"]);
    check("step,replica,seconds\n1,0,NaN\n", &["line 2, seconds", "got NaN"]);
    check("step,replica,seconds\n1,0,inf\n", &["line 2, seconds", "got inf"]);
    check("step,replica,seconds\n1.5,0,1\n", &["line 2, step", "a whole number, got \"1.5\""]);
    check("step,replica,seconds\n1,host-a,1\n", &["line 2, replica", "got \"host-a\""]);
    check("step,replica,seconds\n1,0\n", &["line 2, seconds", "got \"\""]);
    check("step,replica,seconds\n1,0,1\n2,0,1\n", &["two replicas or more", "only replica 0"]);
    let twice = "step,replica,seconds\n1,0,1\n1,1,1\n1,0,1\n";
    check(twice, &["step 1, replica 0", "one time, got several"]);
    check(b"step,replica,seconds\n1,0,\xff\n", &["line 2", "UTF-8"]);
    let folder = folder();
    let said = run(folder.path(), &["plan", "--times", "nowhere.csv"]);
    assert!(said.status == 2 && said.err.contains("--times nowhere.csv"), "{}", said.err);
    // Other columns, another order, spaces and quotes are no harm.
    let text = "\"host\", \"seconds\",replica,\"step\"\nx, 1.5 ,0,1\nx,1.5,\"1\",1\n";
    fs::write(folder.path().join("t.csv"), text).expect("is writable");
    let said = run(folder.path(), &["plan", "--times", "t.csv"]);
    assert_eq!(said.status, 0, "{}", said.err);
}
