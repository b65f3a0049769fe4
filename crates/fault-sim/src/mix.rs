//! What one seed decides before anything happens: the settings, the speeds, the faults.
//!
//! Swarm style: every seed has its own mix, and each class of fault is absent from a fifth of them,
//! so that no fault hides what only shows without it. Source: Groce et al., "Swarm Testing", 2012;
//! the ranges of loss, duplication, partitions and clogging are those of TigerBeetle's VOPR.

use std::sync::Arc;
use std::time::Duration;

use engine::{
    Admission, Config, ConfigError, InitialTokens, Membership, Settings, StepTimeout,
    SummationOrder, TokenPolicy,
};

use cluster::driver::placement::Placement;
use cluster::driver::shard::{Shard, ShardSettings};
use ndarray::ArrayD;
use optim::{OptimizerState, Sgd};

use super::dice::Dice;

/// How many elements each variable has, in as many rows: one for each server at least.
pub(super) const ROWS: usize = 3;

#[derive(Clone, Debug)]
pub(super) struct Mix {
    pub(super) config: Config,
    pub(super) variables: usize,
    pub(super) servers: usize,
    /// Which server owns which rows of which variable.
    pub(super) placement: Arc<Placement>,
    /// How many decisions leave the coordinator together.
    pub(super) batch: usize,
    /// Whether contributions go to the other servers once the first has room.
    pub(super) bounded: bool,
    /// The longest batch; a batch takes a tenth of it or more.
    pub(super) compute: Duration,
    /// The longest update.
    pub(super) update: Duration,
    /// How often a replica gives a sign of life.
    pub(super) heartbeat: Duration,
    pub(super) checkpoint: Duration,
    /// How long faults happen.
    pub(super) safety: Duration,
    pub(super) faults: Faults,
}

/// How often what goes wrong; zero is never.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Faults {
    /// Of a message, and of its connection with it.
    pub(super) loss: f64,
    /// Of a request to the coordinator, long after its connection.
    pub(super) duplication: f64,
    /// Of a request that was read when the next connection of its replica opened.
    pub(super) late: f64,
    /// That a message is the first of many which its link swallows, one way.
    pub(super) partition: f64,
    /// That a message is the first of many which its link holds back.
    pub(super) clogging: f64,
    /// The mean of the exponential part of a message's delay.
    pub(super) delay: Duration,
    /// Weights of the kinds of mischief done to processes.
    pub(super) kill: f64,
    pub(super) pause: f64,
    pub(super) leave: f64,
    pub(super) crash: f64,
    pub(super) suspect: f64,
    /// The mean time from one mischief to the next.
    pub(super) every: Duration,
    /// That a death breaks the connections at once.
    pub(super) noticed: f64,
    /// That a push has gradients for some variables only (per-variable admission only).
    pub(super) partial: f64,
    /// That a replica hangs in a batch: it ignores everything, but its heartbeats go on.
    pub(super) hang: f64,
}

impl Mix {
    /// # Errors
    /// When a draw does not fit together, which is a mistake here.
    pub(super) fn draw(dice: &mut Dice) -> Result<Self, ConfigError> {
        let config = settings(dice).check()?;
        let lease = config.settings().lease;
        let (variables, servers) = (dice.between(1, 3) as usize, dice.between(1, 3) as usize);
        let shapes: Vec<_> = (0..variables).map(|it| (format!("v{it}"), [ROWS])).collect();
        Ok(Self {
            placement: Arc::new(Placement::new(&shapes, size_of::<f64>(), servers)),
            variables,
            servers,
            compute: dice.millis(2, 150),
            update: dice.millis(0, 20),
            bounded: dice.chance(0.2),
            batch: dice.pick(&[1, 1, 2, 3, 8]),
            heartbeat: lease.unwrap_or(Duration::from_secs(1)) / dice.pick(&[4, 4, 4, 2]),
            checkpoint: dice.millis(100, 1500),
            safety: dice.millis(3000, 12_000),
            faults: Faults::draw(dice),
            config,
        })
    }
}

impl Mix {
    /// A server's shard, with the initial values.
    pub(super) fn shard(&self, server: usize) -> Result<Shard<f64>, String> {
        let settings = self.config.settings();
        let (ordered, admission) = (settings.order == SummationOrder::Replica, settings.admission);
        let settings = ShardSettings { ordered, admission, ..ShardSettings::default() };
        let optimizer = OptimizerState::new(Sgd::new(1.0)).map_err(|error| error.to_string())?;
        let parts = self.placement.parts(server);
        let initial = parts.iter().map(|part| ArrayD::zeros(&part.shape[..])).collect();
        Shard::new(parts, initial, optimizer, settings).map_err(|error| error.to_string())
    }
}

fn settings(dice: &mut Dice) -> Settings {
    let (aggregate, total) = (dice.between(1, 5) as usize, dice.between(1, 5) as usize);
    let needed = aggregate.saturating_sub(total);
    let initial_tokens = match dice.between(0, 2) {
        0 => InitialTokens::Fewest,
        1 if needed == 0 => InitialTokens::Aggregate,
        _ => InitialTokens::Exactly(needed + dice.between(0, 3) as usize),
    };
    let plain = Settings {
        total_num_replicas: Some(total),
        initial_tokens,
        token_policy: dice.pick(&[TokenPolicy::KeepLeftovers, TokenPolicy::DiscardLeftovers]),
        admission: dice.pick(&[Admission::Together, Admission::Together, Admission::PerVariable]),
        order: SummationOrder::Arrival,
        membership: Membership::Tracked,
        tell_superseded: dice.chance(0.7),
        lease: dice.chance(0.8).then(|| dice.millis(100, 1200)),
        step_timeout: match dice.between(0, 3) {
            0 => StepTimeout::Never,
            1 => StepTimeout::After(dice.millis(150, 2000)),
            _ => StepTimeout::Automatic,
        },
        step_deadline: dice.chance(0.5).then(|| dice.millis(300, 3000)),
        ..Settings::new(aggregate)
    };
    match dice.between(0, 3) {
        0 => plain.reference(),
        1 => Settings {
            order: SummationOrder::Replica,
            token_policy: TokenPolicy::DiscardLeftovers,
            admission: Admission::Together,
            ..plain
        },
        _ => plain,
    }
}

impl Faults {
    fn draw(dice: &mut Dice) -> Self {
        let mut class = |most: f64| {
            let on = !dice.chance(0.2);
            let drawn = dice.up_to(most);
            if on { drawn } else { 0.0 }
        };
        Self {
            loss: class(0.02),
            duplication: class(0.2),
            late: class(1.0),
            partition: class(0.003),
            clogging: class(0.01),
            delay: Duration::from_micros(class(40_000.0) as u64),
            kill: class(1.0),
            pause: class(1.0),
            leave: class(0.6),
            crash: class(0.3),
            suspect: class(0.4),
            noticed: class(1.0),
            partial: class(0.1),
            hang: class(0.03),
            every: Duration::from_micros(200_000 + class(1_000_000.0) as u64),
        }
    }

    /// What is left in the second phase: messages are as slow as a quick network makes them.
    pub(super) fn none() -> Self {
        Self::default()
    }
}
