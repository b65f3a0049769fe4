//! The corpora of the fuzz targets, replayed without a fuzzer.

use testing::replay_corpus;

mod schedule;

#[test]
fn schedules() {
    //
    replay_corpus(env!("CARGO_MANIFEST_DIR"), "schedule", schedule::check);
}
