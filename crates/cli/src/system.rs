//! What this process has from the system, and what the system asks of it: streams, ports, signals,
//! and its place in time.

pub(crate) mod host_time;
pub mod interrupt;
pub(crate) mod output;
pub(crate) mod ports;
pub(crate) mod signals;
