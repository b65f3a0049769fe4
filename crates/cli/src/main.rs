//! The program: options in, a training, results out. What it does is in the library beside it.

use std::error::Error;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use cli::advise::plan;
use cli::args::{Cli, Command, TrainArgs};
use cli::interrupt::Interrupt;
use cli::settings::Settings;
use cli::simulate::simulate;
use cli::summary::{Summary, story, table, verdict};
use cli::train::{TrainError, train};
use tracing_subscriber::EnvFilter;

/// What shells say of a program that a second Ctrl-C ended.
const KILLED_BY_INTERRUPT: i32 = 130;

/// What options that cannot be meant end with.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let command = Cli::parse().into_command();
    log_to_stderr();
    match command {
        Command::Train(args) => run_train(*args),
        Command::Plan(args) => {
            // Whatever is wrong is wrong with what was given.
            let result = plan(&args, &mut io::stdout().lock());
            result.map_or_else(|error| failed(&error, USAGE), |()| ExitCode::SUCCESS)
        }
        Command::Simulate(args) => {
            let result = simulate(&args, &mut io::stdout().lock());
            result.map_or_else(|error| failed(&error, error.exit_status()), |()| ExitCode::SUCCESS)
        }
    }
}

fn failed(error: &dyn Error, status: u8) -> ExitCode {
    eprintln!("error: {}", chain(error));
    ExitCode::from(status)
}

fn run_train(args: TrainArgs) -> ExitCode {
    let interrupt = Interrupt::new();
    stop_on_signals(&interrupt);
    let (quiet, json) = (args.quiet, args.json);
    let result = Settings::check(args)
        .map_err(TrainError::from)
        .and_then(|settings| train(&settings, &interrupt));
    match result {
        Ok(summary) => match tell(&summary, quiet, json) {
            // The reader has gone, as `head` does; the run is on disk.
            Ok(()) | Err(_) => ExitCode::SUCCESS,
        },
        Err(error) => failed(&error, error.exit_status()),
    }
}

/// Warnings only, unless `RUST_LOG` says otherwise.
fn log_to_stderr() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
}

/// The first Ctrl-C ends the run cleanly, the second one the program.
fn stop_on_signals(interrupt: &Interrupt) {
    let interrupt = interrupt.clone();
    let handler = move || {
        if !interrupt.request() {
            std::process::exit(KILLED_BY_INTERRUPT);
        }
        eprintln!("\nstopping; a checkpoint is written (Ctrl-C again ends at once)");
    };
    if let Err(error) = ctrlc::set_handler(handler) {
        tracing::warn!(%error, "Ctrl-C will end the run without a checkpoint");
    }
}

fn tell(summary: &Summary, quiet: bool, json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if !quiet {
        // With --json standard output belongs to the object alone.
        let mut people: Box<dyn Write> =
            if json { Box::new(io::stderr()) } else { Box::new(&mut out) };
        writeln!(people, "\n{}\n{}", table(summary), story(summary))?;
        writeln!(people, "{}", verdict(summary))?;
        writeln!(people, "report: {}/report.html", summary.run_dir)?;
    }
    if summary.interrupted {
        eprintln!("interrupted; continue with: {}", resume_command(&summary.run_dir));
    }
    if json {
        writeln!(out, "{}", serde_json::to_string(summary)?)?;
    }
    Ok(())
}

/// The same command again, from this run's checkpoint and into a new folder.
fn resume_command(run_dir: &str) -> String {
    let mut args = std::env::args_os();
    let mut words: Vec<OsString> = args.next().into_iter().collect();
    let replaced = ["--resume", "--out"];
    while let Some(arg) = args.next() {
        let text = arg.to_string_lossy();
        if replaced.contains(&&*text) {
            args.next();
        } else if !replaced.iter().any(|option| text.starts_with(&format!("{option}="))) {
            words.push(arg);
        }
    }
    words.extend(["--resume".into(), run_dir.into()]);
    words.iter().map(|word| quoted(&word.to_string_lossy())).collect::<Vec<_>>().join(" ")
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./,:+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// An error and its causes, in one line, each said once.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = error.source();
    }
    text
}
