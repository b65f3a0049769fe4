//! What a coordinator hears whose server has no program, and waits for the chief's initial values.

use std::sync::Arc;

use sync_replicas::engine::Settings;

use super::example::{hello, ticketless};
use super::{CONNECTION, Heard, PROCESS, REPLICAS, server_by, shapes};
use crate::proto::to_replica::Message as Said;
use crate::proto::to_server::Message;
use crate::proto::{InitialValues, ToServer};
use crate::server::Server;
use crate::server::offline::{self, Talk};

/// The chief's connection; afterwards a chief that makes sense sends what is still wanted.
pub(super) async fn hear(bytes: &[u8]) -> Heard {
    let settings = Settings { total_num_replicas: Some(REPLICAS), ..Settings::new(1) };
    let server = server_by((0, 1), settings, None, true);
    offline::want_values(&server);
    offline::train(&server, bytes).await;
    let bad_messages = server.status().bad_messages;
    let changed = offline::initial_values(&server).is_some();
    let others = if changed { Ok(()) } else { send_all(&server).await };
    Heard { bad_messages, changed, others }
}

async fn send_all(server: &Arc<Server<f32>>) -> Result<(), String> {
    let first = ticketless(hello(0, (PROCESS, CONNECTION)));
    let first = ToServer { message: Some(first) };
    let mut talk = Talk::open(server, first).await.map_err(|error| error.to_string())?;
    match talk.hear().await {
        Some(Said::Initialize(_)) => {}
        answer => return Err(format!("expected to be asked for values, got {answer:?}")),
    }
    pieces().into_iter().for_each(|message| talk.say(&ToServer { message: Some(message) }));
    drop(talk.close().await);
    let expected = shapes().map(|(_, shape)| vec![1.0_f32; shape.iter().product()]);
    match offline::initial_values(server) {
        Some(values) if values == expected => Ok(()),
        values => Err(format!("expected ones, got {values:?}")),
    }
}

/// Ones for all variables, the first in two pieces.
pub(super) fn pieces() -> Vec<Message> {
    let values = |tensor, elements| {
        let data = [1.0_f32; 8][..elements].iter().flat_map(|it| it.to_le_bytes()).collect();
        Message::InitialValues(InitialValues { tensor, data, last: false })
    };
    let last = Message::InitialValues(InitialValues { last: true, ..Default::default() });
    vec![values(0, 2), values(0, 4), values(1, 2), values(2, 8), last]
}
