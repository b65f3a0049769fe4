//! A replica's handle: it asks for steps, and gives back what it holds when it is dropped.
//!
//! For a thread through [`Replica::next_step`], for a task through [`Replica::next_step_async`];
//! both are the same future.

pub(super) mod cancellation;
pub(super) mod log;
pub(super) mod mailbox;
pub(super) mod step;
pub(super) mod step_tables;
pub(super) mod work;

use std::fmt;
use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use accum_core::LocalStep;

use self::cancellation::{Cancellation, Grants};
use self::log::ReplicaLog;
use self::mailbox::{Found, Granted, Mailbox};
use self::step::{OpenStep, OwnedStep, Step};
use super::shared::Shared;
use crate::Scalar;
use crate::record::{Span, SpanKind};
use crate::sync::{Arc, block_on};
use engine::{Incarnation, JoinError, Overdue, Refused, ReplicaId, StopReason};

/// One replica, from joining to leaving.
///
/// Dropping it, even by a panic, is leaving: its token goes to another and training goes on with
/// the rest (P-2, P-5).
pub struct Replica<T: Scalar> {
    pub(crate) shared: Arc<Shared<T>>,
    pub(crate) id: ReplicaId,
    pub(crate) incarnation: Incarnation,
    pub(crate) sequence: u64,
    pub(crate) log: ReplicaLog,
    /// Of the newest grant that it looked at.
    pub(super) superseded: Cancellation,
    mailbox: Arc<Mailbox>,
    /// When it joined or finished its last step: it has waited for a token since then.
    pub(super) idle_since: Duration,
    /// A token that was waited for and is not used yet.
    token: Option<Granted>,
    /// The step that it computes.
    open: Option<OpenStep>,
}

/// Why a wait for a step failed; the replica may wait again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// The step took longer than its deadline.
    // P-5
    #[error(transparent)]
    Overdue(#[from] Overdue),
    /// The replica is fenced off: a new generation began without it.
    // P-9
    #[error(transparent)]
    Refused(#[from] Refused),
    /// Training was ended by a failure, of an update or of too many replicas.
    #[error("training failed: {reason}")]
    Failed {
        /// The failure.
        reason: String,
    },
}

impl<T: Scalar> fmt::Debug for Replica<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replica")
            .field("id", &self.id)
            .field("incarnation", &self.incarnation)
            .finish_non_exhaustive()
    }
}

