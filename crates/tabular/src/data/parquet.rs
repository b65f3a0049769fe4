//! Parquet files as their CSV text, so that one path leads on from there.
//!
//! The whole file is held in memory as text, like a gzipped one.

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

/// In CSV's form; none for nested values.
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parquet::basic::{Compression, GzipLevel, ZstdLevel};
    use parquet::column::writer::ColumnWriter;
    use parquet::data_type::ByteArray;
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;

    use super::*;
    use crate::data::Content;

    /// Three rows: days, prices of which the second is missing, towns with a comma, and whether
    /// something was sold.
    fn write(path: &std::path::Path, compression: Compression) {
        let schema = "message rows {
            REQUIRED INT32 day;
            OPTIONAL DOUBLE price;
            OPTIONAL BYTE_ARRAY town (UTF8);
            REQUIRED BOOLEAN sold;
        }";
        let schema = Arc::new(parse_message_type(schema).expect("is a schema"));
        let properties = WriterProperties::builder().set_compression(compression).build();
        let file = File::create(path).expect("is writable");
        let writer = SerializedFileWriter::new(file, schema, Arc::new(properties));
        let mut writer = writer.expect("is writable");
        let mut group = writer.next_row_group().expect("is writable");
        while let Some(mut column) = group.next_column().expect("is writable") {
            let written = match column.untyped() {
                ColumnWriter::Int32ColumnWriter(it) => it.write_batch(&[1, 2, 3], None, None),
                ColumnWriter::DoubleColumnWriter(it) => {
                    it.write_batch(&[0.1, -2e300], Some(&[1, 0, 1]), None)
                }
                ColumnWriter::ByteArrayColumnWriter(it) => {
                    let towns = ["Town, 1", "Zürich"].map(ByteArray::from);
                    it.write_batch(&towns, Some(&[1, 1, 0]), None)
                }
                ColumnWriter::BoolColumnWriter(it) => {
                    it.write_batch(&[true, false, true], None, None)
                }
                _ => unreachable!("the schema has no other"),
            };
            written.expect("fits");
            column.close().expect("is writable");
        }
        group.close().expect("is writable");
        writer.close().expect("is writable");
    }

    #[test]
    fn rows_are_those_of_csv() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("rows.parquet");
        let expected = "day,price,town,sold\n\
                        1,0.1,\"Town, 1\",true\n\
                        2,,Zürich,false\n\
                        3,-2e300,,true\n";
        for compression in [
            Compression::UNCOMPRESSED,
            Compression::SNAPPY,
            Compression::GZIP(GzipLevel::default()),
            Compression::LZ4_RAW,
            Compression::ZSTD(ZstdLevel::default()),
        ] {
            write(&path, compression);
            let file = File::open(&path).expect("is there");
            let text = text(file, "rows.parquet", 1 << 20).expect("is well formed");
            let text = String::from_utf8(text).expect("is text");
            let numbers = |text: &str| text.replace("-2e300", &format!("{}", -2e300_f64));
            assert_eq!(text, numbers(expected), "{compression}");
        }
        let mut records = Content::open(&path).expect("is well formed");
        assert_eq!(records.records().expect("has names").columns().len(), 4);
        records = Content::open(&path).expect("is there");
        assert!(records.fingerprint().is_ok());
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("rows.parquet");
        write(&path, Compression::SNAPPY);
        let whole = std::fs::read(&path).expect("is there");
        for cut in [4, 8, whole.len() / 2, whole.len() - 1] {
            std::fs::write(&path, &whole[..cut]).expect("is writable");
            let error = Content::open(&path).expect_err("is cut").to_string();
            assert!(error.contains("rows.parquet as Parquet"), "{error}");
        }
        std::fs::write(&path, &whole).expect("is writable");
        let error = text(File::open(&path).expect("is there"), "a", 30).expect_err("is too long");
        assert!(matches!(error, DataError::TooLong { expected: 30, .. }), "{error}");
    }
}
