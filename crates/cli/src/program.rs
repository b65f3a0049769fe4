//! The program as a whole: options in, a training, results out, an exit status.
//!
//! For `main`, and for a program that the system knows by another name, such as Python. Knows what
//! each command prints and how it ends, and nothing of what it does.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::Mutex;

use cluster::ProcessHandle;
use cluster::exit::Exit;
use sync_replicas::driver::{append_private_file, describe};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;

use crate::args::{Command, LaunchArgs, NodeArgs, TrainArgs};
use crate::command_line::{self, CommandLineError, Given, Options, split_program, without};
use crate::commands::compare::compare;
use crate::commands::launch::{launch, listen_to_launcher};
use crate::commands::node::{self, Ended, Process};
use crate::commands::plan::plan;
use crate::commands::predict::predict;
use crate::commands::report::report;
use crate::commands::simulate::simulate;
use crate::commands::status::status;
use crate::commands::stop::stop;
use crate::commands::train::train;
use crate::error::Error;
use crate::run::folder::files::REPORT;
use crate::run::summary::{Summary, story, table, verdict};
use crate::settings::Settings;
use crate::system::interrupt::Interrupt;
use crate::system::output::{self, say};
use crate::system::signals::{self, Request};

/// Carries out a command line, whose first word is the program, and returns how the process should
/// end. Listens to signals, and may end the process itself: call it once, at its end.
///
/// `itself` starts this program again when words are appended: the path of its file or, for a
/// program of Python's, an interpreter and its script.
#[must_use]
pub fn main(itself: &[OsString], typed: impl IntoIterator<Item = OsString>) -> Exit {
    let exit = carry_out(itself, typed);
    // Where `main` is not Rust's, nothing else does it at the end.
    let _ = io::stdout().flush();
    exit
}

fn carry_out(itself: &[OsString], typed: impl IntoIterator<Item = OsString>) -> Exit {
    let Given { command, options, file } = match command_line::read(typed) {
        Ok(given) => given,
        Err(CommandLineError::Words { error, file }) => {
            let _ = error.print();
            // A question for help is one of these, too.
            if !error.use_stderr() {
                return Exit::Done;
            }
            if let Some(file) = file {
                tell_file(&file);
            }
            return Exit::Usage;
        }
        Err(CommandLineError::File(error)) => return failed(&error.into()),
    };
    let logged = match &command {
        Command::Node(args) => log(args.log.as_deref()),
        _ => log(None),
    };
    if let Err(error) = logged {
        return failed(&Error::usage(error));
    }
    let out = &mut io::stdout();
    let done = |()| Exit::Done;
    let has_file = file.is_some();
    let ended = match command {
        Command::Train(command) => run_train(command.train, has_file),
        Command::Predict(args) => predict(&args, out).map(done),
        Command::Plan(args) => plan(&args, out).map(done),
        Command::Report(args) => report(&args, out).map(done),
        Command::Compare(args) => compare(&args, out).map(done),
        Command::Launch(args) => run_launch(*args, &options, itself, has_file),
        Command::Node(args) => run_node(*args, &options),
        Command::Status(args) => status(&args, out).map(done),
        Command::Stop(args) => stop(&args, out).map(done),
        Command::Simulate(args) => simulate(&args, out).map(done),
    };
    let exit = ended.unwrap_or_else(|error| failed(&error));
    if let (Exit::Usage, Some(file)) = (exit, file) {
        tell_file(&file);
    }
    exit
}

/// A user who gave few options may wonder which ones apply.
fn tell_file(file: &Path) {
    say(format!("settings that the command line does not give are those of {}", file.display()));
}

fn failed(error: &Error) -> Exit {
    say(format!("error: {}", describe(error)));
    error.exit()
}

fn run_train(args: TrainArgs, has_file: bool) -> Result<Exit, Error> {
    let interrupt = Interrupt::new();
    let asked = listen(&interrupt, "stopping; a checkpoint is written");
    let (quiet, json) = (args.quiet, args.json);
    let settings = Settings::check(args)?;
    if let Some(story) = settings.trained.story().filter(|_| !quiet) {
        say(story);
    }
    let summary = train(&settings, &interrupt)?;
    if summary.interrupted {
        tell_resume(&summary.run_dir, has_file);
    }
    tell(&summary, quiet, json)?;
    Ok(asked.exit().filter(|_| summary.interrupted).unwrap_or(Exit::Done))
}

fn run_launch(
    args: LaunchArgs,
    options: &Options,
    itself: &[OsString],
    has_file: bool,
) -> Result<Exit, Error> {
    let interrupt = Interrupt::new();
    let asked = listen(&interrupt, "stopping all processes; a checkpoint is written");
    let launched = launch(&args, options, itself, &interrupt)?;
    if launched.interrupted && launched.saved {
        tell_resume(&launched.run_dir.display().to_string(), has_file);
    } else if launched.interrupted {
        say("interrupted before there was anything to save; begin again when you like");
    }
    Ok(asked.exit().filter(|_| launched.interrupted).unwrap_or(Exit::Done))
}

