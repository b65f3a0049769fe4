//! What really happened, counted: a fault that never occurs tests nothing.
//!
//! The first half are faults, the second half what the engine did about them.

use std::fmt;

macro_rules! happenings {
    ($($name:ident => $words:literal,)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Happening { $($name,)* }

        const WORDS: &[&str] = &[$($words,)*];
    };
}

happenings! {
    Lost => "messages lost, and their connections",
    Doubled => "requests that came once more, and late",
    HeardLate => "requests over a connection that had been replaced",
    Queued => "messages that waited for one before them",
    Clogged => "messages held back by a clogged link",
    CutOff => "messages swallowed by a one-way partition",
    KilledJoining => "replicas killed while joining",
    KilledWaiting => "replicas killed while waiting for a token",
    KilledGranted => "replicas killed when a token was given but not yet received",
    KilledComputing => "replicas killed while computing",
    KilledPushing => "replicas killed when a push was on its way",
    KilledUnanswered => "replicas killed between a push and its answer",
    KilledGivingUp => "replicas killed while giving work up",
    Restarted => "replicas restarted",
    Paused => "replicas paused for longer than a lease",
    HungInBatch => "replicas that hung in a batch, and showed that they lived",
    LeftInPeace => "replicas that left and said so",
    CameBack => "replicas that came back after leaving",
    Noticed => "deaths that broke the connections at once",
    Suspected => "second processes of live replicas",
    Replaced => "processes that were told that another had taken their place",
    Crashed => "server crashes",
    Restored => "server restores",
    StepsLost => "restores that lost steps",
    CrashedWhileSaving => "crashes while a checkpoint was being written",
    CrashedInUpdate => "crashes between taking the gradients and the step",
    Saved => "checkpoints",
    Steps => "steps",
    Accepted => "gradients accepted",
    Stale => "gradients dropped as stale",
    Duplicates => "gradients dropped as another was first with the share",
    Partly => "pushes that some variables took",
    MoreThanNeeded => "steps that averaged more gradients than needed",
    Repeated => "repeated pushes answered",
    RepeatedAccepted => "repeated pushes whose first was accepted",
    RefusedGeneration => "requests refused for their generation",
    RefusedIncarnation => "requests refused for their incarnation",
    Held => "hellos for a place that another process held",
    Fenced => "hellos with a ticket of another generation",
    NotReady => "hellos that came before servers were ready",
    WentOn => "replicas that went on over another connection",
    PushLost => "pushes lost with the life of their replica",
    LeaseExpired => "leases that ran out",
    TimedOut => "batches that took longer than the step timeout",
    PushedWithoutToken => "gradients accepted after their token went to another",
    Overdue => "steps overdue",
    ToldSuperseded => "replicas told that another was first with their share",
    ToldAdvanced => "replicas told that their step was over",
    GaveUp => "pieces of work given up",
    Declined => "tokens declined as their step was over",
    Hung => "runs that stopped, as the hang law says",
}

/// How often each of them happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happenings([u64; WORDS.len()]);

impl Happenings {
    pub(super) fn add(&mut self, happening: Happening) {
        self.0[happening as usize] += 1;
    }

    /// Adds those of another run.
    pub fn merge(&mut self, other: &Self) {
        for (mine, other) in self.0.iter_mut().zip(&other.0) {
            *mine += other;
        }
    }

    /// What has not happened even once, in words.
    pub fn absent(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().zip(WORDS).filter(|(count, _)| **count == 0).map(|(_, words)| *words)
    }
}

impl Default for Happenings {
    fn default() -> Self {
        Self([0; WORDS.len()])
    }
}

impl fmt::Display for Happenings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (count, words) in self.0.iter().zip(WORDS) {
            writeln!(f, "{count:>12}  {words}")?;
        }
        Ok(())
    }
}
