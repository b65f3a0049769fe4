//! Numbers as bytes on disk: little endian, every bit kept.

use safetensors::Dtype;

/// A number type that a checkpoint can hold.
pub trait Stored: Copy + 'static {
    /// Its name in the file.
    const DTYPE: Dtype;

    /// Appends its bytes.
    fn put(self, bytes: &mut Vec<u8>);

    /// Appends the bytes of all numbers.
    fn put_all(numbers: &[Self], bytes: &mut Vec<u8>);

    /// Reads all numbers; `bytes` has a whole number of them.
    fn take(bytes: &[u8]) -> Vec<Self> {
        let mut numbers = Vec::new();
        Self::take_into(bytes, &mut numbers);
        numbers
    }

    /// Appends all numbers to those there.
    fn take_into(bytes: &[u8], numbers: &mut Vec<Self>);
}

macro_rules! stored {
    ($number:ty, $dtype:ident) => {
        impl Stored for $number {
            const DTYPE: Dtype = Dtype::$dtype;

            fn put(self, bytes: &mut Vec<u8>) {
                bytes.extend_from_slice(&self.to_le_bytes());
            }

            fn put_all(numbers: &[Self], bytes: &mut Vec<u8>) {
                // Cleared room is filled at the speed of memory; appending number by number is not.
                let start = bytes.len();
                bytes.resize(start + size_of_val(numbers), 0);
                let (chunks, _) = bytes[start..].as_chunks_mut::<{ size_of::<$number>() }>();
                for (chunk, number) in chunks.iter_mut().zip(numbers) {
                    *chunk = number.to_le_bytes();
                }
            }

            fn take_into(bytes: &[u8], numbers: &mut Vec<Self>) {
                let (chunks, _) = bytes.as_chunks::<{ size_of::<$number>() }>();
                numbers.extend(chunks.iter().map(|&number| Self::from_le_bytes(number)));
            }
        }
    };
}

stored!(f32, F32);
stored!(f64, F64);
