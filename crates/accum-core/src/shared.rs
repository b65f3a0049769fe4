//! Accumulators that threads and tasks share: a plain one, a lock, and a line of waiting takes.
//!
//! It adds no rule about gradients, and reads no clock. Invariant: whenever the lock is free, the
//! take at the front of the line cannot be completed, and a closed accumulator has no line.

use std::collections::VecDeque;
use std::fmt;
use std::num::NonZeroU64;

use crate::accumulator::Drained;
use crate::sync::{Arc, Mutex, block_on, lock, oneshot};
use crate::{
    Accumulator, Addition, Applied, ApplyError, DenseAccumulator, DenseSums, Element, GlobalStep,
    LocalStep, PartialShape, Reduction, SparseAccumulator, SparseSums, Sums, TakeError,
};

mod line;

use line::{Answers, Joined, Place, State};

/// A shared dense accumulator; clones are handles to the same one.
///
/// ```
/// use accum_core::{ConditionalAccumulator, Reduction};
/// use ndarray::array;
///
/// let acc = ConditionalAccumulator::<f64>::new([2], Reduction::Mean);
/// let replica = acc.clone();
/// let pushing = std::thread::spawn(move || {
///     for gradient in [array![1.0, 0.0], array![3.0, 8.0]] {
///         assert!(replica.apply_grad(gradient, 0)?.is_accepted());
///     }
///     Ok::<(), accum_core::ApplyError>(())
/// });
/// let taken = acc.blocking_take_grad(2)?; // or `acc.take_grad(2).await?`
/// assert_eq!(taken.value, array![2.0, 4.0].into_dyn());
/// assert_eq!((taken.count, taken.step.get()), (2, 0));
/// # pushing.join().expect("the replica did not panic")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
// R-1 to R-7
pub type ConditionalAccumulator<E> = Shared<DenseSums<E>>;

/// A shared sparse accumulator; clones are handles to the same one.
///
/// ```
/// use accum_core::{IndexedSlices, Reduction, SparseConditionalAccumulator};
/// use ndarray::array;
///
/// let acc = SparseConditionalAccumulator::<f32>::new([4, 2], Reduction::Mean);
/// let gradient = IndexedSlices::new(vec![3, 0], array![[1.0, 2.0], [5.0, 6.0]], None)?;
/// assert!(acc.apply_grad(&gradient, 0)?.is_accepted());
/// let taken = acc.try_take_grad(1)?.expect("one is held");
/// assert_eq!(taken.value.indices, [0, 3]);
/// assert_eq!(taken.value.values, array![[5.0, 6.0], [1.0, 2.0]].into_dyn());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
// R-8 to R-10
pub type SparseConditionalAccumulator<E> = Shared<SparseSums<E>>;

/// The result of a take: the mean (or sum), of how many gradients, and of which step.
// R-3
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Taken<T> {
    /// The mean over the gradients held, or their sum, as the accumulator was built.
    pub value: T,
    /// How many gradients are in it; at least as many as were requested.
    pub count: u64,
    /// The accumulator's step until this take, which left it one further.
    pub step: GlobalStep,
}

impl<T> Taken<T> {
    fn of<D: Drained<Value = T>>(sum: D) -> Self {
        let closed = sum.closed();
        Self { value: sum.into_value(), count: closed.count, step: closed.step }
    }
}

/// The result of a take of an accumulator over `S`.
type TakenFrom<S> = Taken<<<S as Sums>::Sum as Drained>::Value>;

/// A shared accumulator, dense or sparse: see [`ConditionalAccumulator`] and
/// [`SparseConditionalAccumulator`].
///
/// # Ordering
/// Waiting takes complete in the order in which they were first polled. One that asks for more than
/// is there holds up those behind it, and a `try_take_grad` does not overtake them (R-3). The push
/// that brings enough completes the front take itself: nothing can be added to what it takes.
/// Pushes never wait for takes. A large gradient is added outside the lock, so that pushes run side
/// by side; it counts from its admission on, and the taker waits until all of it is added (P-11).
/// The taker also divides, outside the lock.
pub struct Shared<S: Sums> {
    state: Arc<Mutex<State<S>>>,
}

