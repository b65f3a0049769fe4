//! `cargo xtask fuzz [TARGET] [--seconds N]`: the fuzz targets of all crates, or one of them.
//!
//! Starts cargo-fuzz and nothing else; `ci` replays the corpora without it. Invariant: what a run
//! finds goes below `target/fuzz`, and no file of the project is changed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use xshell::{Shell, cmd};

use crate::{Result, steps::announce};

/// What to do on a machine that has no cargo-fuzz.
const INSTALL: &str = "cargo-fuzz is not installed: run `cargo install cargo-fuzz`, which needs a \
                       C++ compiler; the corpora alone are replayed by `cargo test`";

/// One fuzz target: its name, and the `fuzz` folder of the crate that it is about.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    name: String,
    folder: PathBuf,
}

/// Runs each target, or the one called `only`, for so many seconds, and stops at what it finds.
///
/// # Errors
/// cargo-fuzz is missing, no target is called so, or one found something.
pub(crate) fn run(sh: &Shell, only: Option<&str>, seconds: u64) -> Result {
    let targets = targets(&sh.current_dir())?;
    let chosen: Vec<_> =
        targets.iter().filter(|it| only.is_none_or(|only| it.name == only)).collect();
    if chosen.is_empty() {
        let names: Vec<_> = targets.iter().map(|it| it.name.as_str()).collect();
        return Err(format!("expected a target out of {names:?}, got {only:?}").into());
    }
    let mut probe = Command::new("cargo");
    probe.args(["fuzz", "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
    if !probe.status()?.success() {
        return Err(INSTALL.into());
    }
    for Target { name, folder } in chosen {
        let out = sh.current_dir().join("target/fuzz");
        let (found, artifacts) = (out.join("corpus").join(name), out.join("artifacts").join(name));
        sh.create_dir(&found)?;
        sh.create_dir(&artifacts)?;
        let (build, kept) = (out.join("build"), folder.join("corpus").join(name));
        let place = format!("-artifact_prefix={}/", artifacts.display());
        let time = format!("-max_total_time={seconds}");
        // The sanitizer is a flag of nightly Rust; with this variable stable takes it as well.
        let fuzz = cmd!(sh, "cargo fuzz run --fuzz-dir {folder} --target-dir {build} {name}")
            .args([&found, &kept])
            .args(["--", &time, &place, "-timeout=10", "-rss_limit_mb=2048"])
            .env("RUSTC_BOOTSTRAP", "1");
        announce(&fuzz);
        fuzz.quiet().run()?;
    }
    Ok(())
}

/// The targets of every crate that has some, in the order of their names.
fn targets(root: &Path) -> Result<Vec<Target>> {
    let mut targets = Vec::new();
    for entry in fs::read_dir(root.join("crates"))? {
        let folder = entry?.path().join("fuzz");
        let Ok(sources) = fs::read_dir(folder.join("fuzz_targets")) else { continue };
        for source in sources {
            let path = source?.path();
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            targets.push(Target { name, folder: folder.clone() });
        }
    }
    targets.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(targets)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each target has a manifest that names it and inputs to begin with, and no two share a name.
    #[test]
    fn every_target_is_complete() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the root");
        let targets = targets(root).expect("readable");
        assert!(targets.len() >= 5, "{targets:?}");
        assert!(targets.windows(2).all(|pair| pair[0].name != pair[1].name), "{targets:?}");
        for Target { name, folder } in &targets {
            let manifest = fs::read_to_string(folder.join("Cargo.toml")).expect("a manifest");
            assert!(manifest.contains("[workspace]"), "{name}");
            assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
            let mut corpus = fs::read_dir(folder.join("corpus").join(name)).expect("a corpus");
            assert!(corpus.next().is_some(), "{name}");
        }
    }
}
