//! Another server's side of the link: the coordinator's orders, carried out once and in order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use ndarray::ArrayD;
use sync_replicas::{Generation, GlobalStep, Scalar};
use tokio::time::Instant;
use tonic::Status;

use super::failure::Failure;
use super::link::{pieces, scalars};
use super::node::{Node, lock};
use crate::batches::{BatchSender, Batches, batch, batches};
use crate::proto::done::Done as Answer;
use crate::proto::order::Order as Message;
use crate::proto::{self, Done, Order};
use crate::shard::{ShardState, state_layout};
use crate::stream::Receiving;
use crate::wire;

/// What this server knows of the coordinator's link.
pub(super) struct Served<T: Scalar> {
    /// The life of the coordinator that the orders are from.
    coordinator: u64,
    /// The last of them that was carried out.
    done: u64,
    /// The present link; an earlier one is void.
    link: u64,
    /// Since when there has been none.
    alone: Option<Instant>,
    /// What it is told over the present link.
    sender: Option<BatchSender<Done>>,
    /// A state that is coming in.
    restoring: Gathered,
    state: Option<ShardState<T>>,
}

impl<T: Scalar> Default for Served<T> {
    fn default() -> Self {
        Self {
            coordinator: 0,
            done: 0,
            link: 0,
            alone: Some(Instant::now()),
            sender: None,
            restoring: Gathered::default(),
            state: None,
        }
    }
}

impl<T: Scalar> Served<T> {
    /// Whether the coordinator is there.
    pub(super) fn is_linked(&self) -> bool {
        self.alone.is_none()
    }

    /// Tells the coordinator that this server wishes to leave, if it is there.
    pub(super) fn say_that_it_leaves(&self) -> bool {
        let Some(sender) = self.sender.as_ref().filter(|_| self.is_linked()) else { return false };
        answer(sender, 0, vec![Answer::Leaving(true)]);
        true
    }
}

/// A state's tensors as bytes, while they come.
#[derive(Default)]
pub(super) struct Gathered {
    /// What is to come; known with the first piece.
    like: Option<Layout>,
    tensors: BTreeMap<u32, Pieces>,
}

#[derive(Default)]
struct Pieces {
    bytes: usize,
    pieces: Vec<Bytes>,
}

impl Gathered {
    /// Takes a piece, if its tensor has room for it: nobody's word makes a state larger than it is.
    pub(super) fn push<T>(
        &mut self,
        piece: proto::Tensor,
        like: impl FnOnce() -> Layout,
    ) -> Result<(), String> {
        let like = self.like.get_or_insert_with(like);
        let Some((name, shape)) = like.tensors.get(piece.tensor as usize) else {
            let (got, tensors) = (piece.tensor, like.tensors.len());
            return Err(format!("a piece of tensor {got} came; a state here has {tensors}"));
        };
        let most = shape.iter().product::<usize>() * size_of::<T>();
        let held = self.tensors.entry(piece.tensor).or_default();
        if piece.data.len() > most - held.bytes {
            let got = held.bytes.saturating_add(piece.data.len());
            return Err(format!("tensor `{name}` of a state has {most} bytes, {got} came"));
        }
        if !piece.data.is_empty() {
            held.bytes += piece.data.len();
            held.pieces.push(piece.data);
        }
        Ok(())
    }

    /// The state, of the shape that a shard has.
    pub(super) fn state<T: Scalar + bytemuck::Pod>(
        mut self,
        like: &Layout,
        scalars: &proto::Scalars,
    ) -> Result<ShardState<T>, String> {
        let tensors = like.tensors.iter().enumerate().map(|(place, (name, shape))| {
            let held = self.tensors.remove(&(place as u32)).unwrap_or_default();
            let bytes: Vec<u8> = held.pieces.into_iter().flatten().collect();
            let numbers = bytes.chunks_exact(size_of::<T>()).map(bytemuck::pod_read_unaligned);
            let array = ArrayD::from_shape_vec(shape.as_slice(), numbers.collect())
                .map_err(|error| format!("tensor `{name}` of a saved state: {error}"))?;
            Ok((name.clone(), Arc::new(array)))
        });
        let values = scalars.scalars.iter();
        let values = values.map(|(name, bits)| (name.clone(), f64::from_bits(*bits)));
        Ok(ShardState {
            generation: Generation::new(scalars.generation),
            global_step: GlobalStep::new(scalars.global_step),
            optimizer: like.optimizer.clone(),
            averages: like.averages,
            tensors: tensors.collect::<Result<_, String>>()?,
            scalars: values.collect(),
            counters: scalars.counters.iter().map(|(name, it)| (name.clone(), *it)).collect(),
        })
    }
}

