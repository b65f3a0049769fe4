//! A look at one parameter server from outside, and requests for a checkpoint and for the end.
//!
//! Asks and reads; shows nothing.

use sync_replicas::record::Cursor;

use crate::client::{CallError, Connector};
use crate::proto::control_request::Action;
use crate::proto::{self, ControlReply, ControlRequest, RecordRequest, StatusReply, StatusRequest};
use crate::server::ServerStatus;
use crate::wire::Recorded;

/// A parameter server that did not report its status, or did not take a request.
#[derive(Clone, Debug, thiserror::Error)]
#[error("expected {expected} of a parameter server at {address}, got: {reason}")]
pub struct StatusError {
    expected: &'static str,
    address: String,
    reason: String,
}

/// Asks server number `server` of `reach` how it is. Number 0 also tells of the
/// replicas.
///
/// # Errors
/// [`StatusError`] when it cannot be reached, refuses the key, or speaks another language.
pub async fn status(connector: &Connector, server: usize) -> Result<ServerStatus, StatusError> {
    let call = async {
        let reply: StatusReply = connector.call(server, "Status", StatusRequest {}).await?;
        read(&reply).map_err(|error| CallError::Said(error.to_string()))
    };
    answered(connector, server, "the status", call.await).await
}

/// Asks the coordinator for its record of the training since a reader's last look; with
/// [`Cursor::default`](sync_replicas::record::Cursor) for all that it has kept.
///
/// # Errors
/// [`StatusError`] when it cannot be reached or refuses the key, or is not number 0.
pub async fn record(connector: &Connector, since: Cursor) -> Result<Recorded, StatusError> {
    let request = RecordRequest { since: Some(since.into()) };
    let reply = connector.call::<_, proto::Recorded>(0, "Record", request).await;
    answered(connector, 0, "the record", reply.map(Into::into)).await
}

/// Asks the coordinator to write a checkpoint; it has begun when this returns. `checkpoints` of its
/// status counts those written.
///
/// # Errors
/// [`StatusError`] when it cannot be reached or refuses the key.
pub async fn save(connector: &Connector) -> Result<(), StatusError> {
    control(connector, "a checkpoint", Action::Save(true)).await
}

/// Asks the coordinator to end training everywhere, with a checkpoint; returns once it has heard.
///
/// # Errors
/// [`StatusError`] when it cannot be reached or refuses the key.
pub async fn stop(connector: &Connector, reason: &str) -> Result<(), StatusError> {
    control(connector, "the end of training", Action::Stop(reason.to_owned())).await
}

async fn control(
    connector: &Connector,
    expected: &'static str,
    action: Action,
) -> Result<(), StatusError> {
    let request = ControlRequest { action: Some(action) };
    let reply = connector.call::<_, ControlReply>(0, "Control", request).await;
    answered(connector, 0, expected, reply.map(drop)).await
}

async fn answered<V>(
    connector: &Connector,
    server: usize,
    expected: &'static str,
    answer: Result<V, CallError>,
) -> Result<V, StatusError> {
    let reason = match answer {
        Ok(answer) => return Ok(answer),
        Err(CallError::Said(reason)) => reason,
        Err(CallError::Unheard(reason)) => format!("{reason}{}", connector.advice(server).await),
    };
    Err(StatusError { expected, address: connector.address(server).to_owned(), reason })
}

/// What came is no status.
#[derive(Debug, thiserror::Error)]
#[error("{error}, in what begins with {begins:?}")]
pub(crate) struct NoStatus {
    error: serde_json::Error,
    begins: String,
}

/// The status in a server's words.
pub(crate) fn read(reply: &StatusReply) -> Result<ServerStatus, NoStatus> {
    let begins = || reply.json.chars().take(200).collect();
    serde_json::from_str(&reply.json).map_err(|error| NoStatus { error, begins: begins() })
}
