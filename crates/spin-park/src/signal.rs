//! One thread's wake-ups: set by any thread, waited for by its own alone.

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
/// How many it begins with, before it knows anything.
const FIRST: u32 = MOST.div_ceil(4);
/// One in so many waits spins as long as it may, to see whether that pays by now. While it does
/// not, the waits in between double, up to the second number.
const PROBE_EVERY: (u32, u32) = (64, 4096);

/// Invariant: `state` is [`PARKED`] only while the owner is in [`Signal::wait`].
pub(crate) struct Signal {
    owner: Thread,
    state: AtomicU8,
    /// How many rounds the next wait spins; touched by the owner alone.
    rounds: AtomicU32,
    /// How many waits are left until the next one that spins as long as it may.
    until_probe: AtomicU32,
    /// How many waits lie between two of those.
    probe_every: AtomicU32,
}

impl Signal {
    /// The calling thread's.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            owner: current(),
            state: AtomicU8::new(IDLE),
            rounds: AtomicU32::new(FIRST),
            until_probe: AtomicU32::new(PROBE_EVERY.0),
            probe_every: AtomicU32::new(PROBE_EVERY.0),
        })
    }

    /// Waits for a wake-up, and uses it up.
    pub(crate) fn wait(&self) {
        let probes = self.until_probe.load(Ordering::Relaxed) == 0;
        let rounds = if probes { MOST } else { self.rounds.load(Ordering::Relaxed) };
        let paid = self.spin(rounds);
        if !paid {
            self.park();
        }
        self.learn(probes, rounds, paid);
        // Sees what every wake-up so far was about, also one that came this moment.
        self.state.swap(IDLE, Ordering::Acquire);
    }

    /// How long the next waits spin, from how this one went.
    fn learn(&self, probed: bool, rounds: u32, paid: bool) {
        // Down to none at all: where threads outnumber cores, every round is another's time.
        let next = match (paid, probed) {
            (true, _) => (2 * rounds).clamp(1, MOST),
            (false, true) => self.rounds.load(Ordering::Relaxed),
            (false, false) => rounds / 4,
        };
        self.rounds.store(next, Ordering::Relaxed);
        if probed {
            let longer = (2 * self.probe_every.load(Ordering::Relaxed)).min(PROBE_EVERY.1);
            let every = if paid { PROBE_EVERY.0 } else { longer };
            self.probe_every.store(every, Ordering::Relaxed);
            self.until_probe.store(every, Ordering::Relaxed);
        } else {
            let left = self.until_probe.load(Ordering::Relaxed).saturating_sub(1);
            self.until_probe.store(left, Ordering::Relaxed);
        }
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
