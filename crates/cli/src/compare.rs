//! Several runs side by side, from their folders: a table, one JSON object, and a page.
//!
//! Reads what [`report`](crate::report) reads, and writes into no run folder.

mod names;
mod page;
mod run;
mod table;

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use serde::Serialize;

use self::run::{ComparedRun, keep_differing};
use crate::args::CompareArgs;
use crate::error::{Error, UsageError};
use crate::output;

/// A table is no wider, save where a single column is.
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
/// When a run is given twice, its files make no sense, or a result cannot be written.
pub fn compare(args: &CompareArgs, out: &mut dyn Write) -> Result<(), Error> {
    if let Some(path) = args.out.as_ref().filter(|it| it.extension().is_none_or(|it| it != "html"))
    {
        let expected = "a file whose name ends with .html";
        return Err(UsageError::number("--out", expected, path.display()).into());
    }
    let names = names::short(&places(&args.runs)?);
    let runs = args.runs.iter().zip(names);
    let read: Result<Vec<_>, _> = runs.map(|(path, name)| ComparedRun::read(path, name)).collect();
    let mut runs = read?;
    let differing = keep_differing(&mut runs);
    let facts = table::facts(&runs, &differing);
    if let Some(path) = &args.out {
        fs::write(path, page::html(&runs, &facts)).map_err(|error| {
            let got = format!("{}: {error}", path.display());
            UsageError::number("--out", "a file that can be written", got)
        })?;
    }
    if args.json {
        return output::json(out, &Comparison { differing: &differing, runs: &runs });
    }
    let page = args.out.iter().map(|path| format!("\npage: {}\n", path.display()));
    let text = table::text(&runs, &facts, WIDTH) + &page.collect::<String>();
    // A reader who has seen enough has gone.
    let _ = out.write_all(text.as_bytes());
    Ok(())
}

/// Where each run is, so that one that is given twice is found whatever it is called.
fn places(runs: &[PathBuf]) -> Result<Vec<PathBuf>, Error> {
    let whole = |path: &PathBuf| {
        let absolute = || std::path::absolute(path).unwrap_or_else(|_| path.clone());
        fs::canonicalize(path).unwrap_or_else(|_| absolute())
    };
    let places: Vec<PathBuf> = runs.iter().map(whole).collect();
    for (number, place) in places.iter().enumerate() {
        if let Some(first) = places[..number].iter().position(|it| it == place) {
            let (one, other) = (runs[first].display(), runs[number].display());
            let got = format!("{one} and {other}, which are the same folder");
            return Err(UsageError::number("RUN", "each run once", got).into());
        }
    }
    Ok(places)
}
