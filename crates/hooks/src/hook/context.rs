//! What a hook can reach while a step is run.

use crate::Coordinator;

/// What a hook can reach while a step is run.
#[derive(Clone, Copy, Debug)]
pub struct RunContext<'a> {
    coordinator: &'a Coordinator,
}

impl<'a> RunContext<'a> {
    /// A context over `coordinator`, for testing a hook by itself.
    pub fn new(coordinator: &'a Coordinator) -> Self {
        Self { coordinator }
    }

    /// Requests the end of the run after this step; the first reason given is kept.
    pub fn request_stop(&self, reason: impl Into<String>) {
        self.coordinator.request_stop(reason);
    }

    /// The coordinator of this run.
    pub fn coordinator(&self) -> &'a Coordinator {
        self.coordinator
    }
}
