//! A file's text: gunzipped in memory, or on disk.
//!
//! Knows no columns. Invariant: whether it is still what was opened can be asked at any time.

use std::fs::{self, File, Metadata};
use std::io::{self, BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::read::MultiGzDecoder;

use super::error::DataError;
use super::file_state::FileState;
use super::hashed::Hashed;

/// The first two bytes of every gzip file.
const GZIP: &[u8] = &[0x1f, 0x8b];

/// The first four bytes of every Parquet file.
const PARQUET: &[u8] = b"PAR1";

/// A few kilobytes of gzip can hold gigabytes of text.
const MOST_BYTES: u64 = 4 << 30;

/// How many bytes are read from disk at a time.
pub(crate) const BUFFER: usize = 1 << 16;

/// The source of rows.
#[derive(Clone, Debug)]
pub struct Content {
    /// Its name in errors.
    pub(crate) name: String,
    pub(crate) storage: Storage,
}

/// Where the text lies.
#[derive(Clone, Debug)]
pub(crate) enum Storage {
    Memory(Arc<[u8]>),
    Disk { path: PathBuf, state: FileState },
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
            return Ok(Self { name, storage: Storage::Memory(text.into()) });
        }
        let state = FileState::of(&metadata);
        Ok(Self { name, storage: Storage::Disk { path: path.to_owned(), state } })
    }

    /// A file's content, which may be gzipped; `name` is its name in errors.
    ///
    /// # Errors
    /// As [`open`](Self::open) of a gzipped file.
    pub fn of_bytes(bytes: &[u8], name: &str) -> Result<Self, DataError> {
        if bytes.starts_with(GZIP) {
            return Self::gunzip(bytes, name, MOST_BYTES);
        }
        Ok(Self { name: name.to_owned(), storage: Storage::Memory(bytes.into()) })
    }

    #[cfg(feature = "parquet")]
    fn of_parquet(file: File, name: &str) -> Result<Self, DataError> {
        let text = super::parquet::text(file, name, MOST_BYTES)?;
        Ok(Self { name: name.to_owned(), storage: Storage::Memory(text.into()) })
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
        Ok(Self { name: name.to_owned(), storage: Storage::Memory(text.into()) })
    }

    /// Its name in errors.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A hash of all bytes: another text gives another.
    pub(crate) fn fingerprint(&self) -> Result<u64, DataError> {
        let mut hashed = Hashed::new(self.reader()?);
        io::copy(&mut hashed, &mut io::sink())
            .map_err(|source| DataError::Open { path: self.name.clone(), source })?;
        Ok(hashed.fingerprint())
    }

    pub(crate) fn reader(&self) -> Result<Box<dyn Read + '_>, DataError> {
        Ok(match &self.storage {
            Storage::Memory(text) => Box::new(Cursor::new(text)),
            Storage::Disk { path, .. } => Box::new(
                File::open(path)
                    .map_err(|source| DataError::Open { path: self.name.clone(), source })?,
            ),
        })
    }

    /// All bytes from this one on.
    pub(crate) fn bytes_from(&self, byte: u64) -> io::Result<Vec<u8>> {
        match &self.storage {
            Storage::Memory(text) => Ok(text.iter().skip(byte as usize).copied().collect()),
            Storage::Disk { path, .. } => {
                let mut file = File::open(path)?;
                file.seek(SeekFrom::Start(byte))?;
                let mut rest = Vec::new();
                file.read_to_end(&mut rest)?;
                Ok(rest)
            }
        }
    }

    /// Whether it is unchanged since it was opened.
    ///
    /// # Errors
    /// [`DataError::Changed`], and [`DataError::Open`] when it is gone.
    pub(crate) fn check(&self) -> Result<(), DataError> {
        let Storage::Disk { path, .. } = &self.storage else { return Ok(()) };
        self.check_as(fs::metadata(path))
    }

    /// As [`check`](Self::check), for an open file.
    pub(crate) fn check_as(&self, now: io::Result<Metadata>) -> Result<(), DataError> {
        let Storage::Disk { state, .. } = &self.storage else { return Ok(()) };
        let now = now.map_err(|source| DataError::Open { path: self.name.clone(), source })?;
        match state.difference(&FileState::of(&now)) {
            Some([expected, got]) => Err(self.changed(expected, got)),
            None => Ok(()),
        }
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

    /// How many bytes of text it has.
    pub(crate) fn length(&self) -> u64 {
        match &self.storage {
            Storage::Memory(text) => text.len() as u64,
            Storage::Disk { state, .. } => state.length,
        }
    }
}
