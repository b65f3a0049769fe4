//! The bugs that are put back: thirteen mistakes that systems of this kind are known for.
//!
//! A bug is a piece of good code, which must stand in its file exactly once, and what to put in its
//! place. When the good code changes, its bug must be written anew: a test here says so.

/// One known bug.
pub(super) struct Bug {
    /// Short, for the command line.
    pub(super) name: &'static str,
    /// What is wrong with it.
    pub(super) what: &'static str,
    /// The file, from the root.
    pub(super) file: &'static str,
    /// The code as it should be.
    pub(super) good: &'static str,
    /// The code with the bug.
    pub(super) bad: &'static str,
    /// The package whose tests must notice.
    pub(super) package: &'static str,
    /// What the names of the reference models begin with that must notice as well, if there are
    /// any for it.
    pub(super) models: Option<&'static str>,
}

/// All of them.
pub(super) const BUGS: [Bug; 13] = [
    Bug {
        name: "strict-freshness",
        what: "`>` for `>=` in the staleness rule (R-2)",
        file: "crates/accum-core/src/gate.rs",
        good: "if local_step.get() < self.step.get() {",
        bad: "if local_step.get() <= self.step.get() {",
        package: "accum-core",
        models: Some("accum-core"),
    },
    Bug {
        name: "mean-of-required",
        what: "the mean divides by the number asked for, not by the number held (R-3)",
        file: "crates/accum-core/src/gate.rs",
        good: "let closed = Closed { step: self.step, count: self.count };",
        bad: "let closed = Closed { step: self.step, count: num_required.get() };",
        package: "accum-core",
        models: Some("accum-core"),
    },
    Bug {
        name: "sparse-mean-of-held",
        what: "sparse rows are divided by all gradients, not by those that had the row (R-8)",
        file: "crates/accum-core/src/sparse/division.rs",
        good: "(Reduction::Mean, SparseMean::PerRow) => had,",
        bad: "(Reduction::Mean, SparseMean::PerRow) => had.max(self.count),",
        package: "accum-core",
        models: Some("accum-core"),
    },
    Bug {
        name: "count-stays",
        what: "a take does not reset the count (R-3)",
        file: "crates/accum-core/src/gate.rs",
        good: "        self.step = next;\n        self.count = 0;\n",
        bad: "        self.step = next;\n",
        package: "accum-core",
        models: Some("accum-core"),
    },
    Bug {
        name: "step-stays",
        what: "a take does not advance the accumulator's step (R-3)",
        file: "crates/accum-core/src/gate.rs",
        good: "        self.step = next;\n        self.count = 0;\n",
        bad: "        let _ = next;\n        self.count = 0;\n",
        package: "accum-core",
        models: Some("accum-core"),
    },
    Bug {
        name: "tokens-before-step",
        what: "the tokens go out before the step moves (R-21)",
        file: "crates/engine/src/closing.rs",
        good: "        self.serve_line(now, effects);
        self.close_lanes(effects);
    }
}
",
        bad: "        self.serve_line(now, effects);
        effects.sort_by_key(|effect| matches!(effect, Effect::Advanced { .. }));
        self.close_lanes(effects);
    }
}
",
        package: "engine",
        models: Some("engine"),
    },
    Bug {
        name: "tokens-of-replicas",
        what: "N tokens a step instead of max(N, A) (R-18)",
        file: "crates/engine/src/config.rs",
        good: "self.total.max(self.settings.replicas_to_aggregate)",
        bad: "self.total",
        package: "engine",
        models: Some("engine"),
    },
    Bug {
        name: "token-lost-on-drop",
        what: "a waiting caller that is dropped takes its token with it (R-13)",
        file: "crates/token-queue/src/queue/wait.rs",
        good: "Some(Slot::Ended(Outcome::Done(tokens))) => state.attempts.put_back(tokens),",
        bad: "Some(Slot::Ended(Outcome::Done(_))) => {}",
        package: "token-queue",
        models: Some("token-queue"),
    },
    Bug {
        name: "one-waiter-woken",
        what: "one waiter is woken where two could go (R-11)",
        file: "crates/token-queue/src/queue/wait.rs",
        good: "wakers.push(waker);",
        bad: "wakers.truncate(0);\n                wakers.push(waker);",
        package: "token-queue",
        models: Some("token-queue"),
    },
    Bug {
        name: "duplicate-counted",
        what: "a repeated push counts again (P-15)",
        file: "crates/engine/src/machine.rs",
        good: "&& push.sequence <= *sequence",
        bad: "&& push.sequence < *sequence",
        package: "engine",
        models: Some("engine"),
    },
    Bug {
        name: "set-step-clears",
        what: "setting the step throws away what is held (R-5)",
        file: "crates/accum-core/src/gate.rs",
        good: "std::mem::replace(&mut self.step, step.into())",
        bad: "self.count = 0;\n        std::mem::replace(&mut self.step, step.into())",
        package: "accum-core",
        models: Some("accum-core"),
    },
    Bug {
        name: "close-forgets",
        what: "a close forgets somebody who waits (R-12)",
        file: "crates/token-queue/src/attempts.rs",
        good: "        self.closed = true;\n        self.settle();",
        bad: "        self.closed = true;",
        package: "token-queue",
        models: Some("token-queue"),
    },
    Bug {
        name: "rename-before-sync",
        what: "a checkpoint is renamed before it is synced (P-9)",
        file: "crates/sync-replicas/src/checkpoint/disk.rs",
        good: "disk.sync_file(path).map_err(CheckpointError::io(\"syncing\", path))",
        bad: "Ok(())",
        package: "sync-replicas",
        models: None,
    },
];

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs};

    use super::BUGS;
    use crate::{copy::replaced, root};

    #[test]
    fn every_bug_fits_the_code_as_it_is() {
        let root = root().expect("a root");
        for bug in &BUGS {
            let whole = fs::read_to_string(root.join(bug.file)).expect("the bug's file");
            let broken = replaced(&whole, bug.file, bug.good, bug.bad);
            assert!(
                broken.as_ref().is_ok_and(|broken| *broken != whole),
                "{}: {broken:?}",
                bug.name
            );
        }
    }

    #[test]
    fn names_are_distinct() {
        let names: BTreeSet<_> = BUGS.iter().map(|bug| bug.name).collect();
        assert_eq!(names.len(), BUGS.len());
    }
}
