//! `cargo xtask candle`: the adapter for candle, linted and tested, and what its examples learn.
//!
//! Apart from `ci`, which builds nothing of candle: its packages take longer than its tests.

use xshell::{Shell, cmd};

use crate::{
    learned::{Bound, learned},
    programs::{CANDLE, EXACT, Programs},
    steps::Steps,
};

/// A name, options, the words before the number that it prints last, and what that must be.
type Example = (&'static str, &'static [&'static str], &'static str, Bound);

/// What examples learn; the first two are started on a cluster, too.
const LEARNED: [Example; 5] = [
    ("sine", &[], "mean error", Bound::AtMost(0.05)),
    ("digits", &[], "test accuracy", Bound::AtLeast(0.96)),
    ("line", &[], "error", Bound::AtMost(0.01)),
    ("convolution", &[], "test accuracy", Bound::AtLeast(0.96)),
    ("shakespeare", &["100"], "test loss", Bound::AtMost(2.75)),
];

/// Runs all steps; whether every one passed.
pub(crate) fn run(sh: &Shell) -> bool {
    let mut steps = Steps::default();
    let (name, value) = EXACT;
    sh.set_var(name, value);
    let deny = ["--", "-D", "warnings"];
    steps.command("clippy", cmd!(sh, "cargo clippy -p {CANDLE} --all-targets {deny...}"));
    steps.command("tests", cmd!(sh, "cargo test -p {CANDLE} --tests"));
    steps.command("doc tests", cmd!(sh, "cargo test -p {CANDLE} --doc"));
    let docs = cmd!(sh, "cargo doc -p {CANDLE} --no-deps").env("RUSTDOCFLAGS", "-D warnings");
    steps.command("docs", docs);
    let built = steps.step("programs are built", || {
        let packages = ["-p", CANDLE, "-p", "cli", "--bins", "--examples"];
        Programs::of_build(cmd!(sh, "cargo build --quiet {packages...}"))
    });
    let Some(built) = built else { return steps.finish() };
    for (name, options, what, bound) in LEARNED {
        steps.step(&format!("example {name}"), || {
            let example = built.example("candle", name)?;
            learned(cmd!(sh, "{example} {options...}"), what, bound)
        });
    }
    for (name, _, what, bound) in &LEARNED[..2] {
        steps.step(&format!("{name} on a cluster"), || {
            let (launcher, example) =
                (built.named("sync-replicas")?, built.example("candle", name)?);
            let processes = ["--ps", "2", "--workers", "5", "--backup", "1", "--quiet"];
            learned(cmd!(sh, "{launcher} launch {processes...} -- {example}"), what, *bound)
        });
    }
    steps.finish()
}
