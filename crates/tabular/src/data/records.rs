//! Text as CSV: the names of its columns, then record by record.
//!
//! Invariant: a record is whole. A quote that never closes is an error, where a CSV reader would
//! end the last field with the file.

use std::io::{self, Read};

use csv_core::ReadRecordResult;

use super::content::{BUFFER, Content};
use super::error::DataError;

/// Text record by record, with the names of its columns.
#[derive(Debug)]
pub struct Records<'a, R> {
    content: &'a Content,
    reader: csv::Reader<R>,
    columns: Vec<String>,
}

impl Content {
    /// All records, from the first.
    ///
    /// # Errors
    /// [`DataError::Open`], [`DataError::Empty`], [`DataError::SameColumn`].
    pub fn records(&self) -> Result<Records<'_, Box<dyn Read + '_>>, DataError> {
        Records::new(self, self.reader()?)
    }
}

impl<'a, R: Read> Records<'a, R> {
    /// Reads the line of headings.
    ///
    /// # Errors
    /// As [`Content::records`].
    pub(crate) fn new(content: &'a Content, text: R) -> Result<Self, DataError> {
        let name = &content.name;
        let mut reader =
            csv::ReaderBuilder::new().has_headers(true).buffer_capacity(BUFFER).from_reader(text);
        let headings = reader.headers().map_err(|error| csv_error(content, error))?;
        let columns: Vec<String> = headings.iter().map(|it| it.trim().to_owned()).collect();
        if columns.iter().all(String::is_empty) {
            return Err(DataError::Empty { path: name.to_owned() });
        }
        let mut sorted: Vec<&String> = columns.iter().filter(|it| !it.is_empty()).collect();
        sorted.sort_unstable();
        if let Some(twice) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            let column = twice[0].clone();
            return Err(DataError::SameColumn { path: name.to_owned(), column });
        }
        Ok(Self { content, reader, columns })
    }

    /// The names of the columns, in the order of the fields.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Reads the next record; false after the last one.
    ///
    /// # Errors
    /// [`DataError::Fields`], [`DataError::Text`], [`DataError::Quote`], [`DataError::Read`].
    pub fn next(&mut self, record: &mut csv::StringRecord) -> Result<bool, DataError> {
        let content = self.content;
        let read = self.reader.read_record(record).map_err(|error| csv_error(content, error))?;
        if read && self.reader.position().byte() >= content.length() {
            let path = content.name.clone();
            let start = record.position().map_or(0, csv::Position::byte);
            match self.ends_in_quotes(start) {
                Ok(false) => {}
                Ok(true) => return Err(DataError::Quote { path, line: content.line(start) }),
                Err(source) => return Err(DataError::Open { path, source }),
            }
        }
        Ok(read)
    }
    /// Whether quotes opened in the last record, which begins at this byte, never close.
    fn ends_in_quotes(&self, byte: u64) -> io::Result<bool> {
        let mut last = self.content.bytes_from(byte)?;
        // It would be the end of any other.
        last.push(b'\n');
        let (mut text, mut ends) = (vec![0; last.len()], vec![0; self.columns.len() + 1]);
        let (result, ..) = csv_core::Reader::new().read_record(&last, &mut text, &mut ends);
        Ok(result == ReadRecordResult::InputEmpty)
    }
}

/// The CSV reader's error, by line.
fn csv_error(content: &Content, error: csv::Error) -> DataError {
    let path = content.name.clone();
    match error.kind() {
        csv::ErrorKind::UnequalLengths { pos: Some(pos), expected_len, len } => {
            let line = content.line(pos.byte());
            DataError::Fields { path, line, expected: *expected_len, got: *len }
        }
        csv::ErrorKind::Utf8 { pos: Some(pos), err } => {
            DataError::Text { path, line: content.line(pos.byte()), field: err.field() + 1 }
        }
        _ => DataError::Read { path, source: error },
    }
}
