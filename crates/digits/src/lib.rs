//! Handwritten digits, and models that tell them apart.
//!
//! What the program `sync-replicas` trains on. Knows arrays, variables and gradients; replicas,
//! steps and options are others'.

pub mod data;
pub mod models;
