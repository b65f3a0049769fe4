//! A file's text: gunzipped in memory, or on disk; record by record.

use std::fs::{self, File, Metadata};
use std::hash::Hasher;
use std::io::{self, BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use csv_core::ReadRecordResult;
use flate2::read::MultiGzDecoder;
use twox_hash::XxHash3_64;

use super::error::DataError;

/// The first two bytes of every gzip file.
const GZIP: &[u8] = &[0x1f, 0x8b];

/// The first four bytes of every Parquet file.
const PARQUET: &[u8] = b"PAR1";

/// A few kilobytes of gzip can hold gigabytes of text.
const MOST_BYTES: u64 = 4 << 30;

/// How many bytes are read from disk at a time.
const BUFFER: usize = 1 << 16;

/// The source of rows.
#[derive(Clone, Debug)]
pub struct Content {
    /// Its name in errors.
    pub(crate) name: String,
    pub(crate) place: Place,
}

#[derive(Clone, Debug)]
pub(crate) enum Place {
    Memory(Arc<[u8]>),
    Disk { path: PathBuf, state: FileState },
}

/// A file's fingerprint, so that a change is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileState {
    pub(crate) length: u64,
    pub(crate) modified: Option<SystemTime>,
    /// Different for another file of the same name.
    number: Option<u64>,
}

impl FileState {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        let number = Some(std::os::unix::fs::MetadataExt::ino(metadata));
        #[cfg(not(unix))]
        let number = None;
        Self { length: metadata.len(), modified: metadata.modified().ok(), number }
    }
}

impl Content {
    /// Opens a file: a gzipped one is read into memory.
    ///
    /// # Errors
    /// [`DataError::Open`]; [`DataError::Read`] and [`DataError::TooLong`] of a gzipped one.
    pub fn open(path: &Path) -> Result<Self, DataError> {
        let name = path.display().to_string();
        let failed = |source| DataError::Open { path: name.clone(), source };
        let mut file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if metadata.is_dir() {
            return Err(failed(io::Error::from(io::ErrorKind::IsADirectory)));
        }
        let mut first = Vec::new();
        (&mut file).take(PARQUET.len() as u64).read_to_end(&mut first).map_err(failed)?;
        if first == PARQUET {
            return Self::of_parquet(file, &name);
        }
        if first.starts_with(GZIP) {
            let packed = Cursor::new(first).chain(BufReader::new(file));
            return Self::gunzip(packed, &name, MOST_BYTES);
        }
        if !metadata.is_file() {
            // A pipe can be read once only.
            let mut text = first;
            file.read_to_end(&mut text).map_err(failed)?;
            return Ok(Self { name, place: Place::Memory(text.into()) });
        }
        let state = FileState::of(&metadata);
        Ok(Self { name, place: Place::Disk { path: path.to_owned(), state } })
    }

    /// A file's content, which may be gzipped; `name` is its name in errors.
    ///
    /// # Errors
    /// As [`open`](Self::open) of a gzipped file.
    pub fn of_bytes(bytes: &[u8], name: &str) -> Result<Self, DataError> {
        if bytes.starts_with(GZIP) {
            return Self::gunzip(bytes, name, MOST_BYTES);
        }
        Ok(Self { name: name.to_owned(), place: Place::Memory(bytes.into()) })
    }

    #[cfg(feature = "parquet")]
    fn of_parquet(file: File, name: &str) -> Result<Self, DataError> {
        let text = super::parquet::text(file, name, MOST_BYTES)?;
        Ok(Self { name: name.to_owned(), place: Place::Memory(text.into()) })
    }

    #[cfg(not(feature = "parquet"))]
    fn of_parquet(_: File, name: &str) -> Result<Self, DataError> {
        let problem = "this program was built without it: build it with `--features parquet`, or \
                       write the file as CSV";
        Err(DataError::Parquet { path: name.to_owned(), problem: problem.to_owned() })
    }

    pub(crate) fn gunzip(packed: impl Read, name: &str, most: u64) -> Result<Self, DataError> {
        let mut text = Vec::new();
        let read = MultiGzDecoder::new(packed).take(most + 1).read_to_end(&mut text);
        read.map_err(|error| DataError::Read { path: name.to_owned(), source: error.into() })?;
        if text.len() as u64 > most {
            return Err(DataError::TooLong { path: name.to_owned(), expected: most });
        }
        Ok(Self { name: name.to_owned(), place: Place::Memory(text.into()) })
    }

    /// Its name in errors.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// All records, from the first.
    ///
    /// # Errors
    /// [`DataError::Open`], [`DataError::Empty`],
    /// [`DataError::SameColumn`].
    pub fn records(&self) -> Result<Records<'_, Box<dyn Read + '_>>, DataError> {
        Records::new(self, self.reader()?)
    }

    /// A hash of all bytes: another text gives another.
    pub(crate) fn fingerprint(&self) -> Result<u64, DataError> {
        let mut hashed = Hashed::new(self.reader()?);
        io::copy(&mut hashed, &mut io::sink())
            .map_err(|source| DataError::Open { path: self.name.clone(), source })?;
        Ok(hashed.fingerprint())
    }

