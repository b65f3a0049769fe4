//! Files that are refused: by line and column, with what belongs there and what is there.

use std::path::Path;

use super::*;

#[track_caller]
fn check(text: impl AsRef<[u8]>, change: impl FnOnce(&mut Choices), fragments: &[&str]) {
    let mut choices = choices();
    change(&mut choices);
    says(&dataset(text, &choices).expect_err("is refused"), fragments);
}

/// As they are.
fn same(_: &mut Choices) {}

#[test]
fn lines_that_are_no_rows() {
    let with = |line: &str| plain() + line;
    check(with("1,up,0,9\n"), same, &["rows.csv, line 22", "expected 3 fields", "got 4"]);
    check(with("1,up\n"), same, &["rows.csv, line 22", "expected 3 fields", "got 2"]);
    check(with("1,\"up,0\n2,up,0\n"), same, &["line 22", "3 fields", "got 2"]);
    let bytes = [plain().as_bytes(), b"1,\xff\xfe,0\n"].concat();
    check(bytes, same, &["rows.csv, line 22", "expected UTF-8 text", "field 2"]);
    check(b"n,\xff,y\n1,2,3\n", same, &["rows.csv, line 1", "UTF-8", "field 2"]);
}

#[test]
fn quotes_that_never_close() {
    // Where the field is the last one, the line has as many as there are columns.
    let fragments = ["rows.csv, line 22", "a quote that closes"];
    check(plain() + "1,up,\"0\n2,up,0\n", same, &fragments);
    check(plain() + "1,up,\"0", same, &fragments);
    let last = plain().lines().map(|line| format!("{line},x\n")).collect::<String>();
    check(last.clone() + "1,up,0,\"x\n2,up,0,x\n", same, &fragments);
    check(last + "1,up,0,\"x\"\"\n", same, &fragments);
}

#[test]
fn lines_are_counted_as_an_editor_does() {
    let crlf = plain().replace('\n', "\r\n");
    check(crlf + "1,up\r\n", same, &["line 22", "got 2"]);
    check(plain() + "\n\n1,up\n", same, &["line 24", "got 2"]);
    check(plain() + "\r\n\r\n1,up\r\n", same, &["line 24", "got 2"]);
    check(plain() + "1,\"a\nb\",0\n1,up\n", same, &["line 24", "got 2"]);
    check(plain() + "\n1,\"a\nb\",0\n\nx,up,0\n", same, &["line 26", "column \"n\"", "\"x\""]);
    check("\n\nn,y\n".to_owned() + &"1,0\n2,1\n".repeat(9) + "x,1\n", same, &["line 22"]);
}

#[test]
fn fields_that_are_not_what_their_column_has() {
    let row = |bad: usize, got: &str| -> String {
        let rows = (1..6000).map(|row| match row {
            _ if row == bad => format!("{got},{}\n", row % 2),
            _ => format!("{row},{}\n", row % 2),
        });
        std::iter::once("n,y\n".to_owned()).chain(rows).collect()
    };
    let expected = "expected a number, as most of the column's first values are";
    let remedy = "nothing where there is none (categorical makes keys of it), got \"three\"";
    check(row(3, "three"), same, &[expected, remedy]);
    check(row(3, "three"), same, &["line 4, column \"n\"", expected, "got \"three\""]);
    check(row(5000, "five"), same, &["line 5001, column \"n\"", expected, "got \"five\""]);
    check(row(3, "inf"), same, &["line 4, column \"n\"", expected, "got \"inf\""]);
    check(row(3, "-Infinity"), same, &["line 4, column \"n\"", expected, "got \"-Infinity\""]);
    check(row(5000, "1e999"), same, &["line 5001, column \"n\"", expected, "got \"1e999\""]);
    // Of numbers that a model cannot have the mean may overflow.
    check(row(3, "-1.7e308"), same, &["line 4, column \"n\"", expected, "got \"-1.7e308\""]);
    // A test's condition reads its column too.
    let remainder = |it: &mut Choices| {
        it.test_where = Some("n % 2 == 0".parse().expect("is one"));
        it.ignore = names(["n"]);
        it.categorical = names(["word"]);
    };
    let bad = plain().replace("\n7,", "\nseven,");
    check(bad, remainder, &["line 9, column \"n\"", "expected a number", "got \"seven\""]);
}

