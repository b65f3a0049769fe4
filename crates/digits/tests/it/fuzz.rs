//! The corpora of the fuzz targets, replayed without a fuzzer.

use testing::replay_corpus;

mod digits;

#[test]
fn data_files() {
    replay_corpus(env!("CARGO_MANIFEST_DIR"), "digits", digits::check);
}