/// What a shard's state consists of.
pub(super) struct Layout {
    tensors: Vec<(String, Vec<usize>)>,
    optimizer: String,
    averages: bool,
}

impl Layout {
    /// That of another server, which runs the same program.
    pub(super) fn of<T: Scalar + bytemuck::Pod>(node: &Node<T>, server: usize) -> Self {
        let shard = node.shard();
        let slots: Vec<_> = shard.optimizer().slot_names().collect();
        let averages = shard.settings().averages.as_ref();
        let parts = node.settings.placement.parts(server);
        Self {
            tensors: state_layout(parts, &slots, averages),
            optimizer: shard.optimizer().optimizer().name().to_owned(),
            averages: averages.is_some(),
        }
    }
}

impl<T: Scalar + bytemuck::Pod> Node<T> {
    /// Takes a link of the coordinator's.
    pub(super) async fn serve_link(
        self: Arc<Self>,
        mut incoming: Receiving<Order>,
    ) -> Result<Batches<Done>, Status> {
        if self.hub.is_some() {
            return Err(Status::failed_precondition("ps 0 coordinates; it serves no coordinator"));
        }
        let first = self.first(&mut incoming).await?.and_then(|order| order.order);
        let Some(Message::Hello(hello)) = first else {
            let reason = "the first message must be a hello";
            self.nonsense("a caller", reason);
            return Err(Status::invalid_argument(reason));
        };
        if hello.fingerprint[..] != self.settings.fingerprint[..] {
            return Err(Status::failed_precondition(
                "the coordinator runs another program than this server",
            ));
        }
        let (sender, outgoing) = batches();
        let link = {
            let mut served = lock(&self.served);
            served.link += 1;
            served.alone = None;
            self.secret.store(hello.life, Ordering::Release);
            if std::mem::replace(&mut served.coordinator, hello.life) != hello.life {
                (served.done, served.state) = (0, None);
                served.restoring = Gathered::default();
            }
            let ended = self.over.borrow().clone();
            let welcome = proto::ServeWelcome { life: self.life, done: served.done, ended };
            answer(&sender, 0, vec![Answer::Welcome(welcome)]);
            served.sender = Some(sender.clone());
            if self.leaving.load(Ordering::Acquire) {
                served.say_that_it_leaves();
            }
            served.link
        };
        tokio::spawn(self.read_orders(link, incoming, sender));
        Ok(outgoing)
    }

    async fn read_orders(
        self: Arc<Self>,
        link: u64,
        mut incoming: Receiving<Order>,
        sender: BatchSender<Done>,
    ) {
        loop {
            let order = match incoming.message().await {
                Ok(Some(order)) => order,
                Ok(None) => break,
                Err(status) => {
                    self.broke("the coordinator", &status);
                    break;
                }
            };
            let mut served = lock(&self.served);
            if served.link != link {
                return;
            }
            let number = order.number;
            // It came before, over a connection that broke.
            if number <= served.done {
                continue;
            }
            if number != served.done + 1 {
                // Orders between were taken back; a state that they began to send is void.
                (served.restoring, served.state) = (Gathered::default(), None);
            }
            let obeyed = order.order.ok_or_else(|| unknown_order().into());
            let answers = match obeyed.and_then(|message| self.obey(&mut served, message)) {
                Ok(answers) => answers,
                Err(failure) => {
                    tracing::error!(%failure, "an order of the coordinator failed");
                    vec![match failure {
                        Failure::NotFinite(reason) => Answer::NotFinite(reason),
                        Failure::Other(reason) => Answer::Failed(reason),
                    }]
                }
            };
            served.done = number;
            if answers.is_empty() {
                // Known to be done, without a word.
                drop(sender.send(batch(vec![Done { number, done: None }])));
            }
            answer(&sender, number, answers);
        }
        let mut served = lock(&self.served);
        if served.link == link {
            (served.alone, served.sender) = (Some(Instant::now()), None);
            tracing::info!("the coordinator's link is gone");
            if self.leaving.load(Ordering::Acquire) {
                // Whoever could save what this server holds has gone before it.
                self.may_go(String::new());
            }
        }
    }

