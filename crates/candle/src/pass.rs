//! One forward pass: what a loss can ask for besides the module and the batch.
//!
//! Holds what the step brings, and decides nothing. Invariant: a pass that was given up says so,
//! so that giving up is never taken for a failure.

use std::cell::Cell;
use std::fmt;
use std::time::Duration;

use candle_core::{DType, Device, Error, Result, Tensor, Var};
use sync_replicas::{BoxError, Cancellation, Keys, ReplicaId, Work};

use crate::copies;
use crate::float::Float;

/// The forward pass of one replica over one batch.
pub struct Pass {
    replica: ReplicaId,
    number: u64,
    superseded: Cancellation,
    gave_up: Cell<bool>,
    rows: Vec<TableRows>,
}

/// The rows of one table, one for each of the batch's keys.
pub(crate) struct TableRows {
    pub(crate) table: String,
    pub(crate) keys: Vec<i64>,
    /// A variable of this pass alone, so that the rows have gradients.
    pub(crate) rows: Var,
}

impl fmt::Debug for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tables: Vec<&str> = self.rows.iter().map(|it| it.table.as_str()).collect();
        f.debug_struct("Pass")
            .field("replica", &self.replica)
            .field("number", &self.number)
            .field("superseded", &self.is_superseded())
            .field("tables", &tables)
            .finish_non_exhaustive()
    }
}

impl Pass {
    pub(crate) fn new<T: Float>(
        work: &Work<'_, T>,
        keys: Keys,
        (dtype, device): (DType, &Device),
    ) -> std::result::Result<Self, BoxError> {
        let mut rows = Vec::new();
        for (table, keys) in keys.iter() {
            let values = work.rows(table)?;
            let numbers = copies::numbers_of(&values);
            let tensor = copies::tensor(&numbers, values.shape(), dtype, device)?;
            let (table, keys) = (table.to_owned(), keys.to_vec());
            rows.push(TableRows { table, keys, rows: Var::from_tensor(&tensor)? });
        }
        let (replica, number, superseded) = (work.replica, work.number, work.cancellation());
        Ok(Self { replica, number, superseded, gave_up: Cell::new(false), rows })
    }

    /// The replica that computes.
    #[must_use]
    pub fn replica(&self) -> ReplicaId {
        self.replica
    }

    /// The number of the batch.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Whether the step was finished without this work, so that its gradient would be dropped.
    // P-13
    #[must_use]
    pub fn is_superseded(&self) -> bool {
        self.superseded.is_cancelled()
    }

    /// Ends the loss early when its gradient would be dropped: `pass.check()?` between two layers
    /// gives the work up, and the replica goes on with the step that is open.
    ///
    /// # Errors
    /// When the work is superseded. It is no failure, and the model does not report it as one.
    // P-13
    pub fn check(&self) -> Result<()> {
        self.go_on(!self.is_superseded())
    }

    /// Waits, as a slow replica would, until `duration` has passed or the work is superseded.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn pause(&self, duration: Duration) -> Result<()> {
        self.go_on(!self.superseded.wait(duration))
    }

    fn go_on(&self, current: bool) -> Result<()> {
        if current {
            return Ok(());
        }
        self.gave_up.set(true);
        Err(Error::Msg("the step was finished without this batch".into()))
    }

    /// Whether a [`check`](Self::check) has ended it.
    pub(crate) fn gave_up(&self) -> bool {
        self.gave_up.get()
    }

    /// The rows of a table that [`CandleModel::keys`](crate::CandleModel::keys) has named, keys x
    /// width, in the order of the keys.
    ///
    /// # Errors
    /// When no rows of it were looked up; the message names the tables whose rows were.
    // P-17
    pub fn rows(&self, table: &str) -> Result<&Tensor> {
        match self.rows.iter().find(|it| it.table == table) {
            Some(found) => Ok(found.rows.as_tensor()),
            None => {
                let known: Vec<&str> = self.rows.iter().map(|it| it.table.as_str()).collect();
                Err(Error::Msg(format!(
                    "no rows of `{table}` were looked up for this batch: `CandleModel::keys` names \
                     its tables, now: {}",
                    if known.is_empty() { "none".to_owned() } else { known.join(", ") }
                )))
            }
        }
    }

    pub(crate) fn into_rows(self) -> Vec<TableRows> {
        self.rows
    }
}
