//! What is trained: a file as the options have it, and a model of its columns.

use std::path::Path;
use std::sync::Arc;

use sync_replicas::error::VariableError;
use sync_replicas::{Variables, hash_text};
use tabular::data::{Choices, Content, Dataset, NumberColumn, TaskKind, TestRows};
use tabular::models::{Kind, Network};

use crate::args::{DataArgs, ModelKind, TrainArgs};
use crate::error::UsageError;

const MLP_UNITS: usize = 128;
const WIDE_DEEP_UNITS: usize = 64;
const EMBEDDING_WIDTH: usize = 32;
const USUAL_WIDTH: usize = 8;

/// The name of the data in the program, which is not a file.
const DIGITS: &str = "the built-in digits";

/// What is trained, and on what.
#[derive(Debug)]
pub struct Trained {
    /// The model's name.
    pub name: ModelKind,
    /// The model with its sizes.
    pub kind: Kind,
    /// The same, over the columns of the data.
    pub model: Arc<Network>,
    /// Where the data is from, as the options say.
    pub source: DataArgs,
    /// What it learns from and is tested with.
    pub data: Arc<Dataset>,
    /// Decides the first variables, and the order of the batches.
    pub seed: u64,
}

impl Trained {
    /// Opens the data.
    ///
    /// # Errors
    /// [`UsageError`] names the option, what was expected and what came.
    pub(crate) fn check(args: &TrainArgs) -> Result<Self, UsageError> {
        let source = args.data.clone();
        let usual = if source.data.is_some() { ModelKind::Linear } else { ModelKind::Mlp };
        let name = args.model.unwrap_or(usual);
        let kind = kind(name, args.hidden, args.width)?;
        let data = data(&source, name)?;
        let model = Arc::new(Network::new(kind, &data.features)?);
        Ok(Self { name, kind, model, source, data: Arc::new(data), seed: args.seed })
    }

    /// The first variables.
    ///
    /// # Errors
    /// When the model's sizes make none.
    pub fn variables(&self) -> Result<Variables<f32>, VariableError> {
        self.model.variables(self.seed)
    }

    /// What was found in the file, for its user; nothing for the built-in digits.
    #[must_use]
    pub fn story(&self) -> Option<String> {
        let (path, data, kind) = (self.source.data.as_ref()?, &self.data, self.kind);
        let features = &data.features;
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
        Some(text)
    }

    /// Which columns are learned from, and how: of two equal descriptions, one can go on with the
    /// tables of the other.
    pub(crate) fn columns(&self) -> String {
        /// More does not help the reader.
        const MOST: usize = 300;
        let features = &self.data.features;
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
        let parts: Vec<_> =
            parts.map(|(name, names)| format!("{name} {}", names.join(", "))).collect();
        let all = parts.join("; ");
        let cut = all.char_indices().nth(MOST).map(|(at, _)| &all[..at]);
        cut.map_or_else(|| all.clone(), |cut| format!("{cut}... ({:016x})", hash_text(&all)))
    }

    /// What a run that goes on must find again, and a cluster's processes must share.
    pub(crate) fn identity(&self) -> String {
        let data = &self.data;
        let name = self.source.data.as_deref().and_then(Path::file_name);
        let name =
            name.map_or_else(|| DIGITS.to_owned(), |name| name.to_string_lossy().into_owned());
        let test = data.test.len();
        format!("{name}, {} and {test} rows, XXH3 {:016x}", data.train.len(), data.fingerprint)
    }
}

/// The model with its sizes; a size that it does not have is refused.
fn kind(model: ModelKind, hidden: Option<u64>, width: Option<u64>) -> Result<Kind, UsageError> {
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
        (Some(size), _) if size > MOST => Err(UsageError::option(option, "1 to 1048576", size)),
        (Some(size), None) => Err(UsageError::option(option, expected, size)),
        (Some(size), Some(_)) => Ok(Some(size as usize)),
    }
}

/// Opens the file, and finds what its columns are.
fn data(args: &DataArgs, model: ModelKind) -> Result<Dataset, UsageError> {
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
            return Err(UsageError::option("FILE", expected, "none"));
        }
        (None, _) => {
            if let Some((option, _)) = of_a_file.iter().find(|(_, given)| *given) {
                return Err(UsageError::option(option, "a FILE to learn from with it", "none"));
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
        task: args.task,
        test_where: args.test_where.clone(),
    };
    let test = args.test_file.as_deref().map_or(TestRows::OfTheFile, TestRows::Of);
    Ok(Dataset::new(content, &choices, test)?)
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
