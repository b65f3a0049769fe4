//! From the fields of a row to numbers and keys.
//!
//! The key of a field is that of the text `COLUMN=VALUE`, and of a cross that of `A*B=VALUE␟VALUE`
//! with the character U+001F between the values; any program can compute it. A missing value is the
//! empty one, and a binned number that of its bin.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use csv::StringRecord;
use sync_replicas::hash_text;

use super::choices::Choice;
use super::content::Content;
use super::error::DataError;
use super::examples::Examples;
use super::features::{Features, NumberColumn, Task};
use super::field::{is_missing, number};
use super::names::{Names, listed};

/// Between the values of a cross.
const BETWEEN: char = '\u{1f}';

/// The fields of one row.
pub trait Fields {
    /// A field, by its place; an empty one if there is none.
    fn field(&self, place: usize) -> &str;
}

impl Fields for StringRecord {
    fn field(&self, place: usize) -> &str {
        self.get(place).unwrap_or_default()
    }
}

/// Makes examples of the rows of a file with certain columns.
#[derive(Clone, Debug)]
pub struct Encoder {
    features: Arc<Features>,
    columns: Vec<String>,
    numbers: Vec<usize>,
    /// The beginning of each key's text, and what follows.
    keys: Vec<(String, Values)>,
    /// The column of the target, if needed.
    target: Option<usize>,
    classes: HashMap<String, f32>,
}

/// What makes a key of a row.
#[derive(Clone, Debug)]
enum Values {
    /// The values of these columns.
    Of(Vec<usize>),
    /// The bin of a column's number.
    Bin(usize, NumberColumn),
}

/// A field that does not fit its column.
#[derive(Debug)]
pub(crate) struct Wrong {
    column: usize,
    expected: String,
    got: String,
}

impl Encoder {
    /// For a file with these columns, in this order; ignored ones may be missing, and so may the
    /// target if it is not needed.
    ///
    /// # Errors
    /// [`DataError::LearnedColumn`]; [`DataError::Choice`] of the target.
    pub fn new(
        features: &Arc<Features>,
        columns: &[String],
        path: &str,
        with_target: bool,
    ) -> Result<Self, DataError> {
        let names = Names::new(path, columns);
        let find =
            |column: &str| names.find(column).map_err(|misfit| DataError::LearnedColumn { misfit });
        let numbers = features.numbers.iter().map(|it| find(&it.name));
        let numbers = numbers.collect::<Result<_, _>>()?;
        let mut keys = Vec::with_capacity(features.num_keys());
        for column in &features.categories {
            keys.push((format!("{column}="), Values::Of(vec![find(column)?])));
        }
        for column in &features.binned {
            let place = find(&column.name)?;
            keys.push((format!("{}=", column.name), Values::Bin(place, column.clone())));
        }
        for cross in &features.crosses {
            let columns = cross.columns().iter().map(|column| find(column));
            keys.push((format!("{cross}="), Values::Of(columns.collect::<Result<_, _>>()?)));
        }
        let target = || names.chosen(Choice::Target, &features.target.column);
        let target = with_target.then(target).transpose()?;
        let classes = features.target.task.classes().iter().enumerate();
        let classes = classes.map(|(place, class)| (class.value.clone(), place as f32)).collect();
        let columns = columns.to_vec();
        Ok(Self { features: Arc::clone(features), columns, numbers, keys, target, classes })
    }

    /// How many columns the file has.
    pub(crate) fn num_columns(&self) -> usize {
        self.columns.len()
    }

    /// How many numbers and keys an example has.
    pub(crate) fn values(&self) -> usize {
        self.features.num_numbers() + self.features.num_keys()
    }

    /// Whether a row lacks a target that is needed.
    pub(crate) fn lacks_target(&self, row: &impl Fields) -> bool {
        self.target.is_some_and(|place| is_missing(row.field(place).trim()))
    }

    /// No examples yet, with room for this many.
    #[must_use]
    pub fn examples(&self, rows: usize) -> Examples {
        Examples::with_capacity(rows, self.features.num_numbers(), self.features.num_keys())
    }

    /// Adds the example of a row of a file, by its line.
    ///
    /// # Errors
    /// [`DataError::Value`].
    pub fn add_line(
        &self,
        record: &StringRecord,
        content: &Content,
        examples: &mut Examples,
    ) -> Result<(), DataError> {
        self.add(record, examples, &mut String::new()).map_err(|wrong| DataError::Value {
            path: content.name.clone(),
            line: content.line(record.position().map_or(0, csv::Position::byte)),
            column: self.columns[wrong.column].clone(),
            expected: wrong.expected,
            got: wrong.got,
        })
    }

    /// Adds the example of a row; `text` is scratch space for the texts of keys.
    pub(crate) fn add(
        &self,
        row: &impl Fields,
        examples: &mut Examples,
        text: &mut String,
    ) -> Result<(), Wrong> {
        let added = self.add_fields(row, examples, text);
        if added.is_err() {
            examples.forget_half();
        }
        added
    }

    fn add_fields(
        &self,
        row: &impl Fields,
        examples: &mut Examples,
        text: &mut String,
    ) -> Result<(), Wrong> {
        let field = |place: usize| row.field(place).trim();
        let number_of = |place: usize| {
            number(field(place)).map_err(|expected| Wrong {
                column: place,
                expected: expected.to_owned(),
                got: field(place).to_owned(),
            })
        };
        let target = self.target.map(|place| self.target_of(place, field(place))).transpose()?;
        for (place, column) in self.numbers.iter().zip(&self.features.numbers) {
            let value = number_of(*place)?;
            examples.add_number(value.map_or(0.0, |value| column.standardised(value) as f32));
            if column.has_missing {
                examples.add_number(if value.is_none() { 1.0 } else { 0.0 });
            }
        }
        for (before, values) in &self.keys {
            text.clear();
            text.push_str(before);
            match values {
                Values::Of(columns) => {
                    for (place, column) in columns.iter().enumerate() {
                        if place > 0 {
                            text.push(BETWEEN);
                        }
                        let value = field(*column);
                        text.push_str(if is_missing(value) { "" } else { value });
                    }
                }
                Values::Bin(place, column) => {
                    if let Some(value) = number_of(*place)? {
                        // Writing to a string cannot fail.
                        let _ = write!(text, "{}", column.bin(value));
                    }
                }
            }
            examples.add_key(hash_text(text));
        }
        examples.add_target(target.unwrap_or(f32::NAN));
        Ok(())
    }

    /// The place of a class, or how many deviations a number is above the mean.
    fn target_of(&self, column: usize, field: &str) -> Result<f32, Wrong> {
        let wrong = |expected: String| Wrong { column, expected, got: field.to_owned() };
        match &self.features.target.task {
            Task::Regression { mean, deviation } => match number(field) {
                Ok(Some(value)) => Ok(((value - mean) / deviation) as f32),
                _ => Err(wrong("a number to be predicted".to_owned())),
            },
            task => self.classes.get(field).copied().ok_or_else(|| {
                let classes: Vec<_> =
                    task.classes().iter().map(|class| class.value.clone()).collect();
                wrong(format!("one of the values that were learned, {}", listed(&classes)))
            }),
        }
    }
}
