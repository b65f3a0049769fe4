//! What a replica hears that has begun to push its first contribution to two servers.

use ndarray::ArrayD;
use prost::Message as _;
use sync_replicas::{Computed, Gradients, IndexedSlices, Variables};

use super::{Heard, SENDER, connection, placement, shapes};
use crate::client::offline::Offline;
use crate::proto::to_replica::Message as Said;
use crate::proto::{self, ToReplica};
use crate::server::offline::whole;

/// What one of the servers says. Afterwards both say what makes sense, and the replica goes on.
pub(super) async fn hear(server: usize, bytes: &[u8]) -> Heard {
    let mut replica = Offline::new(SENDER, placement(2), variables(0.0));
    welcome(&mut replica, 1, 0, 0.0).await;
    let grant = replica.ready().expect("all is there");
    replica.push(&grant, computed());
    replica.hear(server, bytes).await;
    let changed = replica.session.ended().is_some();
    replica.session.take_made().for_each(drop);
    welcome(&mut replica, 9, 3, 0.5).await;
    let others = match replica.ready() {
        _ if changed => Ok(()),
        None => Err("it does not go on".to_owned()),
        Some(grant) if grant.local_step.get() != 3 => Err(format!("it was granted {grant:?}")),
        Some(_) if *replica.session.variables() != variables(0.5) => {
            Err(format!("its variables are {:?}", replica.session.variables()))
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

fn variables(value: f32) -> Variables<f32> {
    shapes().into_iter().fold(Variables::new(), |variables, (name, shape)| {
        variables.with(name, ArrayD::from_elem(shape, value)).expect("names of their own")
    })
}

fn computed() -> Computed<f32> {
    let rows = IndexedSlices::new(vec![1, 0], ArrayD::from_elem(vec![2, 2], 1.0), None);
    let gradients = Gradients::new()
        .dense("w", ArrayD::from_elem(vec![3, 2], 1.0_f32))
        .dense("b", ArrayD::from_elem(vec![2], 1.0_f32))
        .sparse("t", rows.expect("they fit"));
    Computed { loss: 0.5, examples: 3, gradients }
}

/// Both servers say what a replica needs to begin, in a generation at a step.
async fn welcome(replica: &mut Offline, generation: u64, global_step: i64, value: f32) {
    for server in 0..2 {
        let ticket = Some(proto::Ticket { generation, incarnation: generation });
        let ticket = ticket.filter(|_| server == 0);
        let welcome = proto::Welcome { generation, global_step, ticket, in_turn: false };
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
