//! One thread's wake-ups: set by anybody, waited for by the thread alone.

use std::task::Wake;

use crate::sync::{Arc, AtomicU8, AtomicU32, Ordering, Thread, current, park, spin_loop};

/// Nothing has happened.
const IDLE: u8 = 0;
/// A wake-up came and was not seen yet.
const WOKEN: u8 = 1;
/// The thread is parked, or is about to be.
const PARKED: u8 = 2;

/// The most rounds that a thread spins: about what parking and being woken costs.
const MOST: u32 = if cfg!(all(test, loom)) { 1 } else { 1000 };
/// The fewest: too few to be felt.
const FEWEST: u32 = if cfg!(all(test, loom)) { 1 } else { 8 };
/// One in so many waits spins longer than the last ones suggest, to see whether it pays by now.
const PROBE_EVERY: u32 = 64;
/// How many rounds such a wait spins.
const PROBE: u32 = MOST / 4;

/// Invariant: `state` is [`PARKED`] only while the owner is in [`Signal::wait`].
pub(crate) struct Signal {
    owner: Thread,
    state: AtomicU8,
    /// How many rounds the next wait spins; touched by the owner alone.
    rounds: AtomicU32,
    waits: AtomicU32,
}

impl Signal {
    /// The calling thread's.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            owner: current(),
            state: AtomicU8::new(IDLE),
            rounds: AtomicU32::new(MOST),
            waits: AtomicU32::new(0),
        })
    }

    /// Waits for a wake-up, and uses it up.
    pub(crate) fn wait(&self) {
        let rounds = self.rounds.load(Ordering::Relaxed);
        let waits = self.waits.load(Ordering::Relaxed).wrapping_add(1);
        self.waits.store(waits, Ordering::Relaxed);
        let tried = if waits.is_multiple_of(PROBE_EVERY) { rounds.max(PROBE) } else { rounds };
        let next = if self.spin(tried) {
            (2 * tried).min(MOST)
        } else {
            self.park();
            (rounds / 2).max(FEWEST)
        };
        self.rounds.store(next, Ordering::Relaxed);
        // Sees what every wake-up so far was about, also one that came this moment.
        self.state.swap(IDLE, Ordering::Acquire);
    }

    /// Whether a wake-up came within so many rounds.
    fn spin(&self, rounds: u32) -> bool {
        for _ in 0..rounds {
            if self.state.load(Ordering::Acquire) == WOKEN {
                return true;
            }
            spin_loop();
        }
        false
    }

    fn park(&self) {
        let parking =
            self.state.compare_exchange(IDLE, PARKED, Ordering::AcqRel, Ordering::Acquire);
        if parking.is_err() {
            // It came just now.
            return;
        }
        while self.state.load(Ordering::Acquire) != WOKEN {
            park();
        }
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // A spinning thread sees the state; only a parked one needs the system's help.
        if self.state.swap(WOKEN, Ordering::AcqRel) == PARKED {
            self.owner.unpark();
        }
    }
}
