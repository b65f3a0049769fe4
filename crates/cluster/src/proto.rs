//! The generated messages and services.

#![allow(missing_docs, clippy::missing_errors_doc, clippy::all)]

include!("../proto/sync_replicas.v2.rs");
