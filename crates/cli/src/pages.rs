//! What a person looks at: figures, the report of a run, the live page of a training, and sentences
//! about slow replicas.

pub mod drawing;
pub(crate) mod html_report;
pub(crate) mod observe;
pub(crate) mod slow_replicas;
