//! An embedding whose gradient is the rows that a batch used, and not the whole matrix.
//!
//! Candle's own answers with a matrix of zeros but for these rows. Here the rows become a variable
//! of their own for one forward pass; the model asks for its gradient, and knows the rows' numbers.
//! Invariant: what it computes is what candle's computes, and outside a model's forward pass, or in
//! a thread other than the pass's, its gradient is, too.

use std::cell::RefCell;
use std::collections::HashSet;

use candle_core::{DType, Device, Module, Result, Tensor, TensorId, Var};
use candle_nn::{Init, VarBuilder};

thread_local! {
    /// The forward pass of this thread, while there is one.
    static RECORDING: RefCell<Option<Recording>> = const { RefCell::new(None) };
}

/// What a pass has looked up, of the variables of its own module.
struct Recording {
    own: HashSet<TensorId>,
    looked_up: Vec<LookedUp>,
}

/// Rows of one variable that one layer looked up in one pass.
pub(crate) struct LookedUp {
    /// The variable's tensor.
    pub(crate) of: TensorId,
    /// The numbers of the rows, in order, none twice.
    pub(crate) indices: Vec<i64>,
    /// The rows.
    pub(crate) rows: Var,
}

/// A matrix of which a batch uses some rows: `vocabulary x width`.
///
/// As [`candle_nn::Embedding`], but that its gradient is [`IndexedSlices`]: what is sent, summed
/// and updated is what the batch used. It pays where a batch uses few of the rows; for a small
/// vocabulary take candle's.
///
/// [`IndexedSlices`]: sync_replicas::IndexedSlices
#[derive(Clone, Debug)]
pub struct Embedding {
    weight: Tensor,
}

/// An embedding with standard normal first values, in the variable `weight`.
///
/// # Errors
/// When the `VarBuilder` has a `weight` of another shape.
pub fn embedding(vocabulary: usize, width: usize, vb: VarBuilder<'_>) -> Result<Embedding> {
    let init = Init::Randn { mean: 0.0, stdev: 1.0 };
    Ok(Embedding::new(vb.get_with_hints((vocabulary, width), "weight", init)?))
}

impl Embedding {
    /// One over a matrix that is there.
    #[must_use]
    pub fn new(weight: Tensor) -> Self {
        Self { weight }
    }

    /// The matrix, for a layer that shares it: its gradient is a dense one then.
    #[must_use]
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// The indices, where the rows' gradient is wanted, and they are rows: candle has numbers of
    /// its own for padding, and errors for the rest.
    fn recorded(&self, indices: &Tensor) -> Result<Option<Vec<i64>>> {
        let is_own = |it: &Recording| it.own.contains(&self.weight.id());
        if !indices.dtype().is_int() || !RECORDING.with_borrow(|it| it.as_ref().is_some_and(is_own))
        {
            return Ok(None);
        }
        let numbers: Vec<i64> = indices.to_device(&Device::Cpu)?.to_dtype(DType::I64)?.to_vec1()?;
        let rows = 0..self.weight.dim(0)? as i64;
        Ok(numbers.iter().all(|it| rows.contains(it)).then_some(numbers))
    }

    /// The rows as a variable of this pass.
    fn look_up(&self, numbers: &[i64]) -> Result<(Var, Vec<i64>)> {
        let mut indices = numbers.to_vec();
        indices.sort_unstable();
        indices.dedup();
        let selected = Tensor::new(indices.as_slice(), self.weight.device())?;
        let rows = Var::from_tensor(&self.weight.detach().index_select(&selected, 0)?)?;
        Ok((rows, indices))
    }
}

impl Module for Embedding {
    /// The row of each index: indices of any shape, and one dimension more.
    fn forward(&self, indices: &Tensor) -> Result<Tensor> {
        let mut shape = indices.dims().to_vec();
        shape.push(self.weight.dim(1)?);
        let flat = indices.flatten_all()?;
        let Some(numbers) = self.recorded(&flat)? else {
            return self.weight.index_select(&flat, 0)?.reshape(shape);
        };
        let (rows, indices) = self.look_up(&numbers)?;
        let places: Vec<i64> =
            numbers.iter().map(|it| indices.partition_point(|index| index < it) as i64).collect();
        let places = Tensor::from_vec(places, numbers.len(), self.weight.device())?;
        let output = rows.index_select(&places, 0)?.reshape(shape)?;
        let looked_up = LookedUp { of: self.weight.id(), indices, rows };
        RECORDING.with_borrow_mut(|it| {
            if let Some(recording) = it {
                recording.looked_up.push(looked_up);
            }
        });
        Ok(output)
    }
}

/// Runs the forward pass of a module with these variables, and gives what its embeddings have
/// looked up.
pub(crate) fn recorded<R>(own: HashSet<TensorId>, pass: impl FnOnce() -> R) -> (R, Vec<LookedUp>) {
    /// Ends the recording also where the pass panics.
    struct Outer(Option<Recording>);
    impl Drop for Outer {
        fn drop(&mut self) {
            RECORDING.set(self.0.take());
        }
    }
    // A pass within a pass has a recording of its own.
    let recording = Recording { own, looked_up: Vec::new() };
    let outer = Outer(RECORDING.replace(Some(recording)));
    let result = pass();
    let looked_up = RECORDING.take().map(|it| it.looked_up).unwrap_or_default();
    drop(outer);
    (result, looked_up)
}
