//! The engine driven by hand: exact effects, no threads, no clock.
