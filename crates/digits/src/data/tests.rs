//! Good and bad data files, the split, and the batches.

use std::collections::HashSet;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::examples::INTENSITIES;
use super::*;

fn line(digit: u8) -> String {
    let pixels = (0..PIXELS).map(|pixel| (pixel % 17).to_string()).collect::<Vec<_>>();
    format!("{},{digit}\n", pixels.join(","))
}

fn lines(n: u8) -> String {
    (0..n).map(|i| line(i % 10)).collect()
}

fn gzipped(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).expect("writes to memory");
    encoder.finish().expect("writes to memory")
}

#[track_caller]
fn refused(bytes: &[u8], fragments: &[&str]) {
    let message = parse::rows(bytes, "digits.csv").expect_err("is malformed").to_string();
    for fragment in fragments {
        assert!(message.contains(fragment), "{message:?} does not say {fragment:?}");
    }
}

#[test]
fn bad_files_are_named_by_line_and_column() {
    let good = lines(12);
    let with = |text: &str| format!("{good}{text}").into_bytes();
    refused(&with("1,2,3\n"), &["line 13", "expected 65 columns", "got 3"]);
    refused(&with(&line(0).replacen("0,1,", "0,17,", 1)), &["line 13, column 2", "0 to 16", "17"]);
    refused(&with(&line(0).replacen("0,1,", "0,x,", 1)), &["line 13, column 2", "\"x\""]);
    refused(&with(&line(0).replacen("0,1,", "0,-1,", 1)), &["column 2", "\"-1\""]);
    refused(&with(&line(0).replacen("0,1,", "0,,", 1)), &["column 2", "\"\""]);
    refused(&with(&line(10)), &["line 13, column 65", "a digit from 0 to 9", "\"10\""]);
    refused(b"", &["at least 10 rows", "got 0"]);
    refused(lines(3).as_bytes(), &["at least 10 rows", "got 3"]);
    refused(&[0xff, 0xfe, 0x00, b'\n'], &["cannot read digits.csv"]);
    let whole = gzipped(&lines(200));
    refused(&whole[..whole.len() / 2], &["cannot read digits.csv as CSV or gzipped CSV"]);
}

#[test]
fn text_without_end_is_not_read_to_its_end() {
    let text = lines(12);
    let length = text.len() as u64;
    for bytes in [text.clone().into_bytes(), gzipped(&text)] {
        parse::rows_up_to(length, &bytes, "digits.csv").expect("as long as allowed");
        let error = parse::rows_up_to(length - 1, &bytes, "digits.csv").expect_err("too long");
        let message = format!("expected at most {} bytes of text, got more", length - 1);
        assert!(error.to_string().contains(&message), "{error}");
    }
    // A thousandth of its size as a file: one line that never ends.
    let bomb = gzipped(&"1".repeat(1 << 22));
    let error = parse::rows_up_to(1 << 16, &bomb, "digits.csv").expect_err("too long");
    assert!(matches!(error, DataError::TooLong { .. }), "{error}");
}

#[test]
fn plain_and_gzipped_files_are_the_same() {
    let text = lines(20);
    let plain = parse::rows(text.as_bytes(), "a").expect("is well formed");
    assert_eq!(plain, parse::rows(&gzipped(&text), "b").expect("is well formed"));
    assert_eq!(plain[3].digit, 3);
}

#[test]
fn a_missing_file_is_an_error() {
    let error = Digits::read(Path::new("/nowhere/digits.csv")).expect_err("is missing");
    assert!(error.to_string().contains("/nowhere/digits.csv"), "{error}");
}

#[test]
fn the_split_is_fixed_and_has_every_digit() {
    let digits = Digits::embedded().expect("is well formed");
    let again = Digits::embedded().expect("is well formed");
    assert_eq!(digits.test.labels(&digits.test.all()), again.test.labels(&again.test.all()));
    assert_eq!(digits.train.len() + digits.test.len(), 1797);
    let classes: HashSet<_> = digits.test.labels(&digits.test.all()).into_iter().collect();
    assert_eq!(classes.len(), CLASSES);
}

#[test]
fn features_are_the_pixels_written_as_sets() {
    let digits = Digits::embedded().expect("is well formed");
    let rows = [3, 0, 3, 1437];
    let (pixels, features) = (digits.train.pixels(&rows), digits.train.features(&rows));
    assert_eq!(features.shape(), (4, FEATURES));
    for (row, features) in features.outer_iterator().enumerate() {
        let mut sums = [0.0; PIXELS];
        features.iter().for_each(|(feature, weight)| sums[feature / INTENSITIES] += weight);
        assert_eq!(sums.as_slice(), pixels.row(row).to_vec());
    }
}

proptest! {
    #[test]
    fn an_epoch_has_each_example_at_most_once(
        examples in 1_usize..200, part in 1_usize..200, seed: u64, epoch in 0_u64..1 << 40,
    ) {
        let size = part.min(examples);
        let mut batches = Batches::new(examples, size, seed).expect("fits");
        let first = epoch * batches.per_epoch();
        let numbers = first..first + batches.per_epoch();
        let rows: Vec<usize> = numbers.flat_map(|number| batches.rows(number)).collect();
        prop_assert_eq!(rows.len(), examples / size * size);
        prop_assert!(rows.iter().all(|&row| row < examples));
        prop_assert_eq!(rows.iter().collect::<HashSet<_>>().len(), rows.len());
    }
}

#[test]
fn batches_do_not_depend_on_what_was_asked_before() {
    let mut forth = Batches::new(50, 8, 1).expect("fits");
    let mut back = forth.clone();
    let ahead: Vec<_> = (0..40).map(|number| forth.rows(number)).collect();
    let behind: Vec<_> = (0..40).rev().map(|number| back.rows(number)).collect();
    assert!(ahead.iter().eq(behind.iter().rev()));
    assert_ne!(ahead[0], Batches::new(50, 8, 2).expect("fits").rows(0));
    assert_ne!(ahead[0], ahead[6]);
}

#[test]
fn batch_sizes_out_of_range_are_refused() {
    for got in [0, 101] {
        let error = Batches::new(100, got, 0).expect_err("cannot be");
        assert_eq!(error, BatchSizeError { examples: 100, got });
    }
    assert_eq!(Batches::new(100, 100, 0).expect("fits").per_epoch(), 1);
}

/// For programs that cannot draw as this one does: which rows of the file are kept for the test.
#[test]
fn the_rows_of_the_test_are_written_beside_the_data() {
    let mut rows: Vec<usize> = (0..1797).collect();
    rows.shuffle(&mut ChaCha8Rng::seed_from_u64(SPLIT_SEED));
    let expected: Vec<_> = rows[..359].iter().map(usize::to_string).collect();
    let written = include_str!("../../data/test-rows.txt");
    assert_eq!(written.split_whitespace().collect::<Vec<_>>(), expected);
}