    /// Waits until the coordinator has been gone for too long: nobody would ever end this server.
    pub(super) async fn abandoned(&self) {
        loop {
            let alone = lock(&self.served).alone.map(|since| since.elapsed());
            match alone.filter(|alone| *alone >= self.settings.patience) {
                Some(_) => return,
                None => tokio::time::sleep(Duration::from_secs(1)).await,
            }
        }
    }

    fn obey(&self, served: &mut Served<T>, message: Message) -> Result<Vec<Answer>, Failure> {
        if let Some(order) = wire::order(&message).map_err(|error| error.to_string())? {
            let applied = self.carry_out(&order)?;
            let Some(applied) = applied else { return Ok(Vec::new()) };
            if applied.published {
                self.publish();
            }
            let variable = applied.variable.map(|it| it as u64);
            return Ok(vec![Answer::Applied(proto::Applied { variable })]);
        }
        match message {
            Message::Save(_) => {
                let state = self.whole_state()?;
                crash_point!("server/state-taken");
                let tensors = pieces(&state);
                let mut answers: Vec<_> = tensors
                    .map(|(tensor, data)| Answer::Saved(proto::Tensor { tensor, data }))
                    .collect();
                answers.push(Answer::SavedScalars(scalars(&state)));
                Ok(answers)
            }
            Message::Restore(tensor) => {
                served.restoring.push::<T>(tensor, || Layout::of(self, self.settings.index))?;
                Ok(Vec::new())
            }
            Message::RestoreScalars(scalars) => {
                let gathered = std::mem::take(&mut served.restoring);
                served.state =
                    Some(gathered.state(&Layout::of(self, self.settings.index), &scalars)?);
                Ok(Vec::new())
            }
            Message::Begin(begin) => {
                let state = served.state.take();
                if begin.restored != state.is_some() {
                    let reason = "a state was announced and did not come, or came unasked";
                    return Err(reason.to_owned().into());
                }
                let generation = Generation::new(begin.generation);
                self.begin_shard(state, generation, GlobalStep::new(begin.global_step))?;
                Ok(vec![Answer::Begun(true)])
            }
            Message::LetGo(it) => {
                self.may_go(wire::reason(it.unsaved));
                Ok(Vec::new())
            }
            Message::End(ended) => {
                crash_point!("server/end-heard");
                // First, so that whoever comes meanwhile is told as well.
                self.over.send_replace(Some(ended.clone()));
                self.posts().send_to_all(&proto::to_replica::Message::Ended(ended));
                Ok(Vec::new())
            }
            _ => Err(unknown_order().into()),
        }
    }
}

fn unknown_order() -> String {
    "an order that this version does not know".to_owned()
}

fn answer(sender: &BatchSender<Done>, number: u64, answers: Vec<Answer>) {
    let answers = answers.into_iter().map(|done| Done { number, done: Some(done) }).collect();
    drop(sender.send(batch(answers)));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nobody's word makes a state larger than it is.
    #[test]
    fn pieces_of_a_state_have_room_or_are_refused() {
        #[track_caller]
        fn check(pieces: &[(u32, usize)], expected: &str) {
            let like = || Layout {
                tensors: vec![("a".to_owned(), vec![2, 2]), ("b".to_owned(), vec![0])],
                optimizer: String::new(),
                averages: false,
            };
            let mut gathered = Gathered::default();
            let push = |&(tensor, bytes): &(u32, usize)| {
                let data = vec![0; bytes].into();
                gathered.push::<f32>(proto::Tensor { tensor, data }, like)
            };
            let pushed = pieces.iter().try_for_each(push);
            let scalars = proto::Scalars::default();
            let state = pushed.and_then(|()| gathered.state::<f32>(&like(), &scalars));
            let error = state.err().unwrap_or_default();
            assert_eq!(error.is_empty(), expected.is_empty(), "{pieces:?}: {error}");
            assert!(error.contains(expected), "{error}");
        }
        check(&[(0, 16)], "");
        check(&[(0, 10), (1, 0), (0, 6)], "");
        check(&[(0, 10), (0, 7)], "tensor `a` of a state has 16 bytes, 17 came");
        check(&[(1, 1)], "tensor `b` of a state has 0 bytes, 1 came");
        check(&[(2, 0)], "a piece of tensor 2 came; a state here has 2");
        check(&[(u32::MAX, 9)], "a piece of tensor 4294967295 came");
        check(&[(0, 15)], "tensor `a` of a saved state");
        check(&[], "tensor `a` of a saved state");
    }
}
