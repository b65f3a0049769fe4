//! What is done to one training: which processes crash where, how, and what must come of it.

use std::time::Duration;

use super::points::{
    DOUBLE, FULL, HUNG, LAST, Last, Outcome, POINTS, Point, SMOKE, TABLE_DOUBLE, TABLE_FULL,
    TABLE_LAST, TABLE_POINTS, WISHED,
};
use crate::Result;

/// What `--updates` says, a multiple of `--save-every` as with the defaults.
pub(super) const UPDATES: i64 = 24;

/// How long a process is stopped: less than a lease, and more than two.
pub(super) const SHORT: Duration = Duration::from_millis(200);
pub(super) const LONG: Duration = Duration::from_millis(1500);

/// How long a thread hangs: longer than all the rest takes.
const HANG: Duration = Duration::from_secs(6);

/// Saves so often that there is always one to go back to.
pub(super) const SAVE_EVERY: u64 = 4;

/// What is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Job {
    /// The digits, which have arrays alone.
    Digits,
    /// `crates/cli/examples/table_model.rs`, a program whose rows come and go; A is all workers.
    Tables,
}

/// What strikes a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    Kill,
    /// SIGSTOP, and SIGCONT after so long.
    Stop(Duration),
    /// The thread that comes there hangs for so long, and the process lives on.
    Hang(Duration),
    /// The disk is full once.
    Full,
    /// It stands there while the launcher gets SIGINT.
    Interrupt,
    /// It is killed, and the launcher gets SIGINT.
    KillAndInterrupt,
    /// It stands there while another process is killed.
    KillOther(&'static str),
}

impl Signal {
    /// Whether the process that comes to the point dies there.
    pub(super) fn kills(self) -> bool {
        matches!(self, Self::Kill | Self::KillAndInterrupt)
    }
}

/// One process, one point, one signal.
#[derive(Clone, Debug)]
pub(super) struct Crash {
    pub(super) process: String,
    pub(super) point: String,
    pub(super) visit: u64,
    pub(super) signal: Signal,
}

/// One training among faults.
#[derive(Clone, Debug)]
pub(super) struct Scenario {
    pub(super) name: String,
    pub(super) job: Job,
    /// A.
    pub(super) aggregate: u64,
    /// What `--save-every` says.
    pub(super) save_every: u64,
    pub(super) crashes: Vec<Crash>,
    /// `None` where only the result is known before.
    pub(super) expected: Option<Outcome>,
}

impl Scenario {
    /// With the numbers that most have.
    fn new(job: Job, name: String, crashes: Vec<Crash>, outcome: Outcome) -> Self {
        let name = match job {
            Job::Digits => name,
            Job::Tables => format!("tables: {name}"),
        };
        let expected = Some(outcome);
        Self { name, job, aggregate: 3, save_every: SAVE_EVERY, crashes, expected }
    }
}

impl Crash {
    /// As the program's variable has it.
    pub(super) fn to_variable(&self) -> String {
        let Self { process, point, visit, signal } = self;
        let signal = match signal {
            Signal::Hang(_) => "hang",
            Signal::Full => "full",
            signal if signal.kills() => "kill",
            _ => "stop",
        };
        format!("{process} {point}#{visit}={signal}")
    }

    /// As the launcher calls the process.
    pub(super) fn process_words(&self) -> String {
        self.process.replacen('-', " ", 1)
    }
}

/// Every point with every signal, then pairs of points; those whose names contain `filter`.
pub(super) fn all(filter: Option<&str>) -> Result<Vec<Scenario>> {
    let double = DOUBLE.iter().map(|(first, then)| of_pair(Job::Digits, first, then));
    let table_double = TABLE_DOUBLE.iter();
    let table_double = table_double.map(|(first, then)| of_pair(Job::Tables, first, then));
    let double = double.chain(table_double);
    let last = LAST.iter().map(|last| of_last(Job::Digits, *last));
    let last = last.chain(TABLE_LAST.iter().map(|last| of_last(Job::Tables, *last)));
    let wished = WISHED.iter().map(|(first, then)| of_wish(first, *then));
    let hung = HUNG.iter().map(|at| of_hang(at));
    let full =
        FULL.iter().map(|(at, last, outcome)| of_full_disk(Job::Digits, at, *last, *outcome));
    let rows = TABLE_FULL.iter();
    let full = full.chain(rows.map(|(at, last, it)| of_full_disk(Job::Tables, at, *last, *it)));
    let listed =
        double.chain(last).chain(wished).chain(hung).chain(full).collect::<Result<Vec<_>>>()?;
    let every: Vec<Scenario> = single().chain(listed).collect();
    let chosen: Vec<_> =
        every.into_iter().filter(|it| filter.is_none_or(|part| it.name.contains(part))).collect();
    if chosen.is_empty() {
        return Err(format!("expected a part of a line of docs/faults.md, got {filter:?}").into());
    }
    Ok(chosen)
}

/// Those of `ci`: also the first of those that hang.
pub(super) fn smoke() -> Vec<Scenario> {
    let chosen = |it: &Scenario| {
        SMOKE.iter().any(|(point, process, signal)| it.name == name(point, process, signal))
    };
    let hung = HUNG.iter().take(1).filter_map(|at| of_hang(at).ok());
    single().filter(chosen).chain(hung).collect()
}

/// Every point of every job with every signal.
fn single() -> impl Iterator<Item = Scenario> {
    let digits = POINTS.iter().flat_map(|point| of_point(Job::Digits, point));
    digits.chain(TABLE_POINTS.iter().flat_map(|point| of_point(Job::Tables, point)))
}

