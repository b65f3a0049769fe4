//! The description of a monitored session before it starts.
//!
//! Nothing is called until `start`: a dropped builder has done nothing.

use std::fmt;
use std::time::Duration;

use super::{Create, MonitoredSession, Phase};
use crate::{Coordinator, Hook, RunningHook, Session, SessionError};

/// The reference's grace period; a session that wakes its waiters never uses it up.
const GRACE: Duration = Duration::from_secs(120);

/// More losses in a row than any restart of a healthy system causes.
const MAX_RECOVERIES: u32 = 16;

/// The builder of a monitored session; made by [`MonitoredSession::builder`].
#[must_use = "nothing happens until `start` is called"]
pub struct Builder<'h, S: Session> {
    create: Box<Create<'h, S>>,
    hooks: Vec<Box<dyn Hook<S> + 'h>>,
    coordinator: Coordinator,
    grace: Duration,
    max_recoveries: u32,
}

impl<S: Session> fmt::Debug for Builder<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("hooks", &self.hooks.len())
            .field("grace", &self.grace)
            .field("max_recoveries", &self.max_recoveries)
            .finish_non_exhaustive()
    }
}

impl<'h, S: Session> Builder<'h, S> {
    pub(super) fn new(create: Box<Create<'h, S>>) -> Self {
        Self {
            create,
            hooks: Vec::new(),
            coordinator: Coordinator::new(),
            grace: GRACE,
            max_recoveries: MAX_RECOVERIES,
        }
    }

    /// Adds a hook; hooks are called in the order in which they were added.
    pub fn hook(mut self, hook: impl Hook<S> + 'h) -> Self {
        self.hooks.push(Box::new(hook));
        self
    }

    /// Adds boxed hooks.
    pub fn hooks(mut self, hooks: impl IntoIterator<Item = Box<dyn Hook<S> + 'h>>) -> Self {
        self.hooks.extend(hooks);
        self
    }

    /// Uses the caller's coordinator, so that the run can be stopped from outside.
    pub fn coordinator(mut self, coordinator: Coordinator) -> Self {
        self.coordinator = coordinator;
        self
    }

    /// How long threads may take to end after a stop; 120 seconds unless set.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// How often in a row a lost session is created again with no step done; 16 unless set.
    pub fn max_recoveries(mut self, max_recoveries: u32) -> Self {
        self.max_recoveries = max_recoveries;
        self
    }

    /// Calls the hooks' `begin`, creates the session, and calls their `after_create_session`.
    ///
    /// When a stop is requested meanwhile, the session starts as one that should stop.
    ///
    /// # Errors
    /// The first real error; everything started by then is stopped, closed and joined.
    pub fn start(self) -> Result<MonitoredSession<'h, S>, SessionError> {
        let Self { create, hooks, coordinator, grace, max_recoveries } = self;
        let running = RunningHook::new(hooks.iter().map(|hook| hook.name().to_owned()));
        let session = MonitoredSession {
            create,
            hooks,
            running,
            coordinator,
            grace,
            max_recoveries,
            losses: 0,
            session: None,
            phase: Phase::Open,
        };
        session.start_up()
    }
}