impl<S: Sums> Clone for Shared<S> {
    fn clone(&self) -> Self {
        Self { state: Arc::clone(&self.state) }
    }
}

impl<S: Sums> fmt::Debug for Shared<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("global_step", &self.global_step())
            .field("num_accumulated", &self.num_accumulated())
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

/// Shares a plain accumulator, however it was built, with what it holds.
impl<S: Sums> From<Accumulator<S>> for Shared<S> {
    fn from(accumulator: Accumulator<S>) -> Self {
        Self { state: Arc::new(Mutex::new(State::new(accumulator))) }
    }
}

impl<E: Element> ConditionalAccumulator<E> {
    /// Empty, at step 0, for gradients of this shape.
    ///
    /// For other options of adding up, share a plain one:
    /// `ConditionalAccumulator::from(DenseAccumulator::with_options(..))`.
    // R-1
    pub fn new(shape: impl Into<PartialShape>, reduction: Reduction) -> Self {
        DenseAccumulator::new(shape, reduction).into()
    }
}

impl<E: Element> SparseConditionalAccumulator<E> {
    /// Empty, at step 0, for gradients of a variable of this shape.
    ///
    /// For other options of merging, share a plain one:
    /// `SparseConditionalAccumulator::from(SparseAccumulator::with_options(..))`.
    // R-8
    pub fn new(shape: impl Into<PartialShape>, reduction: Reduction) -> Self {
        SparseAccumulator::new(shape, reduction).into()
    }
}

