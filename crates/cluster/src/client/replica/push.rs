//! A replica's push over sockets: begun, and then waited for.

use sync_replicas::engine::{Grant, Outcome};
use sync_replicas::error::GradientError;
use sync_replicas::{Computed, Gradients, Scalar};

use super::{ReplicaClient, WorkTimes};
use crate::client::encoded_contribution::EncodedContribution;
use crate::client::protocol::{PushError, PushReport, ReplicaProtocol};

/// The content of a push: gradients, with what hooks and reports are told of their batch, if
/// anything.
#[derive(Clone, Debug)]
pub struct Pushed<T> {
    gradients: Gradients<T>,
    loss: Option<f64>,
    examples: u64,
}

impl<T> From<Computed<T>> for Pushed<T> {
    fn from(computed: Computed<T>) -> Self {
        let Computed { loss, examples, gradients } = computed;
        Self { gradients, loss: Some(loss), examples }
    }
}

impl<T> From<Gradients<T>> for Pushed<T> {
    fn from(gradients: Gradients<T>) -> Self {
        Self { gradients, loss: None, examples: 0 }
    }
}

impl<T: Scalar> ReplicaClient<T> {
    /// Pushes the gradients of a grant's batch, and returns what became of them.
    ///
    /// # Errors
    /// [`PushError`].
    ///
    /// # Cancel safety
    /// Nothing is lost once it was polled; [`wait_push`](Self::wait_push) goes on waiting, and must
    /// do so before the wait for the next step.
    pub async fn push(
        &mut self,
        grant: &Grant,
        pushed: impl Into<Pushed<T>>,
        work: WorkTimes,
    ) -> Result<Outcome, PushError> {
        self.begin_push(grant, pushed, work)?;
        self.wait_push().await
    }

    /// Sends the gradients of a grant's batch on their way; [`wait_push`](Self::wait_push) returns
    /// what becomes of them. If so chosen, those that are not finite are not sent: their batch is
    /// left out (P-25).
    ///
    /// # Errors
    /// They do not fit; nothing was sent, and the token was given back.
    pub fn begin_push(
        &mut self,
        grant: &Grant,
        pushed: impl Into<Pushed<T>>,
        work: WorkTimes,
    ) -> Result<(), GradientError> {
        crash_point!("worker/after-gradient");
        let Pushed { gradients, loss, examples } = pushed.into();
        let (now, mut done) = (self.now(), self.work(work));
        if self.settings.skips_not_finite && !gradients.is_finite() {
            let left_out = self.state.protocol.skip(grant, done, now, &mut self.state.actions);
            self.carry_out();
            if left_out.is_ok() {
                let (replica, batch) = (self.settings.replica, grant.number);
                tracing::warn!(
                    %replica, batch, "gradients are infinite or NaN; the batch is left out"
                );
            }
            self.decided = Some(left_out.map(|()| Outcome::NotFinite));
            return Ok(());
        }
        let (variables, wire) = (self.state.variables(), self.settings.wire);
        let sent = EncodedContribution::new(gradients, variables, &self.placement, wire);
        let (encoded, dense) = sent.inspect_err(|_| self.give_up(work))?;
        done.times.traffic.gradients = encoded.bytes;
        let variables = encoded.variables.clone();
        let report = PushReport { variables, loss, examples };
        (self.encoded, self.dense) = (Some(encoded), dense);
        let begun = self.state.protocol.push(grant, report, done, now, &mut self.state.actions);
        self.decided = begun.err().map(Err);
        self.carry_out();
        Ok(())
    }

    /// Waits for the fate of the last pushed gradients.
    ///
    /// # Errors
    /// [`PushError`]; [`PushError::Lost`] if it was already returned.
    ///
    /// # Cancel safety
    /// Nothing is lost; the next call goes on waiting.
    pub async fn wait_push(&mut self) -> Result<Outcome, PushError> {
        let outcome = match self.decided.take() {
            Some(decided) => decided,
            None => self.wait(ReplicaProtocol::poll_push).await,
        };
        self.take_back();
        outcome
    }

    /// Nothing will be sent again; the memory of dense gradients is free once none is on its way.
    pub(super) fn take_back(&mut self) {
        (self.encoded, self.decided) = (None, None);
        let sent = std::mem::take(&mut self.dense).into_iter();
        self.spent.extend(sent.filter_map(|(index, it)| Some((index, it.into_array()?))));
    }
}
