//! The models as a program: runs them, prints what was run, and ends with `N passed, M failed`.
//!
//! Invariant: the exit status is 0 exactly when nothing failed and something ran.

#![allow(clippy::print_stdout, reason = "a tool for a terminal")]

use std::panic;
use std::process::ExitCode;

use models::{Size, all};

mod flags {
    #![allow(missing_docs, reason = "the macro copies no doc comment to the types it makes")]

    xflags::xflags! {
        /// Run reference models beside the real thing.
        cmd models {
            /// Only the models whose name contains this.
            optional name: String
            /// Histories of each model; 256 when not given.
            optional --cases cases: u32
            /// Transitions of the longest history; 100 when not given.
            optional --transitions transitions: usize
        }
    }
}

fn main() -> ExitCode {
    let flags = flags::Models::from_env_or_exit();
    let size = Size {
        cases: flags.cases.unwrap_or(256).max(1),
        transitions: flags.transitions.unwrap_or(100).max(1),
    };
    // Every shorter form of a failure panics too; the report has the last one's words.
    panic::set_hook(Box::new(|_| {}));
    let (mut passed, mut failed, mut cases, mut transitions) = (0, 0, 0, 0);
    let name = flags.name.unwrap_or_default();
    for model in all().into_iter().filter(|model| model.name.contains(&name)) {
        let report = model.run(size);
        println!("{report}");
        (cases, transitions) = (cases + report.cases, transitions + report.transitions);
        if report.failure.is_none() { passed += 1 } else { failed += 1 }
    }
    println!("{cases} cases, {transitions} transitions");
    println!("{passed} passed, {failed} failed");
    if failed == 0 && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
