//! The command tree: every command of `cargo xtask`, in one place, with its help.
//!
//! Parsing only; what a command does is in the file of its name.

#![allow(missing_docs, reason = "the macro copies no doc comment to the types it makes")]

use std::path::PathBuf;

xflags::xflags! {
    /// The one command of the repository.
    cmd xtask {
        /// Check everything, change nothing: what must pass before a change is merged.
        cmd ci {}

        /// Build the program as its users do, and train each model at the defaults.
        cmd release {}

        /// Answer within a minute: format, house rules, lints, unit tests of the packages changed.
        cmd check {
            /// Packages that differ from this commit; from the last one when not given.
            optional --since since: String
        }

        /// Do what can be done by itself: format, and apply clippy's suggestions.
        cmd fix {}

        /// Check the layers and the house rules, read from manifests and files.
        cmd tidy {}

        /// Check spelling, documents, licences with the tools for it, where they are installed.
        cmd tools {
            /// Build with other sets of features, and with the oldest Rust, too.
            optional --slow
        }

        /// Build, check and test the Python package in an environment below `target`.
        cmd python {
            /// PyTorch's tests as well; its packages are 3 GB.
            optional --torch
            /// Those of W&B and MLflow alone; their packages are 150 MB.
            optional --trackers
        }

        /// Check and test the adapter for candle, and what its examples learn.
        cmd candle {}

        /// The same of the adapter for burn, which is beside the workspace.
        cmd burn {}

        /// Train under Ray on several nodes of this machine, with processes and nodes that die.
        cmd ray {}

        /// Pack what a registry would get, under the names that it has there; publishes nothing.
        cmd publish {
            /// Build each package from what was packed, too: minutes.
            optional --build
        }

        /// Run the sbatch file of the documents on a real Slurm of two nodes, of which one is lost.
        cmd slurm {}

        /// Check that every number of docs/spec.md is cited by code and by a test.
        cmd spec {}

        /// Replay recorded runs of TensorFlow, and compare.
        cmd conformance {
            /// On clusters over TCP, those runs that have a counterpart there.
            optional --cluster
            /// A folder of traces; the ones in the repository when not given.
            optional dir: PathBuf
        }

        /// Explore every state of the engine with a few replicas, a crash and a bad network.
        cmd explore {
            /// Events of the longest history in the one walk that is bounded; 26 when not given,
            /// and 60 are all of it.
            optional --steps steps: u32
        }

        /// Explore every interleaving of the waiting and waking pieces, with loom.
        cmd loom {
            /// How often a thread may be interrupted where it need not be; 2 when not given.
            optional --preemptions preemptions: usize
        }

        /// Put known bugs back into a copy of the code, one by one: the tests must notice each.
        cmd canaries {
            /// Only those bugs whose name contains this.
            optional filter: String
        }

        /// Run every crate beside its reference model, in random histories.
        cmd model {
            /// Histories of each model; 256 when not given.
            optional --cases cases: u32
            /// Transitions of the longest history; 100 when not given.
            optional --transitions transitions: usize
        }

        /// Play seeds of the fault simulation: the real engine, a bad network, dying processes.
        cmd sim {
            /// Which seeds, as A..B for A to B - 1; those of ci when not given.
            optional --seeds seeds: String
            /// Write down everything that happens; with --cluster a single seed always does.
            optional --trace
            /// Whole clusters over simulated TCP instead.
            optional --cluster
        }

        /// Kill and stop real processes of a cluster at named points; the training must bear it.
        cmd faults {
            /// Only those points whose line contains this.
            optional filter: String
            /// Points, processes and signals at random instead: seeds A..B, for A to B - 1.
            optional --seeds seeds: String
            /// The few of ci.
            optional --smoke
        }

        /// Feed the readers what a fuzzer makes up; needs cargo-fuzz.
        cmd fuzz {
            /// The one target to run; all of them when not given.
            optional target: String
            /// Seconds for each target; 60 when not given.
            optional --seconds seconds: u64
        }

        /// Measure the performance table; writes `bench/summary.json` in the target folder.
        cmd bench {
            /// Only those rows whose name contains this; `candle` for those of its adapter.
            optional filter: String
            /// Fewer and shorter measurements: under 3 minutes instead of under 15.
            optional --quick
            /// Run the criterion benchmarks instead, which write no summary.
            optional --criterion
        }
    }
}
