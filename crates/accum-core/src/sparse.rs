//! Sparse gradients of one variable: holding them, checking them, and merging them by index.
//!
//! Who may come in is the [`Gate`](crate::Gate)'s. Invariant: all gradients held at one time have
//! rows of one shape, and it fits the declared one; that of an empty gradient counts.

use std::borrow::Cow;

use crate::accumulator::{Drained, sealed};
use crate::{
    Accumulator, ApplyError, Closed, Element, GlobalStep, HalfSum, IndexedSlices, PartialShape,
    PutBackError, Reduction, SparseMean, SparseMerge, SparseOptions, Sums,
};

mod held;
mod slots;
mod union;

use held::{Parts, sum_up};
use union::Union;

/// The plain sparse accumulator (R-8 to R-10).
///
/// ```
/// use accum_core::{IndexedSlices, Reduction, SparseAccumulator};
/// use ndarray::array;
///
/// let mut acc = SparseAccumulator::<f32>::new([3, 2], Reduction::Mean);
/// let a = IndexedSlices::new(vec![0, 1], array![[1.0, 0.0], [0.0, 2.0]], None)?;
/// let b = IndexedSlices::new(vec![0, 2], array![[0.0, 1.0], [3.0, 0.0]], None)?;
/// assert!(acc.apply(a, 0)?.is_accepted());
/// assert!(acc.apply(&b, 0)?.is_accepted());
/// let mean = acc.try_take(2)?.expect("two are held").into_value();
/// assert_eq!(mean.indices, [0, 1, 2]);
/// assert_eq!(mean.values, array![[0.5, 0.5], [0.0, 2.0], [3.0, 0.0]].into_dyn());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type SparseAccumulator<E> = Accumulator<SparseSums<E>>;

impl<E: Element> SparseAccumulator<E> {
    /// Empty, at step 0, for gradients of a variable of this shape.
    ///
    /// The first dimension counts the rows; when it is unknown, or the rank is unknown or 0, no
    /// upper bound is put on the indices but a gradient's own.
    pub fn new(shape: impl Into<PartialShape>, reduction: Reduction) -> Self {
        Self::with_options(shape, reduction, SparseOptions::default())
    }

    /// The same, with other than the usual ways of merging.
    pub fn with_options(
        shape: impl Into<PartialShape>,
        reduction: Reduction,
        options: SparseOptions,
    ) -> Self {
        Self::over(SparseSums::new(shape, reduction, options))
    }
}

/// Sparse gradients held for one variable, without a rule about who may come in.
#[derive(Debug)]
pub struct SparseSums<E: Element> {
    declared: PartialShape,
    reduction: Reduction,
    options: SparseOptions,
    parts: Parts<E>,
    /// The shape of a row in this cycle; `None` when nothing is held.
    row_shape: Option<Vec<usize>>,
    count: u64,
}

impl<E: Element> SparseSums<E> {
    /// Holding nothing, for gradients of a variable of this shape.
    pub fn new(
        shape: impl Into<PartialShape>,
        reduction: Reduction,
        options: SparseOptions,
    ) -> Self {
        let declared = shape.into();
        let parts = Parts::empty(options.summation, declared.dim(0));
        Self { declared, reduction, options, parts, row_shape: None, count: 0 }
    }

    /// How many gradients are held.
    pub fn count(&self) -> u64 {
        self.count
    }

    fn declared_dims(&self) -> &[Option<usize>] {
        self.declared.dims().unwrap_or_default()
    }

    fn canonical(&self) -> bool {
        self.options.merge == SparseMerge::Canonical
    }

    fn check_dense_shape(&self, dense_shape: &[i64]) -> Result<(), ApplyError> {
        let declared = self.declared_dims();
        let fits = dense_shape.len() >= declared.len()
            && declared.iter().zip(dense_shape).all(|(dim, got)| {
                let open = *got < 0 && self.canonical();
                open || dim.is_none_or(|dim| usize::try_from(*got) == Ok(dim))
            });
        if fits {
            return Ok(());
        }
        Err(ApplyError::DenseShape { expected: self.declared.clone(), got: dense_shape.to_vec() })
    }

    /// The canonical form's range, or the one bound that the reference knows.
    fn check_range(&self, gradient: &IndexedSlices<E>) -> Result<(), ApplyError> {
        let rows = self.declared.dim(0);
        if self.canonical() {
            return Ok(gradient.check_range(rows)?);
        }
        let beyond =
            |index: i64| rows.is_some_and(|n| usize::try_from(index).is_ok_and(|i| i >= n));
        match gradient.indices.iter().position(|index| beyond(*index)) {
            None => Ok(()),
            Some(position) => {
                let index = gradient.indices[position];
                Err(crate::SlicesError::IndexOutOfRange { position, index, rows }.into())
            }
        }
    }

    fn check_row_shape(&self, got: &[usize]) -> Result<(), ApplyError> {
        let (fits, expected) = match &self.row_shape {
            Some(held) => (held == got, held.as_slice().into()),
            None => {
                let dims = self.declared_dims().get(1..).unwrap_or_default();
                let expected = PartialShape::of(dims.iter().copied());
                let leading = got.get(..dims.len());
                (leading.is_some_and(|got| expected.is_compatible(got)), expected)
            }
        };
        if fits { Ok(()) } else { Err(ApplyError::RowShape { expected, got: got.into() }) }
    }
}

impl<E: Element> sealed::Sealed for SparseSums<E> {}

impl<E: Element> Sums for SparseSums<E> {
    type Gradient<'a> = Cow<'a, IndexedSlices<E>>;
    type Sum = SparseSum<E>;
    type Addition<'a> = ();

