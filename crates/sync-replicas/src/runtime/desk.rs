//! Where one life of a replica finds its next token, and waits for it, under a lock of its own.
//!
//! The core lays tokens here, holding its own lock as well; a replica takes them without it. Of
//! whatever is no token the desk only says that the core is to be asked. Invariant: a replica that
//! need not ask stands in line, or has a token, here or in hand.

use std::task::{Context, Waker};
use std::time::Duration;

use crate::sync::{Mutex, lock};
use engine::{Grant, Overdue};

/// One for each life: a handle of an earlier one looks at a desk that nobody serves any more.
#[derive(Debug, Default)]
pub(crate) struct Desk(Mutex<Papers>);

#[derive(Debug, Default)]
struct Papers {
    token: Option<Granted>,
    overdue: Option<Overdue>,
    /// Something else than a token has come.
    ask: bool,
    waker: Option<Waker>,
}

/// A token, as it was given.
#[derive(Clone, Debug)]
pub(crate) struct Granted {
    pub(crate) grant: Grant,
    /// The number of its grant, which says whether its work is superseded.
    pub(crate) serial: u64,
    /// When: the end of the wait for it, whenever the replica comes for it.
    pub(crate) at: Duration,
}

/// What a replica finds at its desk.
pub(crate) enum Found {
    Token(Granted),
    /// Nothing: it will be woken.
    Nothing,
    /// The core is to be asked.
    Ask,
}

impl Desk {
    /// Lays a token; whom to wake.
    pub(crate) fn lay(&self, granted: Granted) -> Option<Waker> {
        let mut papers = lock(&self.0);
        papers.token = Some(granted);
        papers.waker.take()
    }

    /// Has the replica ask the core; whom to wake.
    pub(crate) fn call(&self) -> Option<Waker> {
        let mut papers = lock(&self.0);
        papers.ask = true;
        papers.waker.take()
    }

    /// The same about a step that is overdue.
    pub(crate) fn call_overdue(&self, overdue: Overdue) -> Option<Waker> {
        let mut papers = lock(&self.0);
        (papers.overdue, papers.ask) = (Some(overdue), true);
        papers.waker.take()
    }

    /// Ends it with its life, and what lies here with it; whom to wake.
    pub(crate) fn close(&self) -> Option<Waker> {
        let mut papers = lock(&self.0);
        std::mem::replace(&mut *papers, Papers { ask: true, ..Papers::default() }).waker
    }

    /// Takes the token, or waits for it, if nothing else has come.
    pub(crate) fn look(&self, context: &Context<'_>) -> Found {
        {
            let mut papers = lock(&self.0);
            if let Some(found) = papers.found() {
                return found;
            }
            if papers.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
                return Found::Nothing;
            }
        }
        // Cloning and dropping a waker runs somebody else's code, so not under the lock.
        let waker = context.waker().clone();
        let mut papers = lock(&self.0);
        // Another token may have come meanwhile.
        if let Some(found) = papers.found() {
            drop(papers);
            return found;
        }
        let before = papers.waker.replace(waker);
        drop(papers);
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

    /// The replica asked, and stands in line: it is to be woken by a token. The waker that was
    /// there, to be dropped where no lock is held.
    #[must_use]
    pub(crate) fn wait(&self, waker: Waker) -> Option<Waker> {
        let mut papers = lock(&self.0);
        papers.ask = false;
        papers.waker.replace(waker)
    }
}

impl Papers {
    /// What is there, if anything is.
    fn found(&mut self) -> Option<Found> {
        if self.ask {
            return Some(Found::Ask);
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
    fn check(act: impl FnOnce(&Desk) -> Option<Waker>) -> (Desk, Found, usize) {
        let (desk, woken) = (Desk::default(), Arc::new(Woken::default()));
        let waker = Waker::from(Arc::clone(&woken));
        let context = Context::from_waker(&waker);
        assert!(matches!(desk.look(&context), Found::Nothing));
        act(&desk).into_iter().for_each(Waker::wake);
        let found = desk.look(&context);
        (desk, found, woken.0.load(Ordering::SeqCst))
    }

    #[test]
    fn a_token_wakes_and_is_taken_once() {
        let (desk, found, woken) = check(|desk| desk.lay(granted(7)));
        assert!(matches!(found, Found::Token(Granted { serial: 7, .. })));
        assert_eq!((woken, desk.take().is_none()), (1, true));
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
        let laid_and = |act: fn(&Desk, Overdue) -> Option<Waker>| {
            let overdue = overdue.clone();
            check(move |desk| desk.lay(granted(1)).or(act(desk, overdue)))
        };
        // The token stays for whoever asks the core, unless the life has ended.
        for (act, token) in [
            ((|desk, _| desk.call()) as fn(&Desk, Overdue) -> Option<Waker>, true),
            (Desk::call_overdue, true),
            (|desk, _| desk.close(), false),
        ] {
            let (desk, found, woken) = laid_and(act);
            assert!(matches!(found, Found::Ask));
            assert_eq!((woken, desk.take().is_some()), (1, token));
        }
    }

    #[test]
    fn who_asked_need_not_ask_again() {
        let (desk, found, _) = check(Desk::call);
        assert!(matches!(found, Found::Ask));
        let context = Context::from_waker(Waker::noop());
        drop(desk.wait(context.waker().clone()));
        assert!(matches!(desk.look(&context), Found::Nothing));
    }
}
