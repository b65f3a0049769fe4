//! `cargo xtask burn`: the adapter for burn, formatted, linted and tested, and what its example
//! learns.
//!
//! Apart from `ci` and from the workspace, whose commands do not see it: burn asks for a newer Rust
//! and for many packages. What it builds stands in a folder of its own below `target`.

use xshell::{Shell, cmd};

use crate::{
    Result,
    learned::{Bound, learned},
    steps::Steps,
    workspace::Workspace,
};

/// The manifest of the adapter, beside the workspace.
pub(crate) const MANIFEST: &str = "crates/burn/Cargo.toml";

/// Runs all steps; whether every one passed.
///
/// # Errors
/// When the workspace cannot be read.
pub(crate) fn run(sh: &Shell) -> Result<bool> {
    sh.set_var("CARGO_TARGET_DIR", Workspace::load(sh)?.target_dir.join("burn"));
    let mut steps = Steps::default();
    // Whatever it depends on was chosen with its lock file.
    let ours = ["--manifest-path", MANIFEST, "--locked"];
    steps.command("format", cmd!(sh, "cargo fmt --manifest-path {MANIFEST} --check"));
    let deny = ["--", "-D", "warnings"];
    steps.command("clippy", cmd!(sh, "cargo clippy {ours...} --all-targets {deny...}"));
    steps.command("tests", cmd!(sh, "cargo test {ours...} --tests"));
    steps.command("doc tests", cmd!(sh, "cargo test {ours...} --doc"));
    let docs = cmd!(sh, "cargo doc {ours...} --no-deps").env("RUSTDOCFLAGS", "-D warnings");
    steps.command("docs", docs);
    steps.step("example digits", || {
        let example = cmd!(sh, "cargo run --quiet {ours...} --example digits");
        learned(example, "test accuracy", Bound::AtLeast(0.96))
    });
    Ok(steps.finish())
}