impl<T: Scalar> Replica<T> {
    pub(crate) fn join(shared: &Arc<Shared<T>>, id: ReplicaId) -> Result<Self, JoinError> {
        let (mailbox, grants) = (Arc::new(Mailbox::default()), Grants::default());
        let (incarnation, joined) = shared.event(|core, now, effects| {
            let incarnation = core.engine.join(id, now, effects)?;
            if let Some(slot) = core.slot(id) {
                // The first grant of this life is among the effects, which come after.
                (slot.mailbox, slot.grants) = (Arc::clone(&mailbox), grants.clone());
            }
            Ok((incarnation, now))
        })?;
        let (watch, told) = (Arc::clone(&shared.watch), shared.tell_superseded);
        Ok(Self {
            shared: Arc::clone(shared),
            id,
            incarnation,
            sequence: 0,
            log: ReplicaLog::default(),
            superseded: Cancellation::new(watch, grants, LocalStep::default(), told),
            mailbox,
            idle_since: joined,
            token: None,
            open: None,
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
    // R-20
    pub fn next_step(&mut self) -> Result<Option<Step<'_, T>>, WaitError> {
        block_on(self.next_step_async())
    }

    /// The same for a task.
    ///
    /// # Cancel safety
    /// A dropped future loses nothing: its place in line is kept, and a token delivered meanwhile
    /// is there at the next call.
    ///
    /// # Errors
    /// As [`Replica::next_step`].
    pub async fn next_step_async(&mut self) -> Result<Option<Step<'_, T>>, WaitError> {
        self.token_async().await?;
        Ok(self.token.take().map(|granted| Step::lent(self, granted)))
    }

    /// Waits until this replica has its next token, without beginning the step; `false` when
    /// training has ended.
    ///
    /// # Errors
    /// As [`Replica::next_step`].
    pub fn wait_for_token(&mut self) -> Result<bool, WaitError> {
        block_on(self.wait_for_token_async())
    }

    /// The same for a task.
    ///
    /// # Cancel safety
    /// As [`Replica::next_step_async`].
    ///
    /// # Errors
    /// As [`Replica::next_step`].
    pub async fn wait_for_token_async(&mut self) -> Result<bool, WaitError> {
        self.token_async().await?;
        Ok(self.token.is_some())
    }

    /// Begins the step of the token that was waited for, and moves the replica into it, for a loop
    /// that cannot lend it: an iterator's, or one in another language.
    ///
    /// # Errors
    /// The replica itself when it has no token: it must [wait](Self::wait_for_token) for one.
    ///
    /// # Examples
    /// ```
    /// use ndarray::array;
    /// use optim::Sgd;
    /// use sync_replicas::{Gradients, ReplicaId, SyncReplicas, Variables};
    ///
    /// let variables = Variables::new().with("w", array![4.0_f64])?;
    /// let trainer = SyncReplicas::new(Sgd::new(0.25)).build(variables)?;
    /// let mut replica = trainer.replica(ReplicaId::new(0))?;
    /// for _ in 0..3 {
    ///     assert!(replica.wait_for_token()?);
    ///     let step = replica.into_step().expect("it has a token");
    ///     let gradient = step.variables().get("w")? * 2.0;
    ///     let outcome;
    ///     (replica, outcome) = step.push(Gradients::new().dense("w", gradient));
    ///     assert!(outcome?.is_accepted());
    /// }
    /// assert_eq!(trainer.snapshot().variables.vector("w")?, array![0.5]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn into_step(mut self) -> Result<OwnedStep<T>, Box<Self>> {
        match self.token.take() {
            Some(granted) => Ok(OwnedStep::begin(self, granted)),
            None => Err(Box::new(self)),
        }
    }

    /// Waits for the next token, if one can come and it has none.
    async fn token_async(&mut self) -> Result<(), WaitError> {
        if self.token.is_some() {
            return Ok(());
        }
        self.token = poll_fn(|context| self.poll_grant(context)).await?;
        if let Some(Granted { grant, at, .. }) = &self.token {
            let step = grant.local_step.get();
            let waited = Span::new(self.id, step, SpanKind::Waited, (self.idle_since, *at));
            let waited = Span { batch: Some(grant.number), ..waited };
            self.log.record(waited, self.shared.record.as_ref());
        }
        Ok(())
    }

