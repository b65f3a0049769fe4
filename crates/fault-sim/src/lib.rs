//! Fault simulation: the real coordinator, shards and replicas behind a bad network, which die.
//!
//! A seed decides a `mix` of settings and faults, and then everything that happens. In the first
//! phase faults happen and no invariant may break; in the second all is repaired, and every live
//! replica must make progress. No rule is repeated outside `invariants`: the rest carries messages
//! to and fro.

use std::panic::{AssertUnwindSafe, catch_unwind};

mod dice;
mod happenings;
mod invariants;
mod mix;
mod network;
mod process;
mod servers;
mod stage;
mod sweep;
mod trace;
mod world;

pub use happenings::Happenings;
pub use invariants::Broken;
pub use sweep::{Report, sweep};

use dice::Dice;
use invariants::{Witnesses, replay};
use mix::Mix;
use network::Network;
use stage::Stage;
use trace::Trace;
use world::World;

/// The result of one seed.
#[derive(Clone, Debug)]
pub struct Run {
    /// How many events there were.
    pub events: u64,
    /// What happened, counted.
    pub happenings: Happenings,
    /// The invariant that broke, if one did.
    pub broken: Option<Broken>,
    /// The hash of all that happened.
    pub hash: u64,
    /// All that happened, if requested.
    pub trace: Option<String>,
}

/// Plays one seed; with `traced` everything that happens is written down.
#[must_use]
pub fn run(seed: u64, traced: bool) -> Run {
    let mut dice = Dice::new(seed);
    let mix = match Mix::draw(&mut dice) {
        Ok(mix) => mix,
        Err(error) => return Run::failed("the mix fits together", error.to_string()),
    };
    let mut trace = Trace::new(traced);
    trace.line(std::time::Duration::ZERO, format_args!("seed {seed}: {mix:#?}"));
    let stage = Stage {
        events: simulator::EventQueue::new(),
        network: Network::new(mix.config.total_num_replicas(), mix.servers),
        happenings: Happenings::default(),
        witnesses: Witnesses::new(&mix),
        sent: Default::default(),
        shown: vec![0.0; mix.variables * mix::ROWS],
        broken: None,
        trace,
        dice,
        mix,
    };
    let mut world = World::new(stage);
    // A panic is a finding like any other: it must not cost the other seeds.
    let ran = catch_unwind(AssertUnwindSafe(|| world.run()));
    let World { stage, events, .. } = world;
    let panicked = ran
        .err()
        .map(|_| Broken { invariant: "nothing panics", what: "the message is above".to_owned() });
    Run {
        events,
        happenings: stage.happenings,
        broken: stage.broken.or(panicked),
        hash: stage.trace.hash(),
        trace: stage.trace.into_text(),
    }
}

/// Plays one seed twice; a difference is a failure too.
#[must_use]
pub fn run_twice(seed: u64) -> Run {
    let mut first = run(seed, false);
    if first.broken.is_none() {
        first.broken = replay::judge(first.hash, run(seed, false).hash).err();
    }
    first
}

impl Run {
    fn failed(invariant: &'static str, what: String) -> Self {
        let broken = Some(Broken { invariant, what });
        Self { events: 0, happenings: Happenings::default(), broken, hash: 0, trace: None }
    }
}
