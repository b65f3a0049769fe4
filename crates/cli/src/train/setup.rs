//! From settings to the input of `sync_replicas`, in one process or in many.

use sync_replicas::Hooks;

use crate::learner::{Learner, Numbered};
use crate::run_folder::RunFolder;
use crate::run_hook::RunHook;
use crate::settings::Settings;

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
        hooks = hooks.checkpoints(folder.checkpoints(), settings.args.save_every, settings.keep);
    }
    hooks.stop_at_step(i64::try_from(settings.updates).unwrap_or(i64::MAX))
}

/// What is trained.
pub(crate) fn learner(settings: &Settings) -> Learner<'_> {
    Learner { model: &settings.model, stragglers: &settings.stragglers, clip: settings.clip }
}

/// A replica's source of batches.
pub(crate) fn shard(settings: &Settings) -> Numbered<'_> {
    Numbered::new(settings.sampler.clone(), &settings.model, &settings.data.train)
}
