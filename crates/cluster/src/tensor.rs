//! Tensors in pieces, cut for messages from their own memory.
//!
//! The form of a number on the wire is [`NumberFormat`]'s.

use std::sync::Arc;

use bytes::Bytes;
use ndarray::ArrayD;
use sync_replicas::Scalar;
use sync_replicas::store::Change;

use crate::number_format::NumberFormat;

/// Bytes of one message; larger tensors go in several.
///
/// Few enough that the buffers on the way stay in a core's cache, many enough that a message's own
/// cost is small.
pub(crate) const CHUNK: usize = 1 << 19;

#[cfg(not(target_endian = "little"))]
compile_error!("tensors are little endian on the wire and are not converted");

/// An array whose numbers lie in the order of its indices: a copy only if they do not yet.
pub(crate) fn in_standard_layout<T: Scalar>(array: Arc<ArrayD<T>>) -> Arc<ArrayD<T>> {
    match array.is_standard_layout() {
        true => array,
        false => Arc::new(array.as_standard_layout().into_owned()),
    }
}

impl NumberFormat {
    /// The bytes of a range of an array, in pieces of at most [`CHUNK`]; at full width they are the
    /// array's own memory.
    pub(crate) fn pieces<T, A>(
        self,
        array: A,
        range: std::ops::Range<usize>,
    ) -> impl Iterator<Item = (usize, Bytes)> + Send + use<T, A>
    where
        T: Scalar,
        A: AsRef<ArrayD<T>> + Clone + Send + Sync + 'static,
    {
        let per_piece = CHUNK / self.element::<T>();
        let starts = range.clone().step_by(per_piece.max(1));
        starts.map(move |start| {
            let part = start..(start + per_piece).min(range.end);
            let offset = start - range.start;
            let bytes = match self {
                Self::Native => Bytes::from_owner(Owned::<T, A> {
                    array: array.clone(),
                    part,
                    number: std::marker::PhantomData,
                }),
                Self::Bf16 => {
                    let numbers = slice(array.as_ref());
                    let part = numbers.get(part).unwrap_or_default();
                    let mut halves = Vec::new();
                    self.put(part, &mut halves);
                    Bytes::from(halves)
                }
            };
            (offset, bytes)
        })
    }
}

/// Keeps the array alive as long as its bytes are in use.
struct Owned<T, A> {
    array: A,
    part: std::ops::Range<usize>,
    number: std::marker::PhantomData<fn() -> T>,
}

impl<T: Scalar, A: AsRef<ArrayD<T>>> AsRef<[u8]> for Owned<T, A> {
    fn as_ref(&self) -> &[u8] {
        bytemuck::cast_slice(slice(self.array.as_ref()).get(self.part.clone()).unwrap_or_default())
    }
}

/// All numbers; gradients to send are in standard layout.
fn slice<T>(array: &ArrayD<T>) -> &[T] {
    array.as_slice().unwrap_or_default()
}

/// The most bytes of the rows that one lookup asks for.
const LOOKUP: usize = 8 << 20;

/// The most keys of one lookup.
const KEYS: usize = 1 << 16;

/// How many keys of a table of this width one lookup may have.
pub(crate) const fn most_keys<T>(width: usize) -> usize {
    let keys = LOOKUP / (width * size_of::<T>());
    match keys {
        0 => 1,
        keys if keys > KEYS => KEYS,
        keys => keys,
    }
}

/// The byte that says what has become of a row.
pub(crate) fn byte(change: Change) -> u8 {
    match change {
        Change::None => 0,
        Change::Born => 1,
        Change::Values => 2,
    }
}

/// The meaning of such a byte, if it has one.
pub(crate) fn change(byte: u8) -> Option<Change> {
    Some(match byte {
        0 => Change::None,
        1 => Change::Born,
        2 => Change::Values,
        _ => return None,
    })
}
