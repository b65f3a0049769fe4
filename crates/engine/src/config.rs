//! The engine's settings, and their checked form.
//!
//! `Settings` may hold anything; only `check` makes a `Config`, so the engine never meets A = 0.

use std::num::NonZeroU64;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a step does with tokens that an earlier step left over.
// P-12
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenPolicy {
    /// They stay, first in first out: T - A batches a step are wasted, whichever replicas are slow.
    /// TensorFlow's rule.
    KeepLeftovers,
    /// They are discarded when the new step's tokens are put: only what was really late is wasted.
    DiscardLeftovers,
}

/// Whether a replica's gradients are admitted as one unit.
// P-11
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Admission {
    /// All variables together or not at all; every variable of a step averages the same
    /// contributions.
    Together,
    /// Each variable's accumulator by itself, as in TensorFlow: a push of some variables only moves
    /// those.
    PerVariable,
}

/// In which order a step's contributions are summed.
// P-14
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SummationOrder {
    /// As they arrive: the last bits depend on the timing.
    Arrival,
    /// A step has A shares, each with its own batch; they are summed by number, share r being
    /// replica r's first choice. Its gradient is the same whichever replica computes it, so a run
    /// is bit-identical whatever the timing. A backup computes a share that is still missing; of
    /// two gradients for one share the first counts.
    Replica,
}

/// What the system knows of replicas that leave and come.
// P-2, P-5, P-9
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Membership {
    /// A leaver's token goes to another replica, and one that comes back waits in line for a token.
    Tracked,
    /// Nothing, as in TensorFlow: a leaver's token is lost, and a newcomer begins at once.
    Unknown,
}

/// What becomes of gradients and updates that are infinite or NaN.
// P-25
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NonFinite {
    /// The update is not made, and training fails: the error names variable and step, and the
    /// replica where it is known.
    #[default]
    Fail,
    /// Checks each push before adding it: one that is not finite is left out and counted, and
    /// another batch stands in; ten in a row from one replica end training. An update that is still
    /// not finite fails.
    Skip,
    /// They are used like any others, as in TensorFlow.
    Allow,
}

/// What becomes of a batch at which three replicas have failed. In replica order only, where a
/// batch is given to another replica when one fails at it.
// P-5
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailingBatch {
    /// Training fails, and names the batch.
    #[default]
    Fail,
    /// It is left out with a warning that names it, and its share's next batch stands in.
    Skip,
}

/// How long a replica may work with one token, whatever signs of life it gives, before the token
/// goes to another: a replica whose data loader or device hangs still gives them.
// P-28
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepTimeout {
    /// Ten times the median time from token to push of the latest contributions that counted, and
    /// at least the lease. None before the first of them, since first batches compile, nor without
    /// a lease.
    #[default]
    Automatic,
    /// This long, from the start.
    After(Duration),
    /// For ever.
    Never,
}

impl StepTimeout {
    /// The explicit limit, if any.
    pub(crate) fn given(self) -> Option<Duration> {
        match self {
            Self::After(limit) => Some(limit),
            Self::Automatic | Self::Never => None,
        }
    }
}

/// How many tokens are put before the first step.
//
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InitialTokens {
    /// max(0, A - N): nothing is wasted, and every replica contributes to the first step.
    // P-3
    Fewest,
    /// A: TensorFlow's default; the first N batches are wasted.
    Aggregate,
    /// An explicit number, at least A - N.
    Exactly(usize),
}

/// Settings as a user gives them; [`Settings::check`] makes them valid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// A: how many gradients make a step.
    pub replicas_to_aggregate: usize,
    /// N: how many replicas there are; A when not given.
    //
    pub total_num_replicas: Option<usize>,
    /// Tokens before the first step.
    pub initial_tokens: InitialTokens,
    /// What happens to leftover tokens.
    pub token_policy: TokenPolicy,
    /// Unit of admission.
    pub admission: Admission,
    /// Order of summation.
    pub order: SummationOrder,
    /// What becomes of leavers' tokens.
    pub membership: Membership,
    /// Whether replicas whose step is over are told at once.
    // P-13
    pub tell_superseded: bool,
    /// How long a replica may hold a token without a sign of life before it goes to another;
    /// `None`: for ever.
    // P-5
    pub lease: Option<Duration>,
    /// How long it may hold one at all.
    // P-28
    pub step_timeout: StepTimeout,
    /// How long a step may take before the waits for it fail and say who is missing.
    // P-5
    pub step_deadline: Option<Duration>,
    /// What becomes of numbers that are not finite.
    // P-25
    pub non_finite: NonFinite,
    /// What becomes of a batch that makes replicas fail.
    // P-5
    pub failing_batch: FailingBatch,
}

impl Settings {
    /// The front door's defaults for A gradients a step.
    #[must_use]
    pub fn new(replicas_to_aggregate: usize) -> Self {
        Self {
            replicas_to_aggregate,
            total_num_replicas: None,
            initial_tokens: InitialTokens::Fewest,
            token_policy: TokenPolicy::DiscardLeftovers,
            admission: Admission::Together,
            order: SummationOrder::Arrival,
            membership: Membership::Tracked,
            tell_superseded: true,
            lease: Some(Duration::from_secs(10)),
            step_timeout: StepTimeout::Automatic,
            step_deadline: Some(Duration::from_secs(600)),
            non_finite: NonFinite::Fail,
            failing_batch: FailingBatch::Fail,
        }
    }

