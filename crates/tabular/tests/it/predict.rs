//! A prediction for each row of a file.

use std::fs;

use ndarray::{Array2, arr1, arr2};
use sync_replicas::{BoxError, Keys, Rows, Variables, hash_text};
use tabular::data::{Choices, Content, DataError, Dataset, TaskKind, TestRows};
use tabular::models::Kind;
use tabular::predict::{SavedModel, predict};

/// The model's weight of the number, and of each word; an unknown word has that of no training.
const W: f32 = 0.5;
const B: f32 = -0.25;
const WORDS: [(&str, f32); 3] = [("up", 1.0), ("down", -2.0), ("", 0.125)];

fn weight(word: &str) -> f32 {
    WORDS.iter().find(|(known, _)| *known == word).map_or(0.0, |(_, weight)| *weight)
}

/// A model that has learned from a column of numbers and one of words.
fn saved_model(task: TaskKind) -> SavedModel {
    let rows = (0..30).map(|row| {
        let target = match task {
            TaskKind::Binary => row % 2,
            TaskKind::Classes => row % 3,
            TaskKind::Regression => row,
        };
        format!("{row},{},{target}\n", ["up", "down"][row / 2 % 2])
    });
    let text: String = std::iter::once("n,word,y\n".to_owned()).chain(rows).collect();
    let content = Content::of_bytes(text.as_bytes(), "learned.csv").expect("is text");
    let choices = Choices { target: "y".to_owned(), task: Some(task), ..Choices::default() };
    let it = Dataset::new(content, &choices, TestRows::OfTheFile).expect("is well formed");
    SavedModel { model: Kind::Linear, features: (*it.features).clone() }
}

fn variables() -> Variables<f32> {
    let variables = Variables::new().with("b", arr1(&[B])).expect("a new name");
    variables.with("w", arr2(&[[W]])).expect("a new name")
}

/// As a checkpoint has them: no keys have rows of no width.
fn lookup(keys: &Keys) -> Result<Rows<f32>, BoxError> {
    let word = |key: &i64| WORDS.iter().find(|it| hash_text(&format!("word={}", it.0)) == *key);
    let mut rows = Rows::new();
    for (table, keys) in keys.iter() {
        let own = keys.iter().map(|key| word(key).map_or(0.0, |it| it.1)).collect();
        let width = usize::from(!keys.is_empty());
        rows = rows.with(table, Array2::from_shape_vec((keys.len(), width), own)?);
    }
    Ok(rows)
}

/// What is written of a file, and how it ends.
fn written(task: TaskKind, content: &Content) -> (String, Result<u64, BoxError>) {
    let mut out = Vec::new();
    let result = predict(&saved_model(task), &variables(), content, lookup, &mut out);
    (String::from_utf8(out).expect("is text"), result)
}

fn of_text(text: &[u8]) -> (String, Result<u64, BoxError>) {
    written(TaskKind::Binary, &Content::of_bytes(text, "rows.csv").expect("is text"))
}

/// The lines for these rows.
#[track_caller]
fn compare(lines: &str, expected: &[(f64, &str)]) {
    let features = saved_model(TaskKind::Binary).features;
    let column = &features.numbers[0];
    let mut lines = lines.lines();
    assert_eq!(lines.next(), Some("prediction,probability"));
    let lines: Vec<_> = lines.collect();
    assert_eq!(lines.len(), expected.len());
    for (line, (n, word)) in lines.into_iter().zip(expected) {
        let standard = ((n - column.mean) / column.deviation) as f32;
        let probability = 1.0 / (1.0 + (-(B + W * standard + weight(word))).exp());
        let (class, got) = line.split_once(',').expect("two fields");
        let got: f32 = got.parse().expect("a number");
        assert!((got - probability).abs() < 1e-6, "{n}, {word}: {got}, not {probability}");
        assert_eq!(class, if probability > 0.5 { "1" } else { "0" });
    }
}

#[track_caller]
fn check(text: &str, expected: &[(f64, &str)]) {
    let (lines, result) = of_text(text.as_bytes());
    assert_eq!(result.expect("is well formed"), expected.len() as u64);
    compare(&lines, expected);
}

#[test]
fn each_row_has_a_line_in_order() {
    let rows = [(3.0, "up"), (12.0, "down"), (29.0, "up"), (3.0, "up")];
    check("n,word\n3,up\n12,down\n29,up\n3,up\n", &rows);
    // With the target, whatever is in it.
    check("n,word,y\n3,up,1\n12,down,0\n29,up,\n3,up,nobody knows\n", &rows);
    // In another order, and with columns that the model has never seen.
    check("id,word,y,n\n1,up,1,3\n2,down,0,12\n,up,,29\nx,up,,3\n", &rows);
    check("\u{feff}word,n\r\nup,3\r\n\r\ndown,12\r\n\"up\",29\r\n up , 3", &rows);
}

#[test]
fn what_was_never_seen_has_the_row_of_no_training() {
    check("n,word\n3,sideways\n4,NA\n5,\n", &[(3.0, "sideways"), (4.0, ""), (5.0, "")]);
}

