//! Files that are read, however they are written.

use std::time::{Duration, Instant};

use sync_replicas::hash_text;

use super::*;

/// What is read of it is what is read of the plain table.
#[track_caller]
fn check(text: impl AsRef<[u8]>) {
    let expected = dataset(plain(), &choices()).expect("is well formed");
    let got = dataset(text, &choices()).expect("is well formed");
    assert_eq!(got.features, expected.features);
    for (got, expected) in [(&got.train, &expected.train), (&got.test, &expected.test)] {
        assert_eq!(got.rows(), expected.rows());
        assert_eq!(examples(got), examples(expected));
    }
}

#[test]
fn many_ways_to_write_one_table() {
    let plain = plain();
    check(&plain);
    check(plain.trim_end());
    check(plain.replace('\n', "\r\n"));
    check(plain.replace('\n', "\r\n").trim_end());
    check(plain.replace('\n', "\r"));
    check(plain.replace('\n', "\n\n"));
    check(plain.replace('\n', "\r\n\r\n\n"));
    check(format!("\n\n{plain}\n\n"));
    check(format!("\u{feff}{plain}"));
    check(format!("\u{feff}{}", plain.replacen("n,", "\"n\",", 1)));
    check(plain.replace(',', " ,\t "));
    check(plain.replace('\n', "  \n"));
    check(plain.replace("word", "\"word\"").replace("up", "\"up\"").replace("\n1,", "\n\"1\","));
    check(plain.replacen("n,word,y", "\" n\",\"word \",\" y \"", 1));
    check(plain.replace("\n5,", "\n5.0,").replace("\n7,", "\n+7e0,"));
    check(gzipped(&plain));
    // Several gzip files, one after the other, are one.
    let (head, tail) = plain.split_at(50);
    check([gzipped(head), gzipped(tail)].concat());
}

#[test]
fn quotes_hold_commas_line_breaks_and_quotes() {
    let text = plain().replace("up", "\"up, or\r\n\"\"left\"\"\n\"").replacen("y", "\"y\"", 1);
    let it = dataset(text, &choices()).expect("is well formed");
    // What stands around a value does not count, in quotes neither.
    let key = hash_text("word=up, or\r\n\"left\"");
    let words = keys(&examples(&it.train), 1);
    for (row, words) in it.train.rows().iter().zip(words) {
        assert_eq!(words[0] == key, row / 2 % 2 == 0, "{row}");
    }
}

#[test]
fn a_heading_may_be_quoted_and_hold_anything() {
    let text = plain().replacen("n,word,y", "\"n, or \"\"n\"\"\",\"two\nlines\",y", 1);
    let it = dataset(text, &choices()).expect("is well formed");
    assert_eq!(it.features.numbers[0].name, "n, or \"n\"");
    assert_eq!(it.features.categories, ["two\nlines"]);
}

#[test]
fn what_stands_for_nothing_is_missing() {
    for missing in ["", " ", "\"\"", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "\" NA \""]
    {
        let text = plain().replace("\n4,up", &format!("\n{missing},{missing}"));
        let it = dataset(text, &choices());
        let it = it.expect("is well formed");
        assert!(it.features.numbers[0].has_missing, "{missing:?}");
        let at = it.train.rows().iter().position(|row| *row == 4).expect("is trained on");
        let examples = examples(&it.train);
        assert_eq!(examples.numbers().row(at).to_vec(), [0.0, 1.0], "{missing:?}");
        assert_eq!(keys(&examples, 1)[at], [hash_text("word=")], "{missing:?}");
    }
    // Of a row of the test it says nothing: the model has no such number.
    let test = dataset(plain(), &choices()).expect("is well formed").test.rows()[0];
    let text = plain().replace(&format!("\n{test},"), "\n,");
    let it = dataset(text, &choices()).expect("is well formed");
    assert!(!it.features.numbers[0].has_missing);
    assert_eq!(examples(&it.test).numbers()[[0, 0]], 0.0);
}

