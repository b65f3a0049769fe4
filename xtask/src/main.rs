//! `cargo xtask`: the one command of the repository, see [`flags`] for what it can do.
//!
//! A program for those who work on the project; no crate depends on it. A new command is a line in
//! `flags.rs`, a file of its name, and an arm below.

#![allow(clippy::print_stderr, clippy::print_stdout, reason = "a tool for a terminal")]

mod bench;
mod burn;
mod canaries;
mod candle;
mod check;
mod ci;
mod conformance;
mod copy;
mod explore;
mod faults;
mod fix;
mod flags;
mod fuzz;
mod learned;
mod loom;
mod model;
mod programs;
mod publish;
mod python;
mod release;
mod sim;
mod slurm;
mod spec;
mod steps;
mod tidy;
mod tools;
mod workspace;

use std::{
    env,
    error::Error,
    path::Path,
    process::{Command, ExitCode},
};

use xshell::Shell;

/// An application's result: the error is shown to a person and nothing else.
type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    if let Some(ended) = without_cargos_words() {
        return ended;
    }
    let flags = flags::Xtask::from_env_or_exit();
    match run(flags.subcommand) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs this program once more without what `cargo run` has told it of its package: build scripts
/// look at that (ring's does), so what is built here would differ from what is built by hand, and
/// each would build the other's half of the crates again.
fn without_cargos_words() -> Option<ExitCode> {
    let mut words = env::vars_os().map(|(name, _)| name).filter(|name| {
        let name = name.to_string_lossy();
        name.starts_with("CARGO_MANIFEST_") || name.starts_with("CARGO_PKG_")
    });
    let first = words.next()?;
    let mut again = Command::new(env::current_exe().ok()?);
    again.args(env::args_os().skip(1)).env_remove(first);
    words.for_each(|name| {
        again.env_remove(name);
    });
    let code = again.status().ok()?.code().and_then(|code| u8::try_from(code).ok());
    Some(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// Runs one command; `false` when it failed and has said all there is to say.
fn run(command: flags::XtaskCmd) -> Result<bool> {
    let sh = Shell::new()?;
    sh.change_dir(root()?);
    match command {
        flags::XtaskCmd::Ci(_) => return Ok(ci::run(&sh)),
        flags::XtaskCmd::Release(_) => return release::run(&sh),
        flags::XtaskCmd::Check(it) => return check::run(&sh, it.since.as_deref()),
        flags::XtaskCmd::Fix(_) => fix::run(&sh)?,
        flags::XtaskCmd::Tidy(_) => tidy::run(&sh)?,
        flags::XtaskCmd::Tools(it) => return Ok(tools::alone(&sh, it.slow)),
        flags::XtaskCmd::Python(it) => {
            let tests = match (it.torch, it.trackers) {
                (false, false) => python::Tests::Basic,
                (true, false) => python::Tests::Torch,
                (false, true) => python::Tests::Trackers,
                (true, true) => return Err("expected --torch or --trackers, got both".into()),
            };
            return Ok(python::alone(&sh, tests));
        }
        flags::XtaskCmd::Candle(_) => return Ok(candle::run(&sh)),
        flags::XtaskCmd::Burn(_) => return burn::run(&sh),
        flags::XtaskCmd::Publish(it) => publish::run(&sh, it.build)?,
        flags::XtaskCmd::Slurm(_) => return slurm::run(&sh),
        flags::XtaskCmd::Ray(_) => return Ok(python::alone(&sh, python::Tests::Ray)),
        flags::XtaskCmd::Spec(_) => spec::run(&sh)?,
        flags::XtaskCmd::Conformance(it) => return conformance::run(&sh, it.dir, it.cluster),
        flags::XtaskCmd::Explore(flags) => explore::run(&sh, flags.steps)?,
        flags::XtaskCmd::Loom(it) => loom::run(&sh, it.preemptions)?,
        flags::XtaskCmd::Canaries(it) => return canaries::run(&sh, it.filter.as_deref()),
        flags::XtaskCmd::Model(size) => return model::run(&sh, size.cases, size.transitions),
        flags::XtaskCmd::Sim(it) if it.cluster => sim::clusters(&sh, it.seeds.as_deref())?,
        flags::XtaskCmd::Sim(it) => return sim::run(&sh, it.seeds.as_deref(), it.trace),
        flags::XtaskCmd::Faults(it) => return faults::run(&sh, &it),
        flags::XtaskCmd::Fuzz(it) => {
            fuzz::run(&sh, it.target.as_deref(), it.seconds.unwrap_or(60))?;
        }
        flags::XtaskCmd::Bench(bench) => bench::run(&sh, &bench)?,
    }
    Ok(true)
}

/// The repository's folder, from wherever the command was called.
fn root() -> Result<&'static Path> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().ok_or_else(|| format!("{} has no parent folder", here.display()).into())
}
