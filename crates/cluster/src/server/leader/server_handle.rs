//! A parameter server as the leader commands it: its own process's by a call, another over its
//! link, and both in the same words.

use std::sync::Arc;
use std::time::Duration;

use sync_replicas::Scalar;
use tokio::sync::oneshot;

use crate::coordinator::ShardCommand;
use crate::proto::order::Order;
use crate::proto::{Ended, LetGo, SaveState};
use crate::server::command_error::CommandError;
use crate::server::link::{Begun, Link};
use crate::server::parameter_server::{ParameterServer, Release, Saved, Start, Updated};
use crate::server::usage::Usage;
use crate::shard::ShardState;

/// One parameter server.
pub(crate) enum ServerHandle<T: Scalar> {
    /// In this process.
    Local(Arc<ParameterServer<T>>),
    /// At the other end of a link.
    Linked(Link),
}

/// What becomes of an order.
pub(crate) enum OrderReply<A> {
    /// It is done, or failed.
    Now(Result<A, CommandError>),
    /// Its answer comes over the link, as that of this order.
    Later(u64),
}

impl<T: Scalar> ServerHandle<T> {
    /// Has its shard carry out the coordinator's decisions.
    pub(crate) fn carry_out(&self, command: &ShardCommand) -> OrderReply<Option<Updated>> {
        match self {
            Self::Local(server) => OrderReply::Now(server.carry_out(command)),
            Self::Linked(link) => OrderReply::Later(link.send(command.clone().into())),
        }
    }

    /// Asks for its state as of now. The rows of tables go to the folder of this name, if there are
    /// any: this process's own are still to write.
    pub(crate) fn save(&self, aside: Option<&str>) -> OrderReply<Saved<T>> {
        match self {
            Self::Local(server) => OrderReply::Now(server.save()),
            Self::Linked(link) => {
                let aside = aside.unwrap_or_default().to_owned();
                OrderReply::Later(link.send(Order::Save(SaveState { aside })))
            }
        }
    }

    /// Has its shard begin a generation, with a saved state or the program's initial values.
    pub(crate) fn begin(&self, state: Option<ShardState<T>>, start: Start) -> Begun {
        match self {
            Self::Local(server) => {
                let (sender, begun) = oneshot::channel();
                drop(sender.send(server.begin(state, start)));
                begun
            }
            Self::Linked(link) => link.begin(state, start),
        }
    }

    /// It may leave.
    pub(crate) fn release(&self, release: Release) {
        match self {
            Self::Local(server) => server.release(release),
            Self::Linked(link) => {
                link.send(Order::LetGo(LetGo { unsaved: release.words() }));
            }
        }
    }

    /// Training is over, which it tells its replicas.
    pub(crate) fn end(&self, ended: &Ended) {
        match self {
            Self::Local(server) => server.end(ended.clone()),
            Self::Linked(link) => {
                link.send(Order::End(ended.clone()));
            }
        }
    }

    /// Whether it is connected.
    pub(crate) fn is_here(&self) -> bool {
        match self {
            Self::Local(_) => true,
            Self::Linked(link) => link.is_connected(),
        }
    }

    /// Whether it is in this process.
    pub(crate) fn is_local(&self) -> bool {
        matches!(self, Self::Local(_))
    }

    /// How long that has been so; `None`: since this process began.
    pub(crate) fn state_lasts(&self) -> Option<Duration> {
        match self {
            Self::Local(_) => None,
            Self::Linked(link) => link.state_lasts(),
        }
    }

    /// What another process last said that it needs.
    pub(crate) fn usage(&self) -> Option<Usage> {
        match self {
            Self::Local(_) => None,
            Self::Linked(link) => link.usage(),
        }
    }

    /// How many orders are not known to be done.
    pub(crate) fn open_orders(&self) -> usize {
        match self {
            Self::Local(_) => 0,
            Self::Linked(link) => link.open(),
        }
    }
}
