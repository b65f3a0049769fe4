//! `cargo xtask release`: the program as its users build it, and that it learns.
//!
//! Apart from `ci`, whose build it shares nothing with: the workflows run both at once.

use std::str;

use serde_json::Value;
use xshell::{Cmd, Shell, cmd};

use crate::{
    Result,
    steps::{Steps, announce},
    workspace::Workspace,
};

/// The models, with the test accuracy that the defaults must reach.
const MODELS: [(&str, f64); 3] = [("softmax", 0.94), ("mlp", 0.96), ("embedding", 0.94)];

/// Builds the program as a user would, trains each model at the defaults, and gives whether all
/// reached their test accuracy.
///
/// # Errors
/// When cargo cannot read the workspace.
pub(crate) fn run(sh: &Shell) -> Result<bool> {
    let target_dir = Workspace::load(sh)?.target_dir;
    let mut steps = Steps::default();
    let built = steps.step("release build", || {
        let build = cmd!(sh, "cargo build --release");
        announce(&build);
        Ok(build.quiet().run()?)
    });
    if built.is_none() {
        return Ok(steps.finish());
    }
    for (model, accuracy_min) in MODELS {
        steps.step(&format!("train {model}"), || {
            let out = target_dir.join(format!("release-run-{model}"));
            sh.remove_path(&out)?;
            let train = cmd!(sh, "cargo run --release -- train --model {model} --json --quiet");
            let accuracy = test_accuracy(&shown(train.arg("--out").arg(&out))?)?;
            println!("test accuracy {accuracy:.4}, at least {accuracy_min} expected");
            if accuracy < accuracy_min {
                let error = format!("test accuracy {accuracy} is less than {accuracy_min}");
                return Err(error.into());
            }
            Ok(())
        });
    }
    Ok(steps.finish())
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
