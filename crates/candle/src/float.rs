//! What is trained, `f32` or `f64`, and nothing else: the trait is sealed.

use candle_core::{CpuStorage, DType, WithDType};
use sync_replicas::Scalar;

/// What is trained: `f32` or `f64`.
pub trait Float: Scalar + WithDType + sealed::Room {
    /// Its name in candle.
    const TYPE: DType = <Self as WithDType>::DTYPE;
}

impl Float for f32 {}

impl Float for f64 {}

mod sealed {
    use super::CpuStorage;

    /// Numbers of tensors on the CPU.
    pub trait Room: Sized {
        /// A tensor's numbers, to be written.
        fn room(storage: &mut CpuStorage) -> Option<&mut [Self]>;
    }
}

impl sealed::Room for f32 {
    fn room(storage: &mut CpuStorage) -> Option<&mut [Self]> {
        if let CpuStorage::F32(numbers) = storage { Some(numbers) } else { None }
    }
}

impl sealed::Room for f64 {
    fn room(storage: &mut CpuStorage) -> Option<&mut [Self]> {
        if let CpuStorage::F64(numbers) = storage { Some(numbers) } else { None }
    }
}

/// Whether a variable of `dtype` can be trained as `T`.
pub(crate) fn can_be<T: Float>(dtype: DType) -> bool {
    let half = matches!(dtype, DType::F16 | DType::BF16);
    half || dtype == T::TYPE || dtype == DType::F32 && T::TYPE == DType::F64
}
