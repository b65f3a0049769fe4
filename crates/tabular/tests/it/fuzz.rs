//! The corpora of the fuzz targets, replayed without a fuzzer.

use testing::replay_corpus;

mod table;

#[test]
fn tables() {
    replay_corpus(env!("CARGO_MANIFEST_DIR"), "table", table::check);
}
