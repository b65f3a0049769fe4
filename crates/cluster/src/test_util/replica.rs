//! What a replica hears that has begun to push its first contribution to two servers.

use std::task::Poll;
use std::time::Duration;

use ndarray::ArrayD;
use prost::Message as _;
use sync_replicas::driver::ServerDuties;
use sync_replicas::engine::Grant;
use sync_replicas::{ReplicaId, Variables};
use tokio::sync::mpsc::UnboundedReceiver;

use super::{Heard, SENDER, agreement, connection, placement, run, shapes};
use crate::client::protocol::{Action, ConnectionId, PushReport, Work};
use crate::client::{ConnectionEvent, ReplicaSettings, ReplicaState, Sinks, WaitError, read};
use crate::coordinator::Times;
use crate::index::VariableIndex;
use crate::number_format::NumberFormat;
use crate::proto::to_replica::Message as Said;
use crate::proto::{self, ToReplica};
use crate::server::offline::whole;

/// What one of the servers says. Afterwards both say what makes sense, and the replica goes on.
pub(super) async fn hear(server: usize, bytes: &[u8]) -> Heard {
    let mut replica = Replica::new();
    welcome(&mut replica, 1, 0, 0.0).await;
    let grant = replica.ready().expect("all is there");
    replica.push(&grant);
    replica.hear(server, bytes).await;
    // The first server stays silent, so the end counts that the second one tells of.
    replica.now += Duration::from_secs(10);
    drop(replica.poll());
    let changed = replica.state.protocol.ended().is_some();
    replica.state.made.clear();
    welcome(&mut replica, 9, 3, 0.5).await;
    let others = match replica.ready() {
        _ if changed => Ok(()),
        None => Err("it does not go on".to_owned()),
        Some(grant) if grant.local_step.get() != 3 => Err(format!("it was granted {grant:?}")),
        Some(_) if *replica.state.variables() != variables(0.5) => {
            Err(format!("its variables are {:?}", replica.state.variables()))
        }
        Some(_) => Ok(()),
    };
    Heard { bad_messages: 0, changed, others }
}

/// What a server says of itself.
pub(super) async fn status(bytes: &[u8]) -> Heard {
    if let Ok(Some(reply)) = whole(bytes).message().await {
        drop(crate::front::status::read(&reply));
    }
    Heard { bad_messages: 0, changed: false, others: Ok(()) }
}

/// A replica whose connections are bytes, and whose time passes from one to the next.
struct Replica {
    state: ReplicaState<f32>,
    sinks: Sinks<f32>,
    inbox: UnboundedReceiver<ConnectionEvent>,
    now: Duration,
    /// By server: its connection, and the end of it that is to come.
    ids: [Option<ConnectionId>; 2],
    ends: [Option<ConnectionEvent>; 2],
}

impl Replica {
    fn new() -> Self {
        let settings = ReplicaSettings {
            replica: ReplicaId::new(SENDER),
            process: 1,
            agreement: agreement(),
            duties: ServerDuties::default(),
            wire: NumberFormat::Native,
            reconnect_timeout: Duration::MAX,
            heartbeat: Duration::MAX,
            tell_superseded: true,
            skips_not_finite: false,
        };
        let addresses = vec![String::new(); 2];
        let state = ReplicaState::new(&settings, addresses, placement(2), variables(0.0), true);
        let (sinks, inbox) = Sinks::new();
        let (ids, ends) = ([None; 2], [None, None]);
        Self { state, sinks, inbox, now: Duration::ZERO, ids, ends }
    }

    /// All that a server says over one new connection, which stays open: to the second server while
    /// the replica waits, to the first one while it does not.
    async fn hear(&mut self, server: usize, bytes: &[u8]) {
        self.now += Duration::from_secs(10);
        let Some(id) = self.connect(server) else { return };
        let lent = (server > 0).then(|| self.state.lend(&self.sinks.variables));
        read(whole(bytes), id, self.sinks.clone()).await;
        drop(lent);
        let mut heard: Vec<_> = std::iter::from_fn(|| self.inbox.try_recv().ok()).collect();
        self.ends[server] = heard.pop();
        self.state.take(heard, self.now);
        self.carry_out();
    }

    /// Has the earlier connection to a server end, and another begin; `None` if the replica does
    /// not want one.
    fn connect(&mut self, server: usize) -> Option<ConnectionId> {
        self.state.take(self.ends[server].take(), self.now);
        for _ in 0..4 {
            self.carry_out();
            if let Some(id) = self.ids[server] {
                return Some(id);
            }
            drop(self.poll());
        }
        None
    }

    /// What it may compute, once it may and has the variables.
    fn ready(&mut self) -> Option<Grant> {
        match self.poll() {
            Poll::Ready(Ok(grant)) => grant,
            _ => None,
        }
    }

    fn poll(&mut self) -> Poll<Result<Option<Grant>, WaitError>> {
        self.state.protocol.poll_step(self.now, &mut self.state.actions)
    }

    /// Sends a contribution on its way.
    fn push(&mut self, grant: &Grant) {
        let report = PushReport {
            variables: [0, 1, 2].map(VariableIndex::new).into(),
            loss: Some(0.5),
            examples: 3,
        };
        let work = Work { times: Times::default(), ended: self.now };
        let (protocol, actions) = (&mut self.state.protocol, &mut self.state.actions);
        protocol.push(grant, report, work, self.now, actions).expect("it is of this life");
    }

    /// All connections open, and no server hears what is said over them.
    fn carry_out(&mut self) {
        for action in self.state.take_actions() {
            match action {
                Action::Connect(id, _) => {
                    self.state.protocol.connected(id);
                    self.ids[id.server] = Some(id);
                }
                Action::Disconnect(server) => self.ids[server] = None,
                _ => {}
            }
        }
    }
}

fn variables(value: f32) -> Variables<f32> {
    shapes().into_iter().fold(Variables::new(), |variables, (name, shape)| {
        variables.with(name, ArrayD::from_elem(shape, value)).expect("names of their own")
    })
}

/// Both servers say what a replica needs to begin, in a generation at a step.
async fn welcome(replica: &mut Replica, generation: u64, global_step: i64, value: f32) {
    for server in 0..2 {
        let ticket = Some(proto::Ticket { generation, incarnation: generation });
        let ticket = ticket.filter(|_| server == 0);
        let run = run().to_string();
        let welcome = proto::Welcome { generation, global_step, ticket, bounded: false, run };
        let mut said = vec![Said::Welcome(welcome)];
        if server == 0 {
            let granted =
                proto::Granted { sequence: 1, local_step: global_step, share: None, number: 0 };
            said.push(Said::Granted(granted));
        }
        let placement = placement(2);
        let values = |part, data: Vec<u8>, last| {
            let data = data.into();
            let values =
                proto::Values { generation, global_step, part, data, last, ..Default::default() };
            Said::Values(values)
        };
        for (number, part) in placement.parts(server).iter().enumerate() {
            let data = (0..part.elements()).flat_map(|_| value.to_le_bytes()).collect();
            said.push(values(number as u32, data, false));
        }
        said.push(values(0, Vec::new(), true));
        let ticket = Some(proto::Ticket { generation, incarnation: generation });
        let about = |it: &Said| ticket.filter(|_| matches!(it, Said::Granted(_)));
        let messages = said
            .into_iter()
            .map(|it| ToReplica { ticket: about(&it), message: Some(it) }.encode_to_vec());
        replica.hear(server, &connection(&messages.collect::<Vec<_>>())).await;
    }
}
