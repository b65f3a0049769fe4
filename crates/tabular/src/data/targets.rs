//! What the values of the target are, and what can be learned of them.

use std::collections::BTreeMap;

use super::content::Content;
use super::error::{DataError, Misfit};
use super::features::{ClassRate, Task, TaskKind};
use super::field::number;
use super::moments::Moments;

/// With more values than this, they are not classes.
const MOST_CLASSES: usize = 1000;

/// Whole numbers of more values than this are amounts.
const MOST_NUMBERED_CLASSES: usize = 20;

/// The rows' targets.
#[derive(Debug, Default)]
pub(crate) struct Targets {
    /// The values and how many rows to train on have them, as long as they are few.
    counts: BTreeMap<String, u64>,
    too_many: bool,
    numbers: Moments,
    has_fractions: bool,
    /// Where its row begins, and its text.
    first_text: Option<(u64, String)>,
    texts: u64,
    values: u64,
}

impl Targets {
    pub(crate) fn add(&mut self, value: &str, start: u64, is_test: bool) {
        self.values += 1;
        let counted = u64::from(!is_test);
        let is_full = self.counts.len() > MOST_CLASSES;
        match self.counts.get_mut(value) {
            Some(count) => *count += counted,
            None if is_full => self.too_many = true,
            None => drop(self.counts.insert(value.to_owned(), counted)),
        }
        match number(value) {
            Ok(Some(number)) => {
                self.has_fractions |= number.fract() != 0.0;
                if !is_test {
                    self.numbers.add(number);
                }
            }
            _ => {
                self.texts += 1;
                self.first_text.get_or_insert_with(|| (start, value.to_owned()));
            }
        }
    }

    /// What to learn of them: as requested, or as they say themselves.
    pub(crate) fn task(
        &self,
        content: &Content,
        column: &str,
        asked: Option<TaskKind>,
    ) -> Result<Task, DataError> {
        let path = content.name();
        let wrong = |expected: &str, got: String| DataError::Target {
            column: column.to_owned(),
            misfit: Misfit::new(expected, format!("{got} in {path}")),
        };
        let distinct = self.counts.len();
        if distinct < 2 {
            let only = self.counts.keys().next();
            let got = only.map_or_else(|| "none".to_owned(), |value| format!("{value:?} alone"));
            return Err(wrong("at least two different values", got));
        }
        let learned: Vec<_> = self.counts.iter().filter(|(_, count)| **count > 0).collect();
        if let ([(value, _)], false) = (&*learned, self.too_many) {
            let got = format!("{value:?} alone");
            return Err(wrong("at least two different values to train on", got));
        }
        let amounts =
            self.first_text.is_none() && (self.has_fractions || distinct > MOST_NUMBERED_CLASSES);
        let many = self.too_many || distinct > MOST_CLASSES;
        // A few of many numbers that are none are mistakes.
        let mostly_numbers = many && self.texts * 2 < self.values;
        let kind = asked.unwrap_or(match distinct {
            2 => TaskKind::Binary,
            _ if amounts || mostly_numbers => TaskKind::Regression,
            _ => TaskKind::Classes,
        });
        let count =
            || if many { format!("more than {MOST_CLASSES}") } else { distinct.to_string() };
        match kind {
            TaskKind::Regression => match &self.first_text {
                None => {
                    let (mean, deviation) = (self.numbers.mean, self.numbers.deviation());
                    Ok(Task::Regression { mean, deviation })
                }
                Some((start, value)) => Err(DataError::Value {
                    path: path.to_owned(),
                    line: content.line(*start),
                    column: column.to_owned(),
                    expected: "a number to be predicted".to_owned(),
                    got: value.clone(),
                }),
            },
            TaskKind::Binary => match <[ClassRate; 2]>::try_from(self.classes()) {
                Ok(classes) => Ok(Task::Binary { classes }),
                Err(_) => Err(wrong("two different values", count())),
            },
            TaskKind::Classes if many => {
                Err(wrong("at most 1000 different values, or numbers", count()))
            }
            TaskKind::Classes => Ok(Task::Classes { classes: self.classes() }),
        }
    }

    /// The values and their rates: numbers by size, texts in order.
    fn classes(&self) -> Vec<ClassRate> {
        let total: u64 = self.counts.values().sum();
        let rate = |count: &u64| *count as f64 / total.max(1) as f64;
        let all = self.counts.iter();
        let mut all: Vec<_> = all
            .map(|(value, count)| ClassRate { value: value.clone(), rate: rate(count) })
            .collect();
        if self.first_text.is_none() {
            let size = |class: &ClassRate| class.value.parse().unwrap_or(0.0);
            all.sort_by(|a, b| f64::total_cmp(&size(a), &size(b)));
        }
        all
    }
}
