//! A checkpoint of the whole cluster on its way: every server's state at one step, gathered.
//!
//! The order to save stands among the updates, so all servers save the same step, and training goes
//! on meanwhile. Writes nothing. Invariant: a state that is on disk, or on its way there, is not
//! saved again.

use std::time::Duration;

use sync_replicas::checkpoint::{
    CheckpointError, Checkpoints, FEWEST_KEPT, Retry, RowsToSave, RunId, SavedTable, TrainingState,
    aside_name, discard_rows, size_on_disk,
};
use sync_replicas::driver::Generation;
use sync_replicas::driver::describe;
use sync_replicas::engine::Positions;
use sync_replicas::store::TableSaves;
use sync_replicas::{GlobalStep, Scalar};

use super::server_handle::{OrderReply, ServerHandle};
use crate::blocking::blocking;
use crate::coordinator::Coordinator;
use crate::crash::write_checkpoint;
use crate::index::ServerIndex;
use crate::server::command_error::CommandError;
use crate::server::settings::ServerSettings;
use crate::shard::{ShardState, StateError, gather};

/// The state of checkpoints.
pub(crate) struct Saving<T: Scalar> {
    /// The run that they belong to (P-24).
    pub(crate) run: RunId,
    /// Drawn when the process started.
    life: u64,
    /// How many were begun.
    begun: u64,
    /// The newest generation that this process has claimed in the folder.
    pub(crate) claimed: Option<Generation>,
    /// How many updates were ordered.
    pub(crate) updates: u64,
    /// How many of them the newest checkpoint on disk has, if it is of this generation.
    pub(crate) on_disk: Option<u64>,
    /// The checkpoint being gathered or written.
    pub(crate) under_way: Option<Gathering<T>>,
    /// The last checkpoint has failed, and is retried.
    retry: Option<Retry>,
    /// Why the newest failed, if it did.
    pub(crate) error: Option<String>,
    /// How many were written.
    pub(crate) written: u64,
    /// How many were not, though they should have been.
    pub(crate) failed: u64,
}

/// A checkpoint that is being gathered or written.
pub(crate) struct Gathering<T: Scalar> {
    pub(crate) global_step: GlobalStep,
    positions: Positions,
    /// How many updates had been ordered when it began.
    pub(crate) updates: u64,
    /// When it began, on the leader's clock.
    pub(crate) begun: Duration,
    /// By server.
    states: Vec<ServerState<T>>,
    /// The rows of tables, where there are tables.
    rows: Option<RowsUnderWay>,
    /// The same checkpoint was requested again, after an update.
    pub(crate) again: bool,
}

/// The rows of a checkpoint: each server writes its own.
struct RowsUnderWay {
    /// The name of the folder that they go to.
    aside: String,
    /// By server: what it has written, or why not.
    written: Vec<Option<Result<Vec<SavedTable>, CommandError>>>,
}

/// One server's part of a checkpoint.
enum ServerState<T: Scalar> {
    /// Comes as the answer to the order of this number, and to no other: an earlier answer may be
    /// of another step.
    Ordered(u64),
    Here(Box<ShardState<T>>),
    /// It is being written.
    Taken,
}

/// All states of a checkpoint.
pub(crate) struct Gathered<T: Scalar> {
    states: Vec<ShardState<T>>,
    positions: Positions,
    run: RunId,
    rows: Option<RowsUnderWay>,
}

