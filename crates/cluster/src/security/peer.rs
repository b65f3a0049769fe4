//! The peer at the other end of a connection, and how far its proof that it may come in has got
//! (P-27).
//!
//! Shared by the connection, which reads little until its peer is admitted, by the guard, which
//! judges calls, and by the door, which turns peers away. Invariant: an admitted peer stays
//! admitted, and one that is turned away is never admitted.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

/// The peer of one connection; clones are the same peer.
#[derive(Clone)]
pub(crate) struct Peer(Arc<Inner>);

struct Inner {
    address: Option<SocketAddr>,
    /// Its certificate is for none of the names that may come in.
    forbidden: AtomicBool,
    state: Mutex<(Standing, Option<Waker>)>,
}

/// How far a peer has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It has made no call yet.
    Unproven,
    /// Its first call was let in.
    Admitted,
    /// Its first call was refused: it gets that answer and no other.
    Refused,
    /// Its connection must close, or is closed.
    TurnedAway,
}

impl Peer {
    pub(crate) fn new(address: Option<SocketAddr>) -> Self {
        let (forbidden, state) = (AtomicBool::new(false), (Standing::Unproven, None));
        Self(Arc::new(Inner { address, forbidden, state: Mutex::new(state) }))
    }

    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.0.address
    }

    /// Its calls are refused for the name of its certificate.
    pub(crate) fn forbid(&self) {
        self.0.forbidden.store(true, Ordering::Release);
    }

    pub(crate) fn is_forbidden(&self) -> bool {
        self.0.forbidden.load(Ordering::Acquire)
    }

    /// Its standing; `waker` is woken when that changes.
    pub(crate) fn standing(&self, waker: &Waker) -> Standing {
        let mut state = self.lock();
        match &mut state.1 {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
        state.0
    }

    pub(crate) fn is_unproven(&self) -> bool {
        matches!(self.lock().0, Standing::Unproven | Standing::Refused)
    }

    /// A call of its was let in.
    pub(crate) fn admit(&self) {
        self.step(Standing::Admitted, &[Standing::Unproven]);
    }

    /// A call of its was refused, which counts only if none was let in before.
    pub(crate) fn refuse(&self) {
        self.step(Standing::Refused, &[Standing::Unproven]);
    }

    /// Its connection is closed, unless it is admitted.
    pub(crate) fn turn_away(&self) {
        self.step(Standing::TurnedAway, &[Standing::Unproven, Standing::Refused]);
    }

    fn step(&self, to: Standing, from: &[Standing]) {
        let mut state = self.lock();
        if !from.contains(&state.0) {
            return;
        }
        state.0 = to;
        let waker = state.1.take();
        drop(state);
        // Foreign code, so not under the lock.
        waker.into_iter().for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, (Standing, Option<Waker>)> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Peer").field(&self.0.address).finish()
    }
}
