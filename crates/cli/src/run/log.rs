//! What is written of a run while it trains: updates and batches from its record, and tests.

use std::collections::BTreeMap;
use std::path::Path;

use sync_replicas::record::{Cursor, FailedSave, News, Record};

use crate::error::Error;
use crate::run::board::Board;
use crate::run::metrics::{Batches, Evaluation, Metrics, Run, Saved, Update, unwritten};
use crate::run::summary::Summary;

/// A record and its file.
pub(crate) struct RunLog {
    metrics: Metrics,
    board: Option<Board>,
    record: Record,
    cursor: Cursor,
    batches: Batches,
    /// Tests of updates whose line is not written yet.
    tests: Option<BTreeMap<i64, Evaluation>>,
    /// Whether the last write failed.
    stuck: bool,
}

impl RunLog {
    /// For the process that makes the updates: appends to a file or creates it, with the line of
    /// the run.
    pub(crate) fn open(
        path: &Path,
        run: &Run,
        record: Record,
        board: Option<Board>,
    ) -> Result<Self, Error> {
        let mut metrics = Metrics::append(path).map_err(unwritten)?;
        metrics.add("run", run);
        metrics.flush().map_err(unwritten)?;
        let mut log = Self::new(metrics, record, board, Some(BTreeMap::new()));
        log.show(|board| board.run(run));
        Ok(log)
    }

    /// Of a process that only tests what others update: each test has its own line.
    pub(crate) fn of_tests(
        path: &Path,
        record: Record,
        board: Option<Board>,
    ) -> Result<Self, Error> {
        Ok(Self::new(Metrics::append(path).map_err(unwritten)?, record, board, None))
    }

    fn new(
        metrics: Metrics,
        record: Record,
        board: Option<Board>,
        tests: Option<BTreeMap<i64, Evaluation>>,
    ) -> Self {
        let (cursor, batches) = (Cursor::default(), Batches::default());
        Self { metrics, board, record, cursor, batches, tests, stuck: false }
    }

    /// Whether another process writes all but the tests.
    pub(crate) fn only_tests(&self) -> bool {
        self.tests.is_none()
    }

    /// Notes a test.
    pub(crate) fn tested(&mut self, test: Evaluation) {
        match &mut self.tests {
            Some(tests) => drop(tests.insert(test.step, test)),
            None => {
                self.metrics.add("evaluation", &test);
                self.show(|board| board.test(&test));
            }
        }
    }

    /// Writes what has happened since the last time, if this is the process that does; returns the
    /// checkpoints that failed.
    pub(crate) fn follow(&mut self) -> Vec<FailedSave> {
        let news = self.record.since(&mut self.cursor);
        let Some(tests) = &mut self.tests else { return news.failed_saves };
        let News { updates, spans, saves, failed_saves, failures, missed, .. } = news;
        if missed > 0 {
            tracing::warn!(missed, "lines are missing in the metrics: too much happened at once");
        }
        for made in &updates {
            let mut update = Update::from(made);
            if let Some(test) = tests.remove(&made.step) {
                update.scores = test.scores;
                update.averages_test_accuracy = test.averages_test_accuracy;
            }
            self.metrics.add_update(&update);
            if let Some(board) = &mut self.board {
                board.update(&update);
            }
        }
        if let Some(board) = &mut self.board {
            board.spans(&spans);
        }
        for batch in self.batches.of(&spans) {
            self.metrics.add("batch", &batch);
        }
        for saved in &saves {
            self.metrics.add("saved", &Saved::from(saved));
        }
        for failed in &failed_saves {
            self.metrics.add("save_failed", failed);
        }
        for failure in &failures {
            self.metrics.add("failure", failure);
        }
        failed_saves
    }

    /// Notes the result of training.
    pub(crate) fn result(&mut self, summary: &Summary) {
        self.metrics.add("result", summary);
        self.show(|board| board.result(summary));
    }

    fn show(&mut self, show: impl FnOnce(&mut Board)) {
        if let Some(board) = &mut self.board {
            show(board);
        }
    }

    /// Hands waiting lines to the system, at once or if it is time. Failed writes are tried again,
    /// and the log reports them once.
    pub(crate) fn hand_over(&mut self, at_once: bool) {
        let written = if at_once { self.metrics.flush() } else { self.metrics.flush_if_due() };
        if let Err(error) = &written
            && !self.stuck
        {
            tracing::error!(%error, "the metrics cannot be written; it is tried again");
        }
        self.stuck = written.is_err();
    }

    /// Writes what has happened and hands it to the system.
    pub(crate) fn flush(&mut self) -> Result<(), Error> {
        self.follow();
        self.show(Board::flush);
        self.metrics.flush().map_err(unwritten)
    }
}