/// One or two crashes at random, of any kind; the same for a seed whenever it is asked.
pub(super) fn random(seed: u64) -> Scenario {
    let mut draw = Draw(seed);
    let job = if draw.below(4) == 0 { Job::Tables } else { Job::Digits };
    let aggregate = if job == Job::Tables { 3 } else { 1 + draw.below(4) };
    let of_tables = if job == Job::Tables { &TABLE_POINTS[..] } else { &[] };
    let points: Vec<&Point> = POINTS.iter().chain(of_tables).collect();
    let count = 1 + draw.below(3);
    let crashes: Vec<_> = (0..count)
        .map(|_| {
            let point = points[draw.below(points.len() as u64) as usize];
            let (process, usual) = point.at[draw.below(point.at.len() as u64) as usize];
            let process = match process {
                "worker-1" => format!("worker-{}", draw.below(3)),
                other => other.to_owned(),
            };
            let visit = 1 + draw.below(2 * usual);
            let signal = match draw.below(3) {
                0 => Signal::Stop(Duration::from_millis(20 + draw.below(1500))),
                _ => Signal::Kill,
            };
            Crash { process, point: point.name.to_owned(), visit, signal }
        })
        .collect();
    let words: Vec<_> = crashes.iter().map(Crash::to_variable).collect();
    let name = format!("seed {seed}: {job:?}, A = {aggregate}, {}", words.join(", "));
    Scenario { name, job, aggregate, save_every: SAVE_EVERY, crashes, expected: None }
}

fn of_point(job: Job, point: &Point) -> impl Iterator<Item = Scenario> {
    let Point { name: point, at, killed } = *point;
    let signals = [Signal::Kill, Signal::Stop(SHORT), Signal::Stop(LONG), Signal::Interrupt];
    at.iter().flat_map(move |&(process, visit)| {
        signals.map(|signal| {
            let expected = match (signal, killed) {
                (Signal::Interrupt, _) => Outcome::Ends,
                (Signal::Kill, outcome) | (_, outcome @ Outcome::Over) => outcome,
                _ => Outcome::Continues,
            };
            let name = name(point, process, word(signal));
            let (process, point) = (process.to_owned(), point.to_owned());
            Scenario::new(job, name, vec![Crash { process, point, visit, signal }], expected)
        })
    })
}

fn of_pair(job: Job, first: &str, then: &str) -> Result<Scenario> {
    let crashes = vec![crash(first, Signal::Kill)?, crash(then, Signal::Kill)?];
    let servers = crashes.iter().any(|crash| crash.process.starts_with("ps"));
    let expected = if servers { Outcome::Restores } else { Outcome::Continues };
    Ok(Scenario::new(job, format!("{first}, then {then}"), crashes, expected))
}

/// At the last checkpoint.
fn of_last(job: Job, (at, other, outcome): Last) -> Result<Scenario> {
    let (name, signal) = match other {
        None => (format!("last: {at} kill"), Signal::Kill),
        Some(other) => (format!("last: {at}, {other} kill"), Signal::KillOther(other)),
    };
    // Those of the start and of the last update, so that the second one is always the last.
    let save_every = UPDATES.unsigned_abs();
    Ok(Scenario { save_every, ..Scenario::new(job, name, vec![crash(at, signal)?], outcome) })
}

/// A worker that hangs.
fn of_hang(at: &str) -> Result<Scenario> {
    let crashes = vec![crash(at, Signal::Hang(HANG))?];
    Ok(Scenario::new(Job::Digits, format!("hang: {at}"), crashes, Outcome::Continues))
}

/// A disk that is full for a moment.
fn of_full_disk(job: Job, at: &str, is_last: bool, outcome: Outcome) -> Result<Scenario> {
    let save_every = if is_last { UPDATES.unsigned_abs() } else { SAVE_EVERY };
    let name = format!("full: {at}, every {save_every} updates");
    let crashes = vec![crash(at, Signal::Full)?];
    Ok(Scenario { save_every, ..Scenario::new(job, name, crashes, outcome) })
}

/// A wish to end during a recovery.
fn of_wish(first: &str, then: Option<&str>) -> Result<Scenario> {
    let (name, crashes) = match then {
        None => (format!("wish: {first}"), vec![crash(first, Signal::KillAndInterrupt)?]),
        Some(then) => {
            let crashes = vec![crash(first, Signal::Kill)?, crash(then, Signal::Interrupt)?];
            (format!("wish: {first}, then {then}"), crashes)
        }
    };
    Ok(Scenario::new(Job::Digits, name, crashes, Outcome::Ends))
}

/// A process, a point and a visit, as the tables have them.
fn crash(text: &str, signal: Signal) -> Result<Crash> {
    let parts = || {
        let (process, rest) = text.split_once(' ')?;
        let (point, visit) = rest.split_once('#')?;
        let (process, point) = (process.to_owned(), point.to_owned());
        Some(Crash { process, point, visit: visit.parse().ok()?, signal })
    };
    parts().ok_or_else(|| format!("expected PROCESS POINT#VISIT, got {text:?}").into())
}

fn name(point: &str, process: &str, signal: &str) -> String {
    format!("{point} {process} {signal}")
}

fn word(signal: Signal) -> &'static str {
    match signal {
        Signal::Kill => "kill",
        Signal::Stop(time) if time == SHORT => "stop short",
        Signal::Stop(_) => "stop long",
        Signal::Hang(_) => "hang",
        Signal::Full => "full",
        Signal::Interrupt => "interrupt",
        Signal::KillAndInterrupt => "kill and interrupt",
        Signal::KillOther(other) => other,
    }
}

/// Random numbers of a seed (SplitMix64).
struct Draw(u64);

impl Draw {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end.max(1)
    }
}
