//! The one pass over a file that says what its columns are, where its rows lie, and which of them
//! are for the test.
//!
//! A column is one of numbers if most of its first thousand values are; then a value that is none
//! is an error. Invariant: means, deviations and rates are those of the rows that are trained on.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hasher;
use std::io::{self, Read};

use csv::StringRecord;
use twox_hash::XxHash3_64;

use super::choices::Choices;
use super::error::DataError;
use super::features::{
    ClassRate, Features, NumberColumn, Target, Task, TaskKind, is_missing, number,
};
use super::split;
use super::text::{Content, Records};

/// What a pass has found.
#[derive(Debug)]
pub(crate) struct Scanned {
    pub(crate) columns: Vec<String>,
    pub(crate) features: Features,
    /// Where each row begins, and where the last one ends.
    pub(crate) starts: Vec<u64>,
    pub(crate) train: Vec<u32>,
    pub(crate) test: Vec<u32>,
    /// Rows that were left out, since their target is missing.
    pub(crate) without_target: u64,
    /// Of all bytes: who reads another file has another.
    pub(crate) fingerprint: u64,
}

/// Values of a column that say whether it is one of numbers.
const DECISIVE: usize = 1000;

/// More values than this are no classes.
const MOST_CLASSES: usize = 1000;

/// Whole numbers of more values than this are amounts.
const MOST_NUMBERED_CLASSES: usize = 20;

/// Fewer rows than this cannot be split into some to train on and some to test with.
const FEWEST_ROWS: usize = 10;

/// How many names of columns an error lists.
const MOST_NAMES: usize = 30;

/// What becomes of a column.
#[derive(Clone, Debug)]
enum Role {
    Numbers(Moments, bool),
    Keys,
    Unused,
}

/// The mean and the sum of squares around it (Welford 1962).
#[derive(Clone, Copy, Debug, Default)]
struct Moments {
    count: u64,
    mean: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, value: f64) {
        self.count += 1;
        let before = value - self.mean;
        self.mean += before / self.count as f64;
        self.squares += before * (value - self.mean);
    }

    fn deviation(&self) -> f64 {
        let deviation = (self.squares / self.count.max(1) as f64).sqrt();
        if deviation.is_finite() && deviation > 0.0 { deviation } else { 1.0 }
    }
}

/// What the rows' targets are.
#[derive(Debug, Default)]
struct Targets {
    /// The values and how many rows to train on have them, as long as they are few.
    counts: BTreeMap<String, u64>,
    too_many: bool,
    numbers: Moments,
    has_fractions: bool,
    /// Where its row begins, and what is there.
    first_text: Option<(u64, String)>,
    texts: u64,
    values: u64,
}

/// Who decides which rows are for the test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Split {
    /// The choices' condition, or else one row in five is.
    Here,
    /// None is: there is another file for it.
    Elsewhere,
}

/// Reads all of it.
pub(crate) fn scan(
    content: &Content,
    choices: &Choices,
    split: Split,
) -> Result<Scanned, DataError> {
    let mut hashed = Hashed { text: content.reader()?, hash: XxHash3_64::new() };
    let records = Records::new(content, &mut hashed)?;
    let columns = records.columns().to_vec();
    let mut pass = Pass::new(content, &columns, choices, split)?;
    pass.read(records)?;
    // Blank lines at the end.
    io::copy(&mut hashed, &mut io::sink())
        .map_err(|source| DataError::Open { path: content.name.clone(), source })?;
    let mut scanned = pass.finish(columns.clone(), hashed.hash.finish())?;
    scanned.starts.push(content.length());
    Ok(scanned)
}

/// A reader that hashes what it reads.
struct Hashed<R> {
    text: R,
    hash: XxHash3_64,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.text.read(buffer)?;
        self.hash.write(&buffer[..read]);
        Ok(read)
    }
}

struct Pass<'a> {
    content: &'a Content,
    name: &'a str,
    columns: &'a [String],
    choices: &'a Choices,
    split: Split,
    target: usize,
    /// The column of each comparison of the condition.
    compared: Vec<usize>,
    roles: Vec<Role>,
    targets: Targets,
    starts: Vec<u64>,
    train: Vec<u32>,
    test: Vec<u32>,
    without_target: u64,
}

