//! The protocol's code is carried, so that nobody who builds this crate builds its generator.

use std::path::Path;

const FILE: &str = "sync_replicas.v2.rs";

/// Asks for the file to be written anew.
const WRITE: &str = "SYNC_REPLICAS_WRITE_PROTOCOL";

#[test]
fn the_carried_code_is_that_of_the_protocol() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
    let descriptors = protox::compile(["cluster.proto"], [&folder]).expect("it is a protocol");
    let made = tempfile::tempdir().expect("a folder");
    tonic_prost_build::configure()
        // Payloads stay slices of the buffer that they were received in.
        .bytes(".")
        .build_client(false)
        .build_server(false)
        .out_dir(made.path())
        .compile_fds(descriptors)
        .expect("it is written");
    let made = std::fs::read_to_string(made.path().join(FILE)).expect("it was written");
    let carried = folder.join(FILE);
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&carried, &made).expect("it can be written");
    }
    let carried = std::fs::read_to_string(&carried).unwrap_or_default();
    let again = format!("{WRITE}=1 cargo test -p cluster --all-features --test it carried_code");
    assert!(carried == made, "proto/cluster.proto and proto/{FILE} differ; run: {again}");
}
