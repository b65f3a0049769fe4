//! The outcome of a run: how long its steps took, and how much work was wasted.

use engine::{Engine, Tally};
use serde::Serialize;

use crate::plan::{Mode, Plan};
use crate::stats::Spread;

/// A finished run.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Numbers about the whole run.
    pub report: Report,
    /// How long each step took, in seconds.
    pub step_seconds: Vec<f64>,
}

/// Numbers about a run, the same bytes each time as JSON.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The plan's name.
    pub plan: String,
    /// What decided how a step went.
    pub mode: Mode,
    /// The seed of the random numbers.
    pub seed: u64,
    /// A, the gradients that a step needs.
    pub replicas_to_aggregate: usize,
    /// N, the number of replicas.
    pub total_num_replicas: usize,
    /// Steps done.
    pub steps: usize,
    /// Virtual seconds that they took.
    pub seconds: f64,
    /// How long a step took.
    pub step_seconds: Spread,
    /// The outcome of the work.
    pub gradients: Gradients,
    /// Gradients that were dropped or given up, for each step.
    pub wasted_per_step: f64,
    /// The part of all computing time that went into such gradients.
    pub wasted_compute: f64,
    /// The token ledger; none in ideal mode, which has no tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<TokenBooks>,
    /// Why the run ended before its last step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stuck: Option<String>,
}

/// The outcome of the gradients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Gradients {
    /// Became part of a step.
    pub accepted: u64,
    /// Dropped: their step was over.
    pub stale: u64,
    /// Dropped: another replica was first with the share (replica order only).
    pub duplicates: u64,
    /// Given up while they were computed: their step was over.
    pub superseded: u64,
}

impl Gradients {
    /// All of them: the replica-steps of the run.
    #[must_use]
    pub fn all(&self) -> u64 {
        self.accepted + self.wasted()
    }

    /// Those that did not count.
    #[must_use]
    pub fn wasted(&self) -> u64 {
        self.stale + self.duplicates + self.superseded
    }
}

/// Where the tokens went: `issued = spent + discarded + lost + queued + held`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct TokenBooks {
    /// Put at the start, by joining replicas and by steps.
    pub issued: u64,
    /// Used up.
    pub spent: u64,
    /// Thrown away as their step was over.
    pub discarded: u64,
    /// Lost with replicas that died.
    pub lost: u64,
    /// In the queue at the end.
    pub queued: u64,
    /// In replicas' hands at the end.
    pub held: u64,
}

/// A run's sums.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) computed_seconds: f64,
    pub(crate) useful_seconds: f64,
}

impl Outcome {
    pub(crate) fn new(
        plan: &Plan,
        step_seconds: Vec<f64>,
        totals: Totals,
        stuck: Option<String>,
    ) -> Self {
        let useful = totals.useful_seconds.min(totals.computed_seconds);
        let wasted = totals.computed_seconds - useful;
        let report = Report {
            plan: plan.name.clone(),
            mode: plan.mode,
            seed: plan.seed,
            replicas_to_aggregate: plan.aggregate(),
            total_num_replicas: plan.total(),
            steps: step_seconds.len(),
            seconds: step_seconds.iter().sum(),
            step_seconds: Spread::of(&step_seconds),
            gradients: Gradients::default(),
            wasted_per_step: 0.0,
            wasted_compute: if wasted > 0.0 { wasted / totals.computed_seconds } else { 0.0 },
            tokens: None,
            stuck,
        };
        Self { report, step_seconds }
    }

    pub(crate) fn with_gradients(mut self, gradients: Gradients) -> Self {
        let steps = self.report.steps.max(1) as f64;
        self.report.wasted_per_step = gradients.wasted() as f64 / steps;
        self.report.gradients = gradients;
        self
    }

    pub(crate) fn with_engine(mut self, engine: &Engine, tallies: Vec<Tally>) -> Self {
        let sum = |of: fn(&Tally) -> u64| tallies.iter().map(of).sum();
        let gradients = Gradients {
            accepted: sum(|tally| tally.accepted),
            stale: sum(|tally| tally.stale),
            duplicates: sum(|tally| tally.duplicates),
            superseded: sum(|tally| tally.superseded),
        };
        let (books, queued) = (engine.ledger(), engine.num_tokens() as u64);
        self.report.tokens = Some(TokenBooks {
            issued: books.issued,
            spent: books.spent,
            discarded: books.discarded,
            lost: books.lost,
            queued,
            held: books.outstanding() - queued,
        });
        self.with_gradients(gradients)
    }
}
