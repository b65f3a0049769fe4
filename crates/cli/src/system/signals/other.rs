//! Ctrl-C, where there is no other signal.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use signal_hook::consts::SIGINT;
use signal_hook::flag;

use super::signal::Signal;

/// The time between two checks: these systems wake no thread.
const LOOK: Duration = Duration::from_millis(100);

/// Calls `handle` for each Ctrl-C from now on.
pub(super) fn each(handle: impl Fn(Signal) + Send + 'static) -> io::Result<()> {
    let pressed = Arc::new(AtomicBool::new(false));
    flag::register(SIGINT, Arc::clone(&pressed))?;
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        loop {
            if pressed.swap(false, Ordering::Relaxed) {
                handle(Signal::Interrupt);
            }
            thread::sleep(LOOK);
        }
    })?;
    Ok(())
}
