//! Dense gradients of one variable: holding them, and adding them up.
//!
//! The [`Gate`](crate::Gate) decides admission; this knows shapes and arithmetic. Invariant: all
//! gradients held at one time have one shape, and it fits the declared one.

use ndarray::{ArrayD, ArrayViewD};

use crate::accumulator::{Drained, sealed};
use crate::{
    Accumulator, ApplyError, Closed, DenseOptions, Element, GlobalStep, Gradient, HalfSum,
    PartialShape, PutBackError, Reduction, Sums,
};

mod kernel;
mod sum;
mod sum_reader;
mod total;
mod under_way;

use sum::Parts;
pub use sum_reader::SumReader;
use total::{DenseAddition, Total};

/// The plain dense accumulator.
///
/// ```
/// use accum_core::{Applied, DenseAccumulator, Reduction};
/// use ndarray::array;
///
/// let mut acc = DenseAccumulator::<f32>::new([2], Reduction::Mean);
/// assert!(acc.apply(array![1.0, 2.0], 0)?.is_accepted());
/// assert!(acc.apply(array![3.0, 6.0], 0)?.is_accepted());
/// let sum = acc.try_take(2)?.expect("two are held");
/// assert_eq!(sum.count(), 2);
/// assert_eq!(sum.into_value(), array![2.0, 4.0].into_dyn());
/// assert!(matches!(acc.apply(array![1.0, 1.0], 0)?, Applied::Stale { .. }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
// R-1 to R-7
pub type DenseAccumulator<E> = Accumulator<DenseSums<E>>;

impl<E: Element> DenseAccumulator<E> {
    /// Empty, at step 0, for gradients of this shape.
    pub fn new(shape: impl Into<PartialShape>, reduction: Reduction) -> Self {
        Self::with_options(shape, reduction, DenseOptions::default())
    }

    /// The same, with other options for adding up.
    pub fn with_options(
        shape: impl Into<PartialShape>,
        reduction: Reduction,
        options: DenseOptions,
    ) -> Self {
        Self::over(DenseSums::new(shape, reduction, options))
    }

    /// Whether a gradient of this shape would be admitted when fresh; changes nothing.
    ///
    /// # Errors
    /// [`ApplyError::Shape`] when not.
    pub fn check_shape(&self, shape: &[usize]) -> Result<(), ApplyError> {
        self.sums().check_shape(shape)
    }
}

/// Dense gradients held for one variable, without a rule about admission.
#[derive(Debug)]
pub struct DenseSums<E: Element> {
    declared: PartialShape,
    reduction: Reduction,
    options: DenseOptions,
    parts: Parts<E>,
    count: u64,
}

impl<E: Element> DenseSums<E> {
    /// Holding nothing, for gradients of this shape.
    pub fn new(
        shape: impl Into<PartialShape>,
        reduction: Reduction,
        options: DenseOptions,
    ) -> Self {
        let parts = Parts::empty(options.summation);
        Self { declared: shape.into(), reduction, options, parts, count: 0 }
    }

    /// Whether a gradient of this shape fits the declared shape and those already held.
    ///
    /// # Errors
    /// [`ApplyError::Shape`] when not.
    // R-4
    pub fn check_shape(&self, shape: &[usize]) -> Result<(), ApplyError> {
        let misfit = |expected| ApplyError::Shape { expected, got: shape.into() };
        match self.parts.shape() {
            Some(held) if held != shape => Err(misfit(held.into())),
            None if !self.declared.is_compatible(shape) => Err(misfit(self.declared.clone())),
            _ => Ok(()),
        }
    }

    /// How many gradients are held.
    pub fn count(&self) -> u64 {
        self.count
    }
}

impl<E: Element> sealed::Sealed for DenseSums<E> {}

impl<E: Element> Sums for DenseSums<E> {
    type Gradient<'a> = Gradient<'a, E>;
    type Sum = DenseSum<E>;
    type Addition<'a> = DenseAddition<'a, E>;

    fn check(&self, gradient: &Gradient<'_, E>) -> Result<(), ApplyError> {
        self.check_shape(gradient.shape())
    }

