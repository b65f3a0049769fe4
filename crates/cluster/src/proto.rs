//! The generated messages and services.

#![allow(missing_docs, clippy::missing_errors_doc, clippy::all)]

tonic::include_proto!("sync_replicas.v2");
