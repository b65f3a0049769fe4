//! The signals of Unix, each as it comes.
//!
//! Knows their numbers and not what they request.

use std::io;
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;

use super::signal::Signal;

const ALL: [(i32, Signal); 4] = [
    (SIGINT, Signal::Interrupt),
    (SIGTERM, Signal::Terminate),
    (SIGHUP, Signal::HangUp),
    (SIGUSR1, Signal::User),
];

/// Calls `handle` for each signal from now on.
pub(super) fn each(handle: impl Fn(Signal) + Send + 'static) -> io::Result<()> {
    let ignored = ignored();
    let heard = ALL.iter().filter(|(number, _)| ignored & (1 << (number - 1)) == 0);
    let mut signals = Signals::new(heard.map(|(number, _)| number))?;
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for number in signals.forever() {
            if let Some((_, signal)) = ALL.iter().find(|(known, _)| *known == number) {
                handle(*signal);
            }
        }
    })?;
    Ok(())
}

/// The signals that this process was started to ignore, as with `nohup`, by bits from number 1 on.
/// Only Linux tells this without unsafe code; elsewhere none is known.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    of_status(&status)
}

fn of_status(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ignored_is_read_from_the_status() {
        #[track_caller]
        fn check(status: &str, expected: u64) {
            assert_eq!(of_status(status), expected);
        }
        check("Name:\tx\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n", 0x1001);
        check("SigIgn:\tno number\n", 0);
        check("", 0);
    }
}
