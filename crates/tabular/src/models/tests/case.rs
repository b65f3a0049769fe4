//! A model at work on a few rows, of every kind and task.

use std::sync::Arc;

use ndarray::Array2;
use sync_replicas::{BoxError, Gradients, Keys, Rows, Variables, hash_text};

use crate::data::{ClassRate, Encoder, Examples, Features, NumberColumn, Target, Task, TaskKind};
use crate::models::{Batch, Kind, Network};

pub(super) const KINDS: [Kind; 6] = [
    Kind::Softmax,
    Kind::Mlp { hidden: 5 },
    Kind::Embedding { width: 3 },
    Kind::Linear,
    Kind::WideDeep { hidden: 5, width: 3 },
    Kind::Fm { width: 3 },
];

pub(super) const TASKS: [TaskKind; 3] = [TaskKind::Binary, TaskKind::Classes, TaskKind::Regression];

/// What there is to learn from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Has {
    pub(super) numbers: bool,
    pub(super) categories: bool,
    pub(super) crosses: bool,
}

pub(super) const ALL: Has = Has { numbers: true, categories: true, crosses: true };

pub(super) fn task(kind: TaskKind) -> Task {
    let class = |value: &str| ClassRate { value: value.to_owned(), rate: 0.5 };
    match kind {
        TaskKind::Binary => Task::Binary { classes: [class("0"), class("1")] },
        TaskKind::Classes => Task::Classes { classes: vec![class("0"), class("1"), class("2")] },
        TaskKind::Regression => Task::Regression { mean: 0.5, deviation: 2.0 },
    }
}

/// Two columns of numbers, in one of which some are missing; two of words; a cross.
pub(super) fn features(has: Has, kind: TaskKind) -> Arc<Features> {
    let number = |name: &str, has_missing| NumberColumn {
        name: name.to_owned(),
        mean: 2.0,
        deviation: 1.5,
        has_missing,
    };
    let numbers = [number("x", true), number("z", false)];
    let categories = ["word", "other"].map(str::to_owned);
    let cross = "word*other".parse().expect("is one");
    Arc::new(Features {
        target: Target { column: "y".to_owned(), task: task(kind) },
        numbers: numbers.into_iter().filter(|_| has.numbers).collect(),
        categories: categories.into_iter().filter(|_| has.categories).collect(),
        binned: Vec::new(),
        crosses: std::iter::once(cross).filter(|_| has.crosses).collect(),
    })
}

/// Rows with values that come again, in one column and in two, and with some that are missing.
pub(super) fn examples(features: &Arc<Features>) -> Examples {
    let columns = ["x", "z", "word", "other", "y"].map(str::to_owned);
    let encoder = Encoder::new(features, &columns, "rows.csv", true).expect("has all columns");
    let content = crate::data::Content::of_bytes(b"", "rows.csv").expect("is text");
    let mut examples = encoder.examples(0);
    for row in [
        ["1.5", "2", "a", "b", "1"],
        ["", "3.25", "a", "a", "0"],
        ["4", "-1", "b", "b", "1"],
        ["0.5", "1", "", "b", "0"],
        ["NA", "2.5", "a", "b", "1"],
        ["3", "0", "c", "NA", "1"],
    ] {
        let row = csv::StringRecord::from(row.to_vec());
        encoder.add_line(&row, &content, &mut examples).expect("is well formed");
    }
    examples
}

/// A row for each key, of random size but the same each time.
pub(super) fn rows(keys: &Keys, variables: &Variables<f32>) -> Vec<(String, Array2<f32>)> {
    let of = |table: &str, keys: &[i64]| {
        let table = variables.tables().iter().find(|it| it.name() == table).expect("has it");
        Array2::from_shape_fn((keys.len(), table.width()), |(row, column)| {
            let drawn = hash_text(&format!("{} {} {column}", table.name(), keys[row]));
            (drawn % 1000) as f32 / 1000.0
        })
    };
    keys.iter().map(|(table, keys)| (table.to_owned(), of(table, keys))).collect()
}

/// As they are looked up.
pub(super) fn found(rows: &[(String, Array2<f32>)]) -> Rows<f32> {
    let all = rows.iter().cloned();
    all.fold(Rows::new(), |rows, (table, own)| rows.with(table, own))
}

/// Where nothing is zero, as it is at birth, nor close to a rectifier's kink.
pub(super) fn moved(variables: &Variables<f32>) -> Variables<f32> {
    let mut moved = variables.clone();
    for at in 0..moved.len() {
        let name = variables.names().nth(at).expect("is one").to_owned();
        for (place, value) in moved.get_mut(at).iter_mut().enumerate() {
            let drawn = (hash_text(&format!("{name} {place}")) % 1000) as f32 / 1000.0;
            *value += 0.8 * drawn;
        }
    }
    moved
}

/// A model at work: its variables, its rows, its batch.
pub(super) struct Case {
    pub(super) model: Network,
    pub(super) variables: Variables<f32>,
    pub(super) batch: Batch,
    pub(super) rows: Vec<(String, Array2<f32>)>,
}

impl Case {
    pub(super) fn new(kind: Kind, has: Has, task: TaskKind) -> Option<Self> {
        let features = features(has, task);
        let model = Network::new(kind, &features).ok()?;
        let variables = moved(&model.variables(3).expect("names differ"));
        let batch = model.batch(examples(&features));
        let rows = rows(&batch.keys(), &variables);
        Some(Self { model, variables, batch, rows })
    }

    pub(super) fn gradients(&self) -> Result<(f64, Gradients<f32>), BoxError> {
        let rows = found(&self.rows);
        self.model.gradients(&self.variables, &self.batch, |table| rows.get(table))
    }

    pub(super) fn loss(&self) -> f64 {
        self.gradients().expect("computes").0
    }

    pub(super) fn scores(&self) -> Array2<f32> {
        let rows = found(&self.rows);
        let scores = self.model.scores(&self.variables, &self.batch, |table| rows.get(table));
        scores.expect("computes")
    }

    /// One element of a variable, or of the rows of a table.
    pub(super) fn element(&mut self, name: &str, at: usize) -> &mut f32 {
        let index = self.variables.names().position(|it| it == name);
        let found = match index {
            Some(index) => self.variables.get_mut(index).iter_mut().nth(at),
            None => {
                let own = self.rows.iter_mut().find(|(table, _)| table == name);
                own.expect("is a variable or a table").1.iter_mut().nth(at)
            }
        };
        found.expect("is in range")
    }

    /// The central difference of the loss along one element.
    pub(super) fn slope(&mut self, name: &str, at: usize) -> f64 {
        // Short, since a step across a rectifier's kink would miss its slope.
        const STEP: f32 = 2e-3;
        let before = *self.element(name, at);
        let mut loss = |shift: f32| {
            *self.element(name, at) = before + shift;
            self.loss()
        };
        let slope = (loss(STEP) - loss(-STEP)) / (2.0 * f64::from(STEP));
        *self.element(name, at) = before;
        slope
    }
}
