//! A replica's handle: it asks for steps, and gives back what it holds when it goes.
//!
//! For a thread through [`Replica::next_step`], for a task through [`Replica::next_step_async`];
//! both are the same future.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use super::core::Core;
use super::shared::Shared;
use super::span::{ReplicaLog, SpanKind};
use super::step::Step;
use super::superseded::Grants;
use crate::Scalar;
use crate::engine::{Grant, JoinError, Overdue, Refused};
use crate::ids::{Incarnation, ReplicaId};
use crate::sync::{Arc, block_on};

/// One replica, from joining to leaving.
///
/// Dropping it, also by a panic, is leaving: its token goes to somebody else and training goes on
/// with the rest (P-2, P-5).
pub struct Replica<T: Scalar> {
    pub(crate) shared: Arc<Shared<T>>,
    pub(crate) id: ReplicaId,
    pub(crate) incarnation: Incarnation,
    pub(crate) sequence: u64,
    pub(crate) log: ReplicaLog,
    /// A token that was waited for and is not used yet.
    token: Option<Granted>,
}

/// A token in hand, and what says whether its work is superseded.
pub(super) type Granted = (Grant, Grants);

/// Why a wait for a step failed; the replica may wait again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// The step took longer than its deadline (P-5).
    #[error(transparent)]
    Overdue(#[from] Overdue),
    /// The replica is fenced off: a new generation began without it (P-9).
    #[error(transparent)]
    Refused(#[from] Refused),
    /// Training was ended by a failed update.
    #[error("training ended because an update failed: {reason}")]
    Failed {
        /// What failed.
        reason: String,
    },
}

impl<T: Scalar> Replica<T> {
    pub(crate) fn join(shared: &Arc<Shared<T>>, id: ReplicaId) -> Result<Self, JoinError> {
        let incarnation = shared.event(|core, now, effects| {
            let incarnation = core.engine.join(id, now, effects)?;
            if let Some(seat) = core.seat(id) {
                // An earlier life may have left a grant or an overdue wait; the first grant of this
                // one is among the effects, which come after.
                (seat.grant, seat.overdue, seat.waker) = (None, None, None);
            }
            Ok(incarnation)
        })?;
        Ok(Self {
            shared: Arc::clone(shared),
            id,
            incarnation,
            sequence: 0,
            log: ReplicaLog::default(),
            token: None,
        })
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> ReplicaId {
        self.id
    }

    /// Waits for a token and gives the step to compute; `None` when training has ended.
    ///
    /// Blocks the thread. In its first life a replica gets its first step at once.
    ///
    /// # Errors
    /// [`WaitError`] when the step is overdue, or this replica was fenced off.
    ///
    /// # Examples
    /// See [`Trainer::replica`](crate::Trainer::replica).
    pub fn next_step(&mut self) -> Result<Option<Step<'_, T>>, WaitError> {
        block_on(self.next_step_async())
    }

    /// The same for a task.
    ///
    /// # Cancel safety
    /// A dropped future loses nothing: its place in line is kept, and a token that was given
    /// meanwhile is there at the next call.
    ///
    /// # Errors
    /// As [`Replica::next_step`].
    pub async fn next_step_async(&mut self) -> Result<Option<Step<'_, T>>, WaitError> {
        let ended = match self.token {
            // Somebody waited for it before, and it is not known how long ago.
            Some(_) => self.shared.now(),
            None => self.token_async().await?,
        };
        Ok(self.token.take().map(|granted| Step::begin(self, granted, ended)))
    }

    /// Waits until this replica has its next token, without beginning the step; `false` when
    /// training has ended.
    ///
    /// # Errors
    /// As [`Replica::next_step`].
    pub fn wait_for_token(&mut self) -> Result<bool, WaitError> {
        if self.token.is_none() {
            block_on(self.token_async())?;
        }
        Ok(self.token.is_some())
    }

    /// Waits for the next token, if there is to be one; when the wait ended.
    async fn token_async(&mut self) -> Result<Duration, WaitError> {
        let start = self.shared.now();
        let mut end = start;
        let mut first = true;
        self.token = poll_fn(|context| {
            if !std::mem::take(&mut first) {
                end = self.shared.now();
            }
            self.poll_grant(context, end)
        })
        .await?;
        if let Some((grant, _)) = &self.token {
            let timeline = self.shared.timeline;
            self.log.record(self.id, grant.local_step, SpanKind::Waited, (start, end), timeline);
        }
        Ok(end)
    }

    fn poll_grant(
        &mut self,
        context: &mut Context<'_>,
        now: Duration,
    ) -> Poll<Result<Option<Granted>, WaitError>> {
        let (id, incarnation) = (self.id, self.incarnation);
        self.shared.event_at(now, |core, now, effects| {
            if let Some(reason) = core.engine.stopped() {
                return Poll::Ready(match reason {
                    crate::engine::StopReason::Failed(reason) => {
                        Err(WaitError::Failed { reason: reason.clone() })
                    }
                    _ => Ok(None),
                });
            }
            if let Some(granted) = take_grant(core, id, incarnation) {
                // It woke after its step was over: nobody would want what it computes (P-13).
                let late = core.config().settings().tell_superseded;
                if !late || !core.engine.is_superseded(id) {
                    return Poll::Ready(Ok(Some(granted)));
                }
                if let Err(refused) = core.engine.decline(id, incarnation, now, effects) {
                    return Poll::Ready(Err(refused.into()));
                }
            }
            if let Some(overdue) = core.seat(id).and_then(|seat| seat.overdue.take()) {
                return Poll::Ready(Err(overdue.into()));
            }
            if let Err(refused) = core.engine.request(id, incarnation, now, effects) {
                return Poll::Ready(Err(refused.into()));
            }
            // Registered before the effects are carried out: a grant among them wakes this waker.
            if let Some(seat) = core.seat(id) {
                seat.waker = Some(context.waker().clone());
            }
            Poll::Pending
        })
    }
}

fn take_grant<T: Scalar>(
    core: &mut Core<T>,
    id: ReplicaId,
    incarnation: Incarnation,
) -> Option<Granted> {
    let seat = core.seat(id)?;
    let grant = seat.grant.take_if(|grant| grant.incarnation == incarnation)?;
    Some((grant, seat.grants.clone()))
}

impl<T: Scalar> Drop for Replica<T> {
    fn drop(&mut self) {
        let (id, incarnation) = (self.id, self.incarnation);
        let log = std::mem::take(&mut self.log);
        self.shared.event(|core, now, effects| {
            // A handle of an earlier generation has no place in this one's books (P-9).
            if core.engine.leave(id, incarnation, now, effects)
                && let Some(seat) = core.seat(id)
            {
                seat.log.absorb(log);
            }
        });
    }
}
