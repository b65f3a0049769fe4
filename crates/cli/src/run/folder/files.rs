//! The names of what lies in a run folder.

/// Which run it is, and its last start.
pub(crate) const RUN: &str = "run.json";

/// The settings, from which it can be repeated.
pub(crate) const CONFIG: &str = "config.toml";

/// What predicts with the variables of its checkpoints.
pub(crate) const MODEL: &str = "model.json";

/// Updates and batches.
pub(crate) const METRICS: &str = "metrics.jsonl";

/// Tests, by processes that test and do not update: the chief and the evaluator of a cluster.
pub(crate) const TESTS: [&str; 2] = ["chief.jsonl", "evaluations.jsonl"];

/// The usual folder of its checkpoints.
pub(crate) const CHECKPOINTS: &str = "checkpoint";

/// The folder of its best checkpoint, which its settings keep free, and how good that is.
pub(crate) use crate::settings::BEST;
pub(crate) const BEST_SO_FAR: &str = "best.json";

/// The page, and the picture in it.
pub(crate) const REPORT: &str = "report.html";
pub(crate) const TIMELINE: &str = "timeline.svg";

/// The folder for TensorBoard.
pub(crate) const BOARD: &str = "tensorboard";

/// How a launched training is reached, and the key beside it.
pub(crate) const LAUNCH: &str = "launch.json";
pub(crate) const LAUNCH_KEY: &str = "launch.key";

/// The folder of its processes' messages.
pub(crate) const LOGS: &str = "logs";
