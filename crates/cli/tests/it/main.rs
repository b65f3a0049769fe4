//! The program driven as a user would.

mod accuracy;
mod bad_input;
mod best;
mod cluster;
mod compare;
mod config;
mod evaluator;
#[cfg(target_os = "linux")]
mod leaving;
#[cfg(target_os = "linux")]
mod live_page;
#[cfg(unix)]
mod lives;
#[cfg(unix)]
mod manifests;
#[cfg(unix)]
mod observed;
#[cfg(feature = "otlp")]
mod otlp;
mod own_data;
#[cfg(target_os = "linux")]
mod own_program;
mod plan;
mod program;
mod results;
mod resume;
#[cfg(unix)]
mod secured;
#[cfg(unix)]
mod signals;
mod simulate;
mod trace;
mod unread;
mod usage;
