//! Random tables, written as CSV and read back, against a model that encodes their values as they
//! are; and sets of keys against lists.

use std::collections::BTreeSet;
use std::fs;

use csv::StringRecord;
use ndarray::Array2;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use sync_replicas::hash_text;

use super::super::split;
use super::*;

/// A field as the table has it, and as the file does.
#[derive(Clone, Debug)]
struct Field {
    /// None where it is missing.
    value: Option<String>,
    written: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Numbers,
    Words,
    /// Numbers that are keys, because the user says so.
    Codes,
    Ignored,
}

#[derive(Clone, Debug)]
struct Table {
    /// The target comes last, after them.
    columns: Vec<Column>,
    rows: Vec<Vec<Field>>,
    /// After the headings and each row.
    line_ends: Vec<&'static str>,
    has_mark: bool,
    last_line_ends: bool,
}

/// What is expected of an example; numbers up to rounding.
#[derive(Debug, Default)]
struct Expected {
    row: u32,
    numbers: Vec<f64>,
    keys: Vec<i64>,
    target: f32,
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        (-1000..1000_i32).prop_map(|it| it.to_string()),
        (-1e6..1e6_f64).prop_map(|it| it.to_string()),
        (-9..9_i32, -9..9_i32).prop_map(|(digits, power)| format!("{digits}e{power}")),
    ]
}

fn word() -> impl Strategy<Value = String> {
    let words = [
        "a",
        "B",
        "é",
        "a b",
        "x,y",
        "say \"so\"",
        "5\" pipe",
        "two\nlines",
        "a\rb\r\nc",
        "=",
        "*",
        "nothing\u{feff}",
        "\u{feff}mark",
        "inf",
        "-",
        "#",
    ];
    select(words.to_vec()).prop_map(str::to_owned)
}

/// In quotes where it must be, or by chance; spaces around it do not count.
fn field(value: impl Strategy<Value = String>) -> impl Strategy<Value = Field> {
    let missing = select(vec!["", " ", "NA", "null", "\"\"", "\" NaN\""]);
    let space = select(vec!["", " ", "\t"]);
    (prop::option::weighted(0.9, value), missing, any::<bool>(), space).prop_map(
        |(value, missing, quoted, space)| {
            let written = match &value {
                None => missing.to_owned(),
                Some(value) if quoted || value.contains([',', '"', '\n', '\r']) => {
                    format!("\"{space}{}{space}\"", value.replace('"', "\"\""))
                }
                Some(value) => format!("{space}{value}{space}"),
            };
            Field { value, written }
        },
    )
}

fn table() -> impl Strategy<Value = Table> {
    let column = select(vec![Column::Numbers, Column::Words, Column::Codes, Column::Ignored]);
    (vec(column, 1..6), 10..40_usize).prop_flat_map(|(mut columns, num_rows)| {
        // Something to learn from.
        columns.push(Column::Numbers);
        let row: Vec<_> = columns
            .iter()
            .map(|column| match column {
                Column::Numbers | Column::Codes => field(number()).boxed(),
                Column::Words => field(word()).boxed(),
                Column::Ignored => field(prop_oneof![number(), word()]).boxed(),
            })
            .chain([field(select(vec!["no", "yes", "a,b"]).prop_map(str::to_owned)).boxed()])
            .collect();
        let ends = select(vec!["\n", "\n", "\r\n", "\r\n", "\r", "\n\n", "\r\n\r\n\n"]);
        let ends = vec(ends, num_rows + 1);
        (Just(columns), vec(row, num_rows), ends, any::<bool>(), any::<bool>()).prop_map(
            |(columns, rows, line_ends, has_mark, last_line_ends)| Table {
                columns,
                rows,
                line_ends,
                has_mark,
                last_line_ends,
            },
        )
    })
}

impl Table {
    fn names(&self) -> Vec<String> {
        (0..self.columns.len()).map(|column| format!("c{column}")).collect()
    }

    fn named(&self, kind: Column) -> Vec<String> {
        let all = self.columns.iter().zip(self.names());
        all.filter(|(column, _)| **column == kind).map(|(_, name)| name).collect()
    }

    fn text(&self) -> String {
        let mut text = if self.has_mark { "\u{feff}" } else { "" }.to_owned();
        let headings = self.names().join(",") + ",y";
        let rows = self.rows.iter().map(|row| {
            row.iter().map(|field| field.written.as_str()).collect::<Vec<_>>().join(",")
        });
        for (line, end) in std::iter::once(headings).chain(rows).zip(&self.line_ends) {
            text += &line;
            text += end;
        }
        if !self.last_line_ends {
            let last = self.line_ends.last().map_or(0, |end| end.len());
            text.truncate(text.len() - last);
        }
        text
    }

