//! The crash points, where each is struck, and what must become of the training.
//!
//! The table of `docs/faults.md` says the same in words; a test compares the two, and both with the
//! points that the code has.

/// What must become of a training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It goes on; at most a gradient is computed once more.
    Continues,
    /// All servers go on from the newest checkpoint, in a later generation.
    Restores,
    /// Nobody was served yet: the servers begin once more.
    StartsAgain,
    /// It was over: its result is as it would have been.
    Over,
    /// It ends with an error that says why; nobody was served.
    Fails,
    /// Somebody wished for the end: it ends soon, with the step that it tells of on disk.
    Ends,
}

impl Outcome {
    /// As the table of the document has it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Continues => "continues",
            Self::Restores => "restores",
            Self::StartsAgain => "starts again",
            Self::Over => "over",
            Self::Fails => "fails",
            Self::Ends => "ends",
        }
    }
}

/// One point.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    pub(super) name: &'static str,
    /// The processes that are struck there, each at its so-manieth visit.
    pub(super) at: &'static [(&'static str, u64)],
    /// What becomes of it when they are killed; who is stopped goes on, and so does all else.
    pub(super) killed: Outcome,
}

const fn point(name: &'static str, at: &'static [(&'static str, u64)], killed: Outcome) -> Point {
    Point { name, at, killed }
}

use Outcome::{Continues, Over, Restores, StartsAgain};

/// A worker that is no chief.
const WORKER: &[(&str, u64)] = &[("worker-1", 5)];
/// Two parts of a contribution: the fifth one's first.
const PARTS: &[(&str, u64)] = &[("worker-1", 9)];
/// At the end of the training.
const BOTH_WORKERS: &[(&str, u64)] = &[("worker-0", 1), ("worker-1", 1)];
const CHIEF: &[(&str, u64)] = &[("worker-0", 5)];
/// Three contributions a step: the third one of the fourth step.
const CONTRIBUTION: &[(&str, u64)] = &[("ps-0", 12), ("ps-1", 12)];
const UPDATE: &[(&str, u64)] = &[("ps-0", 7), ("ps-1", 7)];
const BOTH_SERVERS: &[(&str, u64)] = &[("ps-0", 1), ("ps-1", 1)];
const FIRST: &[(&str, u64)] = &[("ps-0", 1)];
const SECOND: &[(&str, u64)] = &[("ps-0", 2)];
const STEP: &[(&str, u64)] = &[("ps-0", 7)];
/// At least one a contribution: after the first checkpoint that has rows.
const LOOKUP: &[(&str, u64)] = &[("ps-0", 40), ("ps-1", 40)];
/// Of the third checkpoint: the second one is the first that has rows.
const ROWS: &[(&str, u64)] = &[("ps-0", 3), ("ps-1", 3)];

/// Those of a training without tables.
pub(super) const POINTS: [Point; 36] = [
    point("worker/before-variables", WORKER, Continues),
    point("worker/token-assigned", WORKER, Continues),
    point("worker/token-held", WORKER, Continues),
    point("worker/after-gradient", WORKER, Continues),
    point("worker/between-pushes", PARTS, Continues),
    point("worker/before-commit", WORKER, Continues),
    point("worker/commit-sent", WORKER, Continues),
    point("worker/reply-lost", WORKER, Continues),
    point("worker/before-result", BOTH_WORKERS, Over),
    point("worker/before-report", BOTH_WORKERS, Over),
    point("chief/before-hooks", CHIEF, Continues),
    point("chief/after-hooks", CHIEF, Continues),
    point("server/part-staged", CONTRIBUTION, Restores),
    point("server/before-admit", CONTRIBUTION, Restores),
    point("server/after-admit", CONTRIBUTION, Restores),
    point("server/before-apply", UPDATE, Restores),
    point("server/after-apply", UPDATE, Restores),
    point("server/before-generation", BOTH_SERVERS, StartsAgain),
    point("server/generation-begun", BOTH_SERVERS, StartsAgain),
    point("server/state-taken", &[("ps-1", 2)], Restores),
    point("server/end-heard", &[("ps-1", 1)], Over),
    point("coordinator/before-generation", FIRST, StartsAgain),
    point("coordinator/generation-claimed", FIRST, StartsAgain),
    point("coordinator/others-begun", FIRST, StartsAgain),
    point("coordinator/before-serving", FIRST, StartsAgain),
    point("coordinator/commit-decided", &[("ps-0", 12)], Restores),
    point("coordinator/before-step", STEP, Restores),
    point("coordinator/step-made", STEP, Restores),
    point("coordinator/between-tokens", &[("ps-0", 30)], Restores),
    point("coordinator/states-gathered", SECOND, Restores),
    point("coordinator/all-saved", FIRST, Over),
    point("checkpoint/tensors-written", SECOND, Restores),
    point("checkpoint/files-synced", SECOND, Restores),
    point("checkpoint/folder-synced", SECOND, Restores),
    point("checkpoint/renamed", SECOND, Restores),
    point("checkpoint/published", SECOND, Restores),
];

/// Those of a training with tables. An update gives up rows, and so is surrounded here too.
pub(super) const TABLE_POINTS: [Point; 6] = [
    point("worker/before-lookup", WORKER, Continues),
    point("worker/rows-held", WORKER, Continues),
    point("server/rows-sent", LOOKUP, Restores),
    point("server/rows-written", ROWS, Restores),
    point("server/before-apply", UPDATE, Restores),
    point("server/after-apply", UPDATE, Restores),
];

/// A crash while the training recovers from another: what happens, in order.
pub(super) const DOUBLE: [(&str, &str); 11] = [
    ("ps-1 server/before-apply#7", "ps-0 coordinator/before-generation#2"),
    ("ps-1 server/before-apply#7", "ps-0 coordinator/generation-claimed#2"),
    ("ps-1 server/before-apply#7", "ps-0 coordinator/others-begun#2"),
    ("ps-1 server/before-apply#7", "ps-0 server/generation-begun#2"),
    ("ps-1 server/before-apply#7", "ps-0 coordinator/before-serving#2"),
    ("ps-0 server/before-apply#7", "ps-1 server/before-generation#2"),
    ("ps-0 server/before-apply#7", "ps-1 server/generation-begun#2"),
    ("ps-0 server/after-apply#7", "ps-1 server/after-apply#7"),
    ("worker-1 worker/token-held#5", "worker-2 worker/token-held#5"),
    ("worker-0 worker/before-commit#5", "worker-1 worker/reply-lost#5"),
    ("worker-1 worker/before-commit#5", "ps-0 coordinator/step-made#7"),
];

/// The same with tables.
pub(super) const TABLE_DOUBLE: [(&str, &str); 4] = [
    ("ps-1 server/before-apply#7", "ps-0 server/generation-begun#2"),
    ("ps-0 server/after-apply#7", "ps-1 server/generation-begun#2"),
    ("ps-1 server/rows-written#3", "ps-0 server/rows-written#4"),
    ("worker-1 worker/rows-held#5", "worker-2 worker/before-lookup#5"),
];

/// Who is killed at the last checkpoint where, or stands there while another is killed.
pub(super) type Last = (&'static str, Option<&'static str>, Outcome);

/// Deaths while the last checkpoint is taken and written, which is that of the last update.
pub(super) const LAST: [Last; 15] = [
    ("ps-1 server/state-taken#2", None, Restores),
    ("ps-0 coordinator/states-gathered#2", None, Restores),
    ("ps-0 checkpoint/tensors-written#2", None, Restores),
    ("ps-0 checkpoint/files-synced#2", None, Restores),
    ("ps-0 checkpoint/folder-synced#2", None, Restores),
    ("ps-0 checkpoint/renamed#2", None, Over),
    ("ps-0 checkpoint/published#2", None, Over),
    ("ps-1 server/state-taken#2", Some("ps-0"), Restores),
    ("ps-0 coordinator/states-gathered#2", Some("ps-1"), Over),
    ("ps-0 checkpoint/tensors-written#2", Some("ps-1"), Over),
    ("ps-0 checkpoint/folder-synced#2", Some("ps-1"), Over),
    ("ps-0 checkpoint/renamed#2", Some("ps-1"), Over),
    ("ps-0 checkpoint/published#2", Some("ps-1"), Over),
    ("ps-0 coordinator/all-saved#1", Some("ps-1"), Over),
    ("ps-1 server/end-heard#1", Some("ps-0"), Over),
];

/// The same with tables.
pub(super) const TABLE_LAST: [Last; 2] = [
    ("ps-0 server/rows-written#2", None, Restores),
    ("ps-1 server/rows-written#2", None, Restores),
];

/// Where a worker hangs in the middle of a batch, and its heartbeats go on.
pub(super) const HUNG: [&str; 3] = [
    "worker-1 worker/after-gradient#5",
    "worker-1 worker/token-held#5",
    "worker-2 worker/between-pushes#9",
];

/// A disk that is full once, while a checkpoint is written: which, and whether only the first and
/// the last step have one.
pub(super) const FULL: [(&str, bool, Outcome); 3] = [
    ("ps-0 checkpoint/tensors-written#1", false, Outcome::Fails),
    ("ps-0 checkpoint/tensors-written#2", false, Continues),
    ("ps-0 checkpoint/tensors-written#2", true, Over),
];

/// The same while a server writes its rows.
pub(super) const TABLE_FULL: [(&str, bool, Outcome); 4] = [
    ("ps-1 server/rows-written#1", false, Outcome::Fails),
    ("ps-0 server/rows-written#2", false, Continues),
    ("ps-1 server/rows-written#2", false, Continues),
    ("ps-1 server/rows-written#2", true, Over),
];

/// A wish to end while the training starts or recovers: who is killed where, and where somebody
/// stands when the wish comes; without that it comes at the death.
pub(super) const WISHED: [(&str, Option<&str>); 12] = [
    ("ps-1 server/before-apply#7", None),
    ("ps-0 server/before-apply#7", None),
    ("ps-1 server/before-generation#1", None),
    ("ps-0 coordinator/before-generation#1", None),
    ("ps-1 server/state-taken#3", None),
    ("worker-0 worker/token-held#5", None),
    ("worker-1 worker/token-held#5", None),
    ("ps-1 server/before-apply#7", Some("ps-0 coordinator/before-generation#2")),
    ("ps-1 server/before-apply#7", Some("ps-0 coordinator/generation-claimed#2")),
    ("ps-1 server/before-apply#7", Some("ps-0 coordinator/others-begun#2")),
    ("ps-1 server/before-apply#7", Some("ps-0 coordinator/before-serving#2")),
    ("ps-0 server/before-apply#7", Some("ps-1 server/before-generation#2")),
];

/// Those of `ci`: name, process and signal.
pub(super) const SMOKE: [(&str, &str, &str); 9] = [
    ("worker/before-variables", "worker-1", "stop long"),
    ("worker/token-held", "worker-1", "kill"),
    ("worker/reply-lost", "worker-1", "kill"),
    ("worker/before-result", "worker-0", "kill"),
    ("server/before-apply", "ps-1", "kill"),
    ("coordinator/step-made", "ps-0", "kill"),
    ("checkpoint/renamed", "ps-0", "kill"),
    ("coordinator/before-serving", "ps-0", "interrupt"),
    ("tables: server/rows-written", "ps-1", "kill"),
];
