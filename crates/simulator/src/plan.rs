//! A plan: what to simulate, read from TOML and checked.
//!
//! Whatever the text, reading it ends in a plan that can be run or in an error that says where and
//! what; it never panics. An unknown key is an error, since a misspelt one would change nothing.

mod error;
mod file;

use std::collections::BTreeMap;
use std::time::Duration;

use engine::{Config, ConfigError, Settings};
use serde::{Deserialize, Serialize};

pub use error::PlanError;

use crate::distribution::{Correlation, Distribution, Seconds};
use crate::episodes::Episodes;
use crate::stream::Stream;

/// What is simulated. The same plan gives the same run, to the byte.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// A name for reports.
    pub name: String,
    /// What it shows, in a sentence.
    pub about: String,
    /// What decides how a step goes.
    pub mode: Mode,
    /// Decides every random number.
    pub seed: u64,
    /// How many steps to run, at most [`Plan::MOST_STEPS`].
    pub steps: u64,
    /// The engine's settings, A and N among them.
    pub config: Config,
    /// From a token to the end of computing, for replicas that have no distribution below.
    pub compute: Distribution,
    /// Replicas with their own distribution.
    pub replicas: BTreeMap<u64, Distribution>,
    /// How many times as long a replica computes as another, drawn once for each; none is once.
    pub machine: Option<Distribution>,
    /// The same for a batch, each time that any replica computes it.
    pub batch: Option<Distribution>,
    /// How much the times that a replica draws resemble the ones before.
    pub correlation: Correlation,
    /// Times in which replicas are slow, of several kinds.
    pub episodes: Vec<Episodes>,
    /// From the end of computing to the arrival of the gradient; none takes no time.
    pub network: Option<Distribution>,
    /// Added to a gradient's way for each of the N replicas, since they all share the server.
    pub network_per_replica: Seconds,
    /// From the last gradient that a step needs to the new tokens; none takes no time.
    pub update: Option<Distribution>,
    /// What happens to replicas at fixed times.
    pub events: Vec<Event>,
    /// What happens to replicas at random.
    pub churn: Option<Churn>,
}

/// What decides how a step goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// A formula: all replicas start each step together, and it ends with the A-th gradient.
    Ideal,
    /// The engine: replicas start when they get a token.
    Tokens,
}

/// Something that happens to a replica at a fixed time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Event {
    /// When it happens.
    pub at: Duration,
    /// The replica.
    pub replica: u64,
    /// The event.
    pub what: What,
}

/// What can happen to a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// It vanishes silently; only the end of its lease tells.
    Dies,
    /// It leaves by the protocol.
    Leaves,
    /// It comes, or comes back. A replica whose first event this is was not there at the start.
    Joins,
    /// It stops for this long, and goes on where it was.
    Pauses(Duration),
}

/// Random deaths and pauses, drawn for each replica by itself.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Churn {
    /// How long a replica lives; it then vanishes silently.
    pub dies_after: Option<Distribution>,
    /// How long a dead replica stays away; for ever if there is none.
    pub back_after: Option<Distribution>,
    /// How long a replica runs before it stops.
    pub pauses_after: Option<Distribution>,
    /// For how long it then stops.
    pub pause: Option<Distribution>,
}

impl Plan {
    /// More steps than this do not fit a report.
    pub const MOST_STEPS: u64 = 10_000_000;
    /// More replicas than this are certainly a typo.
    pub const MOST_REPLICAS: usize = 65_536;

    /// A plan for A gradients of N replicas under the front door's settings, without leases and
    /// deadlines, where only computing takes time.
    ///
    /// # Errors
    /// [`ConfigError`] when A or N is invalid.
    pub fn new(compute: Distribution, aggregate: usize, total: usize) -> Result<Self, ConfigError> {
        let settings = Settings {
            total_num_replicas: Some(total),
            lease: None,
            step_deadline: None,
            ..Settings::new(aggregate)
        };
        Ok(Self {
            name: String::new(),
            about: String::new(),
            mode: Mode::Tokens,
            seed: 0,
            steps: 1000,
            config: settings.check()?,
            compute,
            replicas: BTreeMap::new(),
            machine: None,
            batch: None,
            correlation: Correlation::default(),
            episodes: Vec::new(),
            network: None,
            network_per_replica: Seconds::default(),
            update: None,
            events: Vec::new(),
            churn: None,
        })
    }

    /// Reads a plan.
    ///
    /// # Errors
    /// [`PlanError`], with the line where there is one.
    ///
    /// # Examples
    /// ```
    /// let text = "replicas_to_aggregate = 4\ntotal_num_replicas = 5\n\
    ///             compute.shifted-exponential = { least = 1, mean_excess = 0.2 }\n";
    /// let plan = simulator::Plan::read(text)?;
    /// assert_eq!(plan.config.total_num_replicas(), 5);
    ///
    /// let error = simulator::Plan::read("replicas_to_agregate = 4").unwrap_err();
    /// assert!(error.to_string().starts_with("line 1, column 1: unknown field"));
    /// # Ok::<(), simulator::PlanError>(())
    /// ```
    pub fn read(text: &str) -> Result<Self, PlanError> {
        file::read(text)
    }

    /// The same with other settings of the engine.
    ///
    /// # Errors
    /// [`ConfigError`] when they do not fit together.
    pub fn with(&self, change: impl FnOnce(&mut Settings)) -> Result<Self, ConfigError> {
        let mut settings = self.config.settings().clone();
        change(&mut settings);
        Ok(Self { config: settings.check()?, ..self.clone() })
    }

    /// The distribution of a replica's computing.
    #[must_use]
    pub fn distribution(&self, replica: u64) -> &Distribution {
        self.replicas.get(&replica).unwrap_or(&self.compute)
    }

    /// Draws how long a gradient is on its way, in seconds.
    pub(crate) fn draw_wire(&self, stream: &mut Stream) -> f64 {
        let drawn = self.network.as_ref().map_or(0.0, |network| network.draw(stream));
        drawn + self.network_per_replica.get() * self.total() as f64
    }

    /// A, the gradients that a step needs.
    #[must_use]
    pub fn aggregate(&self) -> usize {
        self.config.replicas_to_aggregate()
    }

    /// N, the number of replicas.
    #[must_use]
    pub fn total(&self) -> usize {
        self.config.total_num_replicas()
    }
}
