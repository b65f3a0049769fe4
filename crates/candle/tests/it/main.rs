//! Models in candle: their gradients, what they are given and refuse, and trainings of them.

mod by_hand;
mod embeddings;
mod pages;
mod precision;
mod refused;
mod support;
mod training;
mod values;
