//! The token ledger: no token appears from nowhere, none vanishes.
//!
//! Counts only; the queue and the members hold the tokens themselves.

/// Where all tokens ever issued have gone. At any time
/// `issued = spent + discarded + lost + queued + held`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenLedger {
    /// Put by the start, by joining replicas, and by steps.
    pub issued: u64,
    /// Used up by a push, or by work given up because it was superseded.
    pub spent: u64,
    /// Thrown away because their step was over.
    // P-12
    pub discarded: u64,
    /// Held by replicas that left, where tokens are not leased (the `reference` preset).
    pub lost: u64,
}

impl TokenLedger {
    /// The tokens that must be in the queue or in a replica's hands.
    #[must_use]
    pub fn outstanding(&self) -> u64 {
        self.issued - self.spent - self.discarded - self.lost
    }
}
