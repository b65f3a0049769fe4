//! `cargo xtask ci`: every check of the repository; it changes no file of the project.
//!
//! Goes on after a failed step, so that one run shows all there is to mend. Cheap checks come
//! first. All steps but loom's have the same flags and features, so that hardly anything is built
//! twice. What has to be built otherwise is a command of its own: `release`, `tools --slow`.

use xshell::{Shell, cmd};

use crate::{
    conformance, explore, faults, loom, model,
    programs::{ALL, EXACT, EXTENSION, Programs},
    python, sim, spec,
    steps::Steps,
    tidy, tools,
};

/// Runs all steps, prints the summary as the last thing, and gives whether every step passed.
pub(crate) fn run(sh: &Shell) -> bool {
    let mut steps = Steps::default();
    let (name, value) = EXACT;
    sh.set_var(name, value);
    let (name, value) = EXTENSION;
    sh.set_var(name, value);
    // A run from nothing pays for what a next build would go on from, and has no next build.
    sh.set_var("CARGO_INCREMENTAL", "0");
    // A panic says its line without it, and less is written and linked.
    sh.set_var("CARGO_PROFILE_DEV_DEBUG", "0");
    // Many tests start processes and wait for them.
    sh.set_var("RUST_TEST_THREADS", "4");

    steps.command("format", cmd!(sh, "cargo fmt --all --check"));
    steps.step("tidy", || tidy::run(sh));
    steps.step("spec", || spec::run(sh));
    lints(sh, &mut steps);

    // Tests start some of them.
    let programs = steps.step("programs are built", || Programs::build(sh));
    steps.command("tests", cmd!(sh, "cargo test {ALL...} --tests --no-fail-fast"));
    // They need one core each, as most of what comes next does.
    let python = python::begin(sh, &mut steps, python::Tests::Basic, programs.as_ref());
    steps.step("clusters in virtual time", || sim::clusters(sh, None));
    steps.step("explore", || explore::run(sh, None));
    steps.step("models", || match model::run(sh, None, None)? {
        true => Ok(()),
        false => Err("a model and the real thing differ".into()),
    });
    steps.step("fault simulation", || match sim::run(sh, None, false)? {
        true => Ok(()),
        false => Err("a seed was not passed".into()),
    });
    for (name, cluster) in [("conformance", false), ("conformance over a network", true)] {
        steps.step(name, || match conformance::run(sh, None, cluster)? {
            true => Ok(()),
            false => Err("a trace was not passed".into()),
        });
    }
    if let Some(python) = python {
        steps.join(python);
    }
    steps.command("doc tests", cmd!(sh, "cargo test {ALL...} --doc --no-fail-fast"));
    steps.step("docs", || {
        println!("$ RUSTDOCFLAGS='-D warnings' cargo doc {} --no-deps", ALL.join(" "));
        let docs = cmd!(sh, "cargo doc {ALL...} --no-deps").env("RUSTDOCFLAGS", "-D warnings");
        Ok(docs.quiet().run()?)
    });
    steps.step("loom", || loom::run(sh, None));
    examples(sh, &mut steps, programs.as_ref());
    steps.step("killed processes", || faults::smoke(sh));
    tools::run(sh, &mut steps, false);

    steps.finish()
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
fn examples(sh: &Shell, steps: &mut Steps, programs: Option<&Programs>) {
    for (name, program) in programs.into_iter().flat_map(Programs::examples) {
        steps.command(&format!("example {name}"), cmd!(sh, "{program}"));
    }
}
