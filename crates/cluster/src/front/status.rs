//! A look at one parameter server from outside.
//!
//! Asks and reads; shows nothing.

use crate::client::{Reach, describe};
use crate::proto::{StatusReply, StatusRequest};
use crate::server::ServerStatus;

/// A parameter server that did not say how it is.
#[derive(Clone, Debug, thiserror::Error)]
#[error("expected the status of a parameter server at {address}, got: {reason}")]
pub struct StatusError {
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
    let answer = tokio::time::timeout(reach.call_timeout(), call).await;
    let answer = answer.unwrap_or_else(|_| Err("no answer in time".to_owned()));
    answer.map_err(|reason| StatusError { address: reach.address(server).to_owned(), reason })
}

/// The status in a server's words.
pub(crate) fn read(reply: &StatusReply) -> Result<ServerStatus, String> {
    serde_json::from_str(&reply.json).map_err(|error| {
        let begins: String = reply.json.chars().take(200).collect();
        format!("{error}, in what begins with {begins:?}")
    })
}
