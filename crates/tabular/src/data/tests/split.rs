//! Which rows are for the test.

use std::fs;

use super::*;

/// A number, a word, and what is predicted of them, for a few hundred rows.
fn table() -> String {
    let rows = (0..500).map(|row| format!("{row},{},{}\n", row % 7, row % 3));
    std::iter::once("n,day,y\n".to_owned()).chain(rows).collect()
}

#[test]
fn one_of_every_five_rows_is_for_the_test() {
    let it = dataset(table(), &choices()).expect("is well formed");
    let again = dataset(table(), &choices()).expect("is well formed");
    assert_eq!(it.test.rows(), again.test.rows());
    assert_eq!((it.train.len(), it.test.len()), (400, 100));
    for five in (0..500).step_by(5) {
        let own = it.test.rows().iter().filter(|row| (five..five + 5).contains(*row));
        assert_eq!(own.count(), 1, "of the five from {five}");
    }
    let mut all = [it.train.rows(), it.test.rows()].concat();
    all.sort_unstable();
    assert!(all.into_iter().eq(0..500));
}

#[test]
fn a_condition_says_which_rows_are_for_the_test() {
    #[track_caller]
    fn check(condition: &str, expected: impl Fn(u32) -> bool) {
        let test_where = Some(condition.parse().expect("is one"));
        let it = dataset(table(), &Choices { test_where, ..choices() }).expect("is well formed");
        let (test, train): (Vec<u32>, Vec<u32>) = (0..500).partition(|row| expected(*row));
        assert_eq!(it.test.rows(), test, "{condition}");
        assert_eq!(it.train.rows(), train, "{condition}");
    }
    check("day % 7 == 3", |row| row % 7 == 3);
    check("day == 3 and n < 250", |row| row % 7 == 3 && row < 250);
    check("n >= 400", |row| row >= 400);
    check("y == 2 and n > 10", |row| row % 3 == 2 && row > 10);
}

#[test]
fn a_condition_may_name_a_column_that_is_ignored() {
    let test_where = Some("n >= 400".parse().expect("is one"));
    let choices = Choices { test_where, ignore: names(["n"]), ..choices() };
    let it = dataset(table(), &choices).expect("is well formed");
    assert_eq!(it.test.len(), 100);
    assert_eq!(it.features.num_numbers(), 1);
}

#[test]
fn another_file_may_be_the_test() {
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("test.csv");
    let test = |text: &str| {
        fs::write(&path, text).expect("there is room");
        let content = Content::of_bytes(table().as_bytes(), NAME).expect("is text");
        Dataset::new(content, &choices(), TestRows::Of(&path))
    };
    // In another order, with an unknown column.
    let it = test("y,extra,day,n\n2,a,6,499\n0,b,0,0\n").expect("is well formed");
    assert_eq!((it.train.len(), it.test.len()), (500, 2));
    assert_eq!(it.test.rows(), [0, 1]);
    let (train, test_rows) = (examples(&it.train), examples(&it.test));
    assert_eq!(test_rows.targets(), [2.0, 0.0]);
    assert_eq!(test_rows.numbers().row(1), train.numbers().row(0));
    // The mean and the deviation are those of the rows that are trained on.
    let column = &it.features.numbers[0];
    let expected = ((499.0 - column.mean) / column.deviation) as f32;
    assert_eq!(test_rows.numbers()[[0, 0]], expected);

    #[track_caller]
    fn refused(got: Result<Dataset, DataError>, fragments: &[&str]) {
        says(&got.expect_err("is refused"), fragments);
    }
    refused(test("y,n\n1,2\n"), &["test.csv", "got \"day\"", "its columns are: y, n"]);
    refused(test("n,day\n1,2\n"), &["target", "test.csv", "got \"y\""]);
    refused(test("n,day,y\n1,x,2\n"), &["test.csv, line 2, column \"day\"", "number", "\"x\""]);
    refused(test("n,day,y\n1,2,2\n1,2,9\n"), &["line 3, column \"y\"", "0, 1, 2", "\"9\""]);
    refused(test("n,day,y\n1,2\n"), &["line 2", "3 fields", "got 2"]);
    refused(test("n,day,y\n"), &["test.csv", "at least 1 rows", "got 0"]);
    refused(test(""), &["test.csv", "got none"]);
}

/// For programs that cannot draw as this one does: which rows of the digits are for the test.
#[test]
fn the_rows_of_the_test_are_written_beside_the_digits() {
    let digits = Content::of_bytes(crate::DIGITS, "the digits").expect("is text");
    let choices = Choices { target: "digit".to_owned(), ..Choices::default() };
    let digits = Dataset::new(digits, &choices, TestRows::OfTheFile).expect("is well formed");
    let expected: Vec<_> = digits.test.rows().iter().map(u32::to_string).collect();
    let written = include_str!("../../../data/test-rows.txt");
    assert_eq!(written.split_whitespace().collect::<Vec<_>>(), expected);
    assert_eq!(expected.len() + digits.train.len(), 1797);
    let classes = digits.features.target.task.classes().iter().map(|it| it.value.as_str());
    assert!(classes.eq(["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]));
}
