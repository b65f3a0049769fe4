//! From settings to the replicas that train, in one process or in many.

use optim::Optimizer;
use sync_replicas::SyncReplicas;

use crate::error::UsageError;
use crate::optional::set;
use crate::settings::Settings;

/// The replicas that the settings describe, in one process or in many.
pub(crate) fn replicas(
    settings: &Settings,
) -> Result<SyncReplicas<Box<dyn Optimizer<f32>>>, UsageError> {
    Ok(set(replicas_anywhere(settings)?, settings.min_replicas, SyncReplicas::min_replicas))
}

/// The same without the settings of one process.
pub(crate) fn replicas_anywhere(
    settings: &Settings,
) -> Result<SyncReplicas<Box<dyn Optimizer<f32>>>, UsageError> {
    let mut replicas = SyncReplicas::new(settings.optimizer()?)
        .replicas_to_aggregate(settings.replicas_to_aggregate)
        .total_num_replicas(settings.total_num_replicas);
    if settings.args.reference {
        replicas = replicas.reference();
    }
    let replicas = replicas.order(settings.order);
    let replicas = set(replicas, settings.initial_tokens, SyncReplicas::initial_tokens);
    let replicas = set(replicas, settings.args.token_policy, SyncReplicas::token_policy);
    let replicas = set(replicas, settings.args.sparse_mean, SyncReplicas::sparse_mean);
    let replicas = set(replicas, settings.args.ema, SyncReplicas::moving_average);
    let replicas = set(replicas, settings.args.lease, SyncReplicas::lease);
    let replicas = set(replicas, settings.args.step_timeout, SyncReplicas::step_timeout);
    let replicas = set(replicas, settings.args.non_finite, SyncReplicas::non_finite);
    let replicas = set(replicas, settings.args.failing_batch, SyncReplicas::failing_batch);
    Ok(set(replicas, settings.args.step_deadline, SyncReplicas::step_deadline))
}
