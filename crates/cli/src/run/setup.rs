//! From settings to the input of `sync_replicas`, in one process or in many.

use sync_replicas::Hooks;

use crate::run::folder::RunFolder;
use crate::run::hook::RunHook;
use crate::run::learner::{Learner, Numbered};
use crate::settings::{Settings, Trained};

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
    let output = &settings.output;
    if let Some(folder) = folder {
        hooks = hooks.checkpoints(folder.checkpoints(), output.save_every, output.keep);
    }
    hooks.stop_at_step(i64::try_from(settings.length.updates).unwrap_or(i64::MAX))
}

/// What is trained.
pub(crate) fn learner(settings: &Settings) -> Learner<'_> {
    Learner {
        model: &settings.trained.model,
        stragglers: &settings.replicas.stragglers,
        clip: settings.update.clip,
    }
}

/// A replica's source of batches.
pub(crate) fn batches(settings: &Settings) -> Numbered<'_> {
    let Trained { model, data, .. } = &settings.trained;
    Numbered::new(settings.length.sampler.clone(), model, &data.train)
}
