//! The corpora of the fuzz targets, replayed without a fuzzer.

use testing::replay_corpus;

mod messages;

#[test]
fn whatever_is_heard() {
    // P-15
    replay_corpus(env!("CARGO_MANIFEST_DIR"), "messages", messages::check);
}
