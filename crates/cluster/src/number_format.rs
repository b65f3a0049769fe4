//! Numbers on the wire: little endian, in the variable's own type or rounded to bf16.
//!
//! Knows nothing of messages. Invariant: native numbers keep every bit; bf16 widens exactly.

use half::bf16;
use serde::{Deserialize, Serialize};
use sync_replicas::Scalar;

/// The element type of gradients on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NumberFormat {
    /// The variables' own type.
    #[default]
    Native,
    /// Half the bytes of `f32`: the upper 16 bits, rounded to the nearest.
    Bf16,
}

impl NumberFormat {
    /// The bytes of one element.
    #[must_use]
    pub const fn element<T>(self) -> usize {
        match self {
            Self::Native => size_of::<T>(),
            Self::Bf16 => size_of::<bf16>(),
        }
    }

    /// Whether numbers of this type can travel so: bf16 is for `f32` alone.
    #[must_use]
    pub const fn fits<T>(self) -> bool {
        matches!(self, Self::Native) || size_of::<T>() == size_of::<f32>()
    }

    /// Appends the numbers' bytes.
    pub fn put<T: Scalar>(self, numbers: &[T], bytes: &mut Vec<u8>) {
        match self {
            Self::Native => T::put_all(numbers, bytes),
            Self::Bf16 => {
                let start = bytes.len();
                bytes.resize(start + numbers.len() * size_of::<bf16>(), 0);
                let (halves, _) = bytes[start..].as_chunks_mut::<{ size_of::<bf16>() }>();
                for (half, number) in halves.iter_mut().zip(numbers) {
                    // An `f32` again, which is what bf16 is for; rounded once.
                    *half = bf16::from_f32(number.wide() as f32).to_le_bytes();
                }
            }
        }
    }

    /// Rounds numbers as travelling would.
    pub(crate) fn round<T: Scalar>(self, numbers: &[T], rounded: &mut [T]) {
        match self {
            Self::Native => rounded.copy_from_slice(numbers),
            Self::Bf16 => {
                for (rounded, number) in rounded.iter_mut().zip(numbers) {
                    *rounded = widened(&bf16::from_f32(number.wide() as f32).to_le_bytes());
                }
            }
        }
    }

    /// Appends the numbers that the bytes are; `bytes` has a whole number of them.
    pub fn take<T: Scalar>(self, bytes: &[u8], numbers: &mut Vec<T>) {
        match self {
            Self::Native => T::take_into(bytes, numbers),
            Self::Bf16 => {
                let (halves, _) = bytes.as_chunks();
                numbers.extend(halves.iter().map(widened::<T>));
            }
        }
    }

    /// Writes as many numbers as there are bytes for, ignoring an incomplete last one.
    pub(crate) fn read<T: Scalar>(self, bytes: &[u8], numbers: &mut [T]) {
        match self {
            Self::Native => {
                let all: &mut [u8] = bytemuck::cast_slice_mut(numbers);
                let count = bytes.len().min(all.len());
                all[..count].copy_from_slice(&bytes[..count]);
            }
            Self::Bf16 => {
                let (halves, _) = bytes.as_chunks();
                for (number, half) in numbers.iter_mut().zip(halves) {
                    *number = widened(half);
                }
            }
        }
    }
}

fn widened<T: Scalar>(half: &[u8; size_of::<bf16>()]) -> T {
    T::of(f64::from(bf16::from_le_bytes(*half)))
}
