//! What is trained: a file as the options have it, and a model of its columns.

use std::path::PathBuf;

use sync_replicas::hash_text;
use tabular::data::{Choices, Content, Dataset, NumberColumn, TaskKind, TestRows};
use tabular::models::{Kind, Network};

use crate::args::{DataArgs, ModelKind, OptimizerKind};
use crate::error::UsageError;

const MLP_UNITS: usize = 128;
const WIDE_DEEP_UNITS: usize = 64;
const EMBEDDING_WIDTH: usize = 32;
const USUAL_WIDTH: usize = 8;

/// The name of the data in the program, which is not a file.
const DIGITS: &str = "the built-in digits";

/// The default model.
pub(crate) fn usual_model(data: &DataArgs) -> ModelKind {
    if data.data.is_some() { ModelKind::Linear } else { ModelKind::Mlp }
}

/// The default optimizer: tables need one that leaves alone the rows that a gradient does not have.
pub(crate) fn usual_optimizer(model: ModelKind) -> OptimizerKind {
    match model {
        ModelKind::Softmax | ModelKind::Mlp => OptimizerKind::Adam,
        ModelKind::Linear => OptimizerKind::Ftrl,
        ModelKind::Embedding | ModelKind::WideDeep | ModelKind::Fm => OptimizerKind::Adagrad,
    }
}

/// The model with its sizes; a size that it does not have is refused.
pub(crate) fn kind(
    model: ModelKind,
    hidden: Option<u64>,
    width: Option<u64>,
) -> Result<Kind, UsageError> {
    let units = |usual| size("--hidden", hidden, usual, "--model mlp or --model wide-deep with it");
    let numbers = |usual| {
        let expected = "--model embedding, wide-deep or fm with it";
        size("--width", width, usual, expected)
    };
    let (units, numbers) = match model {
        ModelKind::Softmax | ModelKind::Linear => (units(None)?, numbers(None)?),
        ModelKind::Mlp => (units(Some(MLP_UNITS))?, numbers(None)?),
        ModelKind::Embedding => (units(None)?, numbers(Some(EMBEDDING_WIDTH))?),
        ModelKind::WideDeep => (units(Some(WIDE_DEEP_UNITS))?, numbers(Some(USUAL_WIDTH))?),
        ModelKind::Fm => (units(None)?, numbers(Some(USUAL_WIDTH))?),
    };
    let (hidden, width) = (units.unwrap_or_default(), numbers.unwrap_or_default());
    Ok(match model {
        ModelKind::Softmax => Kind::Softmax,
        ModelKind::Mlp => Kind::Mlp { hidden },
        ModelKind::Embedding => Kind::Embedding { width },
        ModelKind::Linear => Kind::Linear,
        ModelKind::WideDeep => Kind::WideDeep { hidden, width },
        ModelKind::Fm => Kind::Fm { width },
    })
}

fn size(
    option: &'static str,
    asked: Option<u64>,
    usual: Option<usize>,
    expected: &'static str,
) -> Result<Option<usize>, UsageError> {
    /// More would not fit into memory; the option's own check has excluded zero.
    const MOST: u64 = 1 << 20;
    match (asked, usual) {
        (None, usual) => Ok(usual),
        (Some(size), _) if size > MOST => Err(UsageError::number(option, "1 to 1048576", size)),
        (Some(size), None) => Err(UsageError::number(option, expected, size)),
        (Some(size), Some(_)) => Ok(Some(size as usize)),
    }
}

/// Opens the file, and finds what its columns are.
pub(crate) fn data(args: &DataArgs, model: ModelKind) -> Result<Dataset, UsageError> {
    let of_a_file = [
        ("--target", args.target.is_some()),
        ("--categorical", !args.categorical.is_empty()),
        ("--cross", !args.cross.is_empty()),
        ("--ignore", !args.ignore.is_empty()),
        ("--task", args.task.is_some()),
        ("--test-where", args.test_where.is_some()),
        ("--test-file", args.test_file.is_some()),
    ];
    let (content, target) = match (&args.data, &args.target) {
        (Some(path), Some(target)) => (Content::open(path)?, target.clone()),
        (Some(path), None) => {
            let expected = format!("--target COLUMN with {}", path.display());
            return Err(UsageError::number("FILE", expected, "none"));
        }
        (None, _) => {
            if let Some((option, _)) = of_a_file.iter().find(|(_, given)| *given) {
                return Err(UsageError::number(option, "a FILE to learn from with it", "none"));
            }
            (Content::of_bytes(tabular::DIGITS, DIGITS)?, "digit".to_owned())
        }
    };
    let choices = Choices {
        target,
        categorical: args.categorical.clone(),
        bin_numbers: model == ModelKind::Embedding,
        crosses: args.cross.clone(),
        ignore: args.ignore.clone(),
        task: args.task.map(Into::into),
        test_where: args.test_where.clone(),
    };
    let test = args.test_file.as_deref().map_or(TestRows::OfTheFile, TestRows::Of);
    Ok(Dataset::new(content, &choices, test)?)
}