    fn choices(&self) -> Choices {
        Choices {
            categorical: self.named(Column::Codes),
            ignore: self.named(Column::Ignored),
            crosses: vec!["c0*c1".parse().expect("is one")],
            task: Some(TaskKind::Classes),
            ..choices()
        }
    }

    /// Rows of a part, by the plain rules.
    fn encoded(&self, is_test: bool) -> Vec<Expected> {
        let of = |row: &[Field], column: usize| row[column].value.clone();
        let target = self.columns.len();
        let is_key = |column: usize| match self.columns[column] {
            Column::Codes => true,
            // One of nothing says nothing.
            Column::Words => self.rows.iter().any(|row| of(row, column).is_some()),
            Column::Numbers | Column::Ignored => false,
        };
        let with_target = || (0_u32..).zip(&self.rows).filter(|(_, row)| of(row, target).is_some());
        let classes: BTreeSet<String> =
            with_target().filter_map(|(_, row)| of(row, target)).collect();
        let mut all: Vec<Expected> = with_target()
            .filter(|(row, _)| split::is_test(u64::from(*row)) == is_test)
            .map(|(row, fields)| Expected {
                row,
                target: classes
                    .iter()
                    .position(|it| Some(it) == of(fields, target).as_ref())
                    .expect("is one") as f32,
                ..Expected::default()
            })
            .collect();
        for column in 0..self.columns.len() {
            if self.columns[column] == Column::Ignored {
                continue;
            }
            let field = |row: u32| of(&self.rows[row as usize], column);
            if is_key(column) {
                for it in &mut all {
                    let text = format!("c{column}={}", field(it.row).unwrap_or_default());
                    it.keys.push(hash_text(&text));
                }
                continue;
            }
            let number = |row: u32| field(row).map(|it| it.parse::<f64>().expect("is a number"));
            let train = || with_target().filter(|(row, _)| !split::is_test(u64::from(*row)));
            let known: Vec<f64> = train().filter_map(|(row, _)| number(row)).collect();
            let count = known.len().max(1) as f64;
            let mean = known.iter().sum::<f64>() / count;
            let variance = known.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
            let is_one = known.iter().all(|x| *x == known[0]);
            let deviation = if is_one { 1.0 } else { variance.sqrt() };
            let has_missing = train().any(|(row, _)| number(row).is_none());
            for it in &mut all {
                let own = number(it.row);
                it.numbers.push(own.map_or(0.0, |own| (own - mean) / deviation));
                if has_missing {
                    it.numbers.push(f64::from(u8::from(own.is_none())));
                }
            }
        }
        for it in &mut all {
            let row = &self.rows[it.row as usize];
            let [a, b] = [0, 1].map(|column| of(row, column).unwrap_or_default());
            it.keys.push(hash_text(&format!("c0*c1={a}\u{1f}{b}")));
        }
        all
    }
}

fn compare(part: &Part, examples: &Examples, expected: &[Expected]) {
    assert!(expected.iter().map(|it| it.row).eq(part.rows().iter().copied()));
    assert_eq!(examples.len(), expected.len());
    let per_row = expected.first().map_or(0, |it| it.keys.len());
    let keys = keys(examples, per_row);
    for (at, it) in expected.iter().enumerate() {
        assert_eq!(keys[at], it.keys, "row {}", it.row);
        assert_eq!(examples.targets()[at], it.target, "row {}", it.row);
        let numbers = examples.numbers();
        assert_eq!(numbers.ncols(), it.numbers.len());
        for (got, expected) in numbers.row(at).iter().zip(&it.numbers) {
            let error = (f64::from(*got) - expected).abs();
            assert!(error <= 1e-4 * expected.abs().max(1.0), "row {}: {got}, {expected}", it.row);
        }
    }
}

