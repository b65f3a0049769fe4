//! Tests of the model, as any process has written them into the run folder.
//!
//! Reads on from where it was; half a line waits for its end.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use tabular::scores::Scores;

use crate::run::folder::files::{METRICS, TESTS};
use crate::run::summary::headline_number;

/// The most bytes of one file read at a time.
const MOST: u64 = 1 << 24;

/// The tests so far.
#[derive(Debug)]
pub(crate) struct Evaluations {
    folder: Arc<Path>,
    /// By file: how far it was read.
    read: BTreeMap<PathBuf, u64>,
    /// By update: the most telling measure.
    values: BTreeMap<i64, f64>,
    measure: &'static str,
}

#[derive(Deserialize)]
struct Line {
    step: i64,
    #[serde(flatten)]
    scores: Scores,
}

impl Evaluations {
    pub(crate) fn of(folder: Arc<Path>) -> Self {
        Self { folder, read: BTreeMap::new(), values: BTreeMap::new(), measure: "accuracy" }
    }

    /// What it measures, and each update's value, ascending.
    pub(crate) fn look(&mut self) -> (&'static str, Vec<(i64, f64)>) {
        for name in [METRICS].into_iter().chain(TESTS) {
            let path = self.folder.join(name);
            let from = self.read.get(&path).copied().unwrap_or_default();
            if let Some(text) = read_on(&path, from) {
                let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
                self.read.insert(path, from + whole as u64);
                text[..whole].split(|byte| *byte == b'\n').for_each(|line| self.take(line));
            }
        }
        (self.measure, self.values.iter().map(|(step, value)| (*step, *value)).collect())
    }

    fn take(&mut self, line: &[u8]) {
        // Most lines are none of a test.
        let has = |part: &[u8]| line.windows(part.len()).any(|it| it == part);
        if !has(b"\"test_") || has(b"\"kind\":\"result\"") {
            return;
        }
        let Ok(Line { step, scores }) = serde_json::from_slice(line) else { return };
        if let Some((measure, value)) = headline_number(&scores) {
            self.measure = measure;
            self.values.insert(step, value);
        }
    }
}

/// The content of a file from there on, if it is readable.
fn read_on(path: &Path, from: u64) -> Option<Vec<u8>> {
    let mut file = File::open(path).ok()?;
    file.seek(SeekFrom::Start(from)).ok()?;
    let mut text = Vec::new();
    file.take(MOST).read_to_end(&mut text).ok()?;
    Some(text)
}