impl<'a> Pass<'a> {
    fn new(
        content: &'a Content,
        columns: &'a [String],
        choices: &'a Choices,
        split: Split,
    ) -> Result<Self, DataError> {
        let name = content.name();
        let places: HashMap<&str, usize> =
            columns.iter().enumerate().map(|(place, column)| (column.as_str(), place)).collect();
        let find = |option: &'static str, column: &str| {
            places.get(column).copied().filter(|_| !column.is_empty()).ok_or_else(|| {
                DataError::NoColumn {
                    path: name.to_owned(),
                    option,
                    column: column.to_owned(),
                    columns: listed(columns),
                }
            })
        };
        let target = find("--target", &choices.target)?;
        let of_target = |option: &'static str| DataError::Choice {
            option,
            expected: "columns that the target is predicted from".to_owned(),
            got: format!("the target itself, {}", choices.target),
        };
        let mut roles = vec![Role::Numbers(Moments::default(), false); columns.len()];
        roles[target] = Role::Unused;
        // Nobody finds them again in another file.
        for (role, _) in roles.iter_mut().zip(columns).filter(|(_, column)| column.is_empty()) {
            *role = Role::Unused;
        }
        for column in &choices.categorical {
            match find("--categorical", column)? {
                place if place == target => return Err(of_target("--categorical")),
                place => roles[place] = Role::Keys,
            }
        }
        for cross in &choices.crosses {
            for column in &cross.0 {
                if find("--cross", column)? == target {
                    return Err(of_target("--cross"));
                }
            }
        }
        for column in &choices.ignore {
            let place = find("--ignore", column)?;
            if matches!(roles[place], Role::Keys) {
                return Err(DataError::Choice {
                    option: "--ignore",
                    expected: "columns that --categorical does not name".to_owned(),
                    got: column.clone(),
                });
            }
            roles[place] = Role::Unused;
        }
        let comparisons = choices.test_where.iter().flat_map(|it| it.comparisons());
        let compared = comparisons.map(|it| find("--test-where", &it.column));
        let compared = compared.collect::<Result<_, _>>()?;
        Ok(Self {
            content,
            name,
            columns,
            choices,
            split,
            target,
            compared,
            roles,
            targets: Targets::default(),
            starts: Vec::new(),
            train: Vec::new(),
            test: Vec::new(),
            without_target: 0,
        })
    }

    fn read<R: Read>(&mut self, mut records: Records<R>) -> Result<(), DataError> {
        // The first rows say what the columns are, and are then read as the others.
        let mut first = Vec::new();
        let mut record = StringRecord::new();
        while first.len() < DECISIVE && records.next(&mut record)? {
            first.push(record.clone());
        }
        self.decide(&first);
        first.iter().try_for_each(|record| self.row(record))?;
        drop(first);
        while records.next(&mut record)? {
            self.row(&record)?;
        }
        Ok(())
    }

    fn decide(&mut self, first: &[StringRecord]) {
        for (place, role) in self.roles.iter_mut().enumerate() {
            let Role::Numbers(..) = role else { continue };
            let values = first.iter().filter_map(|record| record.get(place)).map(str::trim);
            let values = values.filter(|field| !is_missing(field));
            let (numbers, texts): (Vec<_>, Vec<_>) = values.partition(|it| number(it).is_ok());
            if texts.len() >= numbers.len().max(1) {
                *role = Role::Keys;
            }
        }
    }

    fn row(&mut self, record: &StringRecord) -> Result<(), DataError> {
        let start = record.position().map_or(0, csv::Position::byte);
        let (content, name) = (self.content, self.name);
        let row = u32::try_from(self.starts.len()).map_err(|_| DataError::Choice {
            option: "FILE",
            expected: format!("at most {} rows", u32::MAX),
            got: "more".to_owned(),
        })?;
        let field = |place: usize| record.get(place).unwrap_or_default().trim();
        let wrong = |place: usize, expected: &str| DataError::Value {
            path: name.to_owned(),
            line: content.line(start),
            column: self.columns[place].clone(),
            expected: expected.to_owned(),
            got: field(place).to_owned(),
        };
        self.starts.push(start);
        let target = field(self.target);
        if is_missing(target) {
            self.without_target += 1;
            return Ok(());
        }
        let mut is_test = self.split == Split::Here;
        match &self.choices.test_where {
            Some(condition) if is_test => {
                for (place, comparison) in self.compared.iter().zip(condition.comparisons()) {
                    let holds = comparison.holds(field(*place));
                    is_test &= holds.map_err(|expected| wrong(*place, expected))?;
                }
            }
            _ => is_test &= split::is_test(u64::from(row)),
        }
        for (place, role) in self.roles.iter_mut().enumerate() {
            let Role::Numbers(moments, has_missing) = role else { continue };
            match number(field(place)) {
                Ok(Some(value)) if !is_test => moments.add(value),
                Ok(Some(_)) => {}
                Ok(None) => *has_missing |= !is_test,
                Err(_) => {
                    let expected = "a number, as most of the column's first values are, or nothing \
                                    where there is none (--categorical makes keys of it)";
                    return Err(DataError::Value {
                        path: name.to_owned(),
                        line: content.line(start),
                        column: self.columns[place].clone(),
                        expected: expected.to_owned(),
                        got: field(place).to_owned(),
                    });
                }
            }
        }
        self.targets.add(target, start, is_test);
        if is_test {
            self.test.push(row)
        } else {
            self.train.push(row)
        }
        Ok(())
    }

    fn finish(self, columns: Vec<String>, fingerprint: u64) -> Result<Scanned, DataError> {
        let path = || self.name.to_owned();
        if self.starts.len() < FEWEST_ROWS {
            let got = self.starts.len();
            return Err(DataError::TooFew { path: path(), expected: FEWEST_ROWS, got });
        }
        let task = self.targets.task(self.content, &self.choices.target, self.choices.task)?;
        let condition = self.choices.test_where.as_ref();
        if self.train.is_empty() || (self.split == Split::Here && self.test.is_empty()) {
            let which = if self.train.is_empty() { "to train on" } else { "to test with" };
            return Err(DataError::Choice {
                option: "--test-where",
                expected: "rows to train on and rows to test with".to_owned(),
                got: match condition {
                    Some(condition) => format!("{condition:?}, which leaves none {which}"),
                    None => format!("none {which} in {}", self.name),
                },
            });
        }
        let (mut numbers, mut categories, mut binned) = (Vec::new(), Vec::new(), Vec::new());
        for (name, role) in columns.iter().zip(&self.roles) {
            match role {
                Role::Numbers(moments, has_missing) => {
                    let columns = if self.choices.bin_numbers { &mut binned } else { &mut numbers };
                    columns.push(NumberColumn {
                        name: name.clone(),
                        mean: moments.mean,
                        deviation: moments.deviation(),
                        has_missing: *has_missing,
                    });
                }
                Role::Keys => categories.push(name.clone()),
                Role::Unused => {}
            }
        }
        let target = Target { column: self.choices.target.clone(), task };
        let crosses = self.choices.crosses.clone();
        let features = Features { target, numbers, categories, binned, crosses };
        if features.num_numbers() + features.num_keys() == 0 {
            return Err(DataError::Choice {
                option: "--ignore",
                expected: format!("a column besides the target {}", self.choices.target),
                got: "all of them".to_owned(),
            });
        }
        let Self { starts, train, test, without_target, .. } = self;
        Ok(Scanned { columns, features, starts, train, test, without_target, fingerprint })
    }
}

impl Targets {
    fn add(&mut self, value: &str, start: u64, is_test: bool) {
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

    /// What is learned of them: what was asked for, or what they say themselves.
    fn task(
        &self,
        content: &Content,
        column: &str,
        asked: Option<TaskKind>,
    ) -> Result<Task, DataError> {
        let path = content.name();
        let wrong = |expected: &str, got: String| DataError::Target {
            path: path.to_owned(),
            column: column.to_owned(),
            expected: expected.to_owned(),
            got,
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

/// Names of columns, for an error.
pub(crate) fn listed(columns: &[String]) -> String {
    let mut names = columns.iter().take(MOST_NAMES).cloned().collect::<Vec<_>>().join(", ");
    if columns.len() > MOST_NAMES {
        names += &format!(" and {} more", columns.len() - MOST_NAMES);
    }
    names
}