/// The model of these columns.
pub(crate) fn network(kind: Kind, data: &Dataset) -> Result<Network, UsageError> {
    Ok(Network::new(kind, &data.features)?)
}

/// What was found in the file, for its user.
pub(crate) fn story(args: &DataArgs, data: &Dataset, kind: Kind) -> String {
    let features = &data.features;
    let path = args.data.clone().unwrap_or_else(|| PathBuf::from(DIGITS));
    let mut text = format!(
        "{}: {} rows to train on, {} for the test",
        path.display(),
        data.train.len(),
        data.test.len()
    );
    if data.without_target > 0 {
        text += &format!(
            "; {} rows without {} are left out",
            data.without_target, features.target.column
        );
    }
    let task = &features.target.task;
    let values: Vec<_> = task.classes().iter().map(|class| class.value.clone()).collect();
    let target = match task.kind() {
        TaskKind::Binary => format!("whether it is {} or {}", values[0], values[1]),
        TaskKind::Classes => format!("which of {} values: {}", values.len(), few(&values)),
        TaskKind::Regression => "a number".to_owned(),
    };
    text += &format!("\ntarget {}: {target}", features.target.column);
    let (numbers, binned) = (names(&features.numbers), names(&features.binned));
    let crosses: Vec<_> = features.crosses.iter().map(ToString::to_string).collect();
    for (name, columns, is_read) in [
        ("numbers", &numbers, kind.reads_numbers()),
        ("keys", &features.categories, kind.reads_keys()),
        ("numbers as keys", &binned, kind.reads_keys()),
        ("crosses", &crosses, kind.reads_keys()),
    ] {
        if !columns.is_empty() {
            let unread =
                if is_read { String::new() } else { format!(" (not read by {})", kind.name()) };
            text += &format!("\n{name}{unread}: {}", few(columns));
        }
    }
    text
}

fn names(columns: &[NumberColumn]) -> Vec<String> {
    columns.iter().map(|column| column.name.clone()).collect()
}

/// No more of them than a person reads.
fn few(names: &[String]) -> String {
    const MOST: usize = 20;
    let mut text = names.iter().take(MOST).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > MOST {
        text += &format!(" and {} more", names.len() - MOST);
    }
    text
}

/// Which columns are learned from, and how: of two equal descriptions, one can go on with the
/// tables of the other.
pub(crate) fn columns(data: &Dataset) -> String {
    /// More does not help the reader.
    const MOST: usize = 300;
    let features = &data.features;
    let classes = features.target.task.classes().iter().map(|class| class.value.clone());
    let crosses = features.crosses.iter().map(ToString::to_string).collect();
    let parts = [
        ("target", vec![features.target.column.clone()]),
        ("values", classes.collect()),
        ("numbers", names(&features.numbers)),
        ("keys", features.categories.clone()),
        ("numbers as keys", names(&features.binned)),
        ("crosses", crosses),
    ];
    let parts = parts.into_iter().filter(|(_, names)| !names.is_empty());
    let parts: Vec<_> = parts.map(|(name, names)| format!("{name} {}", names.join(", "))).collect();
    let all = parts.join("; ");
    let cut = all.char_indices().nth(MOST).map(|(at, _)| &all[..at]);
    cut.map_or_else(|| all.clone(), |cut| format!("{cut}... ({:016x})", hash_text(&all)))
}

/// What a run that goes on must find again, and a cluster's processes must share.
pub(crate) fn identity(args: &DataArgs, data: &Dataset) -> String {
    let name = args.data.as_deref().and_then(|path| path.file_name());
    let name = name.map_or_else(|| DIGITS.to_owned(), |name| name.to_string_lossy().into_owned());
    let test = data.test.len();
    format!("{name}, {} and {test} rows, XXH3 {:016x}", data.train.len(), data.fingerprint)
}