#[test]
fn rows_without_a_target_are_left_out_and_counted() {
    let whole = dataset(plain(), &choices()).expect("is well formed");
    let text = plain().replace("\n3,down,1", "\n3,down,").replace("\n10,down,0", "\nx,down,NA");
    let it = dataset(text, &choices()).expect("is well formed");
    assert_eq!(it.without_target, 2);
    let left = |rows: &[u32]| -> Vec<u32> {
        rows.iter().copied().filter(|row| ![3, 10].contains(row)).collect()
    };
    // The others are where they were: the split is by number in the file.
    assert_eq!(it.train.rows(), left(whole.train.rows()));
    assert_eq!(it.test.rows(), left(whole.test.rows()));
    assert_eq!(examples(&it.train).len(), it.train.len());
}

#[test]
fn columns_without_a_name_are_not_learned_from() {
    // As a spreadsheet leaves them behind, and R's numbers of rows.
    let text: String = plain()
        .lines()
        .enumerate()
        .map(|(row, line)| match row {
            0 => format!(",{line},,\n"),
            _ => format!("{row},{line},words,\n"),
        })
        .collect();
    let it = dataset(text, &choices()).expect("is well formed");
    let expected = dataset(plain(), &choices()).expect("is well formed");
    assert_eq!(it.features, expected.features);
    assert_eq!(examples(&it.train), examples(&expected.train));
}

#[test]
fn a_mark_of_byte_order_is_part_of_a_value_inside_a_file() {
    // The scan, and who reads row by row, see the same.
    let rows: String =
        (0..20).map(|row| format!("\u{feff}w{},{}\n", row / 2 % 2, row % 2)).collect();
    let it = dataset(format!("w,y\n{rows}"), &choices()).expect("is well formed");
    let mut expected = Vec::new();
    for row in it.train.rows() {
        expected.push(vec![hash_text(&format!("w=\u{feff}w{}", row / 2 % 2))]);
    }
    assert_eq!(keys(&examples(&it.train), 1), expected);
}

#[test]
fn a_hundred_thousand_columns_are_read_at_once() {
    let begun = Instant::now();
    let columns = 100_000;
    let mut text: String = (0..columns).map(|column| format!("c{column},")).collect();
    text += "y\n";
    for row in 0..10 {
        (0..columns).for_each(|column| text += &format!("{},", (row * column) % 10));
        text += &format!("{}\n", row % 2);
    }
    let named = |step: usize| (0..columns).step_by(step).map(|column| format!("c{column}"));
    let choices = Choices {
        categorical: named(3).collect(),
        ignore: (1..columns).step_by(3).map(|column| format!("c{column}")).collect(),
        crosses: named(3).map(|column| format!("{column}*c2").parse().expect("is one")).collect(),
        ..choices()
    };
    let it = dataset(text, &choices).expect("is well formed");
    assert_eq!((it.features.numbers.len(), it.features.num_keys()), (33_333, 66_668));
    assert_eq!(examples(&it.train).len(), 8);
    // A step for each pair of columns would take minutes.
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

#[test]
#[cfg(target_os = "linux")]
fn a_pipe_is_read_into_memory() {
    use std::os::fd::AsRawFd;
    use std::path::PathBuf;

    for bytes in [plain().into_bytes(), gzipped(&plain())] {
        let (reader, mut writer) = std::io::pipe().expect("there is room");
        writer.write_all(&bytes).expect("it fits");
        drop(writer);
        let path = PathBuf::from(format!("/proc/self/fd/{}", reader.as_raw_fd()));
        let content = Content::open(&path).expect("is there");
        let it = Dataset::new(content, &choices(), TestRows::OfTheFile).expect("is well formed");
        let expected = dataset(plain(), &choices()).expect("is well formed");
        assert_eq!(examples(&it.train), examples(&expected.train));
    }
}
