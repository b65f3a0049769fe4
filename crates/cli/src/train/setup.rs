//! From settings to what `sync_replicas` trains with, in one process or in many.

use optim::Optimizer;
use sync_replicas::{Hooks, SyncReplicas};

use super::error::TrainError;
use crate::learner::{Learner, Numbered};
use crate::optional::set;
use crate::run_folder::RunFolder;
use crate::run_hook::RunHook;
use crate::settings::Settings;

/// Runs up to this long have a timeline; a longer one would fill memory with it.
const MOST_TIMED: u64 = 100_000;

/// The replicas that the settings describe, in one process or in many.
pub(crate) fn replicas(
    settings: &Settings,
) -> Result<SyncReplicas<Box<dyn Optimizer<f32>>>, TrainError> {
    let mut replicas = SyncReplicas::new(settings.optimizer()?)
        .replicas_to_aggregate(settings.replicas_to_aggregate)
        .total_num_replicas(settings.total_num_replicas);
    if settings.reference {
        replicas = replicas.reference();
    }
    let replicas = replicas.order(settings.order).timeline(settings.updates <= MOST_TIMED);
    let replicas = set(replicas, settings.initial_tokens, SyncReplicas::initial_tokens);
    let replicas = set(replicas, settings.token_policy, SyncReplicas::token_policy);
    let replicas = set(replicas, settings.sparse_mean, SyncReplicas::sparse_mean);
    let replicas = set(replicas, settings.ema, SyncReplicas::moving_average);
    let replicas = set(replicas, settings.lease, SyncReplicas::lease);
    let replicas = set(replicas, settings.min_replicas, SyncReplicas::min_replicas);
    let replicas = set(replicas, settings.non_finite, SyncReplicas::non_finite);
    let replicas = set(replicas, settings.failing_batch, SyncReplicas::failing_batch);
    Ok(set(replicas, settings.step_deadline, SyncReplicas::step_deadline))
}

/// What watches over a training, and what ends it.
pub(crate) fn hooks(
    settings: &Settings,
    run_hook: Option<RunHook>,
    folder: Option<&RunFolder>,
) -> Hooks<f32> {
    let mut hooks = Hooks::new();
    if let Some(run_hook) = run_hook {
        hooks = hooks.hook(run_hook);
    }
    hooks = hooks.nan_guard();
    if let Some(folder) = folder {
        hooks = hooks.checkpoints(folder.checkpoints(), settings.save_every, settings.keep);
    }
    hooks.stop_at_step(i64::try_from(settings.updates).unwrap_or(i64::MAX))
}

/// What is trained.
pub(crate) fn learner(settings: &Settings) -> Learner<'_> {
    Learner {
        classifier: &*settings.classifier,
        examples: &settings.digits.train,
        stragglers: &settings.stragglers,
        clip: settings.clip,
    }
}

/// A replica's source of batches.
pub(crate) fn shard(settings: &Settings) -> Numbered {
    Numbered(settings.batches.clone())
}