    fn poll_grant(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<Granted>, WaitError>> {
        match self.mailbox.poll_take(context) {
            Found::Nothing => Poll::Pending,
            Found::Token(granted) if !self.is_late(&granted) => Poll::Ready(Ok(Some(granted))),
            Found::Token(_) => self.ask(context, true),
            Found::Consult => self.ask(context, false),
        }
    }

    /// Whether the step was over before the replica saw its token: its work could not count.
    // P-13
    fn is_late(&mut self, granted: &Granted) -> bool {
        self.superseded.begin(granted.serial, granted.grant.local_step);
        self.superseded.is_over()
    }

    /// What the mailbox alone cannot answer; `late` when the token found there is useless.
    fn ask(
        &mut self,
        context: &mut Context<'_>,
        mut late: bool,
    ) -> Poll<Result<Option<Granted>, WaitError>> {
        let (shared, id, incarnation) = (Arc::clone(&self.shared), self.id, self.incarnation);
        // Cloning and dropping a waker runs foreign code, so not under the core's lock.
        let mut waker = Some(context.waker().clone());
        shared.event(|core, now, effects| {
            if let Some(reason) = core.engine.stopped() {
                return Poll::Ready(match reason {
                    StopReason::Failed(reason) => Err(WaitError::Failed { reason: reason.clone() }),
                    StopReason::Requested(_) => Ok(None),
                });
            }
            if let Some(granted) = self.mailbox.take() {
                late = self.is_late(&granted);
                if !late {
                    return Poll::Ready(Ok(Some(granted)));
                }
            }
            if late && let Err(refused) = core.engine.decline(id, incarnation, now, effects) {
                return Poll::Ready(Err(refused.into()));
            }
            if let Some(overdue) = self.mailbox.take_overdue() {
                return Poll::Ready(Err(overdue.into()));
            }
            if let Err(refused) = core.engine.request(id, incarnation, now, effects) {
                return Poll::Ready(Err(refused.into()));
            }
            // Before the effects are carried out: a grant among them wakes this waker.
            if let Some(new) = waker.take() {
                waker = self.mailbox.wait(new);
            }
            Poll::Pending
        })
    }
}

impl<T: Scalar> Drop for Replica<T> {
    fn drop(&mut self) {
        self.give_up();
        let (id, incarnation) = (self.id, self.incarnation);
        let mut log = std::mem::take(&mut self.log);
        if let Some(record) = &self.shared.record {
            log.hand_to(record);
        }
        self.shared.event(|core, now, effects| {
            // A handle of an earlier generation has no place in this one's books (P-9).
            if core.engine.leave(id, incarnation, now, effects)
                && let Some(slot) = core.slot(id)
            {
                slot.log.absorb(&log);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::Waker;

    use accum_core::GlobalStep;
    use ndarray::array;
    use optim::Sgd;

    use super::*;
    use crate::hook_host::TrainingView;
    use crate::runtime::UpdateThread;
    use crate::{Gradients, SyncReplicas, Variables};
    use engine::{InitialTokens, StepTimeout};

    /// A trainer's inside, started, without a clock: one of N makes a step.
    fn one_of(total: usize, update_thread: UpdateThread) -> Arc<Shared<f32>> {
        let variables = Variables::new().with("w", array![1.0]).expect("one name");
        let builder =
            SyncReplicas::new(Sgd::new(1.0)).replicas_to_aggregate(1).total_num_replicas(total);
        let builder = builder.step_timeout(StepTimeout::After(Duration::from_secs(60)));
        let trainer =
            builder.assemble(variables, &["w".to_owned()], update_thread).expect("it fits");
        trainer.shared.start_chief(InitialTokens::Fewest).expect("the tokens suffice");
        Arc::clone(&trainer.shared)
    }

    fn join(shared: &Arc<Shared<f32>>, id: u64) -> Replica<f32> {
        Replica::join(shared, ReplicaId::new(id)).expect("it is free")
    }

    fn begin(replica: &mut Replica<f32>) -> Step<'_, f32> {
        replica.next_step().expect("nobody is overdue").expect("it goes on")
    }

    // P-13: the step is over for the others when it closes, though its update is not made yet.
    #[test]
    fn work_is_superseded_once_its_step_closes() {
        let shared = one_of(2, UpdateThread::Runner);
        let (mut first, mut second) = (join(&shared, 0), join(&shared, 1));
        let late = begin(&mut second);
        assert!(!late.is_superseded());
        begin(&mut first).push(Gradients::new().dense("w", array![1.0])).expect("it fits");
        assert_eq!(shared.snapshot().global_step, GlobalStep::new(0));
        assert!(late.is_superseded());
        drop(late);
        shared.apply_due(None);
        assert_eq!(begin(&mut second).global_step(), GlobalStep::new(1));
    }

    // P-28: no other can give it its next token.
    #[test]
    fn who_forgot_a_step_gets_another_once_its_time_is_over() {
        let shared = one_of(1, UpdateThread::LastPusher);
        let mut replica = join(&shared, 0);
        std::mem::forget(begin(&mut replica));
        let mut wait = pin!(replica.next_step_async());
        let mut context = Context::from_waker(Waker::noop());
        assert!(wait.as_mut().poll(&mut context).is_pending());
        let later = Duration::from_secs(3_600);
        shared.event(|core, _, effects| core.tick(later, effects));
        // It stands in line, and is given the token.
        assert!(wait.as_mut().poll(&mut context).is_pending());
        let Poll::Ready(Ok(Some(step))) = wait.poll(&mut context) else {
            panic!("it waits on");
        };
        assert_eq!(step.local_step().get(), 0);
    }
}
