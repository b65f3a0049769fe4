//! `predict`: a column for each row of a file, from the checkpoint of a run.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use sync_replicas::BoxError;
use sync_replicas::checkpoint::{self, TrainingState};
use tabular::data::{Content, DataError};
use tabular::predict::{self as rows, SavedModel};

use crate::args::PredictArgs;
use crate::error::Error;
use crate::run::folder::checkpoints_of;
use crate::run::folder::files::MODEL;
use crate::run::table_rows::TableRows;
use crate::system::output;

/// Writes a line for each row of the file.
///
/// # Errors
/// When there is no model, a column is missing, or a line is invalid: the lines before it are
/// written.
pub fn predict(args: &PredictArgs, out: &mut dyn Write) -> Result<(), Error> {
    let (saved, state) = model(&args.run)?;
    let content = Content::open(&args.file)?;
    let tables = TableRows::Saved(state.tables);
    let write = |out: &mut dyn Write| {
        let mut out = BufWriter::new(out);
        rows::predict(&saved, &state.variables, &content, |keys| tables.lookup(keys), &mut out)
    };
    let written = match &args.out {
        None => write(out),
        Some(path) => output::to_file(path, write),
    };
    match written {
        Ok(_) => Ok(()),
        // Who reads has seen enough.
        Err(error) if args.out.is_none() && is_broken_pipe(&error) => Ok(()),
        Err(error) => match error.downcast::<DataError>() {
            Ok(error) => Err((*error).into()),
            Err(error) => Err(Error::failed(error)),
        },
    }
}

fn is_broken_pipe(error: &BoxError) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(output::is_broken_pipe)
}

/// The model of a run, and the checkpoint that it predicts with.
fn model(run: &Path) -> Result<(SavedModel, TrainingState<f32>), Error> {
    let absolute = std::path::absolute(run).unwrap_or_else(|_| run.to_owned());
    let root = absolute.ancestors().find(|folder| folder.join(MODEL).is_file());
    let Some(root) = root else {
        return Err(Error::usage(format!(
            "expected a run folder, which has a file {MODEL}, got {}; `train FILE --target COLUMN` \
             writes one",
            run.display()
        )));
    };
    let file = root.join(MODEL);
    let unreadable =
        |error: &dyn std::fmt::Display| Error::usage(format!("{}: {error}", file.display()));
    let text = fs::read_to_string(&file).map_err(|error| unreadable(&error))?;
    let saved = serde_json::from_str(&text).map_err(|error| unreadable(&error))?;
    let checkpoints: PathBuf = if root == absolute { checkpoints_of(root) } else { absolute };
    Ok((saved, checkpoint::open(&checkpoints)?))
}