    /// The `reference` preset: TensorFlow exactly.
    ///
    /// A dead replica's token is lost, so the step deadline is what ends a wait.
    // P-16
    #[must_use]
    pub fn reference(self) -> Self {
        Self {
            initial_tokens: match self.initial_tokens {
                InitialTokens::Fewest => InitialTokens::Aggregate,
                given => given,
            },
            token_policy: TokenPolicy::KeepLeftovers,
            admission: Admission::PerVariable,
            order: SummationOrder::Arrival,
            membership: Membership::Unknown,
            tell_superseded: false,
            lease: None,
            step_timeout: StepTimeout::Never,
            non_finite: NonFinite::Allow,
            ..self
        }
    }

    /// Checks the numbers against each other.
    ///
    /// # Errors
    /// [`ConfigError`]; nothing is built then.
    pub fn check(self) -> Result<Config, ConfigError> {
        //
        let aggregate = self.replicas_to_aggregate;
        let total = self.total_num_replicas.unwrap_or(aggregate);
        if aggregate == 0 {
            return Err(ConfigError::Zero { name: "replicas_to_aggregate" });
        }
        if total == 0 {
            return Err(ConfigError::Zero { name: "total_num_replicas" });
        }
        let given = match self.initial_tokens {
            InitialTokens::Exactly(given) => given,
            InitialTokens::Fewest | InitialTokens::Aggregate => 0,
        };
        let counts = [
            ("replicas_to_aggregate", aggregate),
            ("total_num_replicas", total),
            ("initial_tokens", given),
        ];
        if let Some((name, got)) = counts.into_iter().find(|&(_, count)| count > MOST) {
            return Err(ConfigError::TooMany { name, got, most: MOST });
        }
        if self.order == SummationOrder::Replica
            && (self.token_policy != TokenPolicy::DiscardLeftovers
                || self.admission != Admission::Together)
        {
            return Err(ConfigError::Order);
        }
        for (name, duration) in [
            ("lease", self.lease),
            ("step_timeout", self.step_timeout.given()),
            ("step_deadline", self.step_deadline),
        ] {
            if duration.is_some_and(|duration| duration.is_zero()) {
                return Err(ConfigError::NoTime { name });
            }
        }
        let config = Config { total, settings: self };
        config.initial_tokens(config.settings.initial_tokens)?;
        Ok(config)
    }
}

/// More replicas, shares or tokens than this are certainly a typo; tables are allocated by them.
const MOST: usize = 1 << 20;

/// Settings that fit together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    total: usize,
    settings: Settings,
}

impl Config {
    /// A, the gradients that a step needs.
    #[must_use]
    pub fn replicas_to_aggregate(&self) -> usize {
        self.settings.replicas_to_aggregate
    }

    /// A, in the gates' type; never zero.
    pub(crate) fn gradients_needed(&self) -> NonZeroU64 {
        NonZeroU64::new(self.settings.replicas_to_aggregate as u64).unwrap_or(NonZeroU64::MIN)
    }

    /// N, the number of replicas.
    #[must_use]
    pub fn total_num_replicas(&self) -> usize {
        self.total
    }

    /// T = max(N, A), the tokens of one step.
    //
    #[must_use]
    pub fn tokens_per_step(&self) -> usize {
        self.total.max(self.settings.replicas_to_aggregate)
    }

    /// The settings as given.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// How many initial tokens a choice means here.
    ///
    /// # Errors
    /// [`StartError::TooFewTokens`] when a given number is below A - N.
    pub fn initial_tokens(&self, choice: InitialTokens) -> Result<usize, StartError> {
        let (aggregate, replicas) = (self.settings.replicas_to_aggregate, self.total);
        let needed = aggregate.saturating_sub(replicas);
        match choice {
            InitialTokens::Fewest => Ok(needed),
            InitialTokens::Aggregate => Ok(aggregate),
            InitialTokens::Exactly(given) if given >= needed => Ok(given),
            InitialTokens::Exactly(given) => {
                Err(StartError::TooFewTokens { given, needed, aggregate, replicas })
            }
        }
    }
}

/// Why settings were refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A count is zero.
    #[error("{name} is 0; it must be at least 1")]
    Zero {
        /// The setting.
        name: &'static str,
    },
    /// A count is out of all proportion.
    #[error("{name} is {got}; it can be at most {most}")]
    TooMany {
        /// The setting.
        name: &'static str,
        /// The given number.
        got: usize,
        /// The largest allowed.
        most: usize,
    },
    /// A time is zero.
    #[error("{name} is zero; give a time longer than nothing, or none for no limit")]
    NoTime {
        /// The setting.
        name: &'static str,
    },
    /// Replica order contradicts another setting.
    #[error(
        "replica order needs discarded leftover tokens and all-or-nothing admission, which the \
         `reference` preset and TokenPolicy::KeepLeftovers turn off; choose one of the two"
    )]
    Order,
    /// The initial tokens do not suffice.
    #[error(transparent)]
    Start(#[from] StartError),
}

/// Why the chief could not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The first step could never close.
    #[error(
        "too few initial tokens: {given} given, at least {needed} needed, since {replicas} \
         replicas must compute {aggregate} gradients for the first step"
    )]
    TooFewTokens {
        /// The given number.
        given: usize,
        /// A - N.
        needed: usize,
        /// A, the gradients that a step needs.
        aggregate: usize,
        /// N, the number of replicas.
        replicas: usize,
    },
}