impl<S: Sums> Shared<S> {
    /// Pushes a gradient computed at `local_step`; never waits.
    ///
    /// Says whether it was accepted or stale (P-7). Completes the front waiting take when it brings
    /// enough for it.
    ///
    /// # Errors
    /// [`ApplyError`] when a fresh gradient's form does not fit; nothing changes (R-4, R-9).
    // R-2
    pub fn apply_grad<'a>(
        &self,
        gradient: impl Into<S::Gradient<'a>>,
        local_step: impl Into<LocalStep>,
    ) -> Result<Applied, ApplyError> {
        self.apply_grad_keyed(gradient, local_step, 0)
    }

    /// The same, with the gradient's place in the order of
    /// [`Summation::Ordered`](crate::Summation::Ordered).
    ///
    /// # Errors
    /// As [`apply_grad`](Self::apply_grad).
    // P-14
    pub fn apply_grad_keyed<'a>(
        &self,
        gradient: impl Into<S::Gradient<'a>>,
        local_step: impl Into<LocalStep>,
        key: u64,
    ) -> Result<Applied, ApplyError> {
        let (gradient, local_step) = (gradient.into(), local_step.into());
        let (begun, done) = self.locked(|state| {
            let begun = state.accumulator.begin(gradient, local_step, key);
            (begun, state.settle())
        });
        // Counted, so every later take includes it; the sum waits for it.
        let (applied, addition) = begun?;
        addition.into_iter().for_each(Addition::finish);
        self.hand_over(done);
        Ok(applied)
    }

    /// Waits for `num_required` gradients, and takes all that are held then.
    ///
    /// Inert until polled: its place in the line is that of its first poll.
    ///
    /// # Cancel safety
    /// Nothing is lost. A dropped take leaves the line and frees those behind it. If it was
    /// completed and not yet polled, its gradients are put back as [`Accumulator::put_back`]
    /// describes, and the next in line is tried. (Only if the shape is not declared and gradients
    /// of another shape were accepted in between, those stand, and the taken, unread ones are
    /// gone.)
    ///
    /// # Errors
    /// [`TakeError::NumRequired`] at once when below one (R-4); [`TakeError::Closed`] when the
    /// accumulator is closed before there are enough; [`TakeError::StepOverflow`] at the last step.
    // R-3
    pub async fn take_grad(&self, num_required: i64) -> Result<TakenFrom<S>, TakeError> {
        let required = Accumulator::<S>::required(num_required)?;
        let joined = self.locked(|state| state.join(required))?;
        match joined {
            Joined::Now(sum) => Ok(Taken::of(sum)),
            Joined::Later(place) => Waiting { shared: self, place: Some(place) }.sum().await,
        }
    }

    /// [`take_grad`](Self::take_grad) for a thread that may block; not for inside an async runtime.
    ///
    /// # Errors
    /// As [`take_grad`](Self::take_grad).
    pub fn blocking_take_grad(&self, num_required: i64) -> Result<TakenFrom<S>, TakeError> {
        block_on(self.take_grad(num_required))
    }

    /// Takes what is held when it is at least `num_required` and no other take waits; never waits
    /// itself.
    ///
    /// # Errors
    /// [`TakeError::NumRequired`] when below one (R-4), [`TakeError::StepOverflow`] at the last
    /// step.
    pub fn try_take_grad(&self, num_required: i64) -> Result<Option<TakenFrom<S>>, TakeError> {
        let required = Accumulator::<S>::required(num_required)?;
        let sum = self.locked(|state| state.try_take(required))?;
        Ok(sum.map(Taken::of))
    }

    /// How many gradients are held.
    // R-6
    pub fn num_accumulated(&self) -> u64 {
        self.locked(|state| state.accumulator.num_accumulated())
    }

    /// Sets the step, even lower, and returns the old one; held gradients and waiting takes stay.
    // R-5
    pub fn set_global_step(&self, step: impl Into<GlobalStep>) -> GlobalStep {
        let step = step.into();
        self.locked(|state| state.accumulator.set_global_step(step))
    }

    /// The step that a gradient must not be behind.
    pub fn global_step(&self) -> GlobalStep {
        self.locked(|state| state.accumulator.global_step())
    }

    /// Ends all waiting: every waiting take, and every later one that would have to wait, answers
    /// [`TakeError::Closed`].
    ///
    /// For good. Pushes go on as before, and a take for which enough is held still gets it.
    pub fn close(&self) {
        let line = self.locked(State::close);
        for waiter in line {
            // A taker that is gone needs no answer.
            drop(waiter.hand.send(Err(TakeError::Closed)));
        }
    }

    /// Whether [`close`](Self::close) was called.
    pub fn is_closed(&self) -> bool {
        self.locked(|state| state.closed)
    }

    fn locked<T>(&self, act: impl FnOnce(&mut State<S>) -> T) -> T {
        act(&mut lock(&self.state))
    }

    /// Sends answers; one whose receiver is gone goes back, and on to the next in line.
    fn hand_over(&self, mut done: Answers<S::Sum>) {
        while let Some((hand, answer)) = done.pop_front() {
            if let Err(Ok(sum)) = hand.send(answer) {
                done.extend(self.locked(|state| state.restore(sum)));
            }
        }
    }
}

/// A take in the line. Dropped before it is answered, it leaves the line without losing anything.
struct Waiting<'a, S: Sums> {
    shared: &'a Shared<S>,
    /// `None` once the answer was read.
    place: Option<Place<S::Sum>>,
}

impl<S: Sums> Waiting<'_, S> {
    async fn sum(mut self) -> Result<TakenFrom<S>, TakeError> {
        let Some(place) = &mut self.place else { return Err(TakeError::Closed) };
        let answer = (&mut place.answer).await;
        self.place = None;
        // The sender is dropped unused only with the whole state, which we hold a handle to.
        answer.unwrap_or(Err(TakeError::Closed)).map(Taken::of)
    }
}

impl<S: Sums> Drop for Waiting<'_, S> {
    fn drop(&mut self) {
        let Some(mut place) = self.place.take() else { return };
        // From here on no answer can arrive: the sender of one gets it back, and restores it.
        place.answer.close();
        let done = match place.answer.try_recv() {
            Ok(Ok(sum)) => self.shared.locked(|state| state.restore(sum)),
            Ok(Err(_)) => return,
            Err(_) => self.shared.locked(|state| state.leave(place.id)),
        };
        self.shared.hand_over(done);
    }
}
