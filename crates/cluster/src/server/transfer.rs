//! A shard's state on its way between servers: cut into pieces as bytes, and reassembled.
//!
//! Knows no link and no order. Invariant: no sender's claim makes a state larger than it is.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use ndarray::{ArrayD, ShapeError};
use sync_replicas::driver::Generation;
use sync_replicas::{GlobalStep, Scalar};

use crate::number_format::NumberFormat;
use crate::placement::{Part, Placement};
use crate::proto;
use crate::shard::{Shard, ShardState, state_layout};

/// The contents of a shard's state.
pub(crate) struct Layout {
    tensors: Vec<(String, Vec<usize>)>,
    optimizer: String,
    averages: bool,
}

impl Layout {
    /// Those of variables alone.
    pub(crate) fn of_variables(placement: &Placement) -> Self {
        let tensors = placement.variables().to_vec();
        Self { tensors, optimizer: String::new(), averages: false }
    }

    /// Those of a shard of these parts, in the same program as this shard.
    pub(crate) fn of<T: Scalar>(shard: &Shard<T>, parts: &[Part]) -> Self {
        let slots: Vec<_> = shard.optimizer().slot_names().collect();
        let averages = shard.settings().averages.as_ref();
        Self {
            tensors: state_layout(parts, &slots, averages),
            optimizer: shard.optimizer().optimizer().name().to_owned(),
            averages: averages.is_some(),
        }
    }
}

/// Why the bytes are not a state of a shard here.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TransferError {
    #[error("a piece of tensor {got} came; a state here has {tensors}")]
    Tensor { got: u32, tensors: usize },
    #[error("tensor `{name}` of a state has {most} bytes, {got} came")]
    TooLarge { name: String, most: usize, got: usize },
    #[error("tensor `{name}` of a saved state: {source}")]
    Incomplete { name: String, source: ShapeError },
}

/// A state's tensors as bytes, while they come.
#[derive(Default)]
pub(crate) struct IncomingState {
    /// The expected contents; known with the first piece.
    like: Option<Layout>,
    tensors: BTreeMap<u32, Pieces>,
}

#[derive(Default)]
struct Pieces {
    bytes: usize,
    pieces: Vec<Bytes>,
}

impl IncomingState {
    /// Takes a piece, if its tensor has room for it.
    pub(crate) fn push<T>(
        &mut self,
        piece: proto::Tensor,
        like: impl FnOnce() -> Layout,
    ) -> Result<(), TransferError> {
        let like = self.like.get_or_insert_with(like);
        let Some((name, shape)) = like.tensors.get(piece.tensor as usize) else {
            let (got, tensors) = (piece.tensor, like.tensors.len());
            return Err(TransferError::Tensor { got, tensors });
        };
        let most = shape.iter().product::<usize>() * size_of::<T>();
        let held = self.tensors.entry(piece.tensor).or_default();
        if piece.data.len() > most - held.bytes {
            let got = held.bytes.saturating_add(piece.data.len());
            return Err(TransferError::TooLarge { name: name.clone(), most, got });
        }
        if !piece.data.is_empty() {
            held.bytes += piece.data.len();
            held.pieces.push(piece.data);
        }
        Ok(())
    }

    /// The state, in the form of a shard's.
    pub(crate) fn finish<T: Scalar>(
        mut self,
        like: &Layout,
        scalars: &proto::Scalars,
    ) -> Result<ShardState<T>, TransferError> {
        let tensors = like.tensors.iter().enumerate().map(|(place, (name, shape))| {
            let held = self.tensors.remove(&(place as u32)).unwrap_or_default();
            let bytes: Vec<u8> = held.pieces.into_iter().flatten().collect();
            let numbers = bytes.chunks_exact(size_of::<T>()).map(bytemuck::pod_read_unaligned);
            let array = ArrayD::from_shape_vec(shape.as_slice(), numbers.collect())
                .map_err(|source| TransferError::Incomplete { name: name.clone(), source })?;
            Ok((name.clone(), Arc::new(array)))
        });
        let values = scalars.scalars.iter();
        let values = values.map(|(name, bits)| (name.clone(), f64::from_bits(*bits)));
        Ok(ShardState {
            generation: Generation::new(scalars.generation),
            global_step: GlobalStep::new(scalars.global_step),
            optimizer: like.optimizer.clone(),
            averages: like.averages,
            tensors: tensors.collect::<Result<_, _>>()?,
            scalars: values.collect(),
            counters: scalars.counters.iter().map(|(name, it)| (name.clone(), *it)).collect(),
        })
    }
}

/// A state's tensors as bytes, in pieces.
pub(crate) fn pieces<T: Scalar>(state: &ShardState<T>) -> impl Iterator<Item = proto::Tensor> {
    state.tensors.iter().enumerate().flat_map(|(place, (_, tensor))| {
        let pieces = NumberFormat::Native.pieces(Arc::clone(tensor), 0..tensor.len());
        pieces.map(move |(_, data)| proto::Tensor { tensor: place as u32, data })
    })
}

/// What comes after them.
pub(crate) fn scalars<T: Scalar>(state: &ShardState<T>) -> proto::Scalars {
    let scalars = state.scalars.iter().map(|(name, value)| (name.clone(), value.to_bits()));
    proto::Scalars {
        scalars: scalars.collect(),
        counters: state.counters.iter().cloned().collect(),
        generation: state.generation.get(),
        global_step: state.global_step.get(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_a_state_have_room_or_are_refused() {
        #[track_caller]
        fn check(pieces: &[(u32, usize)], expected: &str) {
            let like = || Layout {
                tensors: vec![("a".to_owned(), vec![2, 2]), ("b".to_owned(), vec![0])],
                optimizer: String::new(),
                averages: false,
            };
            let mut incoming = IncomingState::default();
            let push = |&(tensor, bytes): &(u32, usize)| {
                let data = vec![0; bytes].into();
                incoming.push::<f32>(proto::Tensor { tensor, data }, like)
            };
            let pushed = pieces.iter().try_for_each(push);
            let scalars = proto::Scalars::default();
            let state = pushed.and_then(|()| incoming.finish::<f32>(&like(), &scalars));
            let error = state.err().map(|it| it.to_string()).unwrap_or_default();
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