/// A file of each kind: in memory, gzipped, on disk.
fn contents(text: &str) -> (tempfile::TempDir, [Content; 3]) {
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join(NAME);
    fs::write(&path, text).expect("there is room");
    let of_bytes = |bytes: &[u8]| Content::of_bytes(bytes, NAME).expect("is text");
    let disk = Content::open(&path).expect("is there");
    (folder, [of_bytes(text.as_bytes()), of_bytes(&gzipped(text)), disk])
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(256)
    })]

    #[test]
    fn a_table_that_was_written_is_read_back(table in table()) {
        let (train, test) = (table.encoded(false), table.encoded(true));
        let targets = || train.iter().map(|it| it.target);
        let first = targets().next();
        // Else it is refused, as other tests say.
        prop_assume!(!test.is_empty() && targets().any(|it| Some(it) != first));
        let text = table.text();
        let (_folder, contents) = contents(&text);
        for content in contents {
            let it = Dataset::new(content.clone(), &table.choices(), TestRows::OfTheFile);
            let it = it.expect("is well formed");
            compare(&it.train, &examples(&it.train), &train);
            compare(&it.test, &examples(&it.test), &test);
            let all = (it.train.len() + it.test.len()) as u64 + it.without_target;
            prop_assert_eq!(all, table.rows.len() as u64);

            // Who reads from the first row to the last makes the same of them.
            let mut records = content.records().expect("has headings");
            let encoder = Encoder::new(&it.features, records.columns(), NAME, false);
            let encoder = encoder.expect("has the columns");
            let mut streamed = encoder.examples(0);
            let mut record = StringRecord::new();
            while records.next(&mut record).expect("is well formed") {
                encoder.add_line(&record, &content, &mut streamed).expect("is well formed");
            }
            let num_keys = it.features.num_keys();
            let (of_train, of_all) = (examples(&it.train), keys(&streamed, num_keys));
            let keys_of_train = keys(&of_train, num_keys);
            for (at, row) in it.train.rows().iter().enumerate() {
                prop_assert_eq!(&keys_of_train[at], &of_all[*row as usize]);
                let row = streamed.numbers().row(*row as usize).to_vec();
                prop_assert_eq!(of_train.numbers().row(at).to_vec(), row);
            }
        }
    }

    #[test]
    fn a_set_of_keys_is_the_list_without_those_that_come_again(
        rows in (0..5_usize).prop_flat_map(|per_row| {
            let key = prop_oneof![-3..3_i64, select(vec![i64::MIN, i64::MAX]), any::<i64>()];
            vec(vec(key, per_row), 0..30)
        }),
        cut in (0..6_usize, 0..6_usize),
        width in 1..4_usize,
    ) {
        let num_keys = rows.first().map_or(0, Vec::len);
        let mut examples = Examples::with_capacity(0, 0, num_keys);
        for row in &rows {
            row.iter().for_each(|key| examples.add_key(*key));
            examples.add_target(0.0);
        }
        let range = cut.0.min(cut.1).min(num_keys)..cut.0.max(cut.1).min(num_keys);
        let set = examples.key_set(range.clone());
        let wanted: Vec<&[i64]> = rows.iter().map(|row| &row[range.clone()]).collect();
        let unique: BTreeSet<i64> = wanted.iter().copied().flatten().copied().collect();
        prop_assert!(set.unique.iter().copied().eq(unique));
        prop_assert_eq!(set.per_row, range.len());
        for (row, wanted) in wanted.iter().enumerate() {
            let back = set.row(row).iter().map(|place| set.unique[*place as usize]);
            prop_assert!(back.eq(wanted.iter().copied()));
        }
        if range.is_empty() {
            return Ok(());
        }
        prop_assert_eq!(set.rows(), rows.len());

        // Whole numbers, whose sums are exact in any order.
        let number = |row: usize, column: usize| ((row * 7 + column * 3) % 11) as f32 - 5.0;
        let values = Array2::from_shape_fn((set.unique.len(), width), |at| number(at.0, at.1));
        let place = |key: i64| set.unique.iter().position(|it| *it == key).expect("is there");
        let sums = Array2::from_shape_fn((rows.len(), width), |(row, column)| {
            wanted[row].iter().map(|key| number(place(*key), column)).sum::<f32>()
        });
        prop_assert_eq!(set.sums(&values.view()), sums);
        let by_sum = Array2::from_shape_fn((rows.len(), width), |at| number(at.0, at.1));
        let spread = Array2::from_shape_fn((set.unique.len(), width), |(of, column)| {
            let own = |row: usize| wanted[row].iter().filter(|key| place(**key) == of).count();
            (0..rows.len()).map(|row| own(row) as f32 * number(row, column)).sum::<f32>()
        });
        prop_assert_eq!(set.spread(&by_sum), spread);
    }
}
