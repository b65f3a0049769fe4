//! The corpus of the fuzz target, replayed.
