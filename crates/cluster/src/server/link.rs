//! The link between the leader and another parameter server: orders go one way, and their results
//! come back.

pub(super) mod follower_side;
pub(super) mod leader_side;
pub(super) mod orders;
mod rows_told;
pub(super) mod transfer;