    fn begin<'a>(
        &mut self,
        gradient: Self::Gradient<'a>,
        key: u64,
    ) -> Result<Self::Addition<'a>, ApplyError> {
        self.check_shape(gradient.shape())?;
        self.count += 1;
        match &mut self.parts {
            Parts::Sum(Some(sum)) => return Ok(sum.begin(gradient, self.options.half_sum)),
            Parts::Sum(none) => {
                *none = Some(Total::Closed(E::widen_array(gradient.into_array())));
            }
            Parts::Held(held) => held.push((key, gradient.into_kept())),
        }
        Ok(DenseAddition::done())
    }

    fn drain(&mut self, step: GlobalStep) -> Option<DenseSum<E>> {
        if self.count == 0 {
            return None;
        }
        let mut parts = self.parts.drain();
        parts.sort(self.options.summation);
        let closed = Closed { step, count: std::mem::take(&mut self.count) };
        Some(DenseSum { parts, closed, reduction: self.reduction, options: self.options })
    }

    fn put_back(&mut self, sum: DenseSum<E>) -> Result<(), PutBackError<DenseSum<E>>> {
        let fits = sum.options == self.options && self.check_shape(sum.shape()).is_ok();
        if !fits {
            let expected = self.parts.shape().map_or(self.declared.clone(), PartialShape::from);
            let got = sum.shape().into();
            return Err(PutBackError { sum: Box::new(sum), expected, got });
        }
        let since = std::mem::replace(&mut self.parts, sum.parts);
        self.parts.append(since, self.options.half_sum);
        self.count += sum.closed.count;
        Ok(())
    }
}

/// The result of a dense accumulator's take: all its gradients, not yet divided.
///
/// The division, and under [`Summation::Held`](crate::Summation::Held) the additions, happen when
/// the value is asked for, so that they can be done outside a lock, or inside an optimizer's own
/// pass.
#[derive(Debug)]
pub struct DenseSum<E: Element> {
    parts: Parts<E>,
    closed: Closed,
    reduction: Reduction,
    options: DenseOptions,
}

impl<E: Element> DenseSum<E> {
    /// How many gradients are in it.
    pub fn count(&self) -> u64 {
        self.closed.count
    }

    /// The step that they were held for; the take left the accumulator one further.
    pub fn step(&self) -> GlobalStep {
        self.closed.step
    }

    /// The shape of the sum.
    pub fn shape(&self) -> &[usize] {
        self.parts.shape().unwrap_or_default()
    }

    /// What to divide the sum by: the count for a mean, one for a sum.
    pub fn divisor(&self) -> E::Sum {
        match self.reduction {
            Reduction::Mean => self.half_rounded(E::divisor(self.count())),
            Reduction::Sum => E::divisor(1),
        }
    }

    /// The value of [`into_value`](Self::into_value), for reading range by range.
    ///
    /// Additions and the division are done for what is read, when it is read.
    pub fn reader(&mut self) -> SumReader<'_, E> {
        let divisor = self.divisor();
        let divisor = (divisor != E::divisor(1)).then_some(divisor);
        let half_sum = self.options.half_sum;
        let shape = self.shape().to_vec();
        SumReader { shape, parts: self.parts.slices(), divisor, half_sum }
    }

    /// The gradients that are still apart, each with its key, in the order of addition; none if
    /// they were summed as they came.
    pub fn held(&self) -> impl Iterator<Item = (u64, ArrayViewD<'_, E>)> {
        self.parts.held().iter().map(|(key, gradient)| (*key, gradient.view()))
    }

    /// The mean (or the sum, when built so), in standard layout: Σ gᵢ / n.
    ///
    /// Additions still to do and the division are one pass over the first gradient's own buffer.
    pub fn into_value(self) -> ArrayD<E::Sum> {
        let divisor = (self.reduction == Reduction::Mean).then(|| self.divisor());
        self.parts.into_array(self.options, divisor)
    }

    /// The sum, and what to divide it by.
    ///
    /// Dividing gives [`into_value`](Self::into_value)'s bits, except under [`HalfSum::Reference`],
    /// where that also rounds the quotient to the half type.
    pub fn into_sum(self) -> (ArrayD<E::Sum>, E::Sum) {
        let divisor = self.divisor();
        (self.parts.into_array(self.options, None), divisor)
    }

    fn half_rounded(&self, value: E::Sum) -> E::Sum {
        match self.options.half_sum {
            HalfSum::Single => value,
            HalfSum::Reference => E::round(value),
        }
    }
}

impl<E: Element> sealed::Sealed for DenseSum<E> {}

impl<E: Element> Drained for DenseSum<E> {
    type Value = ArrayD<E::Sum>;

    fn closed(&self) -> Closed {
        self.closed
    }

    fn into_value(self) -> ArrayD<E::Sum> {
        self.into_value()
    }
}
