//! The file of a trace, and the older ones beside it: each an array of events, whole by itself.
//!
//! Invariant: no file grows beyond its limit, and no file that is not a trace of ours is touched.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use sync_replicas::driver::create_private_file;

use super::event::OURS;
use crate::error::{Error, UsageError};

/// So many older files are kept.
const OLDER: usize = 2;

/// What closes the array; a reader does without it, as after a process that was killed.
const END: &[u8] = b"\n]\n";

/// The newest file of a trace, open for events.
#[derive(Debug)]
pub(super) struct TraceFile {
    path: PathBuf,
    pub(super) file: File,
    limit: u64,
    /// What the file has.
    written: u64,
    /// What it has not yet.
    waiting: Vec<u8>,
}

impl TraceFile {
    /// Begins a file; a trace that is there becomes an older one, unless nothing is in it.
    pub(super) fn open(path: &Path, limit: u64) -> io::Result<Self> {
        if !fs::metadata(path).is_ok_and(|file| file.len() == 0) {
            age(path)?;
        }
        let file = create_private_file(path)?;
        Ok(Self { path: path.to_owned(), file, limit, written: 0, waiting: Vec::new() })
    }

    /// Whether so many bytes more fit into this file.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        let all = self.waiting.len() + bytes + END.len() + 2;
        self.written.saturating_add(all as u64) <= self.limit
    }

    /// Adds events, each as JSON, which the next flush writes.
    pub(super) fn add<'e>(&mut self, events: impl IntoIterator<Item = &'e [u8]>) {
        for event in events {
            let is_first = self.written == 0 && self.waiting.is_empty();
            self.waiting.extend_from_slice(if is_first { b"[\n" } else { b",\n" });
            self.waiting.extend_from_slice(event);
        }
    }

    /// Hands everything to the system.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.file.write_all(&self.waiting)?;
        self.written += self.waiting.len() as u64;
        self.waiting.clear();
        Ok(())
    }

    /// Closes the file, and begins the next one.
    pub(super) fn turn(&mut self) -> io::Result<()> {
        self.close()?;
        *self = Self::open(&self.path, self.limit)?;
        Ok(())
    }

    /// Writes what waits, and the end. What cannot be written is left out, and so is an event of
    /// which the file has only a part.
    pub(super) fn close(&mut self) -> io::Result<()> {
        let flushed = self.flush();
        if flushed.is_err() {
            self.waiting.clear();
            self.file.set_len(self.written)?;
            io::Seek::seek(&mut self.file, io::SeekFrom::End(0))?;
        }
        self.file.write_all(if self.written == 0 { b"[\n]\n" } else { END })?;
        flushed
    }
}

/// Refuses a file that a trace cannot be written to, and makes none.
///
/// # Errors
/// The sentence says what was expected, and what is there.
pub(crate) fn check(path: Option<&Path>) -> Result<(), Error> {
    let Some(path) = path else { return Ok(()) };
    (0..=OLDER).try_for_each(|age| refuse_other(&aged(path, age)))?;
    let tried = match path.exists() {
        true => File::options().append(true).open(path).map(drop),
        // A folder may say that it is writable, and is not.
        false => create_private_file(path).and_then(|_| fs::remove_file(path)),
    };
    tried.map_err(|error| {
        let expected = "a file that can be written, in a folder that exists";
        UsageError::number("--trace", expected, format!("{}: {error}", path.display())).into()
    })
}

/// Refuses what is there and would be lost.
fn refuse_other(path: &Path) -> Result<(), Error> {
    let refused = |what: String| {
        let expected = "a new file, or one with an earlier trace";
        let got = format!("{}, {what}", path.display());
        Err(UsageError::number("--trace", expected, got).into())
    };
    match is_ours(path) {
        _ if path.is_dir() => refused("which is a folder".to_owned()),
        Ok(true) => Ok(()),
        Ok(false) => refused("which is something else and would be lost".to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => refused(format!("which cannot be read: {error}")),
    }
}

/// Whether a file is empty, or begins as a trace of ours does.
fn is_ours(path: &Path) -> io::Result<bool> {
    if !fs::symlink_metadata(path)?.is_file() {
        return Ok(false);
    }
    let expected = format!("[\n{{\"name\":\"process_name\",\"cat\":\"{OURS}\"");
    let mut begin = Vec::new();
    File::open(path)?.take(expected.len() as u64).read_to_end(&mut begin)?;
    let is_empty = begin.is_empty() || begin == b"[\n]\n";
    Ok(is_empty || begin == expected.as_bytes())
}

/// Makes room for a new file: each one there becomes older, and the oldest goes.
fn age(path: &Path) -> io::Result<()> {
    for age in (0..OLDER).rev() {
        match fs::rename(aged(path, age), aged(path, age + 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// `trace.json`, `trace.1.json`, `trace.2.json`: what opens the first opens the others.
fn aged(path: &Path, age: usize) -> PathBuf {
    if age == 0 {
        return path.to_owned();
    }
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(format!(".{age}"));
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}
