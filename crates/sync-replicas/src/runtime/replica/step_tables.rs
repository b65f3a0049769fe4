//! Rows of one step, for a replica that learns which keys it needs only while it computes.
//!
//! Holds no step back: once that is over, it no longer has rows (P-17).

use ndarray::Array2;

use crate::runtime::shared::Shared;
use crate::store::Version;
use crate::sync::Arc;
use crate::{LookupError, Scalar};

/// The tables as they are at one step: see [`Work::tables`](crate::Work::tables).
#[derive(Clone, Debug)]
pub struct StepTables<T: Scalar> {
    shared: Arc<Shared<T>>,
    version: Version,
}

impl<T: Scalar> StepTables<T> {
    pub(super) fn new(shared: Arc<Shared<T>>, version: Version) -> Self {
        Self { shared, version }
    }

    /// The rows of these keys, as [`StepOf::lookup`](crate::driver::StepOf::lookup) gives them.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Examples
    /// ```
    /// use ndarray::{Array2, array};
    /// use optim::Sgd;
    /// use sync_replicas::{Gradients, IndexedSlices, ReplicaId, SyncReplicas, Table, Variables};
    /// use sync_replicas::error::LookupError;
    ///
    /// let variables = Variables::<f32>::new().with_table(Table::new("users", 1).constant(1.0))?;
    /// let trainer = SyncReplicas::new(Sgd::new(0.5)).build(variables)?;
    /// let mut replica = trainer.replica(ReplicaId::new(0))?;
    /// let step = replica.next_step()?.expect("training goes on");
    /// let tables = step.tables();
    /// assert_eq!(tables.lookup("users", &[12])?, array![[1.0]]);
    /// let gradient = IndexedSlices::by_key(vec![12], Array2::ones((1, 1)))?;
    /// step.push(Gradients::new().sparse("users", gradient))?;
    /// assert!(matches!(tables.lookup("users", &[12]), Err(LookupError::Superseded { .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn lookup(&self, table: &str, keys: &[i64]) -> Result<Array2<T>, LookupError> {
        self.shared.lookup(self.version, table, keys)
    }
}
