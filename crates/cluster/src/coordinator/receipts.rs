//! Proof that servers hold a contribution: each gives the replica a receipt, and the replica shows
//! them all with its commit.
//!
//! Servers know one secret, replicas do not, so no replica commits what a server did not get. All
//! receipts together are as long as one, and no server tells the coordinator anything: its traffic
//! in a step does not grow with servers times replicas.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use sync_replicas::driver::Generation;

use super::Contribution;
use crate::index::ServerIndex;

/// The receipt of one server, for a contribution in a generation.
///
/// It depends on all of these, so that none of another life, another replica or another server can
/// replace it.
#[must_use]
pub fn receipt(
    secret: u64,
    server: ServerIndex,
    generation: Generation,
    contribution: Contribution,
) -> u64 {
    let Contribution { replica, incarnation, sequence } = contribution;
    let numbers =
        [server.get() as u64, generation.get(), replica.get(), incarnation.get(), sequence];
    // A key may have any length.
    let Ok(mac) = Hmac::<Sha256>::new_from_slice(&secret.to_le_bytes()) else { return 0 };
    let mac = numbers.iter().fold(mac, |mac, number| mac.chain_update(number.to_le_bytes()));
    let bytes: [u8; 32] = mac.finalize().into_bytes().into();
    bytes.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// The receipts of so many servers together.
pub(super) fn receipts(
    secret: u64,
    servers: usize,
    generation: Generation,
    contribution: Contribution,
) -> u64 {
    let of = |server| receipt(secret, ServerIndex::new(server), generation, contribution);
    (0..servers).map(of).fold(0, |together, one| together ^ one)
}
