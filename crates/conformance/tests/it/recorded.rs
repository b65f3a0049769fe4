//! The carried traces, for tests that alter them; holds no test itself.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

/// The folder of the carried traces.
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("traces")
}

/// The carried trace of this name.
pub fn trace(name: &str) -> Value {
    let path = folder().join(name).with_extension("json");
    let text = fs::read_to_string(path).expect("a carried trace");
    serde_json::from_str(&text).expect("it is JSON")
}
