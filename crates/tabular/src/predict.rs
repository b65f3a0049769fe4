//! A prediction for each row of a file, in order, as CSV.
//!
//! Rows go through memory, so that a file of any length can be predicted.

use std::io::{self, Write};
use std::sync::Arc;

use csv::StringRecord;
use serde::{Deserialize, Serialize};
use sync_replicas::{BoxError, Keys, Rows, Variables};

use crate::data::{Content, Encoder, Examples, Features, Task, rows_at_a_time};
use crate::models::{Kind, Network, predictions};
use crate::scores::best;

/// A model as a run folder keeps it, without its variables.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedModel {
    /// The kind of model.
    pub model: Kind,
    /// The columns that it has learned from.
    #[serde(flatten)]
    pub features: Features,
}

/// Writes a line of names, and a line for each row: its most probable value and the probability of
/// the second of two values, or of each of several; or its number. Returns the number of rows.
///
/// # Errors
/// A line unlike those learned from, a missing column, a failed lookup or reader; the lines before
/// were written.
pub fn predict(
    saved: &SavedModel,
    variables: &Variables<f32>,
    content: &Content,
    lookup: impl Fn(&Keys) -> Result<Rows<f32>, BoxError>,
    out: &mut impl Write,
) -> Result<u64, BoxError> {
    let features = Arc::new(saved.features.clone());
    let model = Network::new(saved.model, &features)?;
    let mut records = content.records()?;
    let encoder = Encoder::new(&features, records.columns(), content.name(), false)?;
    let task = &features.target.task;
    write_names(task, out)?;
    let most = rows_at_a_time(features.num_numbers() + features.num_keys());
    let (mut record, mut rows) = (StringRecord::new(), 0);
    let mut examples = encoder.examples(0);
    let write = |examples: Examples, out: &mut _| -> Result<u64, BoxError> {
        // Who looks up no keys may not know how wide their rows are.
        if examples.is_empty() {
            return Ok(0);
        }
        let batch = model.batch(examples);
        let rows = lookup(&batch.keys())?;
        let scores = model.scores(variables, &batch, |table| rows.get(table))?;
        write_rows(task, &predictions(task, scores), out)?;
        Ok(batch.len() as u64)
    };
    loop {
        let added = records.next(&mut record).and_then(|is_one| {
            if is_one {
                encoder.add_line(&record, content, &mut examples)?;
            }
            Ok(is_one)
        });
        match added {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                // What is good before it is told.
                write(examples, out)?;
                out.flush()?;
                return Err(error.into());
            }
        }
        if examples.len() >= most {
            rows += write(std::mem::replace(&mut examples, encoder.examples(0)), out)?;
        }
    }
    rows += write(examples, out)?;
    out.flush()?;
    Ok(rows)
}

fn write_names(task: &Task, out: &mut impl Write) -> io::Result<()> {
    match task {
        Task::Regression { .. } => writeln!(out, "prediction"),
        Task::Binary { .. } => writeln!(out, "prediction,probability"),
        Task::Classes { classes } => {
            let mut names = csv::Writer::from_writer(out);
            let of = classes.iter().map(|class| format!("probability of {}", class.value));
            let all = std::iter::once("prediction".to_owned()).chain(of);
            names.write_record(all).map_err(unwritten)?;
            names.flush()
        }
    }
}

fn write_rows(
    task: &Task,
    predicted: &ndarray::Array2<f64>,
    out: &mut impl Write,
) -> io::Result<()> {
    let mut lines = csv::Writer::from_writer(out);
    for row in predicted.outer_iter() {
        let written = match task {
            Task::Regression { .. } => lines.write_record([row[0].to_string()]),
            Task::Binary { classes } => {
                let class = &classes[usize::from(row[0] > 0.5)];
                lines.write_record([class.value.clone(), probability(row[0])])
            }
            Task::Classes { classes } => {
                let class = classes[best(row.iter().copied())].value.clone();
                let numbers = row.iter().map(|it| probability(*it));
                lines.write_record(std::iter::once(class).chain(numbers))
            }
        };
        written.map_err(unwritten)?;
    }
    lines.flush()
}

/// With as many digits as it was computed with.
fn probability(value: f64) -> String {
    (value as f32).to_string()
}

/// The system's error, which distinguishes a reader that is gone from a full disk.
fn unwritten(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}
