//! F-16: a stop reaches all processes, and nothing happens after it but the end of an update that
//! was under way, which counts (P-1, P-2, L-3).
//!
//! Source: TensorFlow's users, whose replicas waited out a grace period at every end.
//! Here every waiting replica is told at once: when the messages of that moment have arrived, all
//! know.

use std::time::Duration;

use engine::{Engine, JoinError, ReplicaId};

use super::Broken;

pub(crate) const NAME: &str = "F-16 a stop reaches everybody, and is the end";

/// Judges the engine after the stop, whether servers still update, and the replicas
/// that live and do not know of it.
///
/// # Errors
/// What goes on after the end.
pub(crate) fn judge(
    engine: &Engine,
    now: Duration,
    updating: bool,
    unaware: &[ReplicaId],
) -> Result<(), Broken> {
    let broken = |what: String| Err(Broken { invariant: NAME, what });
    if engine.is_updating() && !updating {
        let step = engine.global_step();
        return broken(format!("the update of step {step} was made and not counted"));
    }
    if !unaware.is_empty() {
        return broken(format!("{unaware:?} do not know of it"));
    }
    let mut engine = engine.clone();
    let mut effects = Vec::new();
    let joined = engine.join(ReplicaId::new(0), now, &mut effects);
    let next = engine.tick(now + Duration::from_secs(3600), &mut effects);
    if joined != Err(JoinError::Ended) || next.is_some() || !effects.is_empty() {
        return broken(format!("then came {joined:?}, {next:?}, {effects:?}"));
    }
    Ok(())
}
