//! A tracker that writes JSON, an object a line.
//!
//! It has no histograms. Invariant: lines are whole, about a second behind, even when the process
//! is killed or the disk is full.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use hooks::{At, BoxError, Param, Tracker};
use serde_json::{Map, Value, json};

use crate::private_file::append_private_file;

/// Lines wait no longer than this for the file,
const SOON: Duration = Duration::from_secs(1);

/// and no more than so many bytes of them,
const MOST_BYTES: usize = 1 << 16;

/// unless the disk is full: then so many.
const MOST_KEPT: usize = 1 << 20;

/// A file of lines, one for each tracked update.
///
/// `{"loss":0.5,"scalars":{},"step":1}` is one; a value that is not a number, such as a loss of
/// NaN, is `null`. Params are `{"params":{..}}`, a text `{"step":1,"text":{..}}`, and
/// `{"restored":7}` says that earlier lines of steps after 7 no longer count.
///
/// # Examples
/// ```
/// use hooks::{At, Tracker};
/// use sync_replicas::JsonLines;
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("metrics.jsonl");
/// let mut lines = JsonLines::append(&path)?;
/// lines.scalars(At::now(1), &[("loss", 0.5), ("accuracy", 0.75)])?;
/// lines.flush()?;
/// let expected = "{\"loss\":0.5,\"scalars\":{\"accuracy\":0.75},\"step\":1}\n";
/// assert_eq!(std::fs::read_to_string(&path)?, expected);
/// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
/// ```
// R-34, P-29
#[derive(Debug)]
pub struct JsonLines {
    /// Its buffer keeps what is not written, even part of a line.
    file: BufWriter<File>,
    written: Instant,
    last_step: Option<i64>,
}

impl JsonLines {
    /// Appends to a file, or creates it.
    ///
    /// # Errors
    /// Whatever keeps it from being opened.
    pub fn append(path: impl AsRef<Path>) -> io::Result<Self> {
        let file = append_private_file(path.as_ref())?;
        let file = BufWriter::with_capacity(MOST_KEPT, file);
        Ok(Self { file, written: Instant::now(), last_step: None })
    }

    fn add(&mut self, line: &Value) -> Result<(), BoxError> {
        let line = format!("{line}\n");
        if line.len() >= MOST_KEPT {
            let (got, most) = (line.len(), MOST_KEPT);
            return Err(format!("expected a line of less than {most} bytes, got {got}").into());
        }
        self.file.write_all(line.as_bytes())?;
        let due = self.file.buffer().len() >= MOST_BYTES || self.written.elapsed() >= SOON;
        if due { self.flush() } else { Ok(()) }
    }
}

impl Tracker for JsonLines {
    fn params(&mut self, params: &[(&str, Param<'_>)]) -> Result<(), BoxError> {
        let value = |param: &Param<'_>| match *param {
            Param::Number(number) => number.into(),
            Param::Flag(flag) => flag.into(),
            Param::Text(text) => text.into(),
        };
        let params = params.iter().map(|(name, param)| ((*name).to_owned(), value(param)));
        self.add(&json!({ "params": params.collect::<Map<_, _>>() }))
    }

    fn scalars(&mut self, at: At, scalars: &[(&str, f64)]) -> Result<(), BoxError> {
        self.last_step = self.last_step.max(Some(at.step));
        let loss = scalars.iter().find(|(name, _)| *name == "loss").map(|(_, loss)| *loss);
        let others = scalars.iter().filter(|(name, _)| *name != "loss");
        let others = others.map(|(name, value)| ((*name).to_owned(), Value::from(*value)));
        let others: Map<_, _> = others.collect();
        self.add(&json!({ "step": at.step, "loss": loss, "scalars": others }))
    }

    fn text(&mut self, at: At, name: &str, text: &str) -> Result<(), BoxError> {
        self.add(&json!({ "step": at.step, "text": { name: text } }))
    }

    fn restored(&mut self, step: i64) -> Result<(), BoxError> {
        if self.last_step.replace(step).is_none_or(|last| last <= step) {
            return Ok(());
        }
        self.add(&json!({ "restored": step }))
    }

    fn flush(&mut self) -> Result<(), BoxError> {
        self.written = Instant::now();
        Ok(self.file.flush()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // P-29: what a tracker is told is a line each; no number is null.
    #[test]
    fn each_call_is_a_line() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("lines");
        let write = |told: &dyn Fn(&mut JsonLines) -> Result<(), BoxError>| {
            let mut lines = JsonLines::append(&path).expect("is writable");
            told(&mut lines).expect("is writable");
        };
        let check = |told: &dyn Fn(&mut JsonLines) -> Result<(), BoxError>, expected: &[Value]| {
            let _ = std::fs::remove_file(&path);
            write(told);
            let text = std::fs::read_to_string(&path).expect("is there");
            let lines = text.lines().map(|line| serde_json::from_str(line).expect("is JSON"));
            assert_eq!(lines.collect::<Vec<Value>>(), expected);
        };
        let at = At::now;
        check(
            &|it| it.scalars(at(1), &[("loss", 0.5)]),
            &[json!({ "step": 1, "loss": 0.5, "scalars": {} })],
        );
        check(
            &|it| it.scalars(at(1), &[("a", 2.0), ("loss", f64::NAN)]),
            &[json!({ "step": 1, "loss": null, "scalars": { "a": 2.0 } })],
        );
        check(&|it| it.scalars(at(1), &[]), &[json!({ "step": 1, "loss": null, "scalars": {} })]);
        check(
            &|it| it.params(&[("rate", 0.5.into()), ("name", "x".into()), ("on", true.into())]),
            &[json!({ "params": { "rate": 0.5, "name": "x", "on": true } })],
        );
        check(&|it| it.text(at(3), "a", "b\n"), &[json!({ "step": 3, "text": { "a": "b\n" } })]);
        check(&|it| it.histogram(at(3), "a", &[1.0]), &[]);
        // Only steps that were told of are taken back.
        check(&|it| it.restored(4), &[]);
        check(
            &|it| it.scalars(at(6), &[]).and_then(|()| it.restored(5)),
            &[json!({ "step": 6, "loss": null, "scalars": {} }), json!({ "restored": 5 })],
        );
        // What was there stays.
        write(&|it| it.params(&[]));
        assert_eq!(std::fs::read_to_string(&path).expect("is there").lines().count(), 3);
        let large = "x".repeat(MOST_KEPT);
        let mut lines = JsonLines::append(&path).expect("is writable");
        let error = lines.text(at(1), "a", &large).expect_err("too large");
        assert!(error.to_string().starts_with("expected a line of less than 1048576 bytes"));
    }
}
