//! `cargo xtask tools`: ordinary tools for what Rust's own do not check; `ci` runs the quick ones.
//!
//! What each looks at is in its own settings. Invariant: a tool that is not installed fails
//! nothing; it is named, with what installs it.

use std::process::{Command, Stdio};

use xshell::{Shell, cmd};

use crate::steps::Steps;

struct Tool {
    step: &'static str,
    command: &'static str,
    install: &'static str,
}

/// They read, and take seconds.
const QUICK: [Tool; 3] = [
    Tool { step: "spelling", command: "typos", install: "pip install typos" },
    Tool { step: "documents", command: "rumdl check", install: "pip install rumdl" },
    Tool {
        step: "licences, bans, sources",
        command: "cargo deny check licenses bans sources",
        install: "cargo install --locked cargo-deny",
    },
];

/// They build, and take minutes.
const SLOW: [Tool; 2] = [
    Tool {
        step: "features",
        command: "cargo hack check --workspace --exclude sync-replicas-candle --feature-powerset \
                  --depth 2 --skip default",
        install: "cargo install --locked cargo-hack",
    },
    Tool {
        step: "minimum Rust",
        command: "cargo hack check --workspace --exclude sync-replicas-candle --all-features \
                  --rust-version",
        install: "cargo install --locked cargo-hack",
    },
];

/// What a test of the program looks at its page with.
const BROWSERS: [&str; 2] = ["chromium", "google-chrome"];

/// The tools, and nothing else; whether all of them passed.
pub(crate) fn alone(sh: &Shell, slow: bool) -> bool {
    let mut steps = Steps::default();
    run(sh, &mut steps, slow);
    steps.finish()
}

/// Runs the quick tools that are installed, and on demand the slow ones.
pub(crate) fn run(sh: &Shell, steps: &mut Steps, slow: bool) {
    let slow = if slow { &SLOW[..] } else { &[] };
    let mut skipped = Vec::new();
    for Tool { step, command, install } in QUICK.iter().chain(slow) {
        let words: Vec<_> = command.split_whitespace().collect();
        if is_there(&words) {
            let (program, args) = (words[0], &words[1..]);
            steps.command(step, cmd!(sh, "{program} {args...}"));
        } else {
            skipped.push(format!("skipped {step}: no `{command}` here; `{install}` brings it"));
        }
    }
    if !BROWSERS.iter().any(|name| is_there(&[name])) {
        let (names, step) = (BROWSERS.join("` or `"), "the live page in a browser");
        skipped
            .push(format!("skipped {step}: no `{names}` here; a package of the system brings it"));
    }
    skipped.iter().for_each(|line| println!("\n{line}"));
}

/// Whether the program answers; one of cargo's by its second word.
fn is_there(words: &[&str]) -> bool {
    let name = if words[0] == "cargo" { &words[..2] } else { &words[..1] };
    let mut probe = Command::new(name[0]);
    probe.args(&name[1..]).arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    probe.status().is_ok_and(|status| status.success())
}
