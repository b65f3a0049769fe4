//! Numbers on their way between arrays and tensors: each is read once and written once.
//!
//! Invariant: whatever crosses has the same shape on both sides, and becomes narrower only on the
//! way into a module: half precision rounds to nearest there, and widens exactly on its way back
//!

use std::borrow::Cow;

use candle_core::{
    CpuStorage, DType, Device, Error, InplaceOp1, Layout, Result, Storage, Tensor, Var,
};
use ndarray::{ArrayD, ArrayRef, Dimension};

use crate::float::Float;

/// Writes an array of the variable's shape into it.
pub(crate) fn set<T: Float>(var: &Var, array: &ArrayD<T>) -> Result<()> {
    let numbers = numbers_of(array);
    if var.device().is_cpu() && var.dtype() == T::TYPE {
        return var.inplace_op1(&Overwrite(&numbers));
    }
    var.set(&tensor(&numbers, array.shape(), var.dtype(), var.device())?)
}

/// An array's numbers in order; variables have that order already.
pub(crate) fn numbers_of<T: Float, D: Dimension>(array: &ArrayRef<T, D>) -> Cow<'_, [T]> {
    match array.as_slice() {
        Some(numbers) => Cow::Borrowed(numbers),
        None => Cow::Owned(array.iter().copied().collect()),
    }
}

/// A tensor of these numbers.
pub(crate) fn tensor<T: Float>(
    numbers: &[T],
    shape: &[usize],
    dtype: DType,
    device: &Device,
) -> Result<Tensor> {
    Tensor::from_slice(numbers, shape, &Device::Cpu)?.to_dtype(dtype)?.to_device(device)
}

/// A tensor's numbers as an array.
pub(crate) fn array<T: Float>(tensor: &Tensor) -> Result<ArrayD<T>> {
    let mut array = ArrayD::zeros(tensor.dims());
    copy_out(tensor, &mut array)?;
    Ok(array)
}

/// Writes a tensor's numbers to an array of as many.
pub(crate) fn copy_out<T: Float>(tensor: &Tensor, room: &mut ArrayD<T>) -> Result<()> {
    with_numbers(tensor, |numbers| {
        let room = room.as_slice_mut().filter(|room| room.len() == numbers.len());
        room.map(|room| room.copy_from_slice(numbers))
    })
}

/// Whether a variable has the numbers of an array, as [`set`] would round them.
pub(crate) fn is_equal<T: Float>(var: &Var, array: &ArrayD<T>) -> Result<bool> {
    // NaN differs from itself, and is no sign that it was set.
    let same = |(before, now): (&T, &T)| before == now || before.is_nan();
    let mut equal = false;
    let mut compare = |before: &[T]| {
        with_numbers(var, |now| {
            equal = before.len() == now.len() && before.iter().zip(now).all(same);
            Some(())
        })
    };
    if var.dtype() == T::TYPE {
        compare(&numbers_of(array))?;
    } else {
        let rounded = tensor(&numbers_of(array), array.shape(), var.dtype(), &Device::Cpu)?;
        let mut before = ArrayD::zeros(array.shape());
        copy_out(&rounded, &mut before)?;
        compare(&numbers_of(&before))?;
    }
    Ok(equal)
}

/// Calls `read` with a tensor's numbers in order, as `T` and on the CPU.
fn with_numbers<T: Float>(tensor: &Tensor, read: impl FnOnce(&[T]) -> Option<()>) -> Result<()> {
    // Each gives the tensor itself where it is so already.
    let tensor = tensor.to_device(&Device::Cpu)?.to_dtype(T::TYPE)?.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    let Storage::Cpu(storage) = &*storage else { return Err(not_there(T::TYPE)) };
    let numbers = T::cpu_storage_as_slice(storage)?;
    let numbers = layout.contiguous_offsets().and_then(|(from, to)| numbers.get(from..to));
    numbers.and_then(read).ok_or_else(|| not_there(T::TYPE))
}

/// Overwrites a tensor on the CPU with as many numbers.
struct Overwrite<'a, T>(&'a [T]);

impl<T: Float> InplaceOp1 for Overwrite<'_, T> {
    fn name(&self) -> &'static str {
        "overwrite"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let range = layout.contiguous_offsets();
        let room =
            T::room(storage).zip(range).and_then(|(room, (from, to))| room.get_mut(from..to));
        let Self(numbers) = self;
        let room = room.filter(|it| it.len() == numbers.len());
        room.ok_or_else(|| not_there(T::TYPE))?.copy_from_slice(numbers);
        Ok(())
    }
}

fn not_there(dtype: DType) -> Error {
    Error::Msg(format!("expected a contiguous tensor of {dtype:?} with as many numbers"))
}
