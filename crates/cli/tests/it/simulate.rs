//! `simulate`: runs of plans, what is refused, and the page on stragglers made again.

use std::fs;
use std::path::Path;

use crate::program::{folder, json, run};

#[test]
fn a_carried_plan_is_simulated_and_a_seed_replays() {
    let folder = folder();
    let args = ["simulate", "spot-machines", "--steps", "200", "--json", "--seed", "5"];
    let first = run(folder.path(), &args);
    assert_eq!((first.status, first.err.as_str()), (0, ""));
    assert_eq!(first.out, run(folder.path(), &args).out, "the same bytes");
    let report = json(&first.out);
    assert_eq!((&report["steps"], &report["seed"]), (&200.into(), &5.into()));
    assert_eq!(report["gradients"]["accepted"], 200 * 14);
    assert_eq!(fs::read_dir(folder.path()).expect("is there").count(), 0, "nothing is written");
}

#[test]
fn words_and_files_say_what_came_of_a_run() {
    let folder = folder();
    let said = run(folder.path(), &["simulate", "exponential", "--steps", "50", "--out", "a/b"]);
    assert_eq!(said.status, 0, "{}", said.err);
    for words in ["by the engine, 50 of 54", "steps        50,", "wasted", "tokens  "] {
        assert!(said.out.contains(words), "{}", said.out);
    }
    // The first line is the plan's own.
    let table = said.out.lines().skip(1);
    assert!(table.clone().all(|line| line.chars().count() <= 80), "{}", said.out);
    assert!(table.clone().any(|line| line.starts_with("a step ") && line.contains(" s ±")));
    let file = |name: &str| fs::read_to_string(folder.path().join("a/b").join(name));
    assert_eq!(file("steps.csv").expect("is written").lines().count(), 51);
    assert!(file("steps.svg").expect("is written").starts_with("<svg xmlns="));
    assert_eq!(json(&file("report.json").expect("is written"))["plan"], "exponential");
    let ideal = ["simulate", "exponential", "--steps", "50", "--mode", "ideal"];
    assert!(run(folder.path(), &ideal).out.contains("by the formula"));
    let stuck = run(folder.path(), &["simulate", "dead-without-lease"]);
    assert_eq!(stuck.status, 0);
    assert!(stuck.out.contains("stuck after 79 steps"), "{}", stuck.out);
}

#[test]
fn a_plan_of_ones_own_is_read_and_its_mistakes_have_lines() {
    #[track_caller]
    fn check(text: &str, fragments: &[&str]) {
        let folder = folder();
        fs::write(folder.path().join("my.toml"), text).expect("is writable");
        let said = run(folder.path(), &["simulate", "my.toml"]);
        assert_eq!((said.status, said.out.as_str()), (2, ""), "{}", said.err);
        for fragment in fragments {
            assert!(said.err.contains(fragment), "{} lacks {fragment:?}", said.err);
        }
    }
    let plan = "replicas_to_aggregate = 1\ncompute.constant.seconds = 1\n";
    check(&format!("{plan}step = 1"), &["error: my.toml, line 3, column 1", "`step`"]);
    check(&plan.replace("= 1\nc", "= 0\nc"), &["my.toml, line 1", "at least 1"]);
    check("", &["my.toml, line 1", "replicas_to_aggregate"]);
}

#[test]
fn what_cannot_be_meant_is_refused() {
    #[track_caller]
    fn check(args: &str, fragments: &[&str]) {
        let folder = folder();
        let args: Vec<&str> = args.split_whitespace().collect();
        let said = run(folder.path(), &[&["simulate"], &args[..]].concat());
        assert_eq!((said.status, said.out.as_str()), (2, ""), "{}", said.err);
        for fragment in fragments {
            assert!(said.err.contains(fragment), "{args:?}: {} lacks {fragment:?}", said.err);
        }
    }
    check("", &["<PLAN>"]);
    check("nothing", &["neither a file", "chen-2016", "dead-without-lease"]);
    check("exponential --steps 0", &["'0'", "--steps"]);
    check("exponential --mode real", &["ideal, tokens"]);
    check("exponential --checks", &["cannot be used with"]);
    check("exponential --out /dev/null/x", &["/dev/null/x cannot be written"]);
}

#[test]
fn help_lists_every_carried_plan() {
    let folder = folder();
    let said = run(folder.path(), &["simulate", "--help"]);
    for plan in simulator::plans::CARRIED {
        assert!(said.out.contains(&format!("\n  {} ", plan.name)), "{}: {}", plan.name, said.out);
    }
}

/// docs/stragglers.md shows what the program says today, to the byte: all published numbers come
/// out, each within its tolerance, without which the status is another.
#[test]
fn the_page_on_stragglers_is_what_the_program_says() {
    let folder = folder();
    let said = run(folder.path(), &["simulate", "--checks", "--out", "."]);
    assert_eq!(said.status, 0, "{}{}", said.out, said.err);
    for number in 1..=11 {
        assert!(said.out.contains(&format!("Q-{number}")), "Q-{number} is missing: {}", said.out);
    }
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let page = fs::read_to_string(docs.join("stragglers.md")).expect("is there");
    assert!(page.contains(said.out.trim()), "the page lacks today's table:\n{}", said.out);
    let figures = ["arrivals", "fleet", "backups"].map(|name| format!("stragglers-{name}.svg"));
    for name in figures {
        let read = |folder: &Path| fs::read_to_string(folder.join(&name)).expect("is there");
        assert!(read(&docs) == read(folder.path()), "docs/{name} is not today's figure");
        assert!(page.contains(&name), "the page does not show {name}");
    }
}
