//! What the coordinator hears, while another replica has sent half of its contribution.

use prost::Message as _;

use sync_replicas::driver::Generation;

use super::example::{commit, contribution, other_hello, others};
use super::{CONNECTION, Heard, LIFE, OTHER, PROCESS, placement, server_of};
use crate::coordinator;
use crate::index::ServerIndex;
use crate::placement::cut_dense;
use crate::proto::ToServer;
use crate::proto::to_replica::Message as Said;
use crate::proto::to_server::Message;
use crate::server::offline::{self, ServedLink, Talk, begin};
use crate::server::{Server, ServerStatus};

use std::sync::Arc;

/// A replica's connection to the only server.
pub(super) async fn hear(bytes: &[u8]) -> Heard {
    let server = server_of(0, 1);
    begin(&server).await;
    let mut other = Other::begun(&server, 1).await;
    offline::train(&server, bytes).await;
    let status = server.status();
    let changed = accepted(&status) > 0;
    let others = match changed || names_the_other(bytes) {
        true => Ok(()),
        false => other.finish(&server).await,
    };
    Heard { bad_messages: status.bad_messages, changed, others }
}

/// A call that controls the training.
pub(super) async fn control(bytes: &[u8]) -> Heard {
    let server = server_of(0, 1);
    begin(&server).await;
    let mut other = Other::begun(&server, 1).await;
    // What cannot be read is refused before the call is made.
    if let Ok(Some(request)) = offline::whole(bytes).message().await {
        offline::control(&server, request);
    }
    let status = server.status();
    let changed = status.coordinator.is_some_and(|it| it.ended.is_some());
    let others = if changed { Ok(()) } else { other.finish(&server).await };
    Heard { bad_messages: status.bad_messages, changed, others }
}

/// Another server's answers, while an update and a save are under way there.
pub(super) async fn answers(bytes: &[u8]) -> Heard {
    let server = server_of(0, 2);
    let served = super::server_of(1, 2);
    offline::begin_served(&served);
    let link = ServedLink::begin(&server, served).await;
    let mut other = Other::begun(&server, 2).await;
    link.decide();
    let mut others = other.commit().await;
    link.save();
    link.hear(&server, bytes).await;
    let status = server.status();
    let ended = status.coordinator.as_ref().is_some_and(|it| it.ended.is_some());
    let step = |status: &ServerStatus| status.coordinator.as_ref().map(|it| it.global_step);
    let changed = ended || step(&status) != Some(0);
    link.answer_all(&server).await;
    if !ended && step(&server.status()) != Some(1) {
        others = others.and(Err(format!("the step is {:?}, expected 1", step(&server.status()))));
    }
    Heard { bad_messages: status.bad_messages, changed, others }
}

fn accepted(status: &ServerStatus) -> u64 {
    status.coordinator.as_ref().map_or(0, |it| it.totals.accepted)
}

/// Whether the bytes begin with a hello in the other replica's name that ends its connection: of
/// its own process, or with a ticket that comes after its own.
pub(super) fn names_the_other(bytes: &[u8]) -> bool {
    let length = bytes.get(1..5).and_then(|it| it.try_into().ok()).map(u32::from_be_bytes);
    let end = length.and_then(|length| 5_usize.checked_add(length as usize));
    let first = end.and_then(|end| ToServer::decode(bytes.get(5..end)?).ok());
    match first.and_then(|it| it.message) {
        Some(Message::Hello(hello)) => {
            let same = hello.process == PROCESS && hello.connection > CONNECTION;
            let later = hello.ticket.is_some_and(|it| it.incarnation > 1);
            hello.replica == OTHER && (same || later)
        }
        _ => false,
    }
}

/// The well-behaved replica.
pub(crate) struct Other {
    talk: Talk,
    rest: Vec<Message>,
    /// Of the servers that are not there.
    receipts: u64,
}

impl Other {
    /// It has said hello, and sent the first half of its contribution to this one of `servers`.
    pub(crate) async fn begun(server: &Arc<Server<f32>>, servers: usize) -> Self {
        let index = server.status().server;
        let mut talk = Talk::open(server, other_hello()).await.expect("it is welcome");
        // The coordinator's server also gives it a token.
        for _ in 0..if index == 0 { 2 } else { 1 } {
            talk.hear().await.expect("it is welcome");
        }
        let mut rest = contribution(placement(servers).parts(index));
        let later = rest.split_off(2);
        rest.into_iter().for_each(|message| say(&talk, message));
        let of = |server| {
            let (generation, contribution) = (Generation::new(1), others().into());
            coordinator::receipt(LIFE, ServerIndex::new(server), generation, contribution)
        };
        let receipts = (1..servers).map(of).fold(0, |together, one| together ^ one);
        Self { talk, rest: later, receipts }
    }

    /// Sends the other half and the commit; an error if the contribution does not count.
    pub(crate) async fn commit(&mut self) -> Result<(), String> {
        self.send_rest();
        say(&self.talk, commit(self.receipts));
        loop {
            match self.talk.hear().await {
                Some(Said::Pushed(pushed)) => {
                    let outcome = crate::wire::outcome(pushed.outcome);
                    return match outcome.is_ok_and(|it| it.is_accepted()) {
                        true => Ok(()),
                        false => Err("its contribution was not accepted".to_owned()),
                    };
                }
                Some(Said::Staged(_) | Said::Values(_)) => {}
                answer => return Err(format!("expected an outcome, got {answer:?}")),
            }
        }
    }

    pub(super) fn send_rest(&mut self) {
        std::mem::take(&mut self.rest).into_iter().for_each(|it| say(&self.talk, it));
    }

    pub(super) fn say(&self, message: Message) {
        say(&self.talk, message);
    }

    pub(super) async fn hear(&mut self) -> Option<Said> {
        self.talk.hear().await
    }

    /// Makes the first step alone, whose values are known.
    async fn finish(&mut self, server: &Arc<Server<f32>>) -> Result<(), String> {
        self.commit().await?;
        check(server, 1)
    }
}

fn say(talk: &Talk, message: Message) {
    talk.say(&ToServer { message: Some(message) });
}

/// Whether a server's values are those after the other's contribution alone: minus one wherever it
/// has a gradient.
pub(super) fn check(server: &Arc<Server<f32>>, servers: usize) -> Result<(), String> {
    let whole = ndarray::arr2(&[[-1.0_f32, -1.0], [-1.0, -1.0], [0.0, 0.0], [0.0, 0.0]]).into_dyn();
    let snapshot = offline::snapshot(server);
    let parts = placement(servers);
    let index = server.status().server;
    for (part, got) in parts.parts(index).iter().zip(snapshot.variables.arrays()) {
        let expected = match part.variable_name() {
            "t" => cut_dense(part, whole.view()).to_owned(),
            _ => ndarray::ArrayD::from_elem(&*part.shape, -1.0),
        };
        if **got != expected {
            return Err(format!("`{}` is {got}, expected {expected}", part.name));
        }
    }
    match snapshot.global_step.get() {
        1 => Ok(()),
        step => Err(format!("the step is {step}, expected 1")),
    }
}
