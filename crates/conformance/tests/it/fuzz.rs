//! The corpora of the fuzz targets, replayed without a fuzzer.

use testing::replay_corpus;

mod trace;

#[test]
fn traces() {
    replay_corpus(env!("CARGO_MANIFEST_DIR"), "trace", trace::check);
}
