//! `cargo xtask ci`: every check of the repository; it changes no file of the project.
//!
//! Goes on after a failed step, so that one run shows all there is to mend. Cheap checks come
//! first. All steps but loom's and the release build have the same flags and features, so that
//! hardly anything is built twice.

use std::{path::Path, str};

use serde_json::Value;
use xshell::{Cmd, Shell, cmd};

use crate::{
    Result, conformance, explore, faults, loom, model,
    programs::{ALL, EXACT, Programs},
    sim, spec,
    steps::{Steps, announce},
    tidy, tools,
    workspace::Workspace,
};

/// The models of the main job, with the test accuracy that the defaults must reach.
const MODELS: [(&str, f64); 3] = [("softmax", 0.94), ("mlp", 0.96), ("embedding", 0.94)];

/// Runs all steps, prints the summary as the last thing, and gives whether every step passed.
///
/// # Errors
/// When cargo cannot read the workspace, so that there is nothing to check.
pub(crate) fn run(sh: &Shell) -> Result<bool> {
    let workspace = Workspace::load(sh)?;
    let mut steps = Steps::default();
    let (name, value) = EXACT;
    sh.set_var(name, value);
    // A run from nothing pays for what a next build would go on from, and has no next build.
    sh.set_var("CARGO_INCREMENTAL", "0");

    steps.command("format", cmd!(sh, "cargo fmt --all --check"));
    steps.step("tidy", || tidy::run(sh));
    steps.step("spec", || spec::run(sh));
    lints(sh, &mut steps);

    steps.command("tests", cmd!(sh, "cargo test {ALL...} --tests --no-fail-fast"));
    steps.command("doc tests", cmd!(sh, "cargo test {ALL...} --doc --no-fail-fast"));
    for (name, cluster) in [("conformance", false), ("conformance over a network", true)] {
        steps.step(name, || match conformance::run(sh, None, cluster)? {
            true => Ok(()),
            false => Err("a trace was not passed".into()),
        });
    }
    steps.step("models", || match model::run(sh, None, None)? {
        true => Ok(()),
        false => Err("a model and the real thing differ".into()),
    });
    steps.step("fault simulation", || match sim::run(sh, None, false)? {
        true => Ok(()),
        false => Err("a seed was not passed".into()),
    });
    steps.step("clusters in virtual time", || sim::clusters(sh, None));
    steps.step("docs", || {
        println!("$ RUSTDOCFLAGS='-D warnings' cargo doc {} --no-deps", ALL.join(" "));
        let docs = cmd!(sh, "cargo doc {ALL...} --no-deps").env("RUSTDOCFLAGS", "-D warnings");
        Ok(docs.quiet().run()?)
    });
    steps.step("explore", || explore::run(sh, None));
    steps.step("loom", || loom::run(sh, None));
    examples(sh, &mut steps);
    steps.step("killed processes", || faults::smoke(sh));
    main_job(sh, &workspace.target_dir, &mut steps);
    tools::run(sh, &mut steps, false);

    Ok(steps.finish())
}

/// Clippy over everything, then over each pillar as bare as it can be used.
fn lints(sh: &Shell, steps: &mut Steps) {
    clippy(sh, steps);
    let deny = ["--", "-D", "warnings"];
    for pillar in tidy::PILLARS {
        let name = format!("clippy, {pillar} without features");
        steps.command(&name, cmd!(sh, "cargo clippy -p {pillar} --no-default-features {deny...}"));
    }
}

/// Clippy over everything, benchmarks too.
pub(crate) fn clippy(sh: &Shell, steps: &mut Steps) {
    steps.command("clippy", cmd!(sh, "cargo clippy {ALL...} --all-targets -- -D warnings"));
}

/// Runs every example of every crate, each as a step of its own.
fn examples(sh: &Shell, steps: &mut Steps) {
    let programs = steps.step("examples are built", || Programs::build(sh));
    for (name, program) in programs.iter().flat_map(Programs::examples) {
        steps.command(&format!("example {name}"), cmd!(sh, "{program}"));
    }
}

/// Builds the program as a user would, and trains each model at the defaults.
fn main_job(sh: &Shell, target_dir: &Path, steps: &mut Steps) {
    let built = steps.step("release build", || {
        let build = cmd!(sh, "cargo build --release").env_remove(EXACT.0);
        announce(&build);
        Ok(build.quiet().run()?)
    });
    if built.is_none() {
        return;
    }
    for (model, accuracy_min) in MODELS {
        steps.step(&format!("train {model}"), || {
            let out = target_dir.join(format!("ci-run-{model}"));
            sh.remove_path(&out)?;
            let train = cmd!(sh, "cargo run --release -- train --model {model} --json --quiet")
                .env_remove(EXACT.0);
            let accuracy = test_accuracy(&shown(train.arg("--out").arg(&out))?)?;
            println!("test accuracy {accuracy:.4}, at least {accuracy_min} expected");
            if accuracy < accuracy_min {
                let error = format!("test accuracy {accuracy} is less than {accuracy_min}");
                return Err(error.into());
            }
            Ok(())
        });
    }
}

/// Runs a command whose output is wanted by us and by the person who reads along.
fn shown(command: Cmd<'_>) -> Result<String> {
    announce(&command);
    let output = command.quiet().ignore_status().output()?;
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    let text = str::from_utf8(&output.stdout)?.to_owned();
    print!("{text}");
    if !output.status.success() {
        return Err(format!("the command ended with {}", output.status).into());
    }
    Ok(text)
}

/// The field `test_accuracy` of the JSON object on the last line of a run's output.
fn test_accuracy(output: &str) -> Result<f64> {
    let last = output.lines().last().unwrap_or_default();
    let json: Value = serde_json::from_str(last)
        .map_err(|error| format!("the last line must be one JSON object, not {last:?}: {error}"))?;
    let accuracy = json["test_accuracy"].as_f64();
    accuracy.ok_or_else(|| format!("no number `test_accuracy` in {last}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accuracy_is_read_from_the_last_line_alone() {
        let output = "{\"test_accuracy\": 0.1}\nnoise\n{\"test_accuracy\":0.97,\"stale\":3}\n";
        assert_eq!(test_accuracy(output).expect("a number"), 0.97);
    }

    #[test]
    fn an_output_without_accuracy_says_what_came() {
        #[track_caller]
        fn check(output: &str, part: &str) {
            let error = test_accuracy(output).expect_err("no accuracy").to_string();
            assert!(error.contains(part), "{error}");
        }
        check("", "one JSON object");
        check("{\"test_accuracy\": 1}\ndone", "\"done\"");
        check("{\"test_accuracy\": null}", "no number `test_accuracy`");
        check("{\"updates\": 5}", "{\"updates\": 5}");
    }
}
