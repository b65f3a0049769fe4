//! The one pass over a file that says what its columns are, where its rows lie, and which of them
//! are for the test.
//!
//! A column is one of numbers if most of its first thousand values are; then any other value is an
//! error. Invariant: means, deviations and rates are those of the rows trained on.

use std::io::{self, Read};

use csv::StringRecord;

use super::choices::{Choice, Choices, TestRows};
use super::content::Content;
use super::error::DataError;
use super::features::{Features, NumberColumn, Target};
use super::field::{is_missing, number};
use super::hashed::Hashed;
use super::names::Names;
use super::records::Records;
use super::roles::{Role, roles};
use super::split;
use super::targets::Targets;

/// The findings of a pass.
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
    /// A hash of all bytes: another file gives another.
    pub(crate) fingerprint: u64,
}

/// How many values of a column decide whether it is one of numbers,
const DECISIVE: usize = 1000;

/// unless their rows together are longer than this.
const DECISIVE_BYTES: usize = 1 << 24;

/// Fewer rows than this cannot be split into some to train on and some to test with.
const FEWEST_ROWS: usize = 10;

/// Reads all of it.
pub(crate) fn scan(
    content: &Content,
    choices: &Choices,
    test: TestRows<'_>,
) -> Result<Scanned, DataError> {
    let mut hashed = Hashed::new(content.reader()?);
    let records = Records::new(content, &mut hashed)?;
    let columns = records.columns().to_vec();
    let mut pass = Pass::new(content, &columns, choices, test)?;
    pass.read(records)?;
    // Blank lines at the end.
    io::copy(&mut hashed, &mut io::sink())
        .map_err(|source| DataError::Open { path: content.name.clone(), source })?;
    let mut scanned = pass.finish(columns.clone(), hashed.fingerprint())?;
    scanned.starts.push(content.length());
    Ok(scanned)
}

struct Pass<'a> {
    content: &'a Content,
    name: &'a str,
    columns: &'a [String],
    choices: &'a Choices,
    /// Whether some of the rows are for the test; otherwise another file is.
    splits: bool,
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
        test: TestRows<'_>,
    ) -> Result<Self, DataError> {
        let name = content.name();
        let names = Names::new(name, columns);
        let (target, roles) = roles(&names, choices)?;
        let comparisons = choices.test_where.iter().flat_map(|it| it.comparisons());
        let compared = comparisons.map(|it| names.chosen(Choice::TestWhere, &it.column));
        let compared = compared.collect::<Result<_, _>>()?;
        Ok(Self {
            content,
            name,
            columns,
            choices,
            splits: test == TestRows::OfTheFile,
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
        let (mut first, mut bytes) = (Vec::new(), 0);
        let mut record = StringRecord::new();
        while first.len() < DECISIVE && bytes < DECISIVE_BYTES && records.next(&mut record)? {
            bytes += record.as_slice().len() + 8 * record.len();
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
        let row = u32::try_from(self.starts.len())
            .map_err(|_| DataError::TooMany { path: name.to_owned(), expected: u32::MAX })?;
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
        let mut is_test = self.splits;
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
                // No value has said before what it is.
                Err(_) if moments.is_empty() => *role = Role::Keys,
                Err(_) => {
                    return Err(DataError::NoNumber {
                        path: name.to_owned(),
                        line: content.line(start),
                        column: self.columns[place].clone(),
                        remedy: Choice::Categorical.name(),
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
        if self.train.is_empty() || (self.splits && self.test.is_empty()) {
            let which = if self.train.is_empty() { "to train on" } else { "to test with" };
            let got = match &self.choices.test_where {
                Some(condition) => format!("{condition}, which leaves none {which}"),
                None => format!("none {which} in {}", self.name),
            };
            let expected = "rows to train on and rows to test with";
            return Err(DataError::of_choice(Choice::TestWhere, expected, got));
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
            let expected = format!("a column besides the target {}", self.choices.target);
            return Err(DataError::of_choice(Choice::Ignore, expected, "all of them"));
        }
        let Self { starts, train, test, without_target, .. } = self;
        Ok(Scanned { columns, features, starts, train, test, without_target, fingerprint })
    }
}
