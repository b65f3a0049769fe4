//! `--otlp URL`: what happened when, as spans for an OpenTelemetry collector; behind the feature
//! `otlp`.
//!
//! Follows a training's record on its own thread, as `--trace` does, and changes nothing of what
//! processes send each other. Invariant (P-29): a collector that is away or slow ends no training,
//! and delays its end by two seconds at most.

#[cfg(not(feature = "otlp"))]
mod absent;
#[cfg(feature = "otlp")]
mod attributes;
#[cfg(feature = "otlp")]
mod collector;
#[cfg(feature = "otlp")]
mod exporter;
#[cfg(feature = "otlp")]
mod ids;
#[cfg(feature = "otlp")]
mod steps;

#[cfg(not(feature = "otlp"))]
pub(crate) use self::absent::{Otlp, check};
#[cfg(feature = "otlp")]
pub(crate) use self::exporter::Otlp;

/// Refuses the option in a program that was built without it.
#[cfg(feature = "otlp")]
pub(crate) fn check(_: Option<&crate::args::CollectorUrl>) -> Result<(), crate::error::Error> {
    Ok(())
}
