//! A replica's side: connections to all servers, the variables' copy, tokens, pushes.
//!
//! It never decides that a contribution was lost: it repeats it with the same number until the
//! coordinator has spoken (P-15), or until it is a member no more.

mod landing;
mod line;
mod mirror;
mod outgoing;
mod reach;
mod session;
mod signals;

pub(crate) use line::describe;
#[cfg(test)]
pub(crate) use reach::endpoint;
pub use reach::{Dial, DialFuture, Reach};
pub(crate) use reach::{FRAME, WINDOW, words};
#[cfg(feature = "test-util")]
pub(crate) use session::offline;
pub use session::{PushError, Session, SessionSettings, WaitError, WorkTimes};
pub use sync_replicas::GradientError;
