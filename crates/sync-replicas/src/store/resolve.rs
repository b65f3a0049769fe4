//! Gradients as they come from a replica: named, not yet checked.
//!
//! Checks names and shapes, which no push changes; kinds are the [`GradientSpec`]'s.
//!
//! [`GradientSpec`]: super::GradientSpec

use accum_core::{
    ApplyError, Reduction, SlicesError, SparseMerge, SparseOptions, SparseSums, Sums,
};

use embedding_table::Table;
use ndarray::ArrayD;

use super::error::GradientError;
use crate::layout::{Layout, VariableKind};

use crate::{Gradient, Gradients, IndexedSlices, Scalar};

/// Gradients by the numbers of their variables, in the variables' order, once all of them fit.
///
/// # Errors
/// [`GradientError`].
pub fn resolve<T: Scalar>(
    layout: &Layout,
    gradients: Gradients<T>,
    merge: SparseMerge,
) -> Result<Vec<(usize, Gradient<T>)>, GradientError> {
    let resolved = named(layout, gradients)?;
    fit(layout, &resolved, merge)?;
    Ok(resolved)
}

/// Looks up names and refuses unknown ones; does not read values.
pub(crate) fn named<T: Scalar>(
    layout: &Layout,
    gradients: Gradients<T>,
) -> Result<Vec<(usize, Gradient<T>)>, GradientError> {
    if gradients.is_empty() {
        return Err(GradientError::Empty);
    }
    let mut resolved = Vec::with_capacity(gradients.len());
    for (position, (name, gradient)) in gradients.into_pairs().into_iter().enumerate() {
        // Most callers give all gradients in the variables' order.
        let index = if position < layout.len() && layout.name(position) == name {
            Some(position)
        } else {
            layout.index_of(&name)
        };
        let Some(index) = index else {
            let known = layout.known();
            return Err(GradientError::UnknownVariable { name: name.into_owned(), known });
        };
        resolved.push((index, gradient));
    }
    if !resolved.is_sorted_by_key(|(index, _)| *index) {
        resolved.sort_by_key(|(index, _)| *index);
    }
    if let Some(twice) = resolved.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(GradientError::Twice { name: layout.name(twice[0].0).to_owned() });
    }
    if resolved.iter().all(|(_, gradient)| matches!(gradient, Gradient::Missing)) {
        return Err(GradientError::AllMissing);
    }
    give_tables_theirs(layout, &mut resolved);
    Ok(resolved)
}

/// A batch without keys of a table has an empty gradient for it: it counts as the others do.
fn give_tables_theirs<T: Scalar>(layout: &Layout, resolved: &mut Vec<(usize, Gradient<T>)>) {
    for (number, table) in layout.tables().iter().enumerate() {
        let index = layout.arrays() + number;
        let values = ArrayD::zeros([0, table.width()].as_slice());
        let none =
            || Gradient::Sparse(IndexedSlices { indices: Vec::new(), values, dense_shape: None });
        match resolved.binary_search_by_key(&index, |(index, _)| *index) {
            Ok(at) if matches!(resolved[at].1, Gradient::Missing) => resolved[at].1 = none(),
            Ok(_) => {}
            Err(at) => resolved.insert(at, (index, none())),
        }
    }
}

/// Whether each can be added, and its sum applied to its variable. For a sparse one that takes a
/// pass over its indices.
pub(crate) fn fit<T: Scalar>(
    layout: &Layout,
    gradients: &[(usize, Gradient<T>)],
    merge: SparseMerge,
) -> Result<(), GradientError> {
    for (index, gradient) in gradients {
        let fits = match (layout.kind(*index), gradient) {
            (VariableKind::Array(shape), Gradient::Dense(array)) if array.shape() != shape => {
                Err(ApplyError::Shape { expected: shape.into(), got: array.shape().into() })
            }
            (VariableKind::Array(shape), Gradient::Sparse(slices)) => {
                fit_sparse(shape, slices, merge)
            }
            (VariableKind::Table(_, table), Gradient::Dense(_)) => {
                return Err(GradientError::DenseForTable { name: table.name().to_owned() });
            }
            (VariableKind::Table(_, table), Gradient::Sparse(slices)) => fit_rows(table, slices),
            _ => Ok(()),
        };
        fits.map_err(|source| {
            let name = layout.name(*index).to_owned();
            GradientError::Fit { name, source }
        })?;
    }
    Ok(())
}

fn fit_rows<T: Scalar>(table: &Table, slices: &IndexedSlices<T>) -> Result<(), ApplyError> {
    let (indices, shape) = (slices.indices.len(), slices.values.shape());
    let [rows, row_shape @ ..] = shape else { return Err(SlicesError::ValuesScalar.into()) };
    if *rows != indices {
        return Err(SlicesError::RowsMismatch { indices, rows: *rows }.into());
    }
    let expected = [table.width()];
    if *row_shape != expected {
        return Err(ApplyError::RowShape { expected: expected.into(), got: row_shape.into() });
    }
    Ok(())
}

fn fit_sparse<T: Scalar>(
    shape: &[usize],
    slices: &IndexedSlices<T>,
    merge: SparseMerge,
) -> Result<(), ApplyError> {
    // the original merge lets a negative index through, and the update would then fail for all
    // replicas.
    if let Some(position) = slices.indices.iter().position(|&index| index < 0) {
        let index = slices.indices[position];
        return Err(SlicesError::IndexOutOfRange { position, index, rows: None }.into());
    }
    let options = SparseOptions { merge, ..SparseOptions::default() };
    SparseSums::new(shape, Reduction::Mean, options).check(&slices.into())?;
    // The accumulator lets further dimensions follow, which no update could take.
    let (got, expected) = (slices.row_shape(), shape.get(1..));
    match expected {
        Some(expected) if expected == got => Ok(()),
        Some(expected) => Err(ApplyError::RowShape { expected: expected.into(), got: got.into() }),
        None => {
            let got = slices.values.shape().into();
            Err(ApplyError::Shape { expected: shape.into(), got })
        }
    }
}
