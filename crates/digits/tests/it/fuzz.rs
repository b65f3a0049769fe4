//! The corpora of the fuzz targets, replayed without a fuzzer.

use std::fs;
use std::path::Path;

mod digits;

/// Every input that is kept is checked once more; a panic is preceded by the name of its file.
fn replay(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut inputs = 0;
    for entry in fs::read_dir(&folder).expect("a corpus is kept") {
        let path = entry.expect("it can be listed").path();
        println!("{}", path.display());
        check(&fs::read(&path).expect("it can be read"));
        inputs += 1;
    }
    assert!(inputs > 0, "no input in {}", folder.display());
}

#[test]
fn data_files() {
    replay("digits", digits::check);
}
