//! The launcher's words, heard by a process that it has started.
//!
//! Invariant: a process whose launcher was killed ends at once: no other process watches it.

use std::io::{self, BufRead};

use cluster::ProcessHandle;
use cluster::exit::Exit;

use super::child::{END, LEAVE, NOBODY, SAVE};

/// Passes on the launcher's words, from standard input, from now on.
pub fn listen_to_launcher(stop: ProcessHandle) {
    std::thread::spawn(move || {
        let mut words = io::stdin().lock();
        let mut line = String::new();
        while words.read_line(&mut line).is_ok_and(|count| count > 0) {
            match line.as_str() {
                END => stop.end_training(),
                LEAVE => stop.leave(),
                SAVE => stop.save(),
                NOBODY => stop.expect_no_returns(),
                // It has nothing else to say.
                _ => {}
            }
            line.clear();
        }
        std::process::exit(Exit::Failed as i32);
    });
}
