//! The launcher's words, heard by a process that it has started.
//!
//! Invariant: a process whose launcher was killed ends at once: nobody would look after it.

use std::io::{self, BufRead};

use cluster::exit::Exit;

use super::child::{END, LEAVE, NOBODY, SAVE};
use crate::node::{Ending, Wish};

/// Passes on what the launcher says, which is said on standard input, from now on.
pub fn listen_to_launcher(ending: Ending) {
    std::thread::spawn(move || {
        let mut words = io::stdin().lock();
        let mut line = String::new();
        while words.read_line(&mut line).is_ok_and(|count| count > 0) {
            match line.as_str() {
                END => ending.wish(Wish::EndTraining),
                LEAVE => ending.wish(Wish::Leave),
                SAVE => ending.wish(Wish::Save),
                NOBODY => ending.wish(Wish::ExpectNobody),
                // It has nothing else to say.
                _ => {}
            }
            line.clear();
        }
        std::process::exit(Exit::Failed as i32);
    });
}
