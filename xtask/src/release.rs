//! `cargo xtask release`: the program as its users build it, and that it learns.
//!
//! Apart from `ci`, whose build it shares nothing with: the workflows run both at once.

use serde_json::Value;
use xshell::{Shell, cmd};

use crate::{
    Result,
    learned::{Bound, shown},
    steps::{Steps, announce},
    workspace::Workspace,
};

/// A name, the options, and what the numbers of its result must be.
type Training = (&'static str, &'static [&'static str], &'static [(&'static str, Bound)]);

/// What is trained at the defaults.
const TRAININGS: [Training; 5] = [
    ("softmax", &["--model", "softmax"], &[("test_accuracy", Bound::AtLeast(0.94))]),
    ("mlp", &["--model", "mlp"], &[("test_accuracy", Bound::AtLeast(0.96))]),
    ("embedding", &["--model", "embedding"], &[("test_accuracy", Bound::AtLeast(0.94))]),
    (
        "linear, of flights",
        &FLIGHTS,
        &[("test_auc", Bound::AtLeast(0.703)), ("test_log_loss", Bound::AtMost(0.488))],
    ),
    (
        "wide-deep, of flights",
        &WIDE_DEEP,
        &[("test_auc", Bound::AtLeast(0.703)), ("test_log_loss", Bound::AtMost(0.488))],
    ),
];

/// The options of docs/own-data.md.
const FLIGHTS: [&str; 27] = [
    "crates/tabular/data/flights.csv.gz",
    "--target",
    "late",
    "--ignore",
    "day,distance,flight",
    "--categorical",
    "month,weekday,hour",
    "--cross",
    "carrier*flight",
    "--cross",
    "dest*hour",
    "--cross",
    "carrier*dest",
    "--cross",
    "origin*hour*month",
    "--cross",
    "weekday*hour",
    "--cross",
    "month*weekday",
    "--cross",
    "tailnum*dest",
    "--cross",
    "carrier*flight*month",
    "--cross",
    "dest*month",
    "--test-where",
    "day % 10 == 0",
];

const WIDE_DEEP: [&str; 29] = {
    let mut words = ["--model"; 29];
    words[1] = "wide-deep";
    let mut at = 0;
    while at < FLIGHTS.len() {
        words[at + 2] = FLIGHTS[at];
        at += 1;
    }
    words
};

/// Builds the program as a user would, trains each model at the defaults, and gives whether all
/// came to what they must.
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
    for (number, (name, words, bounds)) in TRAININGS.into_iter().enumerate() {
        steps.step(&format!("train {name}"), || {
            let out = target_dir.join(format!("release-run-{number}"));
            sh.remove_path(&out)?;
            let train = cmd!(sh, "cargo run --release -- train --json --quiet").args(words);
            let said = shown(train.arg("--out").arg(&out))?;
            bounds.iter().try_for_each(|(key, bound)| bound.check(key, value_of(&said, key)?))
        });
    }
    Ok(steps.finish())
}

/// A number of the JSON object on the last line of a run's output.
fn value_of(output: &str, key: &str) -> Result<f64> {
    let last = output.lines().last().unwrap_or_default();
    let json: Value = serde_json::from_str(last)
        .map_err(|error| format!("the last line must be one JSON object, not {last:?}: {error}"))?;
    json[key].as_f64().ok_or_else(|| format!("no number `{key}` in {last}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accuracy_is_read_from_the_last_line_alone() {
        let output = "{\"test_accuracy\": 0.1}\nnoise\n{\"test_accuracy\":0.97,\"stale\":3}\n";
        assert_eq!(value_of(output, "test_accuracy").expect("a number"), 0.97);
    }

    #[test]
    fn an_output_without_accuracy_says_what_came() {
        #[track_caller]
        fn check(output: &str, part: &str) {
            let error = value_of(output, "test_accuracy").expect_err("no accuracy").to_string();
            assert!(error.contains(part), "{error}");
        }
        check("", "one JSON object");
        check("{\"test_accuracy\": 1}\ndone", "\"done\"");
        check("{\"test_accuracy\": null}", "no number `test_accuracy`");
        check("{\"updates\": 5}", "{\"updates\": 5}");
    }
}
