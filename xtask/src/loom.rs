//! `cargo xtask loom`: every interleaving of the waiting and waking pieces, explored by loom.
//!
//! Builds the unit tests of each crate once more with `--cfg loom`, which its `sync` module reads
//! to name loom's locks. The flag is for that one crate alone: what it depends on is as ever (tokio
//! would take the flag for its own, and does not build with it), and is not built again.

use std::path::PathBuf;

use serde_json::Value;
use xshell::{Shell, cmd};

use crate::{Result, steps::announce};

/// The crates with models, in a module `interleavings`.
const CRATES: [&str; 5] = ["spin-park", "accum-core", "token-queue", "hooks", "sync-replicas"];

/// How often a thread may be interrupted where it need not be, unless asked otherwise; most faults
/// that there are show with two.
const PREEMPTIONS: usize = 2;

/// What a model prints before its name and the number of its interleavings.
const MARK: &str = "interleavings ";

/// Runs every model, and prints a table with the number of interleavings of each.
///
/// # Errors
/// When a model failed; loom has then said in which interleaving.
pub(crate) fn run(sh: &Shell, preemptions: Option<usize>) -> Result {
    let preemptions = preemptions.unwrap_or(PREEMPTIONS).to_string();
    let mut counts = Vec::new();
    let mut failed = Vec::new();
    for name in CRATES {
        let program = build(sh, name)?;
        let models = cmd!(sh, "{program} interleavings:: --show-output")
            .env("LOOM_MAX_PREEMPTIONS", &preemptions)
            .ignore_status();
        announce(&models);
        let output = models.quiet().output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        if output.status.success() {
            counts.extend(counts_of(name, &text));
        } else {
            print!("{text}");
            eprint!("{}", String::from_utf8_lossy(&output.stderr));
            failed.push(name);
        }
    }
    println!("\n{}", table(&counts, &preemptions));
    if failed.is_empty() {
        return Ok(());
    }
    Err(format!("models failed in {}", failed.join(", ")).into())
}

/// Builds a crate's unit tests for loom; the program that runs them.
fn build(sh: &Shell, name: &str) -> Result<PathBuf> {
    let format = "--message-format=json-render-diagnostics";
    // Loom's threads have stacks of 32 KiB, which frames that are not optimized fill.
    let flags = ["--cfg", "loom", "-C", "opt-level=1"];
    let build = cmd!(
        sh,
        "cargo rustc --quiet --package {name} --lib --profile test {format} -- {flags...}"
    );
    announce(&build);
    let messages = build.quiet().read()?;
    let mut messages = messages.lines().filter_map(|it| serde_json::from_str::<Value>(it).ok());
    let program = messages.find_map(|it| it["executable"].as_str().map(PathBuf::from));
    program.ok_or_else(|| format!("cargo built no test program of {name}").into())
}

/// One model: its crate, its name, its interleavings.
type Count = (String, String, u64);

/// The models that ran, as they said themselves; one that ran twice is added up.
fn counts_of(name: &str, output: &str) -> Vec<Count> {
    let mut counts: Vec<Count> = Vec::new();
    for line in output.lines().filter_map(|line| line.strip_prefix(MARK)) {
        let Some((model, count)) = line.rsplit_once(' ') else { continue };
        let Ok(count) = count.parse::<u64>() else { continue };
        let model = model.rsplit("interleavings::").next().unwrap_or(model).replace("::", ": ");
        match counts.iter_mut().find(|(_, known, _)| *known == model) {
            Some((.., sum)) => *sum += count,
            None => counts.push((name.to_owned(), model, count)),
        }
    }
    counts.sort();
    counts
}

fn table(counts: &[Count], preemptions: &str) -> String {
    let width = counts.iter().map(|(_, model, _)| model.chars().count()).max().unwrap_or(0);
    let mut text = format!("{:13}  {:width$}  interleavings\n", "crate", "model");
    for (name, model, count) in counts {
        text += &format!("{name:13}  {model:width$}  {count:13}\n");
    }
    let total: u64 = counts.iter().map(|(.., count)| count).sum();
    let models = counts.len();
    text + &format!("{models} models, {total} interleavings with {preemptions} preemptions")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_counted_by_name() {
        let output = "test interleavings::a ... ok\n\n---- interleavings::a stdout ----\n\
                      interleavings x::interleavings::end::a 7\ninterleavings interleavings::b 2\n\
                      interleavings interleavings::b 3\nsuccesses:\n    interleavings::a\n";
        let count = |model: &str, count| ("hooks".to_owned(), model.to_owned(), count);
        let counts = counts_of("hooks", output);
        assert_eq!(counts, [count("b", 5), count("end: a", 7)]);
        let table = table(&counts, "2");
        assert!(table.ends_with("2 models, 12 interleavings with 2 preemptions"), "{table}");
    }
}
