//! What the front door asks of a model and of its data; nothing here runs anything.

use std::error::Error;
use std::time::Duration;

use crate::ids::ReplicaId;
use crate::runtime::Superseded;
use crate::{GlobalStep, Gradients, Variables};

/// Any error of a user's own code.
pub type BoxError = Box<dyn Error + Send + Sync + 'static>;

/// Something that can be trained: it computes gradients of its loss.
///
/// One value serves all replicas at once, so it is `Sync` and takes `&self`.
pub trait Model<T>: Sync {
    /// What one step of one replica works on.
    type Batch;

    /// The mean loss over `batch` and its gradients, one for each variable.
    ///
    /// `Ok(None)` says that the work was given up because it was superseded
    /// ([`Work::superseded`], P-13).
    ///
    /// # Errors
    /// Anything; the replica then leaves, gives its token back, and the others go on (P-5).
    fn gradients(
        &self,
        variables: &Variables<T>,
        batch: &Self::Batch,
        work: &Work<'_>,
    ) -> Result<Option<Computed<T>>, BoxError>;
}

/// What a replica computed from one batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Computed<T> {
    /// The mean loss over the batch.
    pub loss: f64,
    /// How many examples the batch had.
    pub examples: u64,
    /// The gradient of the mean loss for each variable.
    pub gradients: Gradients<T>,
}

/// The order for one batch: who computes it, for which step, and which batch it is.
#[derive(Debug)]
pub struct Work<'a> {
    /// The replica that computes.
    pub replica: ReplicaId,
    /// The step whose variables are used, and which the gradient will claim.
    pub step: GlobalStep,
    /// The number of the batch. In a run it never repeats; in replica order it depends on the step
    /// and the share alone, so whoever computes it, the gradient is the same (P-14).
    pub number: u64,
    pub(crate) superseded: &'a Superseded,
}

impl Work<'_> {
    /// Whether the step was finished without this work, so that its gradient would be dropped
    /// (P-13).
    #[must_use]
    pub fn superseded(&self) -> bool {
        self.superseded.is_set()
    }

    /// Waits for `duration`, or until the work is superseded or training ends; returns whether it
    /// was cut short.
    #[must_use]
    pub fn pause(&self, duration: Duration) -> bool {
        self.superseded.wait(duration)
    }
}

/// One replica's source of batches.
///
/// Every iterator is one: it gives its next item and does not look at the number. A source that
/// can find any batch by its number makes runs repeatable and resumable.
pub trait Shard {
    /// What one step of the replica works on.
    type Batch;

    /// The batch with this number, or `None` when the data has ended: the replica then leaves,
    /// and the others go on (P-6).
    fn batch(&mut self, number: u64) -> Option<Self::Batch>;
}

impl<I: Iterator> Shard for I {
    type Batch = I::Item;

    fn batch(&mut self, _number: u64) -> Option<Self::Batch> {
        self.next()
    }
}
