//! Parquet files as the text that they would be in CSV, so that one path leads from there on.
//!
//! The whole file is held in memory as text, as a gzipped one is.

use std::fs::File;
use std::io::{self, Write};

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;

use super::error::DataError;

/// All rows, below a line of the columns' names.
///
/// # Errors
/// [`DataError::Parquet`]; [`DataError::TooLong`] beyond so many bytes of text.
pub(crate) fn text(file: File, name: &str, most: u64) -> Result<Vec<u8>, DataError> {
    let failed = |problem: String| DataError::Parquet { path: name.to_owned(), problem };
    let reader = SerializedFileReader::new(file).map_err(|error| failed(error.to_string()))?;
    let schema = reader.metadata().file_metadata().schema_descr();
    let columns = schema.root_schema().get_fields().iter().map(|field| field.name().to_owned());
    let mut lines = csv::Writer::from_writer(Capped { text: Vec::new(), most });
    let written = |result: Result<(), csv::Error>| match result {
        Ok(()) => Ok(()),
        Err(error) if is_full(&error) => {
            Err(DataError::TooLong { path: name.to_owned(), expected: most })
        }
        Err(error) => Err(failed(error.to_string())),
    };
    written(lines.write_record(columns))?;
    let rows = reader.get_row_iter(None).map_err(|error| failed(error.to_string()))?;
    for (number, row) in rows.enumerate() {
        let row = row.map_err(|error| failed(format!("row {}: {error}", number + 1)))?;
        for (column, field) in row.get_column_iter() {
            let text = field_text(field).ok_or_else(|| {
                let expected = "expected a number, a text, a date or a truth value";
                failed(format!("row {}, column {column:?}: {expected}, got {field}", number + 1))
            })?;
            written(lines.write_field(text))?;
        }
        written(lines.write_record(None::<&[u8]>))?;
    }
    match lines.into_inner() {
        Ok(capped) => Ok(capped.text),
        Err(_) => Err(DataError::TooLong { path: name.to_owned(), expected: most }),
    }
}

/// As CSV has it; none of what has parts.
fn field_text(field: &Field) -> Option<String> {
    Some(match field {
        Field::Null => String::new(),
        Field::Str(text) => text.clone(),
        Field::Bytes(bytes) => bytes.as_utf8().ok()?.to_owned(),
        // As their text is without the quotes and the digits that displays have.
        Field::Float(number) => number.to_string(),
        Field::Double(number) => number.to_string(),
        Field::Group(_) | Field::ListInternal(_) | Field::MapInternal(_) => return None,
        other => other.to_string(),
    })
}

/// Text that grows up to so many bytes.
struct Capped {
    text: Vec<u8>,
    most: u64,
}

impl Write for Capped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.text.len() as u64 + bytes.len() as u64 > self.most {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn is_full(error: &csv::Error) -> bool {
    matches!(error.kind(), csv::ErrorKind::Io(error) if error.kind() == io::ErrorKind::FileTooLarge)
}