    fn check(&self, gradient: &Cow<'_, IndexedSlices<E>>) -> Result<(), ApplyError> {
        gradient.check_rows()?;
        if let Some(dense_shape) = &gradient.dense_shape {
            self.check_dense_shape(dense_shape)?;
        }
        self.check_range(gradient)?;
        self.check_row_shape(gradient.row_shape())
    }

    fn begin<'a>(
        &mut self,
        gradient: Self::Gradient<'a>,
        key: u64,
    ) -> Result<Self::Addition<'a>, ApplyError> {
        self.check(&gradient)?;
        self.row_shape.get_or_insert_with(|| gradient.row_shape().to_vec());
        match &mut self.parts {
            Parts::Sum(sum) => sum.add(gradient, self.options),
            Parts::Held(held) => held.push((key, gradient.into_owned())),
        }
        self.count += 1;
        Ok(())
    }

    fn drain(&mut self, step: GlobalStep) -> Option<SparseSum<E>> {
        let row_shape = self.row_shape.take()?;
        let parts = self.parts.drain();
        let closed = Closed { step, count: std::mem::take(&mut self.count) };
        let (reduction, options) = (self.reduction, self.options);
        Some(SparseSum { parts, closed, row_shape, rows: self.declared.dim(0), reduction, options })
    }

    fn put_back(&mut self, sum: SparseSum<E>) -> Result<(), PutBackError<SparseSum<E>>> {
        let refused = match self.check_row_shape(&sum.row_shape) {
            Err(ApplyError::RowShape { expected, .. }) => Some(expected),
            _ => (sum.options != self.options).then(|| sum.row_shape.as_slice().into()),
        };
        if let Some(expected) = refused {
            let got = sum.row_shape.as_slice().into();
            return Err(PutBackError { sum: Box::new(sum), expected, got });
        }
        self.parts.prepend(sum.parts, self.options);
        self.row_shape = Some(sum.row_shape);
        self.count += sum.closed.count;
        Ok(())
    }
}

/// What a take of a sparse accumulator gives: all its gradients, not yet divided.
///
/// The division, and under [`Summation::Held`](crate::Summation::Held) the merge, happen when the
/// value is asked for, so that they can be done outside of a lock, or inside an optimizer's own
/// pass.
#[derive(Debug)]
pub struct SparseSum<E: Element> {
    parts: Parts<E>,
    closed: Closed,
    row_shape: Vec<usize>,
    rows: Option<usize>,
    reduction: Reduction,
    options: SparseOptions,
}

impl<E: Element> SparseSum<E> {
    /// How many gradients are in it.
    pub fn count(&self) -> u64 {
        self.closed.count
    }

    /// The step that they were held for; the take left the accumulator one further.
    pub fn step(&self) -> GlobalStep {
        self.closed.step
    }

    /// The mean (or the sum, when built so): row *i* is Σ gᵢ / nᵢ over the nᵢ gradients that had
    /// it.
    ///
    /// Ascending indices; the dense shape is the declared number of rows, or -1, then the rows'
    /// own. nᵢ is the number of all gradients under [`SparseMean::PerGradient`].
    pub fn into_value(self) -> IndexedSlices<E::Sum> {
        let half_sum = self.options.half_sum;
        let (mut slices, divisors) = self.into_parts();
        let width: usize = slices.row_shape().iter().product();
        // Just made, in standard layout.
        let values = slices.values.as_slice_mut().unwrap_or_default();
        for (row, divisor) in values.chunks_mut(width.max(1)).zip(divisors.into_iter().flatten()) {
            match half_sum {
                HalfSum::Single => row.iter_mut().for_each(|value| *value = *value / divisor),
                HalfSum::Reference => {
                    row.iter_mut().for_each(|value| *value = E::round(*value / divisor));
                }
            }
        }
        slices
    }

    /// The sum, and for each of its rows what to divide it by.
    ///
    /// Dividing gives [`into_value`](Self::into_value)'s bits, save under [`HalfSum::Reference`],
    /// where that also rounds the quotient to the half type.
    pub fn into_sum(self) -> (IndexedSlices<E::Sum>, Vec<E::Sum>) {
        let (slices, divisors) = self.into_parts();
        let ones = || vec![E::divisor(1); slices.indices.len()];
        let divisors = divisors.unwrap_or_else(ones);
        (slices, divisors)
    }

    /// The sum by ascending index, and the rows' divisors when there is anything to divide.
    fn into_parts(self) -> (IndexedSlices<E::Sum>, Option<Vec<E::Sum>>) {
        let Self { parts, closed, row_shape, rows, reduction, options } = self;
        let Union { indices, counts, rows: values, .. } = sum_up(parts, &row_shape, options);
        let divisor = |count| match options.half_sum {
            HalfSum::Single => E::divisor(count),
            HalfSum::Reference => E::round(E::divisor(count)),
        };
        let divisors = (reduction == Reduction::Mean).then(|| match options.mean {
            SparseMean::PerRow => counts.into_iter().map(divisor).collect(),
            SparseMean::PerGradient => vec![divisor(closed.count); indices.len()],
        });
        let dense_rows = rows.map_or(-1, |rows| rows as i64);
        let dense_shape = [dense_rows].into_iter().chain(row_shape.iter().map(|dim| *dim as i64));
        let dense_shape = Some(dense_shape.collect());
        let values = crate::slices::with_rows(indices.len(), &row_shape, values);
        (IndexedSlices { indices, values, dense_shape }, divisors)
    }
}

impl<E: Element> sealed::Sealed for SparseSum<E> {}

impl<E: Element> Drained for SparseSum<E> {
    type Value = IndexedSlices<E::Sum>;

    fn closed(&self) -> Closed {
        self.closed
    }

    fn into_value(self) -> IndexedSlices<E::Sum> {
        self.into_value()
    }
}
