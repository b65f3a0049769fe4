//! Lines of numbers into rows of digits; every mistake is named by its line and column.
//!
//! Reads from memory only.

use std::cell::Cell;
use std::io::{self, Cursor, Read};
use std::rc::Rc;

use flate2::read::MultiGzDecoder;

use super::examples::{CLASSES, INTENSITIES, PIXELS, Row};

/// The first two bytes of every gzip file.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Fewer rows than this cannot be split into something to train on and something to test with.
const FEWEST_ROWS: usize = 10;

/// A few kilobytes of gzip can hold gigabytes of text; digits in this much of it would be 400,000.
const MOST_BYTES: u64 = 64 << 20;

/// Why digits could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The file is missing or may not be read.
    #[error("cannot open the data file {path}: {source}")]
    Open {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The bytes are no gzip stream, or no text.
    #[error("cannot read {path} as CSV or gzipped CSV: {source}")]
    Read {
        /// The file.
        path: String,
        /// What the reader said.
        source: csv::Error,
    },
    /// A line with another number of columns.
    #[error(
        "{path}, line {line}: expected {} columns (64 pixels, then the digit), got {got}",
        PIXELS + 1
    )]
    Columns {
        /// The file.
        path: String,
        /// Counted from 1.
        line: u64,
        /// How many columns there are.
        got: usize,
    },
    /// A field that is not a number in its range.
    #[error("{path}, line {line}, column {column}: expected {expected}, got {got:?}")]
    Value {
        /// The file.
        path: String,
        /// Counted from 1.
        line: u64,
        /// Counted from 1.
        column: usize,
        /// What belongs there.
        expected: &'static str,
        /// What is there.
        got: String,
    },
    /// More text than digits would need, perhaps from a gzip stream made to fill memory.
    #[error("{path}: expected at most {expected} bytes of text, got more; split the file")]
    TooLong {
        /// The file.
        path: String,
        /// How many bytes there may be, after gunzipping.
        expected: u64,
    },
    /// Too little to split.
    #[error("{path}: expected at least {FEWEST_ROWS} rows, got {got}")]
    TooFew {
        /// The file.
        path: String,
        /// How many rows there are.
        got: usize,
    },
}

/// All rows of `bytes`, which may be gzipped; `path` names them in errors.
pub(super) fn rows(bytes: &[u8], path: &str) -> Result<Vec<Row>, DataError> {
    rows_up_to(MOST_BYTES, bytes, path)
}

/// As [`rows`], of at most `most` bytes of text.
pub(super) fn rows_up_to(most: u64, bytes: &[u8], path: &str) -> Result<Vec<Row>, DataError> {
    let text: Box<dyn Read> = if bytes.starts_with(&GZIP) {
        Box::new(MultiGzDecoder::new(bytes))
    } else {
        Box::new(Cursor::new(bytes))
    };
    let cut = Rc::new(Cell::new(false));
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(Capped { text, left: most, cut: Rc::clone(&cut) });
    let mut rows = Vec::new();
    for record in reader.records() {
        // Where the text was cut, the last line is no line of the file.
        if cut.get() {
            return Err(DataError::TooLong { path: path.to_owned(), expected: most });
        }
        let record = record.map_err(|source| DataError::Read { path: path.to_owned(), source })?;
        rows.push(row(&record, path)?);
    }
    if cut.get() {
        return Err(DataError::TooLong { path: path.to_owned(), expected: most });
    }
    if rows.len() < FEWEST_ROWS {
        return Err(DataError::TooFew { path: path.to_owned(), got: rows.len() });
    }
    Ok(rows)
}

/// Text that ends after so many bytes, and says whether there was more.
struct Capped<R> {
    text: R,
    left: u64,
    cut: Rc<Cell<bool>>,
}

impl<R: Read> Read for Capped<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 && !buffer.is_empty() {
            let more = self.text.read(&mut [0])?;
            self.cut.set(more > 0);
            return Ok(0);
        }
        let end = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let read = self.text.read(&mut buffer[..end])?;
        self.left -= read as u64;
        Ok(read)
    }
}

fn row(record: &csv::StringRecord, path: &str) -> Result<Row, DataError> {
    let line = record.position().map_or(0, csv::Position::line);
    if record.len() != PIXELS + 1 {
        return Err(DataError::Columns { path: path.to_owned(), line, got: record.len() });
    }
    let field = |column: usize, below: usize, expected: &'static str| {
        let text = &record[column];
        text.parse::<u8>().ok().filter(|value| usize::from(*value) < below).ok_or_else(|| {
            DataError::Value {
                path: path.to_owned(),
                line,
                column: column + 1,
                expected,
                got: text.to_owned(),
            }
        })
    };
    let mut pixels = [0; PIXELS];
    for (column, pixel) in pixels.iter_mut().enumerate() {
        *pixel = field(column, INTENSITIES + 1, "a pixel, a whole number from 0 to 16")?;
    }
    let digit = field(PIXELS, CLASSES, "a digit from 0 to 9")?;
    Ok(Row { pixels, digit })
}
