//! What a backward pass left behind, as gradients by name: dense, of some rows, or none.
//!
//! Invariant: each variable of the module is named once, in the order of their names.

use std::collections::HashMap;

use candle_core::backprop::GradStore;
use candle_core::{Tensor, TensorId, Var};
use ndarray::Axis;
use sync_replicas::{BoxError, Gradient, Gradients, IndexedSlices, Work};

use crate::CandleError;
use crate::copies::{self, Float};
use crate::embedding::LookedUp;
use crate::pass::TableRows;

/// The gradients of `variables`, and of the rows of tables.
pub(crate) fn collect<T: Float>(
    variables: &[(String, Var)],
    tables: Vec<TableRows>,
    looked_up: Vec<LookedUp>,
    store: &GradStore,
    work: &Work<'_, T>,
) -> Result<Gradients<T>, BoxError> {
    let mut rows: HashMap<TensorId, Vec<LookedUp>> = HashMap::new();
    for it in looked_up {
        rows.entry(it.of).or_default().push(it);
    }
    let mut gradients = Gradients::new();
    let mut found = false;
    for (name, var) in variables {
        let rows = rows.remove(&var.id()).unwrap_or_default();
        let gradient = of_variable(name, var, store, rows, work)?;
        found |= !matches!(gradient, Gradient::Missing);
        gradients = gradients.with(name.clone(), gradient);
    }
    for TableRows { table, keys, rows } in tables {
        let Some(gradient) = store.get(&rows) else {
            gradients = gradients.missing(table);
            continue;
        };
        found = true;
        gradients = gradients.sparse(table, IndexedSlices::by_key(keys, copies::array(gradient)?)?);
    }
    if !found {
        let known: Vec<&str> = variables.iter().map(|(name, _)| name.as_str()).collect();
        return Err(CandleError::NoGradient { known: known.join(", ") }.into());
    }
    Ok(gradients)
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
    let shape = var.dims().iter().map(|&it| it as i64).collect();
    Ok(Some(IndexedSlices::new(indices, values, Some(shape))?))
}
