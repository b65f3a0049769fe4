//! Models in burn: their gradients, what they are given and refuse, and trainings of them.

mod by_hand;
mod refused;
mod support;
mod training;
mod values;
