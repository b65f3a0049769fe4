//! What a cluster is made of, for programs that carry it out in another way: in virtual time, among
//! faults, over connections of their own.
//!
//! These are seams between the crates of this project: they change more often than the rest.

/// A replica's side: its protocol as a state machine, and a client that carries it out.
pub mod client {
    pub use crate::client::*;
}

/// The state machine that decides for the whole cluster.
pub mod coordinator {
    pub use crate::coordinator::*;
}

/// Places in an order, each of a type of its own.
pub mod index {
    pub use crate::index::*;
}

/// Who may take a replica's place at a server: one process at a time (P-26).
pub mod place {
    pub use crate::place::*;
}

/// Which server owns which rows of which variable.
pub mod placement {
    pub use crate::placement::*;
}

/// Processes that serve, over connections of any kind.
pub mod server {
    pub use crate::server::*;
}

/// What one parameter server holds: parts of variables, and gradients on their way.
pub mod shard {
    pub use crate::shard::*;
}
