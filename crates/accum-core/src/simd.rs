//! Loops in the widest vector instructions that the machine has.
//!
//! The loops stay plain Rust. Invariant: every machine gets the same bits, since the instructions
//! differ in how many elements they take, and no two operations are fused into one.

/// Runs a loop that was compiled once for each kind of machine, the right one for this.
pub(crate) fn widest<L: pulp::WithSimd>(run: L) -> L::Output {
    pulp::Arch::new().dispatch(run)
}
