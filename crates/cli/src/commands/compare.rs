//! Several runs side by side, from their folders: a table, one JSON object, and a page.
//!
//! Reads what [`report`](crate::commands::report) reads, and writes into no run folder.

mod names;
mod page;
mod run;
mod table;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;
use sync_replicas::driver::printable;

use self::run::{ComparedRun, keep_differing};
use crate::args::CompareArgs;
use crate::error::{Error, UsageError};
use crate::run::folder::files::METRICS;
use crate::system::output;

/// The most columns of a table, unless a single one is wider.
const WIDTH: usize = 80;

/// What `--json` prints.
#[derive(Serialize)]
struct Comparison<'a> {
    /// The settings that are not the same in all runs.
    differing: &'a [String],
    runs: &'a [ComparedRun],
}

/// Reads runs, and shows them together.
///
/// # Errors
/// When a run is given twice, its files are invalid, or a result cannot be written.
pub fn compare(args: &CompareArgs, out: &mut dyn Write) -> Result<(), Error> {
    if let Some(path) = &args.out {
        refuse_page(path)?;
    }
    let names = names::short(&places(&args.runs)?);
    let runs = args.runs.iter().zip(names);
    let read: Result<Vec<_>, _> = runs.map(|(path, name)| ComparedRun::read(path, name)).collect();
    let mut runs = read?;
    let differing = keep_differing(&mut runs);
    let facts = table::facts(&runs, &differing);
    if let Some(path) = &args.out {
        let page = page::html(&runs, &facts);
        let written = output::to_file(path, |out| {
            let unwritable = |error| format!("{} cannot be written: {error}", path.display());
            Ok(out.write_all(page.as_bytes()).map_err(unwritable)?)
        });
        written.map_err(Error::failed)?;
    }
    if args.json {
        return output::json(out, &Comparison { differing: &differing, runs: &runs });
    }
    let shown = |path: &PathBuf| printable(&path.to_string_lossy()).into_owned();
    let page = args.out.iter().map(|path| format!("\npage: {}\n", shown(path)));
    let text = table::text(&runs, &facts, WIDTH) + &page.collect::<String>();
    output::text(out, &text)
}

/// Refuses a page that cannot be written, or that would replace a run's own files.
fn refuse_page(path: &Path) -> Result<(), Error> {
    let target = target(path);
    let folder = target.parent().unwrap_or(&target);
    let expected = if path.extension().is_none_or(|it| it != "html") {
        "a file whose name ends with .html"
    } else if !folder.is_dir() {
        "a file in a folder that exists"
    } else if folder.join(METRICS).exists() {
        "a file outside of run folders"
    } else {
        return Ok(());
    };
    Err(UsageError::option("--out", expected, path.display()).into())
}

/// Links are followed first.
fn target(path: &Path) -> PathBuf {
    let absolute = || std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    fs::canonicalize(path).unwrap_or_else(|_| absolute())
}

/// Where each run is, so that a run given twice is found under any name.
fn places(runs: &[PathBuf]) -> Result<Vec<PathBuf>, Error> {
    let whole = |path: &PathBuf| {
        let target = target(path);
        match target.parent() {
            // The other way to name a run. Other files may be of several runs.
            Some(folder) if target.ends_with(METRICS) => folder.to_owned(),
            _ => target,
        }
    };
    let places: Vec<PathBuf> = runs.iter().map(whole).collect();
    for (number, place) in places.iter().enumerate() {
        if let Some(first) = places[..number].iter().position(|it| it == place) {
            let (one, other) = (runs[first].display(), runs[number].display());
            let got = format!("{one} and {other}, which are the same run");
            return Err(UsageError::option("RUN", "each run once", got).into());
        }
    }
    Ok(places)
}
