//! One life of a process: its number, and how it asks for the end of training.

use std::time::Duration;

use crate::client::Connector;

/// The pause before repeating an unheard request.
const AGAIN: Duration = Duration::from_millis(500);

/// A number unique to this life of a process.
pub(super) fn draw() -> u64 {
    let mut bytes = [0; 8];
    if getrandom::fill(&mut bytes).is_err() {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        return now.unwrap_or_default().as_nanos() as u64;
    }
    u64::from_le_bytes(bytes)
}

/// Asks the coordinator to end training; whether it has heard.
pub(super) async fn request_stop(connector: &Connector, reason: &str) -> bool {
    let Err(error) = super::status::stop(connector, reason).await else { return true };
    let reason = error.to_string();
    tracing::warn!(reason, "the coordinator could not be told to stop");
    false
}

/// Asks the coordinator to end training until it has heard, however often it is away.
pub(super) async fn insist_on_stop(connector: &Connector, reason: &str) {
    while !request_stop(connector, reason).await {
        tokio::time::sleep(AGAIN).await;
    }
}
