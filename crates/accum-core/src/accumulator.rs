//! The plain accumulator: a [`Gate`] that decides what is admitted, over sums that know no rule.
//!
//! It never waits and takes no lock; see [`ConditionalAccumulator`](crate::ConditionalAccumulator)
//! for that. Invariant: the gate's count is the number of gradients that the sums hold.

use std::num::NonZeroU64;

use crate::{
    Applied, ApplyError, Closed, Freshness, Gate, GlobalStep, LocalStep, PutBackError, TakeError,
};

/// Gradients held for one variable, without any rule about admission.
///
/// Implemented by [`DenseSums`](crate::DenseSums) and [`SparseSums`](crate::SparseSums); sealed.
/// Use it alone when a [`Gate`] elsewhere decides, for instance one for all variables of a model.
pub trait Sums: sealed::Sealed {
    /// What is pushed.
    type Gradient<'a>;
    /// The result of a take: not yet divided.
    type Sum: Drained;
    /// The rest of an addition that has begun.
    type Addition<'a>: Addition;

    /// Whether this gradient would be admitted, as far as its form goes.
    ///
    /// # Errors
    /// What [`add`](Self::add) would answer.
    fn check(&self, gradient: &Self::Gradient<'_>) -> Result<(), ApplyError>;

    /// Adds a gradient, validated and not judged for staleness.
    ///
    /// `key` is its place in the order of [`Summation::Ordered`](crate::Summation::Ordered), and is
    /// otherwise ignored.
    ///
    /// # Errors
    /// [`ApplyError`] when its form does not fit; nothing changes.
    fn add(&mut self, gradient: Self::Gradient<'_>, key: u64) -> Result<(), ApplyError> {
        self.begin(gradient, key)?.finish();
        Ok(())
    }

    /// The first part of [`add`](Self::add): the gradient is validated and counted.
    ///
    /// The rest no longer needs the sums, so it can be done outside a lock around them, while other
    /// gradients are added. A caller that drains meanwhile gets a sum that waits for it when its
    /// value is asked for. Dropped unfinished, the gradient stays counted and part of it missing.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    fn begin<'a>(
        &mut self,
        gradient: Self::Gradient<'a>,
        key: u64,
    ) -> Result<Self::Addition<'a>, ApplyError>;

    /// Everything held, as one sum that remembers `step`; `None` when nothing is held.
    fn drain(&mut self, step: GlobalStep) -> Option<Self::Sum>;

    /// Puts a drained sum back, before all that came since.
    ///
    /// # Errors
    /// [`PutBackError`], with the sum in it, when later gradients have another shape or the sum was
    /// drained under other options; nothing changes.
    fn put_back(&mut self, sum: Self::Sum) -> Result<(), PutBackError<Self::Sum>>;
}

/// A drained sum, how many gradients are in it, and of which step.
pub trait Drained: sealed::Sealed {
    /// Its type once it is added up and divided.
    type Value;

    /// The step that was closed over it, and the number of gradients in it.
    fn closed(&self) -> Closed;

    /// Adds up what is left, and divides.
    fn into_value(self) -> Self::Value;
}

/// The second part of an addition, which may take long; see [`Sums::begin`].
#[must_use = "the gradient is counted and not added before it is finished"]
pub trait Addition {
    /// Adds what is not yet added.
    fn finish(self);
}

/// Nothing was left to do.
impl Addition for () {
    fn finish(self) {}
}

pub(crate) mod sealed {
    pub trait Sealed {}
}

/// A conditional accumulator without a lock: fresh gradients in, their mean out.
///
/// See [`DenseAccumulator`](crate::DenseAccumulator) and
/// [`SparseAccumulator`](crate::SparseAccumulator) for the two kinds, and how to build them.
#[derive(Debug)]
pub struct Accumulator<S> {
    gate: Gate,
    sums: S,
}

impl<S: Sums> Accumulator<S> {
    /// Empty, at step 0, over sums that hold nothing.
    //
    pub(crate) fn over(sums: S) -> Self {
        Self { gate: Gate::new(), sums }
    }

    /// The same over other sums, which hold what these do.
    pub(crate) fn map(self, change: impl FnOnce(S) -> S) -> Self {
        Self { sums: change(self.sums), ..self }
    }

