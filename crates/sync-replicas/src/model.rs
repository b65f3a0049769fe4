//! What the front door asks of a model and of its data; nothing here runs anything.

use std::error::Error;

use crate::runtime::Work;
use crate::{Computed, Keys, Scalar, Variables};

/// Any error of a user's own code.
pub type BoxError = Box<dyn Error + Send + Sync + 'static>;

/// Something that can be trained: it computes gradients of its loss.
///
/// One value serves all replicas at once, so it is `Sync` and takes `&self`.
pub trait Model<T: Scalar>: Sync {
    /// The input of one step of one replica.
    type Batch;

    /// The keys whose rows `batch` needs, of tables: [`Work::rows`] has them when gradients are
    /// computed. None when not overridden.
    // P-17
    fn keys(&self, _batch: &Self::Batch) -> Keys {
        Keys::new()
    }

    /// The mean loss over `batch` and its gradients, one for each variable.
    ///
    /// `Ok(None)` says that the model gave up superseded work ([`Work::is_superseded`], P-13).
    ///
    /// # Errors
    /// Any error; the replica then leaves, gives its token back, and the others go on (P-5).
    fn gradients(
        &self,
        variables: &Variables<T>,
        batch: &Self::Batch,
        work: &Work<'_, T>,
    ) -> Result<Option<Computed<T>>, BoxError>;
}

/// One replica's source of batches.
///
/// Every iterator is one: it gives its next item and ignores the number. A source that can find any
/// batch by its number makes runs repeatable and resumable.
pub trait BatchSource {
    /// The input of one step of the replica.
    type Batch;

    /// The batch with this number, or `None` when the data has ended: the replica then leaves, and
    /// the others go on.
    // P-6
    fn batch(&mut self, number: u64) -> Option<Self::Batch>;

    /// The next batch, if that does not depend on its number: in a cluster the rows of its keys are
    /// requested before its token comes. None when not overridden.
    // P-17
    fn peek(&mut self) -> Option<&Self::Batch> {
        None
    }
}

impl<I: Iterator> BatchSource for I {
    type Batch = I::Item;

    fn batch(&mut self, _number: u64) -> Option<Self::Batch> {
        self.next()
    }
}
