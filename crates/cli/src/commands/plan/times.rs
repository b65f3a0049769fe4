//! Measured times of any origin: a CSV file with the columns step, replica and seconds.
//!
//! It is read line by line; numbers need no quotes, so a comma always ends a cell. Its invariant:
//! of a file of any size only a bounded number of times is held, of whole steps, and no line longer
//! than the limit.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::str::FromStr;

use simulator::advice::{Row, Trace};
use simulator::{Plan, Seconds};

use crate::error::Error;

/// The most times held: of more, those of every second, fourth, ... step.
const MOST_TIMES: usize = 2_000_000;
/// No line of three numbers is so long, and hardly one of three hundred.
const LONGEST_LINE: u64 = 1 << 16;
const COLUMNS: [&str; 3] = ["step", "replica", "seconds"];

/// The content of a file.
pub(super) struct Times {
    pub(super) trace: Trace,
    pub(super) notes: Vec<String>,
}

pub(super) fn read(path: &Path) -> Result<Times, Error> {
    let file = File::open(path).map_err(|error| refused(path, error))?;
    let (rows, every) = rows(file, MOST_TIMES).map_err(|problem| refused(path, problem))?;
    let trace = Trace::new(rows).map_err(|error| refused(path, error))?;
    let problem = match trace.replicas() {
        [alone] => format!(
            "expected times of two replicas or more, to compare them; got only replica {alone}"
        ),
        many if many.len() > Plan::MOST_REPLICAS => {
            let most = Plan::MOST_REPLICAS;
            format!("expected times of at most {most} replicas, got {}", many.len())
        }
        _ => {
            let notes = notes(&trace, every);
            return Ok(Times { trace, notes });
        }
    };
    Err(refused(path, problem))
}

fn refused(path: &Path, problem: impl Display) -> Error {
    Error::usage(format!("--times {}: {problem}", path.display()))
}

fn notes(trace: &Trace, every: i64) -> Vec<String> {
    let (steps, whole) = (trace.steps().len(), trace.whole_steps());
    let mut notes = vec![format!(
        "{} times of {} replicas in {steps} step{}",
        trace.times(),
        trace.replicas().len(),
        if steps == 1 { "" } else { "s" }
    )];
    if every > 1 {
        notes.push(format!(
            "there are more than {MOST_TIMES} times, so only steps whose number {every} divides \
             were kept"
        ));
    }
    if whole < steps {
        notes.push(format!(
            "{} of {steps} steps lack a replica's time: one of its other steps stands for it",
            steps - whole
        ));
    }
    notes
}

/// The rows of a file; of more than `most`, those of steps that a number divides.
fn rows(file: impl Read, most: usize) -> Result<(Vec<Row>, i64), Problem> {
    let mut lines = Lines { file: BufReader::new(file), line: Vec::new(), number: 0 };
    let places = places(lines.next()?.unwrap_or_default())?;
    let (mut rows, mut every) = (Vec::new(), 1_i64);
    while let Some(text) = lines.next()? {
        if text.is_empty() {
            continue;
        }
        let row = row(text, places).map_err(|problem| problem.of_line(lines.number))?;
        if row.step.rem_euclid(every) != 0 {
            continue;
        }
        rows.push(row);
        while rows.len() > most {
            every = every.checked_mul(2).ok_or_else(|| {
                Problem(format!("expected at most {most} times in a step, got more"))
            })?;
            rows.retain(|row| row.step.rem_euclid(every) == 0);
        }
    }
    Ok((rows, every))
}

/// The places of the columns, by the headings.
fn places(headings: &str) -> Result<[usize; 3], Problem> {
    let mut places = [0; 3];
    for (place, column) in places.iter_mut().zip(COLUMNS) {
        *place = cells(headings).position(|heading| heading == column).ok_or_else(|| {
            let got: Vec<&str> = cells(headings).take(10).map(shown).collect();
            Problem(format!(
                "line 1: expected headings with {}, got {:?}; name the columns so",
                COLUMNS.join(", "),
                got.join(", ")
            ))
        })?;
    }
    Ok(places)
}

fn row(text: &str, [step, replica, seconds]: [usize; 3]) -> Result<Row, Problem> {
    let seconds: f64 = cell(text, seconds, 2, "a number of seconds")?;
    let seconds =
        Seconds::try_from(seconds).map_err(|error| Problem(format!("{}: {error}", COLUMNS[2])))?;
    Ok(Row {
        step: cell(text, step, 0, "a whole number")?,
        replica: cell(text, replica, 1, "a whole number")?,
        seconds: seconds.get(),
        finished: true,
    })
}

fn cell<T: FromStr>(text: &str, place: usize, column: usize, expected: &str) -> Result<T, Problem> {
    let cell = cells(text).nth(place).unwrap_or_default();
    cell.parse().map_err(|_| {
        Problem(format!("{}: expected {expected}, got {:?}", COLUMNS[column], shown(cell)))
    })
}

/// Without the spaces and quotes that some programs write around everything.
fn cells(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(|cell| cell.trim().trim_matches('"'))
}

/// The beginning of a cell, for a message.
fn shown(cell: &str) -> &str {
    cell.char_indices().nth(40).map_or(cell, |(end, _)| &cell[..end])
}

/// What is wrong with a file, and where.
#[derive(Debug)]
struct Problem(String);

impl Problem {
    fn of_line(self, number: usize) -> Self {
        Self(format!("line {number}, {}", self.0))
    }
}

impl Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        Self(error.to_string())
    }
}

/// The lines of a file, one held at a time.
struct Lines<R> {
    file: BufReader<R>,
    line: Vec<u8>,
    /// That of the line, from 1.
    number: usize,
}

impl<R: Read> Lines<R> {
    fn next(&mut self) -> Result<Option<&str>, Problem> {
        self.line.clear();
        self.number += 1;
        let mut part = (&mut self.file).take(LONGEST_LINE);
        let length = part.read_until(b'\n', &mut self.line)?;
        let number = self.number;
        if length as u64 == LONGEST_LINE {
            let problem = format!("line {number}: expected at most {LONGEST_LINE} bytes, got more");
            return Err(Problem(problem));
        }
        let text = std::str::from_utf8(&self.line)
            .map_err(|_| Problem(format!("line {number}: expected text in UTF-8")))?;
        // Some programs begin a file with a mark of its encoding.
        Ok((length > 0).then(|| text.trim_start_matches('\u{feff}').trim()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_too_many_times_whole_steps_are_kept() {
        let lines = (-50..50).flat_map(|step| (0..3).map(move |replica| (step, replica)));
        let lines = lines.map(|(step, replica)| format!("{step},{replica},1\n"));
        let text: String =
            std::iter::once("step,replica,seconds\n".to_owned()).chain(lines).collect();
        #[track_caller]
        fn check(text: &str, most: usize, expected: (usize, i64)) {
            let (rows, every) = rows(text.as_bytes(), most).expect("is a table");
            assert_eq!((rows.len(), every), expected);
        }
        check(&text, 300, (300, 1));
        check(&text, 299, (150, 2));
        check(&text, 20, (9, 32));
        assert!(rows(text.as_bytes(), 2).is_err_and(|it| it.0.contains("at most 2 times")));
    }

    #[test]
    fn a_line_without_an_end_is_refused() {
        let endless = io::repeat(b'1');
        assert!(rows(endless, 10).is_err_and(|it| it.0.contains("at most 65536 bytes")));
    }
}
