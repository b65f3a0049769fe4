//! The network between replicas and server: it loses, doubles, delays, holds back and cuts.
//!
//! Every replica has two one-way links. A fault of a link has an end; nothing arrives that was not
//! sent.

use std::time::Duration;

use super::dice::Dice;
use super::happenings::{Happening, Happenings};
use super::mix::Faults;

/// The shortest and the longest way of a message when nothing is wrong, in milliseconds.
const LATENCY: (u64, u64) = (0, 30);
/// The longest way of a message when nothing is wrong.
pub(super) const LATENCY_MAX: Duration = Duration::from_millis(LATENCY.1);
/// The mean length of a link's fault.
const OUTAGE: Duration = Duration::from_millis(400);
/// How far a copy is behind, on average: far enough to meet its sender's next life.
const COPY: Duration = Duration::from_millis(300);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    ToServer,
    ToReplica,
}

#[derive(Debug, Default)]
pub(super) struct Network {
    links: Vec<[Link; 2]>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Link {
    cut_until: Duration,
    clogged_until: Duration,
    /// The latest arrival of what was sent so far.
    latest: Duration,
}

impl Network {
    pub(super) fn new(replicas: usize) -> Self {
        Self { links: vec![[Link::default(); 2]; replicas] }
    }

    /// When a message that is sent now arrives: never, once, or twice.
    pub(super) fn arrivals(
        &mut self,
        (replica, direction): (usize, Direction),
        now: Duration,
        faults: &Faults,
        dice: &mut Dice,
        happenings: &mut Happenings,
    ) -> impl Iterator<Item = Duration> + use<> {
        let link = &mut self.links[replica][usize::from(direction == Direction::ToReplica)];
        if dice.chance(faults.partition) {
            link.cut_until = now + dice.exponential(OUTAGE);
        }
        if dice.chance(faults.clogging) {
            link.clogged_until = now + dice.exponential(OUTAGE);
        }
        let mut earliest = now;
        if link.clogged_until > now {
            happenings.add(Happening::Clogged);
            earliest = link.clogged_until;
        }
        let copy = dice.chance(faults.duplication);
        let (cut, lost) = (link.cut_until > now, dice.chance(faults.loss));
        let first = match (cut, lost) {
            (true, _) => {
                happenings.add(Happening::CutOff);
                None
            }
            (_, true) => {
                happenings.add(Happening::Lost);
                None
            }
            _ => {
                let way = dice.millis(LATENCY.0, LATENCY.1) + dice.exponential(faults.delay);
                let arrival = earliest + way;
                if arrival < link.latest {
                    happenings.add(Happening::Reordered);
                }
                link.latest = link.latest.max(arrival);
                Some(arrival)
            }
        };
        let second = (copy && !cut).then(|| {
            happenings.add(Happening::Doubled);
            now + dice.exponential(COPY) + dice.millis(LATENCY.0, LATENCY.1)
        });
        first.into_iter().chain(second)
    }

    /// All links work again.
    pub(super) fn heal(&mut self) {
        for link in self.links.iter_mut().flatten() {
            (link.cut_until, link.clogged_until) = (Duration::ZERO, Duration::ZERO);
        }
    }
}
