//! The corpora of the fuzz targets, replayed without a fuzzer.

use testing::replay_corpus;

mod plan;

#[test]
fn plans() {
    replay_corpus(env!("CARGO_MANIFEST_DIR"), "plan", plan::check);
}
