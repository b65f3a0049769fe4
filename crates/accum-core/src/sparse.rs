//! Sparse gradients of one variable: holding them, checking them, and merging them by index.
//!
//! The [`Gate`](crate::Gate) decides admission. Invariant: all gradients held at one time have rows
//! of one shape, and it fits the declared one; that of an empty gradient counts.

use crate::accumulator::{Drained, sealed};
use crate::join::{Join, Ways};
use crate::{
    Accumulator, ApplyError, BufferPool, Closed, Element, GlobalStep, IndexedSlices, PartialShape,
    PutBackError, Reduction, SparseIndex, SparseMerge, SparseOptions, Sums,
};

mod division;
mod entries;
mod gradient;
mod held;
mod merge;
mod order;
mod slots;
mod union;

use division::Division;
pub use gradient::SparseGradient;
use held::{Means, Parts};
use union::Union;

/// The plain sparse accumulator.
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
// R-8 to R-10
pub type SparseAccumulator<E> = Accumulator<SparseSums<E>>;

impl<E: Element> SparseAccumulator<E> {
    /// Empty, at step 0, for gradients of a variable of this shape.
    ///
    /// The first dimension counts the rows; when it is unknown, or the rank is unknown or 0, no
    /// upper bound is put on the indices but a gradient's own.
    pub fn new(shape: impl Into<PartialShape>, reduction: Reduction) -> Self {
        Self::with_options(shape, reduction, SparseOptions::default())
    }

    /// The same, with other options for merging.
    pub fn with_options(
        shape: impl Into<PartialShape>,
        reduction: Reduction,
        options: SparseOptions,
    ) -> Self {
        Self::over(SparseSums::new(shape, reduction, options))
    }

    /// As [`SparseSums::with_pool`].
    #[must_use]
    pub fn with_pool(self, pool: BufferPool<E::Sum>) -> Self {
        self.map(|sums| sums.with_pool(pool))
    }

    /// As [`SparseSums::side_by_side`].
    #[must_use]
    pub fn side_by_side(self, ways: usize, join: Join) -> Self {
        self.map(|sums| sums.side_by_side(ways, join))
    }
}

