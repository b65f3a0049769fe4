//! The rows of a file by their numbers.
//!
//! Invariant: a file on disk that has changed since its rows were found is refused, never read as
//! if it were the same.

use std::fs::File;
use std::sync::Arc;
use std::{io, str};

use csv_core::ReadRecordResult;

use super::content::{Content, Storage};
use super::encode::Fields;
use super::error::DataError;

/// A file whose rows were found.
#[derive(Debug)]
pub(crate) struct RowFile {
    pub(crate) content: Content,
    /// Where each row begins, and where the last one ends.
    pub(crate) starts: Vec<u64>,
    pub(crate) num_columns: usize,
}

/// Reads rows, one at a time.
#[derive(Debug)]
pub(crate) struct RowReader {
    rows: Arc<RowFile>,
    file: Option<File>,
    bytes: Vec<u8>,
    parser: csv_core::Reader,
    record: Record,
}

/// Scratch space for the fields of a row.
#[derive(Debug, Default)]
struct Record {
    text: Vec<u8>,
    ends: Vec<usize>,
}

/// The fields of the last row read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row<'a> {
    text: &'a str,
    ends: &'a [usize],
}

impl Fields for Row<'_> {
    fn field(&self, place: usize) -> &str {
        let start = place.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.text.get(start..self.ends[place]).unwrap_or_default()
    }
}

impl RowFile {
    /// Each reader has its own handle on the file.
    pub(crate) fn reader(self: &Arc<Self>) -> Result<RowReader, DataError> {
        let file =
            match &self.content.storage {
                Storage::Memory(_) => None,
                Storage::Disk { path, .. } => Some(File::open(path).map_err(|source| {
                    DataError::Open { path: self.content.name.clone(), source }
                })?),
            };
        let record = Record { text: Vec::new(), ends: vec![0; self.num_columns + 1] };
        Ok(RowReader {
            rows: Arc::clone(self),
            file,
            bytes: Vec::new(),
            parser: csv_core::Reader::new(),
            record,
        })
    }
}

impl RowReader {
    /// Whether the file is still the one whose rows were found.
    pub(crate) fn check(&self) -> Result<(), DataError> {
        let Some(file) = &self.file else { return Ok(()) };
        self.rows.content.check_as(file.metadata())
    }

    /// Reads a row, by its number.
    pub(crate) fn read(&mut self, row: usize) -> Result<Row<'_>, DataError> {
        let (start, end) = (self.rows.starts[row], self.rows.starts[row + 1]);
        let rows = Arc::clone(&self.rows);
        let wrote = match &rows.content.storage {
            Storage::Memory(text) => self.parse(&text[start as usize..end as usize], row)?,
            Storage::Disk { .. } => {
                let mut bytes = std::mem::take(&mut self.bytes);
                bytes.resize((end - start) as usize, 0);
                let read = self.file.as_mut().map(|file| read_at(file, &mut bytes, start));
                let parsed = match read {
                    Some(Ok(())) => self.parse(&bytes, row),
                    _ => Err(rows.content.changed(format!("row {}", row + 1), "its end before it")),
                };
                self.bytes = bytes;
                parsed?
            }
        };
        let Record { text, ends } = &self.record;
        match str::from_utf8(&text[..wrote]) {
            Ok(text) => Ok(Row { text, ends }),
            Err(_) => Err(rows.content.changed(format!("row {} to be text", row + 1), "bytes")),
        }
    }

    /// Finds the fields; how long they are together.
    fn parse(&mut self, bytes: &[u8], row: usize) -> Result<usize, DataError> {
        let Record { text, ends } = &mut self.record;
        text.resize(bytes.len(), 0);
        self.parser.reset();
        // Only a file has a mark of its byte order, not each row: no parser at its start.
        let _ = self.parser.read_record(b"\n", text, ends);
        let (mut result, read, mut wrote, mut fields) = self.parser.read_record(bytes, text, ends);
        if result == ReadRecordResult::InputEmpty {
            // The file's last line may have no end.
            debug_assert_eq!(read, bytes.len());
            let more = self.parser.read_record(b"\n", &mut text[wrote..], &mut ends[fields..]);
            (result, wrote, fields) = (more.0, wrote + more.2, fields + more.3);
        }
        if result != ReadRecordResult::Record || fields != self.rows.num_columns {
            let expected = format!("row {} to have {} fields", row + 1, self.rows.num_columns);
            return Err(self.rows.content.changed(expected, format!("{fields}")));
        }
        Ok(wrote)
    }
}

/// Fills the buffer from a place in a file.
#[cfg(unix)]
fn read_at(file: &mut File, bytes: &mut [u8], start: u64) -> io::Result<()> {
    // One call of the system in place of two: some tenth of a training from disk.
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, start)
}

/// Fills the buffer from a place in a file.
#[cfg(not(unix))]
fn read_at(file: &mut File, bytes: &mut [u8], start: u64) -> io::Result<()> {
    use std::io::{Read as _, Seek as _};
    file.seek(io::SeekFrom::Start(start))?;
    file.read_exact(bytes)
}
