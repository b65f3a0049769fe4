//! The engine of `sync-replicas` in virtual time.
//!
//! Nothing here decides who is admitted or who gets a token: that is the engine's, the same one
//! that trains. What is here draws times and faults from a seed and carries the engine's effects
//! out on an [`Agenda`] instead of on threads.
//!
//! The invariant: one seed decides everything. No clock is read, nothing depends on an address, a
//! hash map's order or the number of processors, so the same seed gives the same bytes.

mod agenda;

pub use agenda::Agenda;
