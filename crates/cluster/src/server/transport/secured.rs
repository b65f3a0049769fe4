//! Connections as they are served: with TLS if required.
//!
//! A handshake is each connection's own task, so that a slow one holds up no other.

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Connected;

use super::connection::Connection;
use super::door::Incoming;
use crate::security::ServerTls;

/// Encrypts what comes in, where that is asked for, until what it gives is dropped.
pub(in crate::server) fn secure(mut incoming: Incoming, tls: Option<ServerTls>) -> Incoming {
    let Some(tls) = tls else { return incoming };
    let (sender, connections) = mpsc::channel(1);
    tokio::spawn(async move {
        // They end with this task.
        let mut handshakes = JoinSet::new();
        loop {
            let next = tokio::select! {
                () = sender.closed() => return,
                next = incoming.next() => next,
            };
            while handshakes.try_join_next().is_some() {}
            match next {
                None => return,
                Some(Err(_)) => {}
                Some(Ok(connection)) => {
                    let (sender, tls) = (sender.clone(), tls.clone());
                    handshakes.spawn(async move {
                        if let Some(secured) = shake_hands(&tls, connection).await {
                            // Fails only when the server has ended.
                            let _ = sender.send(Ok(secured)).await;
                        }
                    });
                }
            }
        }
    });
    Box::pin(ReceiverStream::new(connections))
}

async fn shake_hands(tls: &ServerTls, connection: Connection) -> Option<Connection> {
    let stream = tls.accept(connection).await?;
    if !tls.allows(&stream) {
        // It is told so in answer to its first call.
        stream.get_ref().0.connect_info().forbid();
    }
    Some(Connection::encrypted(stream))
}
