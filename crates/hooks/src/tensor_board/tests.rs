//! Events against bytes that TensorBoard 2.21's own messages have, and files by their names.
//!
//! That TensorBoard reads whole files is tested with TensorBoard, by the Python package.

use std::time::Duration;

use super::*;

/// One and a half seconds into 1970.
const TIME: f64 = 1.5;

#[test]
fn events_have_the_bytes_of_tensorboards_own() {
    #[track_caller]
    fn check(event: &Message, expected: &str) {
        let hex: String = event.bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, expected.replace(' ', ""));
    }
    let time = UNIX_EPOCH + Duration::from_secs_f64(TIME);
    let at = |step| At { step, time };
    check(&events::version(time), "09000000000000f83f1a0d627261696e2e4576656e743a32");
    check(&events::start(at(8)), "09000000000000f83f10083a020801");
    check(
        &events::scalars(at(7), &[("loss", 0.25), ("accuracy", 0.5)]),
        "09000000000000f83f10072a1e0a0b0a046c6f7373150000803e0a0f0a08616363757261637915000000 \
         3f",
    );
    check(
        &events::text(at(7), "words", "two *words*"),
        "09000000000000f83f10072a280a260a05776f726473421108071200420b74776f202a776f7264732a4a \
         0a0a060a04746578742002",
    );
    check(
        &events::params(at(7), &[("rate", Param::Number(0.5))]),
        "09000000000000f83f10072a570a550a1c5f68706172616d735f2f73657373696f6e5f73746172745f69 \
         6e666f42060801120212004a2d0a290a0768706172616d73121e1a1c0a110a0472617465120911000000 \
         000000e03f29000000000000f83f2002",
    );
    check(
        &events::end(at(7)),
        "09000000000000f83f10072a440a420a1a5f68706172616d735f2f73657373696f6e5f656e645f696e66 \
         6f42060801120212004a1c0a180a0768706172616d73120d220b080111000000000000f83f2002",
    );
    let limits: String = (2..32).map(|it| hex(f64::from(it))).collect();
    let counts = |at| if [0, 14, 29].contains(&at) { 1.0 } else { 0.0 };
    let counts: String = (0..30).map(|at| hex(counts(at))).collect();
    check(
        &events::histogram(at(7), "times", &Buckets::of(&[1.0, 31.0, 15.5]).expect("finite")),
        &format!(
            "09000000000000f83f10072aa0040a9d040a0574696d65732a930409000000000000f03f110000000000 \
         003f40190000000000000840210000000000c04740290000000000c99240 \
             32f001{limits}3af001{counts}"
        ),
    );
}

fn hex(number: f64) -> String {
    number.to_le_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("is there");
    let name = |entry: fs::DirEntry| entry.file_name().into_string().expect("is text");
    let mut names: Vec<_> = entries.map(|entry| name(entry.expect("is there"))).collect();
    names.sort();
    names
}

// P-29: TensorBoard reads files by their names, so that a later start must have a later one.
#[test]
fn each_start_has_a_file_that_comes_last() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = dir.path().join("a/b");
    let mut begun: Vec<String> = Vec::new();
    let mut begin = |folder: &Path| {
        let board = TensorBoard::create(folder).expect("is writable");
        let name = board.path().file_name().and_then(|name| name.to_str());
        begun.push(name.expect("is text").to_owned());
        assert_eq!(names(folder).last(), begun.last());
        begun.last().cloned().expect("was pushed")
    };
    begin(&folder);
    begin(&folder);
    // The clock was ahead.
    fs::write(folder.join(format!("{PREFIX}5000000000.other.1")), "").expect("is writable");
    assert!(begin(&folder).starts_with(&format!("{PREFIX}5000000001.")));
    // No number, and one that no clock shows.
    fs::write(folder.join(format!("{PREFIX}x.other.1")), "").expect("is writable");
    fs::write(folder.join(format!("{PREFIX}{}.other.1", u64::MAX)), "").expect("is writable");
    let board = TensorBoard::create(&folder).expect("is writable");
    let name = board.path().file_name().and_then(|name| name.to_str());
    assert!(name.is_some_and(|name| name.starts_with(&format!("{PREFIX}5000000002."))), "{name:?}");
}

// What is told is in the file at the end, framed; a killed process has it after a second.
#[test]
fn a_file_has_what_was_told() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut board = TensorBoard::create(dir.path()).expect("is writable");
    let path = board.path().to_owned();
    let length = || fs::metadata(&path).expect("is there").len();
    let begun = length();
    assert_eq!(begun, 16 + 24, "its version is there from the first moment");
    board.scalars(At::now(1), &[("loss", 1.0)]).expect("is writable");
    assert_eq!(length(), begun);
    board.flush().expect("is writable");
    assert!(length() > begun);
    let (before, none) = (length(), f64::NAN);
    board.histogram(At::now(1), "times", &[none]).expect("there is nothing to write");
    board.flush().expect("is writable");
    assert_eq!(length(), before);
    board.text(At::now(2), "words", "a").expect("is writable");
    drop(board);
    assert!(length() > before, "one that is dropped is written");
    let error = TensorBoard::create(&path).expect_err("it is no folder");
    assert_ne!(error.kind(), io::ErrorKind::NotFound);
}

#[cfg(unix)]
#[test]
fn a_file_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;

    let dir = tempfile::tempdir().expect("a folder");
    let board = TensorBoard::create(dir.path()).expect("is writable");
    let mode = fs::metadata(board.path()).expect("is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
