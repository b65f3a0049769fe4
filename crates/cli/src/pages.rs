//! What a person looks at: figures, the report of a run, and the live page of a training.

pub mod drawing;
pub mod html_report;
pub(crate) mod observe;
pub(crate) mod slow_replicas;
