//! Files that are refused and files that are read, and what is made of them.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

mod accepted;
mod changed;
mod encoded;
mod plain_model;
mod refused;
mod split;

/// What errors call the files of these tests.
const NAME: &str = "rows.csv";

/// To predict the column `y`.
fn choices() -> Choices {
    Choices { target: "y".to_owned(), ..Choices::default() }
}

fn names<const N: usize>(columns: [&str; N]) -> Vec<String> {
    columns.map(str::to_owned).to_vec()
}

/// A column of numbers, one of words, and a target of two values; 20 rows.
fn plain() -> String {
    let rows = (0..20).map(|row| format!("{row},{},{}\n", ["up", "down"][row / 2 % 2], row % 2));
    std::iter::once("n,word,y\n".to_owned()).chain(rows).collect()
}

/// In memory.
fn dataset(text: impl AsRef<[u8]>, choices: &Choices) -> Result<Dataset, DataError> {
    Dataset::new(Content::of_bytes(text.as_ref(), NAME)?, choices, TestRows::OfTheFile)
}

fn gzipped(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).expect("writes to memory");
    encoder.finish().expect("writes to memory")
}

/// All examples of a part, in its order.
fn examples(part: &Part) -> Examples {
    let mut reader = part.reader().expect("is there");
    reader.examples(0..part.len()).expect("is what it was")
}

/// The keys of examples, row by row.
fn keys(examples: &Examples, per_row: usize) -> Vec<Vec<i64>> {
    let set = examples.key_set(0..per_row);
    let key = |place: &u32| set.unique[*place as usize];
    (0..examples.len()).map(|row| set.row(row).iter().map(key).collect()).collect()
}

#[track_caller]
fn says(error: &DataError, fragments: &[&str]) {
    let message = error.to_string();
    for fragment in fragments {
        assert!(message.contains(fragment), "{message:?} does not say {fragment:?}");
    }
}
