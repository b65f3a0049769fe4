//! A parameter server that was asked to end: it leaves once what it holds is in a checkpoint.
//!
//! To the others it is lost then, and they wait for it as long as for any that was lost. Who may
//! leave when is the coordinator's to say. Invariant: it leaves within [`LONGEST`].

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sync_replicas::Scalar;

use super::hub::Hub;
use super::node::{Node, lock};
use super::saving::Saving;
use super::serve::ServeError;
use crate::coordinator::{Farewell, Saves};
use crate::proto::LetGo;
use crate::proto::order::Order;

/// Supervisors wait for little longer than this before they kill.
const LONGEST: Duration = Duration::from_secs(15);

impl<T: Scalar + bytemuck::Pod> Node<T> {
    /// Waits until this server may leave. Where training is over it is never done: then the server
    /// ends with the training, but waits for nobody who is not there.
    ///
    /// # Errors
    /// [`ServeError::Unsaved`] when no checkpoint has what it holds.
    pub(crate) async fn leave(self: &Arc<Self>) -> Result<(), ServeError> {
        tracing::info!("asked to end: it leaves once a checkpoint is written");
        self.leaving.store(true, Ordering::Release);
        match &self.hub {
            Some(hub) => self.server_leaves(&mut lock(hub), 0),
            None if lock(&self.served).say_that_it_leaves() => {}
            // Nobody is there who could save what it holds.
            None => self.may_go(String::new()),
        }
        let mut go = self.let_go.subscribe();
        let unsaved = tokio::time::timeout(LONGEST, go.wait_for(Option::is_some)).await;
        if self.is_ending() {
            return std::future::pending().await;
        }
        let reason = match unsaved {
            // Fails only when the node is gone.
            Ok(go) => go.ok().and_then(|go| go.clone()).unwrap_or_default(),
            Err(_) => format!("no answer within {} s", LONGEST.as_secs()),
        };
        if reason.is_empty() { Ok(()) } else { Err(ServeError::Unsaved { reason }) }
    }

    /// This server may leave; the reason why it is not saved, if that failed.
    pub(super) fn may_go(&self, unsaved: String) {
        self.let_go.send_replace(Some(unsaved));
    }

    /// A server wishes to leave: it may at once, or a checkpoint comes first. Where training is
    /// ending it ends with it.
    pub(super) fn server_leaves(self: &Arc<Self>, hub: &mut Hub<T>, server: usize) {
        if hub.ending.is_some() {
            return;
        }
        let saves = Saves {
            updates: hub.updates,
            on_disk: hub.saved,
            possible: hub.serving && self.settings.checkpoints.is_some(),
            under_way: hub.saving.as_ref().is_some_and(Saving::is_written),
        };
        match hub.coordinator.server_leaves(server, saves) {
            Farewell::Go => self.let_go(hub, vec![server], ""),
            Farewell::Save => self.begin_save(hub),
            Farewell::Wait => {}
        }
    }

    /// Another server wishes to leave.
    pub(super) fn link_leaves(self: &Arc<Self>, server: usize) {
        if let Some(hub) = &self.hub {
            tracing::info!(server, "a parameter server was asked to end");
            self.server_leaves(&mut lock(hub), server);
        }
    }

    /// Tells servers that they may leave, and why they are not saved if that failed.
    pub(super) fn let_go(&self, hub: &Hub<T>, servers: Vec<usize>, unsaved: &str) {
        for server in servers {
            match server.checked_sub(1).and_then(|index| hub.links.get(index)) {
                Some(link) => drop(link.send(Order::LetGo(LetGo { unsaved: unsaved.to_owned() }))),
                None => self.may_go(unsaved.to_owned()),
            }
        }
    }

    /// Whether training ends, told or not.
    fn is_ending(&self) -> bool {
        self.is_over() || self.hub.as_ref().is_some_and(|hub| lock(hub).ending.is_some())
    }
}
