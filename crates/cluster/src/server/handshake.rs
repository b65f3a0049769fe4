//! How a connection to a server begins: with a hello, in time, from a process of the same program.

use std::time::Duration;

use prost::Message;
use tonic::Status;

use super::counters::Counters;
use crate::stream::Receiving;

/// How long a connection may take to say hello.
const HELLO: Duration = Duration::from_secs(5);

/// The first message of a connection, which comes at once or never, and must be a hello.
///
/// # Errors
/// It is not one, or none came.
pub(super) async fn hello<M: Message + Default, H>(
    incoming: &mut Receiving<M>,
    counters: &Counters,
    hello_of: impl FnOnce(M) -> Option<H>,
) -> Result<H, Status> {
    let first = tokio::time::timeout(HELLO, incoming.message())
        .await
        .map_err(|_| Status::deadline_exceeded("no hello within 5 s"))?;
    let first = first.inspect_err(|status| counters.broke("a caller", status))?;
    first.and_then(hello_of).ok_or_else(|| {
        let reason = "the first message must be a hello";
        counters.nonsense("a caller", reason);
        Status::invalid_argument(reason)
    })
}
