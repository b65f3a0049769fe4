//! What signals request: SIGINT (Ctrl-C), SIGTERM and SIGHUP the end, SIGUSR1 a checkpoint.
//!
//! The listening command does what is requested; here is only a signal's meaning. Invariant: only a
//! second Ctrl-C shortens an end under way, and a signal ignored at the start stays ignored.

#[cfg(not(unix))]
mod other;
mod signal;
#[cfg(unix)]
mod unix;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use cluster::exit::Exit;

#[cfg(not(unix))]
use self::other as system;
use self::signal::Signal;
#[cfg(unix)]
use self::unix as system;
use crate::system::output::say;

/// A signal's request to a running command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// End, with a checkpoint.
    End,
    /// Write a checkpoint and go on.
    Save,
}

/// A Ctrl-C so soon after the first signal is the same one: wrappers also pass on to their children
/// what the terminal has sent.
const ECHO: Duration = Duration::from_millis(500);

/// How the end was requested, if it was.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked(Arc<OnceLock<(Exit, Instant)>>);

/// What to do about a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Tell(Request),
    Quit,
    Nothing,
}

impl Asked {
    /// The exit status of a process that ended on request.
    #[must_use]
    pub(crate) fn exit(&self) -> Option<Exit> {
        self.0.get().map(|(exit, _)| *exit)
    }

    /// The present meaning of a signal.
    fn hear(&self, signal: Signal, now: Instant) -> Act {
        let exit = match signal {
            Signal::Interrupt => Exit::Interrupted,
            Signal::HangUp => Exit::HungUp,
            Signal::Terminate => Exit::Terminated,
            Signal::User => return Act::Tell(Request::Save),
        };
        match self.0.get() {
            None => {
                // Signals come one after the other, so it is the first.
                let _ = self.0.set((exit, now));
                Act::Tell(Request::End)
            }
            Some((_, first)) if signal == Signal::Interrupt && now >= *first + ECHO => Act::Quit,
            Some(_) => Act::Nothing,
        }
    }
}

/// Listens from now on: `handle` gets each request, on its own thread, and `words` say what becomes
/// of it. Without a listener a signal does what the system does with it.
pub(crate) fn listen(words: &'static str, handle: impl Fn(Request) + Send + 'static) -> Asked {
    let asked = Asked::default();
    let known = asked.clone();
    let listening = system::each(move |signal| match known.hear(signal, Instant::now()) {
        Act::Tell(request) => {
            handle(request);
            if request == Request::End {
                say(format!("\n{words} (Ctrl-C again ends at once)"));
            }
        }
        Act::Quit => std::process::exit(Exit::Interrupted as i32),
        Act::Nothing => {}
    });
    if let Err(error) = listening {
        tracing::warn!(%error, "a signal will end this process without a checkpoint");
    }
    asked
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Supervisors send signals twice, and to whole groups.
    #[test]
    fn only_a_second_ctrl_c_ends_at_once() {
        use Signal::{HangUp, Interrupt, Terminate, User};
        const END: Act = Act::Tell(Request::End);
        const SAVE: Act = Act::Tell(Request::Save);
        #[track_caller]
        fn check(signals: &[(u64, Signal, Act)], exit: Option<Exit>) {
            let (asked, begun) = (Asked::default(), Instant::now());
            for &(millis, signal, expected) in signals {
                let got = asked.hear(signal, begun + Duration::from_millis(millis));
                assert_eq!(got, expected, "{signal:?} after {millis} ms");
            }
            assert_eq!(asked.exit(), exit);
        }
        check(&[(0, User, SAVE), (1, User, SAVE)], None);
        check(&[(0, Interrupt, END), (600, Interrupt, Act::Quit)], Some(Exit::Interrupted));
        check(&[(0, Interrupt, END), (20, Interrupt, Act::Nothing)], Some(Exit::Interrupted));
        check(&[(0, Terminate, END), (9000, Terminate, Act::Nothing)], Some(Exit::Terminated));
        check(&[(0, HangUp, END), (9000, Terminate, Act::Nothing)], Some(Exit::HungUp));
        check(&[(0, Terminate, END), (900, Interrupt, Act::Quit)], Some(Exit::Terminated));
        check(&[(0, Interrupt, END), (9, User, SAVE)], Some(Exit::Interrupted));
    }
}