#[test]
fn no_rows_have_no_lines() {
    check("n,word\n", &[]);
    check("word,n", &[]);
}

#[test]
fn more_rows_than_are_held_in_memory() {
    let expected: Vec<(f64, &str)> = (0..150_000)
        .map(|row| (f64::from(row % 30), ["up", "down", "other"][row as usize % 3]))
        .collect();
    let rows = expected.iter().map(|(n, word)| format!("{n},{word}\n"));
    let text: String = std::iter::once("n,word\n".to_owned()).chain(rows).collect();
    check(&text, &expected);
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("rows.csv");
    fs::write(&path, &text).expect("there is room");
    let content = Content::open(&path).expect("is there");
    let (lines, result) = written(TaskKind::Binary, &content);
    assert_eq!(result.expect("is well formed"), 150_000);
    compare(&lines, &expected);
    // A mistake behind a full chunk.
    let (lines, result) = of_text(&[text.as_bytes(), b"x,up\n"].concat());
    assert!(result.expect_err("is malformed").to_string().contains("line 150002"));
    compare(&lines, &expected);
}

#[test]
fn what_is_good_before_a_bad_line_is_written() {
    #[track_caller]
    fn check(bad: &[u8], fragments: &[&str]) {
        for (rows, line) in [("", 2), ("3,up\n12,down\n", 4)] {
            let text = [b"n,word\n", rows.as_bytes(), bad].concat();
            let (lines, result) = of_text(&text);
            let error = result.expect_err("is malformed").to_string();
            for fragment in fragments.iter().chain([&&*format!("rows.csv, line {line}")]) {
                assert!(error.contains(fragment), "{error:?} does not say {fragment:?}");
            }
            let expected = [(3.0, "up"), (12.0, "down")];
            compare(&lines, if rows.is_empty() { &[] } else { &expected });
        }
    }
    check(b"x,up\n5,up\n", &["column \"n\"", "expected a number", "got \"x\""]);
    check(b"1e999,up\n5,up\n", &["column \"n\"", "got \"1e999\""]);
    check(b"4\n5,up\n", &["2 fields", "got 1"]);
    check(b"4,up,1\n5,up\n", &["2 fields", "got 3"]);
    check(b"4,\xff\n5,up\n", &["UTF-8", "field 2"]);
    check(b"4,\"up\n5,up\n", &["a quote that closes"]);
}

#[test]
fn files_without_what_the_model_reads_are_refused() {
    #[track_caller]
    fn check(text: &str, fragments: &[&str]) {
        let (lines, result) = of_text(text.as_bytes());
        let error = result.expect_err("is refused");
        assert!(error.downcast_ref::<DataError>().is_some(), "{error}");
        for fragment in fragments {
            assert!(error.to_string().contains(fragment), "{error} does not say {fragment:?}");
        }
        assert_eq!(lines, "");
    }
    let learned = "the columns that the model has learned from";
    check("n,y\n1,2\n", &[learned, "rows.csv", "got \"word\"", "its columns are: n, y"]);
    check("word\nup\n", &[learned, "got \"n\""]);
    check("n,word,n\n1,up,1\n", &["rows.csv, line 1", "\"n\" twice"]);
    check("", &["rows.csv", "got none"]);
}

#[test]
fn the_names_of_the_columns_say_what_is_predicted() {
    #[track_caller]
    fn check(task: TaskKind, heading: &str, fields: usize) {
        let saved = saved_model(task);
        let outputs = saved.features.target.task.outputs();
        let zeros = Variables::new().with("b", ndarray::Array1::zeros(outputs));
        let zeros = zeros.and_then(|it| it.with("w", Array2::zeros((1, outputs))));
        let zeros = zeros.expect("new names");
        let none = |keys: &Keys| {
            let all = keys.iter().map(|(table, keys)| (table, keys.len()));
            Ok(all.fold(Rows::new(), |rows, (table, keys)| {
                rows.with(table, Array2::zeros((keys, outputs)))
            }))
        };
        let content = Content::of_bytes(b"n,word\n1,up\n", "rows.csv").expect("is text");
        let mut out = Vec::new();
        predict(&saved, &zeros, &content, none, &mut out).expect("is well formed");
        let text = String::from_utf8(out).expect("is text");
        let lines: Vec<_> = text.lines().collect();
        assert_eq!((lines.len(), lines[0]), (2, heading));
        assert_eq!(lines[1].split(',').count(), fields);
    }
    check(TaskKind::Binary, "prediction,probability", 2);
    let of_each = "prediction,probability of 0,probability of 1,probability of 2";
    check(TaskKind::Classes, of_each, 4);
    check(TaskKind::Regression, "prediction", 1);
}

#[test]
fn a_model_reads_back_from_its_description() {
    for task in [TaskKind::Binary, TaskKind::Classes, TaskKind::Regression] {
        let it = saved_model(task);
        let text = serde_json::to_string(&it).expect("plain data");
        let again: SavedModel = serde_json::from_str(&text).expect("it reads what it wrote");
        assert_eq!(again, it, "{text}");
    }
}