/// Why a checkpoint was not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotSaved {
    #[error("{}", describe(.0))]
    Written(#[from] CheckpointError),
    #[error(transparent)]
    Gathered(#[from] StateError),
    #[error("parameter server {server} has not written its rows: {reason}")]
    Rows { server: usize, reason: CommandError },
}

impl NotSaved {
    /// Whether another process has gone on from the folder.
    pub(crate) fn is_replaced(&self) -> bool {
        matches!(self, Self::Written(CheckpointError::Replaced { .. }))
    }
}

impl<T: Scalar> Saving<T> {
    pub(crate) fn new(run: RunId, life: u64) -> Self {
        Self {
            run,
            life,
            begun: 0,
            claimed: None,
            updates: 0,
            on_disk: None,
            under_way: None,
            retry: None,
            error: None,
            written: 0,
            failed: 0,
        }
    }

    /// Whether nothing is under way, and nothing is retried.
    pub(crate) fn is_done(&self) -> bool {
        self.under_way.is_none() && self.retry.is_none()
    }

    /// Whether all states of the checkpoint under way are there, and on their way to the disk.
    pub(crate) fn is_written(&self) -> bool {
        let taken = |part| matches!(part, &ServerState::Taken);
        self.under_way.as_ref().is_some_and(|it| it.states.iter().all(taken))
    }

    /// Whether the present variables are neither saved nor being saved.
    pub(crate) fn is_wanted(&self) -> bool {
        self.under_way.is_some() || self.on_disk != Some(self.updates)
    }

    /// Whether a failed one is retried.
    pub(crate) fn is_retried(&self) -> bool {
        self.retry.is_some()
    }

    /// Has every server send its state as of now, and write the rows of its tables, if there are
    /// any, to the folder of the returned name: returns this process's own, for writing. While one
    /// is under way, the newest request is kept.
    pub(crate) fn begin(
        &mut self,
        servers: &[ServerHandle<T>],
        coordinator: &Coordinator,
        now: Duration,
        tables: bool,
    ) -> Option<(String, TableSaves<T>)> {
        if let Some(gathering) = &mut self.under_way {
            gathering.again |= gathering.updates != self.updates;
            return None;
        }
        self.begun += 1;
        // No other attempt of any process has this name.
        let attempt = format!("{:016x}-{}", self.life, self.begun);
        let aside = tables.then(|| aside_name(coordinator.global_step(), &attempt));
        let (mut states, mut own) = (Vec::with_capacity(servers.len()), None);
        for server in servers {
            states.push(match server.save(aside.as_deref()) {
                OrderReply::Now(Ok((state, rows))) => {
                    own = rows.zip(aside.clone()).map(|(rows, aside)| (aside, rows));
                    ServerState::Here(Box::new(state))
                }
                OrderReply::Later(number) => ServerState::Ordered(number),
                OrderReply::Now(Err(error)) => {
                    tracing::error!(reason = %error, "no checkpoint can be taken");
                    return None;
                }
            });
        }
        let none = servers.iter().map(|_| None);
        self.under_way = Some(Gathering {
            global_step: coordinator.global_step(),
            positions: coordinator.positions(),
            updates: self.updates,
            begun: now,
            states,
            rows: aside.map(|aside| RowsUnderWay { aside, written: none.collect() }),
            again: false,
        });
        own
    }

    /// A server has written its rows into the folder of this name, or failed to.
    pub(crate) fn rows_came(
        &mut self,
        server: ServerIndex,
        aside: &str,
        written: Result<Vec<SavedTable>, CommandError>,
    ) {
        let rows = self.under_way.as_mut().and_then(|gathering| gathering.rows.as_mut());
        // Of an attempt that was given up.
        let Some(rows) = rows.filter(|rows| rows.aside == aside) else { return };
        if let Some(place) = rows.written.get_mut(server.get()) {
            *place = Some(written);
        }
    }

    /// A server has sent its state, in answer to this order.
    pub(crate) fn came(&mut self, server: ServerIndex, order: u64, state: ShardState<T>) {
        if let Some(part) = self.state_of(server, order) {
            *part = ServerState::Here(Box::new(state));
        }
    }

    /// The state that this order asked for will not come; whether one is missing.
    pub(crate) fn lose(&mut self, server: ServerIndex, order: u64) -> bool {
        let missed = self.state_of(server, order).is_some();
        if missed {
            self.under_way = None;
        }
        missed
    }

    /// The part that this order asked for, if it is still awaited.
    fn state_of(&mut self, server: ServerIndex, order: u64) -> Option<&mut ServerState<T>> {
        let part = self.under_way.as_mut()?.states.get_mut(server.get())?;
        matches!(part, ServerState::Ordered(number) if *number == order).then_some(part)
    }

    /// All states, once, when they are there.
    pub(crate) fn take_gathered(&mut self) -> Option<Gathered<T>> {
        let gathering = self.under_way.as_mut()?;
        let written = |rows: &RowsUnderWay| rows.written.iter().all(Option::is_some);
        if !gathering.states.iter().all(|part| matches!(part, ServerState::Here(_)))
            || !gathering.rows.as_ref().is_none_or(written)
        {
            return None;
        }
        let states =
            gathering.states.iter_mut().map(|part| std::mem::replace(part, ServerState::Taken));
        let here = |part| match part {
            ServerState::Here(state) => Some(*state),
            ServerState::Ordered(_) | ServerState::Taken => None,
        };
        let states = states.filter_map(here).collect();
        crash_point!("coordinator/states-gathered");
        let positions = std::mem::take(&mut gathering.positions);
        let rows = gathering.rows.take();
        Some(Gathered { states, positions, run: self.run, rows })
    }

    /// The checkpoint under way is on disk.
    pub(crate) fn succeeded(&mut self, gathering: &Gathering<T>) {
        (self.on_disk, self.retry, self.error) = (Some(gathering.updates), None, None);
        self.written += 1;
    }

    /// A checkpoint was not written, for this reason.
    pub(crate) fn failed(&mut self, reason: String) {
        self.error = Some(reason);
        self.failed += 1;
    }

    /// The last one has failed: when to retry it, if that may help and there is time.
    pub(crate) fn try_later(
        &mut self,
        error: &NotSaved,
        now: Duration,
        reconnect_timeout: Duration,
    ) -> Option<Duration> {
        let retry = self.retry.get_or_insert_with(|| Retry::new(now, reconnect_timeout));
        let pause = retry.next(now).filter(|_| !error.is_replaced());
        if pause.is_none() {
            self.retry = None;
        }
        pause
    }

    /// The checkpoint under way is abandoned.
    pub(crate) fn give_up(&mut self) {
        (self.under_way, self.retry) = (None, None);
    }
}

impl RowsUnderWay {
    /// All of them, if every server has written its own.
    fn finish<T: Scalar>(self) -> Result<RowsToSave<T>, NotSaved> {
        let missing = || Err(CommandError::There("it was not heard of".to_owned()));
        let one = |(server, written): (usize, Option<Result<_, _>>)| {
            written.unwrap_or_else(missing).map_err(|reason| NotSaved::Rows { server, reason })
        };
        let written = self.written.into_iter().enumerate().map(one);
        Ok(RowsToSave::Written(self.aside, written.collect::<Result<_, _>>()?))
    }
}

impl<T: Scalar> Gathered<T> {
    /// Writes the checkpoint; how many bytes it has.
    ///
    /// # Errors
    /// [`NotSaved`].
    pub(crate) fn write(
        self,
        settings: &ServerSettings,
        checkpoints: &Checkpoints,
    ) -> Result<u64, NotSaved> {
        let state = gather(&settings.placement, &self.states, self.positions)?;
        let definition = settings.agreement.definition();
        let state = TrainingState { run: Some(self.run), definition, ..state };
        let keep = checkpoints.keep.max(FEWEST_KEPT);
        let aside = self.rows.as_ref().map(|rows| rows.aside.clone());
        let rows = self.rows.map_or(Ok(RowsToSave::AsRead), RowsUnderWay::finish);
        // All servers have answered: none writes there any longer, and the next attempt needs room.
        if let (Err(_), Some(aside)) = (&rows, aside)
            && let Err(error) = blocking(|| discard_rows(&checkpoints.folder, &aside))
        {
            tracing::warn!(%error, "rows of a checkpoint that will not be are left");
        }
        let rows = rows?;
        blocking(|| {
            let written = write_checkpoint(&checkpoints.folder, &state, rows, keep)?;
            Ok(size_on_disk(&written))
        })
    }
}

#[cfg(all(test, feature = "test-util"))]
mod tests;