fn run_node(args: NodeArgs, options: &Options) -> Result<Exit, Error> {
    let (quiet, json, end_with_stdin) = (args.train.quiet, args.train.json, args.end_with_stdin);
    // A signal may come before there is something to end.
    let stop = ProcessHandle::new();
    let heard = stop.clone();
    let asked =
        signals::listen("leaving; the others wait or go on", move |request| match request {
            Request::End => heard.leave(),
            Request::Save => heard.save(),
        });
    if end_with_stdin {
        listen_to_launcher(stop.clone());
    }
    let ended = match node::serves_any_program(&args, options)? {
        true => node::serve(&args, stop)?,
        false => node::run(&Process::new(args, stop)?)?,
    };
    match ended {
        Ended::Over(Some(summary)) => tell(&summary, quiet, json).map(|()| Exit::Done),
        Ended::Over(None) => Ok(Exit::Done),
        // Without a signal, its launcher told it, which had one.
        Ended::Left => Ok(asked.exit().unwrap_or(Exit::Terminated)),
    }
}

fn listen(interrupt: &Interrupt, words: &'static str) -> signals::Asked {
    let interrupt = interrupt.clone();
    signals::listen(words, move |request| match request {
        Request::End => drop(interrupt.request()),
        Request::Save => interrupt.request_save(),
    })
}

/// Has the process of another program log as this one does, to standard error, unless something
/// logs there already.
pub fn log_to_stderr() {
    // It fails only when it opens a file.
    let _ = log(None);
}

/// Warnings only, unless `RUST_LOG` says otherwise (`info`, or by module: `warn,cluster=debug`); to
/// standard error, or to a requested file.
fn log(path: Option<&Path>) -> io::Result<()> {
    let asked = std::env::var("RUST_LOG").ok().filter(|it| !it.is_empty());
    let filter = asked.as_deref().map(str::parse::<Targets>).transpose();
    // It tells its own errors with `eprintln!`, which ends a process whose reader has gone.
    let builder = tracing_subscriber::fmt().log_internal_errors(false);
    let builder = builder.with_max_level(LevelFilter::TRACE);
    let usual = || Targets::new().with_default(LevelFilter::WARN);
    let chosen = filter.as_ref().ok().cloned().flatten().unwrap_or_else(usual);
    // It warns of what strangers do, as often as they do it.
    let chosen = match asked.as_deref().unwrap_or_default().contains("h2") {
        true => chosen,
        false => chosen.with_target("h2", LevelFilter::ERROR),
    };
    let first = match path {
        Some(path) => {
            let file = append_private_file(path)?;
            let log = builder.with_ansi(false).with_writer(Mutex::new(file)).finish();
            log.with(chosen).try_init()
        }
        None => {
            let ansi = io::stderr().is_terminal();
            builder.with_ansi(ansi).with_writer(io::stderr).finish().with(chosen).try_init()
        }
    };
    if let (Ok(()), Err(error)) = (first, filter) {
        let got = asked.as_deref().unwrap_or_default();
        tracing::warn!(%error, "RUST_LOG is {got:?}; expected `info`, or `warn,cluster=debug`");
    }
    Ok(())
}

/// Shows the result; details that people rarely read are in the run folder.
fn tell(summary: &Summary, quiet: bool, json: bool) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    if !quiet {
        let words = format!(
            "\n{}\n{}\n{}\nreport: {}/{REPORT}",
            table(summary),
            story(summary),
            verdict(summary),
            summary.run_dir
        );
        // With --json standard output belongs to the object alone.
        if json {
            say(words);
        } else {
            let _ = writeln!(out, "{words}");
        }
    }
    if json { output::json(&mut out, summary) } else { Ok(()) }
}

fn tell_resume(run_dir: &str, has_file: bool) {
    say(format!("interrupted; continue with: {}", resume_command(run_dir, has_file)));
}

/// The same command again, from this run's checkpoint and into its folder.
fn resume_command(run_dir: &str, has_file: bool) -> String {
    let mut args = std::env::args_os();
    let mut words: Vec<OsString> = args.next().into_iter().collect();
    let args: Vec<OsString> = args.collect();
    let (own, program) = split_program(&args);
    words.extend(without(own, &["--resume", "--out"]));
    // A file of settings may name another folder.
    if has_file {
        words.extend(["--out".into(), run_dir.into()]);
    }
    words.extend(["--resume".into(), run_dir.into()]);
    words.extend_from_slice(program);
    words.iter().map(|word| quoted(&word.to_string_lossy())).collect::<Vec<_>>().join(" ")
}

/// A word in a shell's spelling.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./,:+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
