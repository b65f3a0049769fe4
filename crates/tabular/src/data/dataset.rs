//! A file of rows, ready for training and testing.

use std::sync::Arc;

use super::choices::{Choice, Choices, TestRows};
use super::content::Content;
use super::encode::Encoder;
use super::error::DataError;
use super::examples::Examples;
use super::features::Features;
use super::row_file::{RowFile, RowReader};
use super::scan;

/// A file of rows, ready for training and testing.
///
/// # Examples
/// ```
/// use tabular::data::{Choices, Content, Dataset, TestRows};
///
/// let digits = Content::of_bytes(tabular::DIGITS, "the digits")?;
/// let choices = Choices { target: "digit".to_owned(), ..Choices::default() };
/// let digits = Dataset::new(digits, &choices, TestRows::OfTheFile)?;
/// assert_eq!((digits.train.len(), digits.test.len()), (1437, 360));
/// assert_eq!(digits.features.num_numbers(), 64);
/// # Ok::<(), tabular::data::DataError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Dataset {
    /// What its columns are.
    pub features: Arc<Features>,
    /// What the replicas learn from.
    pub train: Part,
    /// What they never see.
    pub test: Part,
    /// Rows that were left out, since their target is missing.
    pub without_target: u64,
    /// A hash of all bytes, those of the file for the test included: another file gives another.
    pub fingerprint: u64,
}

/// Some rows of a file.
#[derive(Clone, Debug)]
pub struct Part {
    file: Arc<RowFile>,
    rows: Arc<[u32]>,
    encoder: Arc<Encoder>,
}

/// Reads examples of a part.
#[derive(Debug)]
pub struct PartReader {
    part: Part,
    reader: RowReader,
    text: String,
}

impl Dataset {
    /// Reads a file once, to find what its columns are and where its rows lie.
    ///
    /// # Errors
    /// [`DataError`] names the line and the column, what belongs there and what is there.
    pub fn new(content: Content, choices: &Choices, test: TestRows<'_>) -> Result<Self, DataError> {
        if test != TestRows::OfTheFile && choices.test_where.is_some() {
            let expected = "a file for the test or a condition";
            return Err(DataError::of_choice(Choice::TestRows, expected, "both"));
        }
        let found = scan::scan(&content, choices, test);
        // Errors that a hand-written file may have.
        content.check()?;
        let found = found?;
        let (mut without_target, mut fingerprint) = (found.without_target, found.fingerprint);
        let features = Arc::new(found.features);
        let encoder = Encoder::new(&features, &found.columns, &content.name, true)?;
        let num_columns = found.columns.len();
        let file = Arc::new(RowFile { content, starts: found.starts, num_columns });
        let (encoder, other) = (Arc::new(encoder), Arc::clone(&file));
        let train = Part { file, rows: found.train.into(), encoder: Arc::clone(&encoder) };
        let test = match test {
            TestRows::OfTheFile => Part { file: other, rows: found.test.into(), encoder },
            TestRows::Of(path) => {
                let content = Content::open(path)?;
                fingerprint = fingerprint.rotate_left(1) ^ content.fingerprint()?;
                let (part, without) = Part::of_file(content, &features)?;
                without_target += without;
                part
            }
        };
        Ok(Self { features, train, test, without_target, fingerprint })
    }
}

impl Part {
    /// All rows of a file that have a target, each read once; and how many have none.
    fn of_file(content: Content, features: &Arc<Features>) -> Result<(Self, u64), DataError> {
        let found = Self::starts(&content, features);
        content.check()?;
        let (encoder, starts, without) = found?;
        let all = 0..starts.len() as u32 - 1;
        let rows = all.filter(|row| without.binary_search(row).is_err()).collect();
        let num_columns = encoder.num_columns();
        let file = Arc::new(RowFile { content, starts, num_columns });
        Ok((Self { file, rows, encoder: Arc::new(encoder) }, without.len() as u64))
    }

    /// Where each row begins, and where the last one ends; those without a target.
    fn starts(
        content: &Content,
        features: &Arc<Features>,
    ) -> Result<(Encoder, Vec<u64>, Vec<u32>), DataError> {
        let mut records = content.records()?;
        let encoder = Encoder::new(features, records.columns(), &content.name, true)?;
        let (mut starts, mut without) = (Vec::new(), Vec::new());
        let mut record = csv::StringRecord::new();
        while records.next(&mut record)? {
            if encoder.lacks_target(&record) {
                without.push(starts.len() as u32);
            } else {
                encoder.add_line(&record, content, &mut encoder.examples(1))?;
            }
            starts.push(record.position().map_or(0, csv::Position::byte));
        }
        if starts.len() == without.len() {
            let path = content.name.clone();
            return Err(DataError::TooFew { path, expected: 1, got: 0 });
        }
        starts.push(content.length());
        Ok((encoder, starts, without))
    }

    /// How many rows it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// How many numbers and keys an example has.
    #[must_use]
    pub fn values(&self) -> usize {
        self.encoder.values()
    }

    /// The numbers of its rows in the file, from 0.
    #[must_use]
    pub fn rows(&self) -> &[u32] {
        &self.rows
    }

    /// A reader of its examples, which has its own handle on the file.
    ///
    /// # Errors
    /// [`DataError::Open`].
    pub fn reader(&self) -> Result<PartReader, DataError> {
        Ok(PartReader { part: self.clone(), reader: self.file.reader()?, text: String::new() })
    }
}

impl PartReader {
    /// Some examples, by their places in the part.
    ///
    /// # Errors
    /// [`DataError::Changed`], when the file has changed.
    ///
    /// # Panics
    /// When the part has fewer.
    pub fn examples(
        &mut self,
        places: impl ExactSizeIterator<Item = usize>,
    ) -> Result<Examples, DataError> {
        self.reader.check()?;
        let encoder = &self.part.encoder;
        let mut examples = encoder.examples(places.len());
        for place in places {
            let row = self.reader.read(self.part.rows[place] as usize)?;
            encoder.add(&row, &mut examples, &mut self.text).map_err(|_| {
                self.part.file.content.changed("the values that its columns had", "others")
            })?;
        }
        // Who wrote it meanwhile wrote what was read, perhaps.
        self.reader.check()?;
        Ok(examples)
    }
}