#[test]
fn what_came_is_shown_up_to_a_length() {
    let long = "é".repeat(1 << 20);
    let text = plain().replace("\n7,", &format!("\n{long},"));
    let error = dataset(text, &choices()).expect_err("is refused");
    says(&error, &["line 9, column \"n\"", "got \"éé", "éé…\""]);
    assert!(error.to_string().len() < 1000);
}

#[test]
fn files_with_too_little_in_them() {
    let head = |lines: usize| -> String { plain().split_inclusive('\n').take(lines).collect() };
    check("", same, &["rows.csv", "a line with the names of the columns", "got none"]);
    check("\n\r\n\n", same, &["rows.csv", "got none"]);
    check("n,word,y", same, &["rows.csv", "at least 10 rows", "got 0"]);
    check(head(1), same, &["at least 10 rows", "got 0"]);
    check(head(10), same, &["at least 10 rows", "got 9"]);
    let rows = head(11);
    dataset(rows, &choices()).expect("ten are enough");
}

#[test]
fn columns_that_are_not_there_or_there_twice() {
    check("n,y,n\n1,2,3\n", same, &["rows.csv, line 1", "different names", "\"n\" twice"]);
    check("n,y, n \n1,2,3\n", same, &["\"n\" twice"]);
    let there = "its columns are: n, word, y";
    let got = "expected a column of rows.csv, got \"z\"";
    check(plain(), |it| it.target = "z".to_owned(), &["target", got, there]);
    check(plain(), |it| it.target = String::new(), &["target", "got \"\"", there]);
    check(plain(), |it| it.categorical = names(["z"]), &["categorical", got, there]);
    check(plain(), |it| it.ignore = names(["z"]), &["ignore", got, there]);
    let cross = |it: &mut Choices| it.crosses = vec!["n*z".parse().expect("is one")];
    check(plain(), cross, &["crosses", got, there]);
    let condition = |it: &mut Choices| it.test_where = Some("z == 1".parse().expect("is one"));
    check(plain(), condition, &["test_where", got, there]);
    // Many names are no help.
    let many: Vec<_> = (0..100).map(|column| format!("c{column}")).collect();
    check(many.join(","), same, &["c29 and 70 more"]);
}

#[test]
fn choices_that_contradict_each_other() {
    let target = "columns that the target is predicted from, got the target itself, y";
    check(plain(), |it| it.categorical = names(["word", "y"]), &["categorical", target]);
    let cross = |it: &mut Choices| it.crosses = vec!["n*y".parse().expect("is one")];
    check(plain(), cross, &["crosses", target]);
    let both = |it: &mut Choices| {
        it.categorical = names(["n"]);
        it.ignore = names(["n"]);
    };
    check(plain(), both, &["ignore", "columns that are not categorical", "got n"]);
    let all = |it: &mut Choices| it.ignore = names(["n", "word"]);
    check(plain(), all, &["ignore", "a column besides the target y", "all of them"]);
    let other = Path::new("other.csv");
    let both = Choices { test_where: Some("n < 5".parse().expect("is one")), ..choices() };
    let content = Content::of_bytes(plain().as_bytes(), NAME).expect("is text");
    let error = Dataset::new(content, &both, TestRows::Of(other)).expect_err("is refused");
    says(&error, &["test rows", "a file for the test or a condition", "both"]);
}

/// As an option or in a `model.json`.
#[test]
fn crosses_of_fewer_than_two_columns() {
    for columns in [&[][..], &["n"], &["n", ""]] {
        let expected = format!("such as a*b, got {:?}", columns.join("*"));
        let text = columns.join("*").parse::<Cross>().expect_err("is refused").to_string();
        let json = serde_json::to_string(columns).expect("is plain data");
        let json = serde_json::from_str::<Cross>(&json).expect_err("is refused").to_string();
        assert!(text.ends_with(&expected) && json.contains(&expected), "{text}, {json}");
    }
    let cross: Cross = serde_json::from_str("[\"a\",\"b\"]").expect("is one");
    assert_eq!((cross.to_string(), "a * b".parse()), ("a*b".to_owned(), Ok(cross)));
}

