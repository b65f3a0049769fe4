//! The corpora of the fuzz targets, replayed without a fuzzer.

use testing::replay_corpus;

mod slices;

#[test]
fn indexed_slices() {
    //
    replay_corpus(env!("CARGO_MANIFEST_DIR"), "slices", slices::check);
}
