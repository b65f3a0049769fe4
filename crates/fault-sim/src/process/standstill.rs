//! A process that does nothing for a while: it is paused, or hangs in a batch while its heartbeats
//! go on.

use std::time::Duration;

use super::Process;
use crate::stage::{Event, Stage};

impl Process {
    /// Goes on after a pause; returns the events that came meanwhile.
    pub(crate) fn resume(&mut self) -> Vec<Event> {
        self.paused = false;
        std::mem::take(&mut self.inbox)
    }

    /// Goes on with the batch that it hangs in, if it does.
    pub(crate) fn come_to(&mut self, stage: &mut Stage) {
        if std::mem::take(&mut self.hung) {
            let (process, stamp) = (self.index, self.stamp);
            stage.events.after(Duration::ZERO, Event::Computed { process, stamp });
        }
    }

    /// Keeps an event for after the pause.
    pub(crate) fn keep(&mut self, event: Event) {
        self.inbox.push(event);
    }
}
