//! What a backward pass left behind, as gradients by name: dense, of some rows, or none.
//!
//! Invariant: each variable of the module is named once, in the order of their names, and has
//! gradients of one kind in all batches, as the trainer wants it: the kind that its first
//! one had.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use candle_core::backprop::GradStore;
use candle_core::{Tensor, TensorId, Var};
use ndarray::{ArrayD, Axis};
use sync_replicas::{BoxError, Gradient, Gradients, IndexedSlices, Work};

use crate::embedding::LookedUp;
use crate::float::Float;
use crate::pass::TableRows;
use crate::{CandleError, copies};

/// What one forward and backward pass have left.
pub(crate) struct Left<'a> {
    pub(crate) store: &'a GradStore,
    pub(crate) looked_up: Vec<LookedUp>,
    pub(crate) tables: Vec<TableRows>,
}

/// The kind of gradient that each variable has, once there was one; shared by all replicas.
#[derive(Debug, Default)]
pub(crate) struct Kinds {
    known: Mutex<HashMap<String, Kind>>,
    zeros_for_unused: bool,
    /// Of variables without a gradient.
    warned: AtomicBool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Dense,
    Sparse,
    Missing,
}

impl Kinds {
    /// With no variable whose gradient is missing.
    pub(crate) fn zeros_for_unused() -> Self {
        Self { zeros_for_unused: true, ..Self::default() }
    }

    /// The gradients of `variables`, and of the rows of tables.
    pub(crate) fn collect<T: Float>(
        &self,
        variables: &[(String, Var)],
        left: Left<'_>,
        work: &Work<'_, T>,
    ) -> Result<Gradients<T>, BoxError> {
        let Left { store, looked_up, tables } = left;
        let mut rows: HashMap<TensorId, Vec<LookedUp>> = HashMap::new();
        for it in looked_up {
            rows.entry(it.of).or_default().push(it);
        }
        let mut own = Vec::new();
        for (name, var) in variables {
            let rows = rows.remove(&var.id()).unwrap_or_default();
            own.push((name, var, of_variable(name, var, store, rows, work)?));
        }
        let any_own = own.iter().any(|(.., gradient)| !matches!(gradient, Gradient::Missing));
        // A pass that is refused fixes no kinds.
        if !any_own && !tables.iter().any(|it| store.get(&it.rows).is_some()) {
            let known = variables.iter().map(|(name, _)| name.as_str());
            let known: Vec<&str> = known.chain(tables.iter().map(|it| it.table.as_str())).collect();
            return Err(CandleError::NoGradient { known: known.join(", ") }.into());
        }
        let mut gradients = Gradients::new();
        for (name, var, gradient) in own {
            gradients = gradients.with(name.clone(), self.as_before(name, var, gradient, work)?);
        }
        for TableRows { table, keys, rows } in tables {
            gradients = match store.get(&rows) {
                Some(gradient) => {
                    let slices = IndexedSlices::by_key(keys, copies::array(gradient)?)?;
                    gradients.sparse(table, slices)
                }
                None => gradients.missing(table),
            };
        }
        self.warn_once(&gradients);
        Ok(gradients)
    }

    /// Names the variables without a gradient, once: candle's fused operations cut the graph in
    /// silence.
    fn warn_once<T: Float>(&self, gradients: &Gradients<T>) {
        let is_missing = |it: &(&str, &Gradient<T>)| matches!(it.1, Gradient::Missing);
        let missing: Vec<&str> = gradients.iter().filter(is_missing).map(|it| it.0).collect();
        if !missing.is_empty() && !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "variables without a gradient: {}; they are frozen, unused, or come before an \
                 operation that candle does not differentiate (`layer_norm`, `rms_norm`, `rope`, \
                 `softmax_last_dim`: take `layer_norm_slow`, `rms_norm_slow`, `softmax`)",
                missing.join(", ")
            );
        }
    }

    /// The same gradient in the kind that the variable had first.
    fn as_before<T: Float>(
        &self,
        name: &str,
        var: &Var,
        gradient: Gradient<T>,
        work: &Work<'_, T>,
    ) -> Result<Gradient<T>, BoxError> {
        let kind = match &gradient {
            Gradient::Dense(_) => Kind::Dense,
            Gradient::Sparse(_) => Kind::Sparse,
            Gradient::Missing if self.zeros_for_unused => Kind::Dense,
            Gradient::Missing => Kind::Missing,
        };
        let first = {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            match known.get(name) {
                Some(&first) => first,
                None => *known.entry(name.to_owned()).or_insert(kind),
            }
        };
        match (first, gradient) {
            (Kind::Dense, Gradient::Sparse(slices)) => {
                Ok(Gradient::Dense(slices.to_dense(var.dim(0)?)?))
            }
            (Kind::Dense, Gradient::Missing) => {
                let mut zeros = work.buffer(name)?;
                zeros.fill(T::zero());
                Ok(Gradient::Dense(zeros))
            }
            (Kind::Sparse, Gradient::Dense(all)) => {
                let rows = (0..all.len_of(Axis(0)) as i64).collect();
                Ok(Gradient::Sparse(slices_of(var, rows, all)?))
            }
            (Kind::Sparse, Gradient::Missing) => {
                let mut shape = var.dims().to_vec();
                shape[0] = 0;
                Ok(Gradient::Sparse(slices_of(var, Vec::new(), ArrayD::zeros(shape))?))
            }
            (Kind::Missing, Gradient::Dense(_) | Gradient::Sparse(_)) => {
                Err(CandleError::FirstGradient { name: name.to_owned() }.into())
            }
            (_, same) => Ok(same),
        }
    }
}

fn of_variable<T: Float>(
    name: &str,
    var: &Var,
    store: &GradStore,
    looked_up: Vec<LookedUp>,
    work: &Work<'_, T>,
) -> Result<Gradient<T>, BoxError> {
    let slices = slices(var, looked_up, store)?;
    let Some(dense) = store.get(var) else {
        return Ok(slices.map_or(Gradient::Missing, Gradient::Sparse));
    };
    let mut room = work.buffer(name)?;
    copies::copy_out(dense, &mut room)?;
    // A matrix that another layer uses as a whole has a dense gradient anyway.
    if let Some(IndexedSlices { indices, values, .. }) = slices {
        for (index, row) in indices.into_iter().zip(values.outer_iter()) {
            let mut sum = room.index_axis_mut(Axis(0), index as usize);
            sum += &row;
        }
    }
    Ok(Gradient::Dense(room))
}

/// All rows of one variable that layers looked up, and whose outputs the loss used.
fn slices<T: Float>(
    var: &Var,
    looked_up: Vec<LookedUp>,
    store: &GradStore,
) -> Result<Option<IndexedSlices<T>>, BoxError> {
    let (mut indices, mut parts) = (Vec::new(), Vec::new());
    for it in looked_up {
        if let Some(gradient) = store.get(&it.rows) {
            indices.extend(it.indices);
            parts.push(gradient.clone());
        }
    }
    let values = match parts.as_slice() {
        [] => return Ok(None),
        [one] => copies::array(one)?,
        several => copies::array(&Tensor::cat(several, 0)?)?,
    };
    Ok(Some(slices_of(var, indices, values)?))
}

fn slices_of<T: Float>(
    var: &Var,
    rows: Vec<i64>,
    values: ArrayD<T>,
) -> Result<IndexedSlices<T>, BoxError> {
    let shape = var.dims().iter().map(|&it| it as i64).collect();
    Ok(IndexedSlices::new(rows, values, Some(shape))?)
}