    pub(crate) fn reader(&self) -> Result<Box<dyn Read + '_>, DataError> {
        Ok(match &self.place {
            Place::Memory(text) => Box::new(Cursor::new(text)),
            Place::Disk { path, .. } => Box::new(
                File::open(path)
                    .map_err(|source| DataError::Open { path: self.name.clone(), source })?,
            ),
        })
    }

    /// Whether it is unchanged since it was opened.
    ///
    /// # Errors
    /// [`DataError::Changed`], and [`DataError::Open`] when it is gone.
    pub(crate) fn check(&self) -> Result<(), DataError> {
        let Place::Disk { path, .. } = &self.place else { return Ok(()) };
        self.check_as(fs::metadata(path))
    }

    /// As [`check`](Self::check), for an open file.
    pub(crate) fn check_as(&self, now: io::Result<Metadata>) -> Result<(), DataError> {
        let Place::Disk { state, .. } = &self.place else { return Ok(()) };
        let now = now.map_err(|source| DataError::Open { path: self.name.clone(), source })?;
        let now = FileState::of(&now);
        if now.length != state.length {
            let bytes = |length: u64| format!("{length} bytes");
            return Err(self.changed(bytes(state.length), bytes(now.length)));
        }
        if now.number != state.number {
            return Err(self.changed("the file that it was", "another in its place"));
        }
        if now != *state {
            return Err(self.changed("the time of change that it had", "another"));
        }
        Ok(())
    }

    pub(crate) fn changed(&self, expected: impl Into<String>, got: impl Into<String>) -> DataError {
        let path = self.name.clone();
        DataError::Changed { path, expected: expected.into(), got: got.into() }
    }

    /// The line on which the record at this byte begins, counted from 1.
    ///
    /// Reads everything up to there, so only errors use it: a CSV reader splits records at line
    /// ends, and this counts the blank lines and half ends that are left.
    pub(crate) fn line(&self, byte: u64) -> u64 {
        let Ok(text) = self.reader() else { return 0 };
        let mut bytes = BufReader::with_capacity(BUFFER, text).bytes().map_while(Result::ok);
        let ends = |bytes: &mut dyn Iterator<Item = u8>| bytes.filter(|it| *it == b'\n').count();
        let before = ends(&mut bytes.by_ref().take(usize::try_from(byte).unwrap_or(usize::MAX)));
        let left = ends(&mut bytes.take_while(|it| matches!(it, b'\r' | b'\n')));
        1 + (before + left) as u64
    }

    /// Whether quotes opened in the last record, which begins at this byte, never close.
    fn ends_in_quotes(&self, byte: u64, fields: usize) -> io::Result<bool> {
        let mut last = Vec::new();
        match &self.place {
            Place::Memory(text) => last.extend(text.iter().skip(byte as usize)),
            Place::Disk { path, .. } => {
                let mut file = File::open(path)?;
                file.seek(SeekFrom::Start(byte))?;
                file.read_to_end(&mut last)?;
            }
        }
        // It would be the end of any other.
        last.push(b'\n');
        let (mut text, mut ends) = (vec![0; last.len()], vec![0; fields]);
        let (result, ..) = csv_core::Reader::new().read_record(&last, &mut text, &mut ends);
        Ok(result == ReadRecordResult::InputEmpty)
    }

    /// How many bytes of text it has.
    pub(crate) fn length(&self) -> u64 {
        match &self.place {
            Place::Memory(text) => text.len() as u64,
            Place::Disk { state, .. } => state.length,
        }
    }
}

/// A reader that hashes what it reads.
pub(crate) struct Hashed<R> {
    text: R,
    hash: XxHash3_64,
}

impl<R> Hashed<R> {
    pub(crate) fn new(text: R) -> Self {
        Self { text, hash: XxHash3_64::new() }
    }

    /// Of the bytes read so far.
    pub(crate) fn fingerprint(&self) -> u64 {
        self.hash.finish()
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.text.read(buffer)?;
        self.hash.write(&buffer[..read]);
        Ok(read)
    }
}

/// Text record by record, with the names of its columns.
#[derive(Debug)]
pub struct Records<'a, R> {
    content: &'a Content,
    reader: csv::Reader<R>,
    columns: Vec<String>,
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
        let headings = reader.headers().map_err(|error| DataError::of_csv(content, error))?;
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
        let read =
            self.reader.read_record(record).map_err(|error| DataError::of_csv(content, error))?;
        if read && self.reader.position().byte() >= content.length() {
            let path = content.name.clone();
            let start = record.position().map_or(0, csv::Position::byte);
            match content.ends_in_quotes(start, self.columns.len() + 1) {
                Ok(false) => {}
                Ok(true) => return Err(DataError::Quote { path, line: content.line(start) }),
                Err(source) => return Err(DataError::Open { path, source }),
            }
        }
        Ok(read)
    }
}