    pub(crate) fn sums(&self) -> &S {
        &self.sums
    }

    /// Pushes a gradient computed at `local_step`.
    ///
    /// A stale one is dropped unread. Otherwise it is validated and held.
    ///
    /// # Errors
    /// [`ApplyError`] when a fresh gradient's form does not fit; nothing changes.
    //
    pub fn apply<'a>(
        &mut self,
        gradient: impl Into<S::Gradient<'a>>,
        local_step: impl Into<LocalStep>,
    ) -> Result<Applied, ApplyError> {
        self.apply_keyed(gradient, local_step, 0)
    }

    /// The same, with the gradient's place in the order of
    /// [`Summation::Ordered`](crate::Summation::Ordered): a replica's number, say.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    // P-14
    pub fn apply_keyed<'a>(
        &mut self,
        gradient: impl Into<S::Gradient<'a>>,
        local_step: impl Into<LocalStep>,
        key: u64,
    ) -> Result<Applied, ApplyError> {
        let (applied, addition) = self.begin(gradient.into(), local_step.into(), key)?;
        addition.into_iter().for_each(Addition::finish);
        Ok(applied)
    }

    /// Judges, validates and counts a gradient; adding it may be left for later.
    pub(crate) fn begin<'a>(
        &mut self,
        gradient: S::Gradient<'a>,
        local_step: LocalStep,
        key: u64,
    ) -> Result<(Applied, Option<S::Addition<'a>>), ApplyError> {
        if let Freshness::Stale { local_step, global_step } = self.gate.judge(local_step) {
            return Ok((Applied::Stale { local_step, global_step }, None));
        }
        let addition = self.sums.begin(gradient, key)?;
        Ok((self.gate.admit(local_step), Some(addition)))
    }

    /// Whether a gradient of this form would be admitted when fresh; changes nothing.
    ///
    /// # Errors
    /// What [`apply`](Self::apply) would answer.
    pub fn check(&self, gradient: &S::Gradient<'_>) -> Result<(), ApplyError> {
        self.sums.check(gradient)
    }

    /// Takes all that is held when it is at least `num_required`: count 0, step + 1.
    ///
    /// `Ok(None)`, and nothing changed, while there are too few. The sum taken is not divided yet.
    ///
    /// # Errors
    /// [`TakeError::NumRequired`] below one, [`TakeError::StepOverflow`] at the last step.
    //
    pub fn try_take(&mut self, num_required: i64) -> Result<Option<S::Sum>, TakeError> {
        self.take_if(Self::required(num_required)?)
    }

    pub(crate) fn required(num_required: i64) -> Result<NonZeroU64, TakeError> {
        u64::try_from(num_required)
            .ok()
            .and_then(NonZeroU64::new)
            .ok_or(TakeError::NumRequired { got: num_required })
    }

    pub(crate) fn take_if(&mut self, required: NonZeroU64) -> Result<Option<S::Sum>, TakeError> {
        let closed = self.gate.try_close(required)?;
        Ok(closed.and_then(|closed| self.sums.drain(closed.step)))
    }

    /// Undoes a take: its gradients are held again, before those that came since.
    ///
    /// The step goes back by one unless something else moved it; see [`Gate::undo_close`]. When
    /// nothing came since, all is bit for bit as before the take; what came since is added after.
    ///
    /// # Errors
    /// [`PutBackError`], with the sum in it, when later gradients have another shape; nothing
    /// changes.
    pub fn put_back(&mut self, sum: S::Sum) -> Result<(), PutBackError<S::Sum>> {
        let closed = sum.closed();
        self.sums.put_back(sum)?;
        self.gate.undo_close(closed);
        Ok(())
    }

    /// Sets the step, even lower, and returns the old one; held gradients stay.
    //
    pub fn set_global_step(&mut self, step: impl Into<GlobalStep>) -> GlobalStep {
        self.gate.set_step(step)
    }

    /// The step that a gradient must not be behind.
    pub fn global_step(&self) -> GlobalStep {
        self.gate.step()
    }

    /// How many gradients are held.
    //
    pub fn num_accumulated(&self) -> u64 {
        self.gate.count()
    }
}
