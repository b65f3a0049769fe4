//! Integration tests of the session life cycle: what a user of the crate can see.

mod support;

mod bounds;
mod coordinator;
mod life_cycle;
mod recovery;
mod start;
mod stopping;
mod usual_hooks;
