//! Connections between replicas and servers: slow, held back, cut off and broken.
//!
//! As over TCP, messages arrive in order and once, and only if they were sent. A loss ends its
//! connection, which either side notices in its own time. A fault of a link has an end.

use std::collections::BTreeMap;
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
/// How long it takes on average until an end notices that a connection is broken.
const NOTICE: Duration = Duration::from_millis(150);

/// One connection of a process to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Line {
    pub(super) process: usize,
    pub(super) server: usize,
    /// The process counts them.
    pub(super) number: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    ToServer,
    ToReplica,
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug)]
pub(super) enum Passage {
    Arrives(Duration),
    /// It is lost, and its connection with it; when the server and the replica notice.
    Breaks(Duration, Duration),
    /// The connection is broken already.
    Lost,
}

#[derive(Debug, Default)]
pub(super) struct Network {
    /// By replica and server.
    links: Vec<Vec<[Link; 2]>>,
    lines: BTreeMap<Line, Ways>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Link {
    cut_until: Duration,
    clogged_until: Duration,
}

/// A connection that a process has.
#[derive(Clone, Copy, Debug)]
struct Ways {
    replica: usize,
    broken: bool,
    /// The latest arrival of what was sent so far, each way.
    latest: [Duration; 2],
}

impl Network {
    pub(super) fn new(replicas: usize, servers: usize) -> Self {
        let links = vec![vec![[Link::default(); 2]; servers]; replicas];
        Self { links, lines: BTreeMap::new() }
    }

    pub(super) fn open(&mut self, line: Line, replica: usize) {
        let latest = [Duration::ZERO; 2];
        self.lines.insert(line, Ways { replica, broken: false, latest });
    }

    /// Its process no longer has it; messages on their way arrive.
    pub(super) fn close(&mut self, line: Line) {
        self.lines.remove(&line);
    }

    /// The connections of a process, or all to a server, that are not known to be broken.
    pub(super) fn lines(&self, which: impl Fn(Line) -> bool) -> Vec<Line> {
        let whole = self.lines.iter().filter(|(line, ways)| which(**line) && !ways.broken);
        whole.map(|(line, _)| *line).collect()
    }

    /// The fate of a message that is sent now.
    pub(super) fn send(
        &mut self,
        (line, direction): (Line, Direction),
        now: Duration,
        faults: &Faults,
        dice: &mut Dice,
        happenings: &mut Happenings,
    ) -> Passage {
        let way = usize::from(direction == Direction::ToReplica);
        let Some(ways) = self.lines.get_mut(&line).filter(|ways| !ways.broken) else {
            return Passage::Lost;
        };
        let link = &mut self.links[ways.replica][line.server][way];
        if dice.chance(faults.partition) {
            link.cut_until = now + dice.exponential(OUTAGE);
        }
        if dice.chance(faults.clogging) {
            link.clogged_until = now + dice.exponential(OUTAGE);
        }
        let (cut, lost) = (link.cut_until > now, dice.chance(faults.loss));
        if cut || lost {
            happenings.add(if cut { Happening::CutOff } else { Happening::Lost });
            return self.break_off(line, now, dice);
        }
        let mut earliest = now;
        if link.clogged_until > now {
            happenings.add(Happening::Clogged);
            earliest = link.clogged_until;
        }
        let arrival = earliest + dice.millis(LATENCY.0, LATENCY.1) + dice.exponential(faults.delay);
        if arrival < ways.latest[way] {
            happenings.add(Happening::Queued);
        }
        ways.latest[way] = ways.latest[way].max(arrival);
        Passage::Arrives(ways.latest[way])
    }

    /// Breaks a connection, of which both sides hear after what has come through.
    pub(super) fn break_off(&mut self, line: Line, now: Duration, dice: &mut Dice) -> Passage {
        let Some(ways) = self.lines.get_mut(&line).filter(|ways| !ways.broken) else {
            return Passage::Lost;
        };
        ways.broken = true;
        let [server, replica] =
            ways.latest.map(|latest| latest.max(now) + dice.exponential(NOTICE));
        Passage::Breaks(server, replica)
    }

    /// All links work again.
    pub(super) fn heal(&mut self) {
        for link in self.links.iter_mut().flatten().flatten() {
            *link = Link::default();
        }
    }
}
