//! The corpora of the fuzz targets, replayed without a fuzzer.

use testing::replay_corpus;

mod checkpoint;

#[test]
fn checkpoints() {
    // P-9
    replay_corpus(env!("CARGO_MANIFEST_DIR"), "checkpoint", checkpoint::check);
}
