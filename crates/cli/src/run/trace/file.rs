//! The file of a trace, and the older ones beside it: each a complete array of events.
//!
//! Invariant: no file grows beyond its limit, no file that is not our trace is touched, and each
//! has one writer, which holds a lock on it for as long as it writes.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use sync_replicas::driver::{append_private_file, create_private_file};

use super::event::OURS;
use crate::error::{Error, UsageError};
use crate::run::folder::files::{BEST_SO_FAR, LAUNCH, MODEL, RUN};

/// How many older files are kept.
const OLDER: usize = 2;

/// The files of a run folder that are also JSON.
const OF_A_RUN: [&str; 4] = [BEST_SO_FAR, LAUNCH, MODEL, RUN];

/// Why a file is not available.
const HELD: &str = "another training writes its trace there now; wait for it, end it, or give \
                    another FILE";

/// Closes the array; readers do without it, as after a killed process.
const END: &[u8] = b"\n]\n";

/// The newest file of a trace, open for events.
#[derive(Debug)]
pub(super) struct TraceFile {
    path: PathBuf,
    pub(super) file: File,
    /// The file before, whose lock is kept: opening it under its earlier name is also refused.
    _older: Option<File>,
    limit: u64,
    /// The size of the file.
    written: u64,
    /// The bytes still to write.
    waiting: Vec<u8>,
}

impl TraceFile {
    /// Begins a file; an existing trace becomes an older one, unless it is empty.
    pub(super) fn open(path: &Path, limit: u64) -> io::Result<Self> {
        let (mut file, mut older) = (held(path)?, None);
        while file.metadata()?.len() > 0 {
            age(path)?;
            older = Some(std::mem::replace(&mut file, held(path)?));
        }
        let (path, waiting) = (path.to_owned(), Vec::new());
        Ok(Self { path, file, _older: older, limit, written: 0, waiting })
    }

    /// Whether this many more bytes fit into the file.
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
        age(&self.path)?;
        let full = std::mem::replace(self, Self::open(&self.path, self.limit)?);
        self._older = Some(full.file);
        Ok(())
    }

    /// Writes the waiting events, and the end. Failed writes are left out, and so is an event of
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

/// Opens a file to write at its end, for this process alone.
fn held(path: &Path) -> io::Result<File> {
    let file = append_private_file(path)?;
    hold(&file)?;
    Ok(file)
}

/// Locks a file; released when it is closed, and by the system when its process dies.
fn hold(file: &File) -> io::Result<()> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(io::Error::new(io::ErrorKind::ResourceBusy, HELD)),
        // Some file systems know no locks.
        Err(TryLockError::Error(error)) => {
            tracing::debug!(%error, "the file of the trace cannot be locked");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

/// Refuses an unsuitable file, and makes none.
///
/// # Errors
/// The sentence says what was expected, and what is there.
pub(crate) fn check(path: Option<&Path>) -> Result<(), Error> {
    let Some(path) = path else { return Ok(()) };
    refuse_name(path)?;
    (0..=OLDER).try_for_each(|age| refuse_other(&aged(path, age)))?;
    let tried = match path.exists() {
        true => File::options().append(true).open(path).map(drop),
        false => probe(path),
    };
    tried.map_err(|error| {
        let expected = "a file that can be written, in a folder that exists";
        UsageError::option("--trace", expected, format!("{}: {error}", path.display())).into()
    })
}

/// Refuses a name under which a run writes something else, sooner or later.
fn refuse_name(path: &Path) -> Result<(), Error> {
    let is_json = path.extension().is_some_and(|it| it.eq_ignore_ascii_case("json"));
    let is_own = |name: &std::ffi::OsStr| OF_A_RUN.iter().any(|it| name.eq_ignore_ascii_case(it));
    let expected = match path.file_name() {
        Some(name) if is_own(name) => "a name that no file of a run folder has",
        Some(_) if is_json => return Ok(()),
        _ => "a file whose name ends with .json",
    };
    Err(UsageError::option("--trace", expected, path.display()).into())
}

/// A folder may claim to be writable, and not be. A file of another name is tried: this one may be
/// another training's by now.
fn probe(path: &Path) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = path.with_file_name(format!(".{name}.{}", std::process::id()));
    create_private_file(&beside)?;
    fs::remove_file(beside)
}

/// Refuses existing content that would be lost.
fn refuse_other(path: &Path) -> Result<(), Error> {
    let refused = |what: String| {
        let expected = "a new file, or one with an earlier trace";
        let got = format!("{}, {what}", path.display());
        Err(UsageError::option("--trace", expected, got).into())
    };
    match is_ours(path) {
        _ if path.is_dir() => refused("which is a folder".to_owned()),
        Ok(true) => match File::open(path).and_then(|file| hold(&file)) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => refused(HELD.to_owned()),
            // What else is wrong says who writes it.
            _ => Ok(()),
        },
        Ok(false) => refused("which is something else and would be lost".to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => refused(format!("which cannot be read: {error}")),
    }
}

/// Whether a file is empty, or begins like our trace.
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

/// `trace.json`, `trace.1.json`, `trace.2.json`: a program that opens the first opens the others.
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