#[test]
fn conditions_that_leave_nothing() {
    #[track_caller]
    fn none(condition: &str, which: &str) {
        let choice =
            |it: &mut Choices| it.test_where = Some(condition.parse().expect("is a condition"));
        check(plain(), choice, &["test_where", condition, which]);
    }
    none("n >= 0", "leaves none to train on");
    none("n > 100", "leaves none to test with");
    none("word == 'left'", "leaves none to test with");
}

#[test]
fn targets_that_nothing_is_learned_of() {
    let targets = |value: &dyn Fn(usize) -> String| -> String {
        let rows = (0..3000).map(|row| format!("{row},{}\n", value(row)));
        std::iter::once("n,y\n".to_owned()).chain(rows).collect()
    };
    let task = |kind| move |it: &mut Choices| it.task = Some(kind);
    let two = "expected at least two different values";
    let none = targets(&|row| ["", "NA"][row % 2].to_owned());
    check(none, same, &["target y", two, "got none in rows.csv"]);
    let one = targets(&|row| ["x", ""][row % 2].to_owned());
    check(one, same, &["target y", two, "got \"x\" alone"]);
    let three = targets(&|row| ["a", "b", "c"][row % 3].to_owned());
    check(&three, task(TaskKind::Binary), &["target y", "two different values", "got 3 in"]);
    let number = ["line 2, column \"y\"", "a number to be predicted", "got \"a\""];
    check(&three, task(TaskKind::Regression), &number);
    let names = targets(&|row| format!("name {row}"));
    let many = ["target y", "at most 1000 different values, or numbers", "got more than 1000"];
    check(&names, same, &many);
    check(&names, task(TaskKind::Classes), &many);
    check(&names, task(TaskKind::Binary), &["two different values", "got more than 1000"]);
    // Numbers but for a few: a mistake in one of them, not names.
    let mistake =
        targets(&|row| if row == 1500 { "?".to_owned() } else { (row * 7 % 2999).to_string() });
    check(mistake, same, &["line 1502, column \"y\"", "a number to be predicted", "got \"?\""]);
    let infinite = targets(&|row| if row == 7 { "inf".to_owned() } else { format!("{row}.5") });
    check(infinite, task(TaskKind::Regression), &["line 9, column \"y\"", "got \"inf\""]);
}

#[test]
fn one_value_alone_to_train_on() {
    let condition = |it: &mut Choices| it.test_where = Some("y == 1".parse().expect("is one"));
    check(plain(), condition, &["target y", "two different values", "\"0\" alone"]);
}

#[test]
fn gzipped_files_that_are_cut_or_grow_too_large() {
    let whole = gzipped(&plain().repeat(50));
    for cut in [2, 9, 10, whole.len() / 2, whole.len() - 8, whole.len() - 1] {
        check(&whole[..cut], same, &["cannot read rows.csv as CSV or gzipped CSV"]);
    }
    let text = plain();
    let length = text.len() as u64;
    let packed = gzipped(&text);
    Content::gunzip(&*packed, NAME, length).expect("as long as allowed");
    // A thousandth of its size as a file, and a reader that never ends.
    let bomb = gzipped(&"1".repeat(1 << 22));
    for (packed, most) in [(packed, length - 1), (bomb, 1 << 16)] {
        let error = Content::gunzip(&*packed, NAME, most).expect_err("is too long");
        assert!(matches!(error, DataError::TooLong { .. }), "{error}");
        says(&error, &["rows.csv", &format!("at most {most} bytes of text"), "is not compressed"]);
    }
}

#[test]
fn files_that_cannot_be_opened() {
    let folder = tempfile::tempdir().expect("there is room");
    for path in [folder.path(), &folder.path().join("none.csv")] {
        let error = Content::open(path).expect_err("is no file");
        assert!(matches!(error, DataError::Open { .. }), "{error}");
        says(&error, &["cannot open the data file", &path.display().to_string()]);
    }
    let content = Content::of_bytes(plain().as_bytes(), NAME).expect("is text");
    let error = Dataset::new(content, &choices(), TestRows::Of(&folder.path().join("none.csv")));
    says(&error.expect_err("is missing"), &["cannot open", "none.csv"]);
}
