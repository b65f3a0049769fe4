//! A look at one parameter server from outside, and the wish for a checkpoint.
//!
//! Asks and reads; shows nothing.

use crate::client::{Reach, describe};
use crate::proto::control_request::Action;
use crate::proto::{ControlRequest, StatusReply, StatusRequest};
use crate::server::ServerStatus;

/// A parameter server that did not say how it is, or did not take a wish.
#[derive(Clone, Debug, thiserror::Error)]
#[error("expected {expected} of a parameter server at {address}, got: {reason}")]
pub struct StatusError {
    expected: &'static str,
    address: String,
    reason: String,
}

/// Asks server number `server` of `reach` how it is. The first one also tells of the replicas.
///
/// # Errors
/// [`StatusError`] when it cannot be reached, refuses the key, or speaks another language.
pub async fn status(reach: &Reach, server: usize) -> Result<ServerStatus, StatusError> {
    let call = async {
        let mut client = reach.client(server).await?;
        let request = reach.request("Status", StatusRequest {})?;
        let reply = client.status(request).await.map_err(|status| describe(&status))?;
        read(&reply.into_inner())
    };
    answered(reach, (server, "the status"), call).await
}

/// Asks the coordinator to write a checkpoint, which is begun when this answers. `checkpoints` of
/// its status counts those that were written.
///
/// # Errors
/// [`StatusError`] when it cannot be reached or refuses the key.
pub async fn save(reach: &Reach) -> Result<(), StatusError> {
    let call = async {
        let mut client = reach.client(0).await?;
        let action = Some(Action::Save(true));
        let request = reach.request("Control", ControlRequest { action })?;
        client.control(request).await.map(drop).map_err(|status| describe(&status))
    };
    answered(reach, (0, "a checkpoint"), call).await
}

async fn answered<V>(
    reach: &Reach,
    (server, expected): (usize, &'static str),
    call: impl Future<Output = Result<V, String>>,
) -> Result<V, StatusError> {
    let answer = tokio::time::timeout(reach.call_timeout(), call).await;
    let answer = answer.unwrap_or_else(|_| Err("no answer in time".to_owned()));
    let address = reach.address(server).to_owned();
    answer.map_err(|reason| StatusError { expected, address, reason })
}

/// The status in a server's words.
pub(crate) fn read(reply: &StatusReply) -> Result<ServerStatus, String> {
    serde_json::from_str(&reply.json).map_err(|error| {
        let begins: String = reply.json.chars().take(200).collect();
        format!("{error}, in what begins with {begins:?}")
    })
}
