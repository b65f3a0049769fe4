//! The corpora of the fuzz targets, replayed without a fuzzer.

use std::fs;
use std::path::Path;

/// Checks every input that is kept of a fuzz target of the crate in this folder; a panic is
/// preceded by the name of the input's file.
///
/// # Panics
/// When there is no input, and when `check` does.
#[allow(clippy::print_stdout, reason = "a test shows it when it fails")]
pub fn replay_corpus(crate_folder: &str, target: &str, check: fn(&[u8])) {
    let folder = Path::new(crate_folder).join("fuzz/corpus").join(target);
    let mut inputs = 0;
    for entry in fs::read_dir(&folder).expect("a corpus is kept") {
        let path = entry.expect("it can be listed").path();
        println!("{}", path.display());
        check(&fs::read(&path).expect("it can be read"));
        inputs += 1;
    }
    assert!(inputs > 0, "no input in {}", folder.display());
}
