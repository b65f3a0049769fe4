//! The leader's part in checkpoints: it begins them, hears of their parts, and acts once they are
//! written.

use sync_replicas::checkpoint::SavedTable;
use sync_replicas::record::{FailedSave, Saved};
use sync_replicas::{GlobalStep, Scalar};

use super::Leader;
use super::saving::{Gathering, NotSaved};
use super::shared::Job;
use crate::index::ServerIndex;
use crate::proto::SaveFailed;
use crate::proto::to_replica::Message;
use crate::server::command_error::CommandError;
use crate::server::parameter_server::Release;
use crate::shard::ShardState;

impl<T: Scalar> Leader<T> {
    /// A checkpoint is requested: of now, or of when the servers are ready.
    pub(in crate::server) fn request_save(&mut self) {
        if !self.is_serving() {
            self.deferred.save = true;
        } else if !self.own.is_over() {
            self.begin_save();
        }
    }

    /// Has every server send its state as of now, unless that is saved or being saved.
    pub(in crate::server) fn save_if_new(&mut self) {
        if self.saving.is_wanted() {
            self.begin_save();
        }
    }

    /// Has every server send its state as of now.
    pub(in crate::server) fn begin_save(&mut self) {
        if self.settings.duties.checkpoints.is_none() {
            return;
        }
        let tables = !self.settings.placement.tables().is_empty();
        let own = self.saving.begin(&self.servers, &self.coordinator, self.now(), tables);
        self.jobs.extend(own.map(|(aside, rows)| Job::WriteRows(aside, rows)));
        self.write_if_gathered();
    }

    /// A server has written its rows of a checkpoint, or failed to.
    pub(in crate::server) fn rows_came(
        &mut self,
        server: ServerIndex,
        aside: &str,
        written: Result<Vec<SavedTable>, CommandError>,
    ) {
        self.saving.rows_came(server, aside, written);
        self.write_if_gathered();
    }

    fn write_if_gathered(&mut self) {
        self.jobs.extend(self.saving.take_gathered().map(Job::Write));
    }

    /// Another server has sent its state, in answer to this order.
    pub(in crate::server) fn state_came(
        &mut self,
        server: ServerIndex,
        order: u64,
        state: ShardState<T>,
    ) {
        self.saving.came(server, order, state);
        self.write_if_gathered();
    }

    /// The state that this order asked for was lost on its way: all are gathered anew, as of now.
    pub(in crate::server) fn save_again(&mut self, server: ServerIndex, order: u64) {
        if self.saving.lose(server, order) {
            self.begin_save();
        }
    }

    /// A checkpoint was written, or failed.
    pub(in crate::server) fn written(&mut self, written: Result<u64, NotSaved>) {
        // A generation begins once this is done, so this is the checkpoint it took.
        let Some(gathering) = self.saving.under_way.take() else { return };
        let mut again = gathering.again && self.is_serving();
        let mut later = false;
        match &written {
            Ok(bytes) => {
                self.note_saved(&gathering, *bytes);
                self.saving.succeeded(&gathering);
            }
            Err(error) => {
                self.note_failed(gathering.global_step, error);
                if !again && self.ending.is_some() {
                    let pause =
                        self.saving.try_later(error, self.now(), self.settings.reconnect_timeout);
                    self.jobs.extend(pause.map(Job::SaveLater));
                    later = pause.is_some();
                }
                if let Some(ending) = self.ending.as_mut().filter(|_| !again && !later) {
                    // What was trained is lost with the servers.
                    ending.failed = true;
                    ending.reason =
                        format!("{}, but no last checkpoint was written: {error}", ending.reason);
                }
            }
        }
        let leave = match &written {
            // Processes that wait to leave end with the training.
            _ if self.ending.is_some() => Vec::new(),
            Ok(_) => self.coordinator.saved(gathering.updates),
            Err(_) if again || later => Vec::new(),
            Err(_) => self.coordinator.nothing_is_saved(),
        };
        // Servers that leave take their state with them: nothing more can be saved.
        again &= leave.is_empty();
        let release =
            written.map_or_else(|it| Release::Unsaved(it.to_string()), |_| Release::Saved);
        self.release(leave, &release);
        if again {
            self.begin_save();
        }
        self.finish_if_saved();
    }

    /// Records a checkpoint that is there.
    fn note_saved(&self, gathering: &Gathering<T>, bytes: u64) {
        if let Some(record) = &self.settings.record {
            let (step, at) = (gathering.global_step.get(), self.now());
            record.add_save(Saved { step, at, took: at.saturating_sub(gathering.begun), bytes });
        }
    }

    /// Reports a checkpoint that was not written, to whatever shows it.
    fn note_failed(&mut self, step: GlobalStep, error: &NotSaved) {
        let (reason, step) = (error.to_string(), step.get());
        tracing::error!(reason, step, "no checkpoint was written");
        let told = SaveFailed { step, reason: reason.clone() };
        self.own.connections().send_to_all(&Message::SaveFailed(told));
        if let Some(record) = &self.settings.record {
            record.add_failed_save(FailedSave { step, reason: reason.clone() });
        }
        if error.is_replaced() {
            self.was_replaced(reason.clone());
        }
        self.saving.failed(reason);
    }
}
