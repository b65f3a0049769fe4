//! Event files for TensorBoard, written without TensorFlow.
//!
//! It reads none, and draws nothing. Invariant: each start begins a new file, with a name that
//! comes after those of all files beside it, as TensorBoard reads them.

mod events;
mod histogram;
mod records;
mod wire;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use self::histogram::Buckets;
use self::records::RecordFile;
use self::wire::Message;
use crate::{At, BoxError, Param, Tracker};

/// A folder that `tensorboard --logdir` shows: scalars, histograms, texts and hyper-parameters.
///
/// Each run has its own folder; a run that goes on gives the same one, and
/// [`restored`](Tracker::restored) takes back the steps that it repeats.
///
/// # Examples
/// ```
/// use hooks::{At, TensorBoard, Tracker};
///
/// # let dir = tempfile::tempdir()?;
/// # let folder = dir.path().join("board");
/// let mut board = TensorBoard::create(&folder)?;
/// board.params(&[("learning_rate", 0.01.into()), ("optimizer", "adam".into())])?;
/// for step in 1..=100 {
///     board.scalars(At::now(step), &[("loss", 1.0 / step as f64)])?;
/// }
/// board.histogram(At::now(100), "weights", &[-0.5, 0.0, 0.25])?;
/// board.finish()?;
/// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
/// ```
// R-34, P-29
#[derive(Debug)]
pub struct TensorBoard {
    path: PathBuf,
    records: RecordFile,
    /// The last moment reported.
    step: i64,
}

impl TensorBoard {
    /// Begins a file in a folder, which is made if missing.
    ///
    /// # Errors
    /// Whatever keeps it from being written.
    pub fn create(folder: impl AsRef<Path>) -> io::Result<Self> {
        let folder = folder.as_ref();
        fs::create_dir_all(folder)?;
        let (path, file) = begin(folder)?;
        let mut board = Self { path, records: RecordFile::new(file), step: 0 };
        board.add(&events::version(SystemTime::now()))?;
        board.records.flush()?;
        Ok(board)
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn add(&mut self, event: &Message) -> io::Result<()> {
        self.records.add(event.bytes())
    }
}

impl Tracker for TensorBoard {
    fn params(&mut self, params: &[(&str, Param<'_>)]) -> Result<(), BoxError> {
        Ok(self.add(&events::params(At::now(0), params))?)
    }

    fn scalars(&mut self, at: At, scalars: &[(&str, f64)]) -> Result<(), BoxError> {
        self.step = at.step;
        Ok(self.add(&events::scalars(at, scalars))?)
    }

    fn histogram(&mut self, at: At, name: &str, values: &[f64]) -> Result<(), BoxError> {
        self.step = at.step;
        let Some(buckets) = Buckets::of(values) else { return Ok(()) };
        Ok(self.add(&events::histogram(at, name, &buckets))?)
    }

    fn text(&mut self, at: At, name: &str, text: &str) -> Result<(), BoxError> {
        self.step = at.step;
        Ok(self.add(&events::text(at, name, text))?)
    }

    fn restored(&mut self, step: i64) -> Result<(), BoxError> {
        self.step = step;
        Ok(self.add(&events::start(At::now(step.saturating_add(1))))?)
    }

    fn flush(&mut self) -> Result<(), BoxError> {
        Ok(self.records.flush()?)
    }

    fn finish(&mut self) -> Result<(), BoxError> {
        self.add(&events::end(At::now(self.step)))?;
        self.flush()
    }
}

/// The mark by which TensorBoard knows its files.
const PREFIX: &str = "events.out.tfevents.";

/// A new file. TensorBoard reads the files of a folder in the order of their names, which begin
/// with seconds: two starts within one, or a clock that was set back, must not change it.
fn begin(folder: &Path) -> io::Result<(PathBuf, File)> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut seconds = now.max(newest(folder)?.map_or(0, |newest| newest.saturating_add(1)));
    loop {
        let name = format!("{PREFIX}{seconds:010}.{}.{}", host(), std::process::id());
        let path = folder.join(name);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        // As checkpoints and logs: for their owner alone.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        match options.open(&path) {
            Ok(file) => return Ok((path, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => seconds += 1,
            Err(error) => return Err(error),
        }
    }
}

/// The seconds in the name of the last file.
fn newest(folder: &Path) -> io::Result<Option<u64>> {
    let mut newest = None;
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let seconds = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('.').next());
        let seconds = seconds.and_then(|seconds| seconds.parse().ok());
        // A made-up name must not move the clock to the end of time.
        newest = newest.max(seconds.filter(|seconds| *seconds < 9_999_999_999));
    }
    Ok(newest)
}

/// The name of this machine, as far as it fits into a file's.
fn host() -> String {
    let told = fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let told = told.or_else(|| std::env::var("HOSTNAME").ok());
    let told = told.or_else(|| std::env::var("COMPUTERNAME").ok()).unwrap_or_default();
    let fits = |letter: &char| letter.is_ascii_alphanumeric() || *letter == '-';
    let name: String = told.chars().filter(fits).take(64).collect();
    if name.is_empty() { "localhost".to_owned() } else { name }
}

#[cfg(test)]
mod tests;