/// Sparse gradients held for one variable, without a rule about admission.
#[derive(Debug)]
pub struct SparseSums<E: Element> {
    declared: PartialShape,
    reduction: Reduction,
    options: SparseOptions,
    parts: Parts<E>,
    means: Means<E>,
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
        let means = Means { pool: None, ways: Ways::one() };
        Self { declared, reduction, options, parts, means, row_shape: None, count: 0 }
    }

    /// Takes the memory of sums from a pool; the caller returns a taken value with
    /// [`BufferPool::give`] when done with it.
    ///
    /// Worth it for a large sum: memory that is new to the process costs about as much as the sum
    /// written to it. While it adds at the push, it keeps one more sum's memory.
    ///
    /// ```
    /// use accum_core::{BufferPool, IndexedSlices, Reduction, SparseAccumulator};
    /// use ndarray::array;
    ///
    /// let pool = BufferPool::new(2);
    /// let acc = SparseAccumulator::<f32>::new([3, 1], Reduction::Mean);
    /// let mut acc = acc.with_pool(pool.clone());
    /// for step in 0..4 {
    ///     let gradient = IndexedSlices::new(vec![2, 0], array![[4.0], [1.0]], None)?;
    ///     assert!(acc.apply(gradient, step)?.is_accepted());
    ///     let mean = acc.try_take(1)?.expect("one is held").into_value();
    ///     assert_eq!(mean.values, array![[1.0], [4.0]].into_dyn());
    ///     pool.give(mean.values);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn with_pool(mut self, pool: BufferPool<E::Sum>) -> Self {
        self.means.pool = Some(pool);
        self
    }

    /// Lets the sum of held gradients be made in up to `ways` parts, which `join` runs.
    ///
    /// The result has the same bits whatever the choice. Small work is never cut, and additions at
    /// the push are not.
    #[must_use]
    pub fn side_by_side(mut self, ways: usize, join: Join) -> Self {
        self.means.ways = Ways { ways, join };
        self
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
        if self.options.index == SparseIndex::Key {
            return Ok(());
        }
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

    /// The shape that a sum taken elsewhere must have, and the shape that it has.
    fn check_sum(&self, sum: &SparseSum<E>) -> Result<(), (PartialShape, PartialShape)> {
        let got = || PartialShape::from(sum.row_shape.as_slice());
        match self.check_row_shape(&sum.row_shape) {
            Err(ApplyError::RowShape { expected, .. }) => return Err((expected, got())),
            _ if sum.division.options != self.options => return Err((got(), got())),
            _ => {}
        }
        // A sum of as few rows cannot have others; only else are they looked at.
        match (self.declared.dim(0), sum.rows) {
            (None, _) => Ok(()),
            (Some(rows), Some(own)) if own <= rows => Ok(()),
            (Some(rows), _) => {
                let end = sum.parts.end();
                let with_rows =
                    |rows: usize| PartialShape::from([&[rows], sum.row_shape.as_slice()].concat());
                if end <= rows { Ok(()) } else { Err((with_rows(rows), with_rows(end))) }
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
    type Gradient<'a> = SparseGradient<'a, E>;
    type Sum = SparseSum<E>;
    type Addition<'a> = ();

    fn check(&self, gradient: &SparseGradient<'_, E>) -> Result<(), ApplyError> {
        let gradient = gradient.slices();
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
        self.row_shape.get_or_insert_with(|| gradient.slices().row_shape().to_vec());
        match &mut self.parts {
            Parts::Sum(sum) => sum.add(gradient, self.options),
            Parts::Held(held) => held.push((key, gradient.into_shared())),
        }
        self.count += 1;
        Ok(())
    }

    fn drain(&mut self, step: GlobalStep) -> Option<SparseSum<E>> {
        let row_shape = self.row_shape.take()?;
        let parts = self.parts.drain(&self.means);
        let closed = Closed { step, count: std::mem::take(&mut self.count) };
        let division =
            Division { reduction: self.reduction, options: self.options, count: closed.count };
        let (rows, means) = (self.declared.dim(0), self.means.clone());
        Some(SparseSum { parts, closed, row_shape, rows, division, means })
    }

    fn put_back(&mut self, sum: SparseSum<E>) -> Result<(), PutBackError<SparseSum<E>>> {
        if let Err((expected, got)) = self.check_sum(&sum) {
            return Err(PutBackError { sum: Box::new(sum), expected, got });
        }
        self.parts.prepend(sum.parts, self.options);
        self.row_shape = Some(sum.row_shape);
        self.count += sum.closed.count;
        Ok(())
    }
}

/// The result of a sparse accumulator's take: all its gradients, not yet divided.
///
/// The division, and under [`Summation::Held`](crate::Summation::Held) the merge, happen when the
/// value is asked for, so that they can be done outside a lock, or inside an optimizer's own pass.
#[derive(Debug)]
pub struct SparseSum<E: Element> {
    parts: Parts<E>,
    closed: Closed,
    row_shape: Vec<usize>,
    rows: Option<usize>,
    division: Division,
    means: Means<E>,
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
    /// own. nᵢ is the number of all gradients under
    /// [`SparseMean::PerGradient`](crate::SparseMean::PerGradient).
    pub fn into_value(self) -> IndexedSlices<E::Sum> {
        let (division, pool) = (self.division, self.means.pool.clone());
        let (slices, counts) = self.into_slices(Some(division));
        if let Some(pool) = pool {
            pool.give_words(counts);
        }
        slices
    }

    /// The same, and how many gradients had each of its rows.
    pub fn into_counted(self) -> (IndexedSlices<E::Sum>, Vec<u64>) {
        let division = self.division;
        self.into_slices(Some(division))
    }

    /// The sum, and for each of its rows what to divide it by.
    ///
    /// Dividing gives [`into_value`](Self::into_value)'s bits, except under
    /// [`HalfSum::Reference`](crate::HalfSum::Reference), where that also rounds the quotient to
    /// the half type.
    pub fn into_sum(self) -> (IndexedSlices<E::Sum>, Vec<E::Sum>) {
        let division = self.division;
        let (slices, counts) = self.into_slices(None);
        let divisors = counts.into_iter().map(|had| division.divisor::<E>(had)).collect();
        (slices, divisors)
    }

    /// The sum by ascending index, divided if a divisor is given, and how many gradients had each
    /// row.
    fn into_slices(self, division: Option<Division>) -> (IndexedSlices<E::Sum>, Vec<u64>) {
        let Self { parts, row_shape, rows, means, .. } = self;
        let options = self.division.options;
        let Union { indices, counts, rows: values, .. } =
            parts.sum_up(&row_shape, options, division, &means);
        let dense_rows = rows.map_or(-1, |rows| rows as i64);
        let dense_shape = [dense_rows].into_iter().chain(row_shape.iter().map(|dim| *dim as i64));
        let dense_shape = Some(dense_shape.collect());
        let values = crate::slices::with_rows(indices.len(), &row_shape, values);
        (IndexedSlices { indices, values, dense_shape }, counts)
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
