//! The link between the leader and another parameter server: orders go one way, and what became of
//! them comes back.

pub(super) mod follower_side;
pub(super) mod leader_side;
pub(super) mod orders;
mod rows_told;
pub(super) mod transfer;
