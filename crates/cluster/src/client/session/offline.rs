//! A replica without sockets, for tests: bytes go in as they come from servers.

use std::sync::Arc;
use std::time::Duration;

use sync_replicas::engine::Grant;
use sync_replicas::{Computed, ReplicaId, Variables};
use tokio::time::Instant;

use super::{Session, SessionSettings, WorkTimes};
use crate::client::line::{Line, Ways, read};
use crate::client::{Dial, Reach};
use crate::placement::Placement;
use crate::security::{Signer, wall_clock};
use crate::server::offline::whole;
use crate::shard::Wire;

/// Servers that nobody can reach.
pub(crate) fn nowhere(servers: usize) -> Reach {
    let dial: Dial = Arc::new(|_| Box::pin(async { Err("there are no sockets".to_owned()) }));
    Reach::new(vec![String::new(); servers], dial, Signer::new(None, wall_clock))
}

/// A replica and its lines.
pub(crate) struct Offline {
    pub(crate) session: Session<f32>,
    opened: u64,
}

impl Offline {
    pub(crate) fn new(replica: u64, placement: Arc<Placement>, variables: Variables<f32>) -> Self {
        let settings = SessionSettings {
            replica: ReplicaId::new(replica),
            process: 1,
            fingerprint: Vec::new(),
            wire: Wire::Native,
            patience: Duration::from_secs(60),
            heartbeat: Duration::from_secs(3600),
            tell_superseded: true,
            skips_not_finite: false,
        };
        let reach = nowhere(placement.shards());
        Self { session: Session::new(reach, settings, placement, variables, true), opened: 0 }
    }

    /// All that a server says over one new line, to its end: to the second server while the replica
    /// waits, to the first one while it does not.
    pub(crate) async fn hear(&mut self, server: usize, bytes: &[u8]) {
        self.opened += 1;
        let session = &mut self.session;
        session.lines[server] = Some(Line::offline(self.opened));
        session.mirror.opened(server, self.opened);
        let (inbox, signals) = (session.sender.clone(), session.signals.clone());
        let ways = Ways { inbox, landing: session.landing.clone(), signals };
        let lent = (server > 0).then(|| session.landing.lend(&mut session.mirror));
        read(whole(bytes), (server, self.opened), ways).await;
        drop(lent);
        while !session.inbox.is_empty() {
            session.receive().await;
        }
    }

    /// What it may compute, once it may and has the variables.
    pub(crate) fn ready(&mut self) -> Option<Grant> {
        self.session.ready()
    }

    /// Sends a contribution on its way.
    pub(crate) fn push(&mut self, grant: &Grant, computed: Computed<f32>) {
        let (waited, ended) = (Duration::ZERO, Instant::now());
        let work = WorkTimes { waited, computed: waited, ended };
        self.session.begin_push(grant, computed, work).expect("the gradients fit");
    }
}
