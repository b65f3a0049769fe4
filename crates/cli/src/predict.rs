//! `predict`: a column for each row of a file, from the checkpoint of a run.

use std::fs;
use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use sync_replicas::BoxError;
use sync_replicas::checkpoint::{self, TrainingState};
use tabular::data::{Content, DataError};
use tabular::predict::{self as rows, Described};

use crate::args::PredictArgs;
use crate::error::Error;
use crate::run_folder::{MODEL, checkpoints_of};
use crate::table_rows::TableRows;

/// Writes a line for each row of the file.
///
/// # Errors
/// When there is no model, a column is missing, or a line makes no sense: the lines before it are
/// written.
pub fn predict(args: &PredictArgs, out: &mut dyn Write) -> Result<(), Error> {
    let (described, state) = model(&args.run)?;
    let content = Content::open(&args.file)?;
    let tables = TableRows::Saved(state.tables);
    let write = |out: &mut dyn Write| {
        let mut out = BufWriter::new(out);
        rows::predict(&described, &state.variables, &content, |keys| tables.lookup(keys), &mut out)
    };
    let written = match &args.out {
        None => write(out),
        Some(path) => write_to(path, write),
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

/// Writes to a pipe or a device as it is. A file is written beside the one that is meant, and put
/// in its place once it is whole: what was there stays until then, and may be what is read.
fn write_to(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<u64, BoxError>,
) -> Result<u64, BoxError> {
    let unwritable = |error| format!("{} cannot be written: {error}", path.display());
    // Where links lead is what is meant.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let before = fs::metadata(&target).ok();
    if before.as_ref().is_some_and(|before| !before.is_file()) {
        let mut file = fs::File::options().write(true).open(&target).map_err(unwritable)?;
        return write(&mut file);
    }
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let aside = target.with_file_name(format!(".{name}.{}", std::process::id()));
    let mut file = fs::File::create(&aside).map_err(unwritable)?;
    let placed = match write(&mut file) {
        Ok(rows) => {
            let permissions = before.map(|before| file.set_permissions(before.permissions()));
            let placed = permissions.transpose().and_then(|_| fs::rename(&aside, &target));
            placed.map(|()| rows).map_err(|error| unwritable(error).into())
        }
        Err(error) => Err(error),
    };
    if placed.is_err() {
        let _ = fs::remove_file(&aside);
    }
    placed
}

fn is_broken_pipe(error: &BoxError) -> bool {
    let error = error.downcast_ref::<std::io::Error>();
    error.is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

/// The model of a run, and the checkpoint that it predicts with.
fn model(run: &Path) -> Result<(Described, TrainingState<f32>), Error> {
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
    let described = serde_json::from_str(&text).map_err(|error| unreadable(&error))?;
    let checkpoints: PathBuf = if root == absolute { checkpoints_of(root) } else { absolute };
    Ok((described, checkpoint::open(&checkpoints)?))
}
