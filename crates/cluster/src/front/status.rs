//! A look at one parameter server from outside, and wishes for a checkpoint and for the end.
//!
//! Asks and reads; shows nothing.

use std::error::Error;

use tonic::Status;

use crate::client::{Connector, describe};
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
pub async fn status(reach: &Connector, server: usize) -> Result<ServerStatus, StatusError> {
    let call = async {
        let mut client = reach.client(server).await.map_err(Hitch::Unheard)?;
        let request = reach.request("Status", StatusRequest {}).map_err(Hitch::Said)?;
        let reply = client.status(request).await?;
        read(&reply.into_inner()).map_err(Hitch::Said)
    };
    answered(reach, (server, "the status"), call).await
}

/// Asks the coordinator to write a checkpoint, which is begun when this answers. `checkpoints` of
/// its status counts those that were written.
///
/// # Errors
/// [`StatusError`] when it cannot be reached or refuses the key.
pub async fn save(reach: &Connector) -> Result<(), StatusError> {
    control(reach, "a checkpoint", Action::Save(true)).await
}

/// Asks the coordinator to end training everywhere, with a checkpoint; answers once it has heard.
///
/// # Errors
/// [`StatusError`] when it cannot be reached or refuses the key.
pub async fn stop(reach: &Connector, reason: &str) -> Result<(), StatusError> {
    control(reach, "the end of training", Action::Stop(reason.to_owned())).await
}

async fn control(
    reach: &Connector,
    expected: &'static str,
    action: Action,
) -> Result<(), StatusError> {
    let call = async {
        let mut client = reach.client(0).await.map_err(Hitch::Unheard)?;
        let request = ControlRequest { action: Some(action) };
        client.control(reach.request("Control", request).map_err(Hitch::Said)?).await?;
        Ok(())
    };
    answered(reach, (0, expected), call).await
}

/// Why a call failed, in words.
enum Hitch {
    /// The server may not have heard it.
    Unheard(String),
    /// It was answered.
    Said(String),
}

impl From<Status> for Hitch {
    fn from(status: Status) -> Self {
        let words = describe(&status);
        // What the transport failed with has a cause beneath it; what a server says has none.
        if status.source().is_some() { Self::Unheard(words) } else { Self::Said(words) }
    }
}

async fn answered<V>(
    reach: &Connector,
    (server, expected): (usize, &'static str),
    call: impl Future<Output = Result<V, Hitch>>,
) -> Result<V, StatusError> {
    let answer = tokio::time::timeout(reach.call_timeout(), call).await;
    let reason = match answer.unwrap_or_else(|_| Err(Hitch::Said("no answer in time".to_owned()))) {
        Ok(answer) => return Ok(answer),
        Err(Hitch::Said(reason)) => reason,
        Err(Hitch::Unheard(reason)) => format!("{reason}{}", reach.advice(server).await),
    };
    Err(StatusError { expected, address: reach.address(server).to_owned(), reason })
}

/// The status in a server's words.
pub(crate) fn read(reply: &StatusReply) -> Result<ServerStatus, String> {
    serde_json::from_str(&reply.json).map_err(|error| {
        let begins: String = reply.json.chars().take(200).collect();
        format!("{error}, in what begins with {begins:?}")
    })
}
