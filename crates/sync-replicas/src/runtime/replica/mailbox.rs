//! Where one life of a replica finds its next token, and waits for it, under its own lock.
//!
//! The core delivers tokens here, also holding its own lock; a replica takes them without it. For
//! anything other than a token, the mailbox only signals that the core must be consulted.
//! Invariant: a replica that need not ask stands in line, or has a token, here or in hand.

use std::task::{Context, Waker};
use std::time::Duration;

use crate::sync::{Mutex, lock};
use engine::{Grant, Overdue};

/// One for each life: a handle of an earlier life looks at a mailbox that is no longer served.
#[derive(Debug, Default)]
pub(crate) struct Mailbox(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    token: Option<Granted>,
    overdue: Option<Overdue>,
    /// Something other than a token has come.
    ask: bool,
    waker: Option<Waker>,
}

/// A delivered token.
#[derive(Clone, Debug)]
pub(crate) struct Granted {
    pub(crate) grant: Grant,
    /// The number of its grant, which says whether its work is superseded.
    pub(crate) serial: u64,
    /// When it was delivered: the end of the wait for it, whenever the replica takes it.
    pub(crate) at: Duration,
}

/// What a replica finds in its mailbox.
pub(crate) enum Found {
    Token(Granted),
    /// Nothing: it will be woken.
    Nothing,
    /// The core must be consulted.
    Consult,
}

impl Mailbox {
    /// Delivers a token; returns whom to wake.
    pub(crate) fn deliver(&self, granted: Granted) -> Option<Waker> {
        let mut state = lock(&self.0);
        state.token = Some(granted);
        state.waker.take()
    }

    /// Has the replica ask the core; returns whom to wake.
    pub(crate) fn notify(&self) -> Option<Waker> {
        let mut state = lock(&self.0);
        state.ask = true;
        state.waker.take()
    }

    /// The same for an overdue step.
    pub(crate) fn notify_overdue(&self, overdue: Overdue) -> Option<Waker> {
        let mut state = lock(&self.0);
        (state.overdue, state.ask) = (Some(overdue), true);
        state.waker.take()
    }

    /// Ends it with its life, and with its contents; returns whom to wake.
    pub(crate) fn close(&self) -> Option<Waker> {
        let mut state = lock(&self.0);
        std::mem::replace(&mut *state, State { ask: true, ..State::default() }).waker
    }

    /// Takes the token, or waits for it, if nothing else has come.
    pub(crate) fn poll_take(&self, context: &Context<'_>) -> Found {
        {
            let mut state = lock(&self.0);
            if let Some(found) = state.found() {
                return found;
            }
            if state.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
                return Found::Nothing;
            }
        }
        // Cloning and dropping a waker runs foreign code, so not under the lock.
        let waker = context.waker().clone();
        let mut state = lock(&self.0);
        // Another token may have come meanwhile.
        if let Some(found) = state.found() {
            drop(state);
            return found;
        }
        let before = state.waker.replace(waker);
        drop(state);
        drop(before);
        Found::Nothing
    }

    /// Takes the token, whatever else has come.
    pub(crate) fn take(&self) -> Option<Granted> {
        lock(&self.0).token.take()
    }

    pub(crate) fn take_overdue(&self) -> Option<Overdue> {
        lock(&self.0).overdue.take()
    }

    /// The replica asked, and stands in line: a token will wake it. Returns the previous waker, for
    /// dropping where no lock is held.
    #[must_use]
    pub(crate) fn wait(&self, waker: Waker) -> Option<Waker> {
        let mut state = lock(&self.0);
        state.ask = false;
        state.waker.replace(waker)
    }
}

impl State {
    /// What is there, if anything.
    fn found(&mut self) -> Option<Found> {
        if self.ask {
            return Some(Found::Consult);
        }
        self.token.take().map(Found::Token)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use accum_core::LocalStep;

    use super::*;
    use engine::{Incarnation, ReplicaId};

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn granted(serial: u64) -> Granted {
        let grant = Grant {
            replica: ReplicaId::new(0),
            incarnation: Incarnation::default(),
            local_step: LocalStep::default(),
            share: None,
            number: 0,
        };
        Granted { grant, serial, at: Duration::ZERO }
    }

    /// Looks twice, with `act` in between; what was found, and how often it was woken.
    fn check(act: impl FnOnce(&Mailbox) -> Option<Waker>) -> (Mailbox, Found, usize) {
        let (mailbox, woken) = (Mailbox::default(), Arc::new(Woken::default()));
        let waker = Waker::from(Arc::clone(&woken));
        let context = Context::from_waker(&waker);
        assert!(matches!(mailbox.poll_take(&context), Found::Nothing));
        act(&mailbox).into_iter().for_each(Waker::wake);
        let found = mailbox.poll_take(&context);
        (mailbox, found, woken.0.load(Ordering::SeqCst))
    }

    #[test]
    fn a_token_wakes_and_is_taken_once() {
        let (mailbox, found, woken) = check(|mailbox| mailbox.deliver(granted(7)));
        assert!(matches!(found, Found::Token(Granted { serial: 7, .. })));
        assert_eq!((woken, mailbox.take().is_none()), (1, true));
    }

    #[test]
    fn whatever_else_comes_wakes_and_sends_to_the_core() {
        let overdue = Overdue {
            global_step: accum_core::GlobalStep::default(),
            count: 0,
            needed: 1,
            missing: Vec::new(),
            waiting: Vec::new(),
        };
        let laid_and = |act: fn(&Mailbox, Overdue) -> Option<Waker>| {
            let overdue = overdue.clone();
            check(move |mailbox| mailbox.deliver(granted(1)).or(act(mailbox, overdue)))
        };
        // The token stays for a replica that asks the core, unless the life has ended.
        for (act, token) in [
            ((|mailbox, _| mailbox.notify()) as fn(&Mailbox, Overdue) -> Option<Waker>, true),
            (Mailbox::notify_overdue, true),
            (|mailbox, _| mailbox.close(), false),
        ] {
            let (mailbox, found, woken) = laid_and(act);
            assert!(matches!(found, Found::Consult));
            assert_eq!((woken, mailbox.take().is_some()), (1, token));
        }
    }

    #[test]
    fn who_asked_need_not_ask_again() {
        let (mailbox, found, _) = check(Mailbox::notify);
        assert!(matches!(found, Found::Consult));
        let context = Context::from_waker(Waker::noop());
        drop(mailbox.wait(context.waker().clone()));
        assert!(matches!(mailbox.poll_take(&context), Found::Nothing));
    }
}
