//! What a server other than the coordinator's hears, from a replica and from the coordinator.

use prost::Message as _;

use super::coordinator::{Other, check, names_the_other};
use super::example::{coordinator_hello, others};
use super::{Heard, connection, server_of};
use crate::proto::done::Done as Answer;
use crate::proto::order::Order as Orders;
use crate::proto::to_replica::Message as Said;
use crate::proto::to_server::Message;
use crate::proto::{self, Done, Order};
use crate::server::offline;

/// A replica's connection, while another has sent half of its contribution.
pub(super) async fn hear(bytes: &[u8]) -> Heard {
    let server = server_of(1, 2);
    offline::begin_served(&server);
    let mut other = Other::begun(&server, 2).await;
    offline::train(&server, bytes).await;
    let bad_messages = server.status().bad_messages;
    let finish = async {
        other.send_rest();
        match other.hear().await {
            Some(Said::Staged(_)) => {}
            answer => return Err(format!("expected it to be staged, got {answer:?}")),
        }
        let contribution = Some(others());
        let admit = proto::Decision { contribution, counts: true, ..proto::Decision::default() };
        let apply = proto::Apply { global_step: 1, last: true, ..proto::Apply::default() };
        let decide = proto::Decisions { decided: vec![admit] };
        let orders = [Orders::Decide(decide), Orders::Apply(apply)];
        let answers = offline::serve(&server, &link(77, &orders)).await;
        match answers.last() {
            Some(Done { number: 2, done: Some(Answer::Applied(_)) }) => check(&server, 2),
            last => Err(format!("expected an update, got {last:?}")),
        }
    };
    let others = if names_the_other(bytes) { Ok(()) } else { finish.await };
    Heard { bad_messages, changed: false, others }
}

/// A coordinator's link. Afterwards another one puts everything back, whatever came before.
pub(super) async fn orders(bytes: &[u8]) -> Heard {
    const GENERATION: u64 = 1 << 50;
    let server = server_of(1, 2);
    offline::begin_served(&server);
    let orders = offline::restoring(&server, GENERATION, 6);
    let before = offline::snapshot(&server);
    let mut other = Other::begun(&server, 2).await;
    offline::serve(&server, bytes).await;
    let bad_messages = server.status().bad_messages;
    let after = offline::snapshot(&server);
    let changed = (before.generation, before.global_step) != (after.generation, after.global_step);
    let mend = async {
        let answers = offline::serve(&server, &link(u64::MAX - 5, &orders)).await;
        let last = answers.last();
        if !matches!(last, Some(Done { done: Some(Answer::Begun(true)), .. })) {
            return Err(format!("expected a generation to begin, got {last:?}"));
        }
        let restored = offline::snapshot(&server);
        if restored.variables.arrays() != before.variables.arrays()
            || restored.global_step.get() != 6
        {
            return Err(format!("expected what was restored, got {restored:?}"));
        }
        other.say(Message::Pull(proto::Pull { generation: GENERATION, after: 5, full: false }));
        loop {
            match other.hear().await {
                Some(Said::Values(values)) if values.last => {
                    return match values.generation {
                        GENERATION => Ok(()),
                        got => Err(format!("expected values of {GENERATION}, got {got}")),
                    };
                }
                Some(_) => {}
                None => return Err("its connection was closed".to_owned()),
            }
        }
    };
    Heard { bad_messages, changed, others: mend.await }
}

/// A coordinator's connection with these orders.
fn link(life: u64, orders: &[Orders]) -> Vec<u8> {
    let orders = (1..).zip(orders);
    let orders = orders.map(|(number, order)| Order { number, order: Some(order.clone()) });
    let all = std::iter::once(coordinator_hello(life)).chain(orders);
    connection(&all.map(|order| order.encode_to_vec()).collect::<Vec<_>>())
}
