//! Reports to the leader of rows of a checkpoint that were written: of its last order, and again
//! over each connection.
//!
//! A checkpoint may be given up and the next one ordered while the rows of the first are written.
//! Invariant: late news of the first never replaces what is known of the next.

use crate::proto::RowsWritten;

/// What the leader is told.
#[derive(Debug, Default)]
pub(super) struct RowsTold {
    ordered: String,
    told: Option<RowsWritten>,
}

impl RowsTold {
    /// Orders rows to be written there.
    pub(super) fn order(&mut self, aside: &str) {
        self.ordered = aside.to_owned();
        self.told = None;
    }

    /// They are written, or failed; what to tell now.
    pub(super) fn written(&mut self, rows: RowsWritten) -> Option<RowsWritten> {
        (rows.aside == self.ordered).then(|| self.told.insert(rows).clone())
    }

    /// What to tell over a new connection.
    pub(super) fn again(&self) -> Option<RowsWritten> {
        self.told.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(aside: &str) -> RowsWritten {
        RowsWritten { aside: aside.to_owned(), ..RowsWritten::default() }
    }

    #[test]
    fn what_was_ordered_last_is_told() {
        let mut told = RowsTold::default();
        told.order("first");
        told.order("second");
        assert_eq!(told.written(rows("second")), Some(rows("second")));
        assert_eq!(told.written(rows("first")), None);
        assert_eq!(told.again(), Some(rows("second")));
    }

    #[test]
    fn an_order_takes_back_what_was_told_before() {
        let mut told = RowsTold::default();
        told.order("first");
        assert_eq!(told.written(rows("first")), Some(rows("first")));
        told.order("second");
        assert_eq!(told.again(), None);
    }
}
