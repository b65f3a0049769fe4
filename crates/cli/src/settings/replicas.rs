//! Who computes, and what becomes of what they compute.

use std::time::Duration;

use optim::BuiltIn;
use sync_replicas::SyncReplicas;
use sync_replicas::options::{
    FailingBatch, NonFinite, SparseMean, StepTimeout, SummationOrder, TokenPolicy,
};

use super::{UpdateRule, count};
use crate::args::TrainArgs;
use crate::error::UsageError;
use crate::optional::set;
use crate::settings::Stragglers;

const USUAL_AGGREGATE: u64 = 4;
const USUAL_REPLICAS: u64 = 5;

/// The replicas, and the rules that they train by; what is not given is the engine's default.
#[derive(Clone, Debug)]
pub struct Replicas {
    /// A, the gradients that a step needs.
    pub replicas_to_aggregate: usize,
    /// N.
    pub total_num_replicas: usize,
    /// How many must be left when others fail, if given.
    pub min_replicas: Option<usize>,
    /// Which are slow.
    pub stragglers: Stragglers,
    /// Whether they train as in the original system.
    pub reference: bool,
    /// Order of summation.
    pub order: SummationOrder,
    /// Tokens at the start.
    pub initial_tokens: Option<usize>,
    /// What happens to leftover tokens.
    pub token_policy: Option<TokenPolicy>,
    /// What divides a row of a sparse gradient.
    pub sparse_mean: Option<SparseMean>,
    /// How long a replica may be silent.
    pub lease: Option<Duration>,
    /// How long it may take for a batch.
    pub step_timeout: Option<StepTimeout>,
    /// How long a step may take.
    pub step_deadline: Option<Duration>,
    /// What becomes of numbers that are not finite.
    pub non_finite: Option<NonFinite>,
    /// What becomes of a batch at which replicas fail.
    pub failing_batch: Option<FailingBatch>,
}

impl Replicas {
    pub(super) fn check(args: &TrainArgs) -> Result<Self, UsageError> {
        let total = args.total_num_replicas.unwrap_or(USUAL_REPLICAS);
        let aggregate = args.replicas_to_aggregate.unwrap_or(USUAL_AGGREGATE);
        Ok(Self {
            replicas_to_aggregate: count("-a, --replicas-to-aggregate", aggregate)?,
            total_num_replicas: count("-n, --total-num-replicas", total)?,
            min_replicas: args.min_replicas.map(|n| count("--min-replicas", n)).transpose()?,
            stragglers: Stragglers::new(&args.straggler, total)?,
            reference: args.reference,
            order: match args.deterministic {
                true => SummationOrder::Replica,
                false => SummationOrder::Arrival,
            },
            initial_tokens: args.init_tokens.map(|n| count("--init-tokens", n)).transpose()?,
            token_policy: args.token_policy,
            sparse_mean: args.sparse_mean,
            lease: args.lease,
            step_timeout: args.step_timeout,
            step_deadline: args.step_deadline,
            non_finite: args.non_finite,
            failing_batch: args.failing_batch,
        })
    }

    /// As the trainer has them, in one process or in many.
    pub(crate) fn with(&self, update: &UpdateRule) -> SyncReplicas<BuiltIn> {
        set(self.anywhere(update), self.min_replicas, SyncReplicas::min_replicas)
    }

    /// The same without the settings of one process.
    pub(crate) fn anywhere(&self, update: &UpdateRule) -> SyncReplicas<BuiltIn> {
        let mut replicas = SyncReplicas::new(update.optimizer.clone())
            .replicas_to_aggregate(self.replicas_to_aggregate)
            .total_num_replicas(self.total_num_replicas);
        if self.reference {
            replicas = replicas.reference();
        }
        let replicas = replicas.order(self.order);
        let replicas = set(replicas, self.initial_tokens, SyncReplicas::initial_tokens);
        let replicas = set(replicas, self.token_policy, SyncReplicas::token_policy);
        let replicas = set(replicas, self.sparse_mean, SyncReplicas::sparse_mean);
        let replicas = set(replicas, update.ema, SyncReplicas::moving_average);
        let replicas = set(replicas, self.lease, SyncReplicas::lease);
        let replicas = set(replicas, self.step_timeout, SyncReplicas::step_timeout);
        let replicas = set(replicas, self.non_finite, SyncReplicas::non_finite);
        let replicas = set(replicas, self.failing_batch, SyncReplicas::failing_batch);
        set(replicas, self.step_deadline, SyncReplicas::step_deadline)
    }
}
