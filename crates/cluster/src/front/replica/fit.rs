//! The loop of a model: what [`ClusterTrainer::fit`] does in a worker.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;

use optim::Optimizer;
use sync_replicas::driver::{BoxedHooks, describe, describe_panic};
use sync_replicas::{BatchSource, Computed, Model, ReplicaId, Rows, Scalar, Work};
use tokio::time::Instant;

use super::super::life::draw;
use super::super::{ClusterError, ClusterReport, ClusterTrainer};
use super::Worker;
use crate::client::{Connector, Departure};

impl<T: Scalar, O: Optimizer<T> + 'static> ClusterTrainer<'_, T, O> {
    pub(in crate::front) async fn compute<M, S>(
        self,
        model: &M,
        data: impl Fn(ReplicaId) -> S + Sync,
        hooks: BoxedHooks<T>,
    ) -> Result<ClusterReport<T>, ClusterError>
    where
        M: Model<T>,
        S: BatchSource<Batch = M::Batch>,
    {
        let connector = self.cluster.connector()?;
        self.compute_over(connector, draw(), model, data, hooks).await
    }

    /// The same over connections of any kind, as this life of the process.
    pub(crate) async fn compute_over<M, S>(
        self,
        connector: Connector,
        process: u64,
        model: &M,
        data: impl Fn(ReplicaId) -> S + Sync,
        hooks: BoxedHooks<T>,
    ) -> Result<ClusterReport<T>, ClusterError>
    where
        M: Model<T>,
        S: BatchSource<Batch = M::Batch>,
    {
        let mut worker = self.worker(connector, process, hooks)?;
        match worker.run(model, data(worker.replica)).await {
            Ok(()) => worker.finish().await,
            Err(error) => Err(worker.fail(error).await),
        }
    }
}

impl<T: Scalar> Worker<T> {
    /// Computes until training ends, or this replica's data does.
    async fn run<M, S>(&mut self, model: &M, mut source: S) -> Result<(), ClusterError>
    where
        M: Model<T>,
        S: BatchSource<Batch = M::Batch>,
    {
        while let Poll::Ready(Some(held)) = self.next_step(None).await? {
            let number = held.grant.number;
            let batch = match guarded(|| source.batch(number)) {
                Ok(Some(batch)) => batch,
                Ok(None) => return Ok(()),
                Err(reason) => {
                    self.leave(Departure::Failed(reason.clone())).await;
                    return Err(ClusterError::Model(reason));
                }
            };
            held.began = Instant::now();
            let rows = match guarded(|| model.keys(&batch)) {
                Ok(keys) => match self.look_up(&keys).await {
                    // An unknown table.
                    Err(ClusterError::Lookup(error)) => Err(describe(&error)),
                    rows => Ok(rows?),
                },
                Err(reason) => Err(reason),
            };
            let computed = match rows {
                Ok(Some(rows)) => self.gradients(model, &batch, &rows),
                Ok(None) => Ok(None),
                Err(reason) => Err(reason),
            };
            match computed {
                Ok(Some(computed)) => {
                    // Rows are only asked for early: what fails here is told when it is needed.
                    let next = guarded(|| source.peek().map(|next| model.keys(next)));
                    let pushed = self.push(computed, next.ok().flatten()).await;
                    if let Err(ClusterError::Push(error)) = &pushed {
                        self.leave(Departure::Failed(describe(error))).await;
                    }
                    pushed?;
                }
                Ok(None) => self.give_back(Some(true)),
                Err(reason) => {
                    self.leave(Departure::Failed(reason.clone())).await;
                    return Err(ClusterError::Model(reason));
                }
            }
        }
        Ok(())
    }

    /// The model's result for the batch of the held step.
    fn gradients<M: Model<T>>(
        &self,
        model: &M,
        batch: &M::Batch,
        rows: &Rows<T>,
    ) -> Result<Option<Computed<T>>, String> {
        let Some(held) = &self.held else { return Ok(None) };
        let (step, number) = (self.client.global_step(), held.grant.number);
        let work = Work::new(self.replica, step, number, &held.superseded, &self.buffers);
        let work = work.with_rows(rows);
        let variables = self.client.variables();
        let compute = || model.gradients(variables, batch, &work);
        guarded(compute).and_then(|computed| computed.map_err(|error| describe(&*error)))
    }
}

/// Calls a model's own code. P-5: whatever happens to one replica, the others are told and go on.
fn guarded<R>(call: impl FnOnce() -> R) -> Result<R, String> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|panic| describe_panic(&*panic))
}
