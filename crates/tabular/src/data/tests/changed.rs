//! A file on disk: the same as in memory, and never read as if it were still what it was.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use super::*;

fn written(bytes: impl AsRef<[u8]>) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join(NAME);
    fs::write(&path, bytes).expect("there is room");
    // Long ago: whatever is written later has another time, on any file system.
    set_time(&path, SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 30));
    (folder, path)
}

fn set_time(path: &Path, time: SystemTime) {
    let file = File::options().append(true).open(path).expect("is there");
    file.set_modified(time).expect("it may be set");
}

#[test]
fn memory_and_disk_give_the_same_examples() {
    // Quoted line breaks, blank lines, CRLF, no end: rows begin and end at odd places.
    let text = plain().replace("up", "\"u\n,p\"").replace("\n5,", "\n\n\r\n5,");
    for text in [plain(), plain().replace('\n', "\r\n"), text.trim_end().to_owned()] {
        let (_folder, path) = written(&text);
        let (_packed_folder, packed) = written(gzipped(&text));
        let expected = dataset(&text, &choices()).expect("is well formed");
        for path in [path, packed] {
            let content = Content::open(&path).expect("is there");
            let is_packed = fs::read(&path).expect("is there").starts_with(&[0x1f, 0x8b]);
            assert_eq!(
                matches!(content.storage, super::super::content::Storage::Memory(_)),
                is_packed
            );
            let it = Dataset::new(content, &choices(), TestRows::OfTheFile).expect("is read");
            assert_eq!(it.features, expected.features);
            assert_eq!(it.fingerprint, expected.fingerprint);
            assert_eq!(it.train.rows(), expected.train.rows());
            assert_eq!(examples(&it.train), examples(&expected.train));
            assert_eq!(examples(&it.test), examples(&expected.test));
            // Backwards, and one row again and again.
            let orders =
                [(0..it.train.len()).rev().collect(), vec![7, 7, 0, it.train.len() - 1, 7, 3]];
            for order in orders {
                let some = |part: &Part| {
                    let mut reader = part.reader().expect("is there");
                    reader.examples(order.clone().into_iter()).expect("is what it was")
                };
                assert_eq!(some(&it.train), some(&expected.train));
            }
        }
    }
}

#[test]
fn other_bytes_have_another_fingerprint() {
    let fingerprint = |text: &str| dataset(text, &choices()).expect("is well formed").fingerprint;
    let text = plain();
    assert_eq!(fingerprint(&text), fingerprint(&text));
    for other in [text.clone() + "\n", text.replace("up", "pu"), text.replace("\n7,", "\n8,")] {
        assert_ne!(fingerprint(&other), fingerprint(&text), "{other}");
    }
}

/// When the file is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    /// After it was opened, before it is read once.
    Opened,
    /// After it was read once, before it is opened to read examples.
    Scanned,
    /// Between one batch and the next.
    Read,
}

const TIMES: [When; 3] = [When::Opened, When::Scanned, When::Read];

/// Examples that are read of a file that is changed meanwhile.
fn changed(when: When, change: &dyn Fn(&Path)) -> Result<Examples, DataError> {
    let (_folder, path) = written(plain());
    let at = |now: When| {
        if when == now {
            change(&path);
        }
    };
    let content = Content::open(&path)?;
    at(When::Opened);
    let it = Dataset::new(content, &choices(), TestRows::OfTheFile)?;
    at(When::Scanned);
    let mut reader = it.train.reader()?;
    reader.examples(0..4)?;
    at(When::Read);
    reader.examples(0..it.train.len())
}

#[test]
fn a_file_that_changes_is_refused() {
    type Change<'a> = (&'a str, &'a dyn Fn(&Path));
    let changes: [Change<'_>; 6] = [
        ("grows", &|path| {
            let mut file = File::options().append(true).open(path).expect("is there");
            file.write_all(b"1,up,0\n").expect("there is room");
        }),
        ("shrinks", &|path| {
            let file = File::options().write(true).open(path).expect("is there");
            file.set_len(plain().len() as u64 - 8).expect("it can");
        }),
        ("is rewritten", &|path| {
            fs::write(path, plain().replace("up", "it")).expect("there is room");
        }),
        ("is rewritten and older", &|path| {
            fs::write(path, plain().replace("up", "it")).expect("there is room");
            set_time(path, SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 29));
        }),
        ("has other fields", &|path| {
            fs::write(path, "n,word,y\n".to_owned() + &"1,1,1,1\n".repeat(30)).expect("room");
        }),
        ("is no text any more", &|path| {
            fs::write(path, vec![0xff; plain().len()]).expect("there is room");
        }),
    ];
    for (name, change) in changes {
        for when in TIMES {
            let error = changed(when, change).expect_err("is refused");
            assert!(matches!(error, DataError::Changed { .. }), "{name}, {when:?}: {error}");
            says(&error, &[NAME, "changed while it was read", "start again"]);
        }
    }
}

#[test]
fn a_file_that_is_replaced_is_the_old_one_or_refused() {
    let expected = examples(&dataset(plain(), &choices()).expect("is well formed").train);
    for when in TIMES {
        for same_time in [false, true] {
            let read = changed(when, &|path| {
                let other = path.with_extension("new");
                fs::write(&other, plain().replace("up", "it")).expect("there is room");
                if same_time {
                    set_time(&other, SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 30));
                }
                fs::rename(&other, path).expect("it can");
            });
            match read {
                // Who has it open reads on in the old one.
                Ok(read) => assert!(when == When::Read && read == expected, "{when:?}"),
                Err(error) => {
                    assert!(matches!(error, DataError::Changed { .. }), "{when:?}: {error}");
                }
            }
        }
    }
}

#[test]
fn a_file_that_is_removed_is_said_so() {
    for when in [When::Opened, When::Scanned] {
        let error = changed(when, &|path| fs::remove_file(path).expect("it can"));
        let error = error.expect_err("is gone");
        assert!(matches!(error, DataError::Open { .. }), "{error}");
    }
}

#[test]
fn a_file_for_the_test_that_changes_is_refused() {
    let (_folder, path) = written(plain());
    let content = Content::of_bytes(plain().as_bytes(), NAME).expect("is text");
    let it = Dataset::new(content, &choices(), TestRows::Of(&path)).expect("is well formed");
    fs::write(&path, plain() + "1,up,0\n").expect("there is room");
    let read = it.test.reader().and_then(|mut reader| reader.examples(0..3));
    let error = read.expect_err("is refused");
    assert!(matches!(error, DataError::Changed { .. }), "{error}");
}
