//! The formula: every replica starts each step afresh, and the step ends with the A-th gradient.
//!
//! No engine and no token: the engine is compared with it. For A <= N a step takes X_(A:N), the
//! A-th smallest of N drawn times; for A > N a replica that has finished begins another batch until
//! A are under way or done.

use crate::computing::Computing;
use crate::distribution::time;
use crate::outcome::{Gradients, Outcome, Totals};
use crate::plan::Plan;
use crate::stream::Stream;

/// Runs a plan by the formula.
pub(crate) fn run(plan: &Plan) -> Outcome {
    let mut arrivals = Arrivals::new(plan);
    let mut updates = Stream::of_updates(plan.seed);
    let needed = plan.aggregate();
    let (mut totals, mut durations) = (Totals::default(), Vec::new());
    for _ in 0..plan.steps {
        let times = arrivals.step();
        let last = times[needed - 1].arrives;
        let update = plan.update.as_ref().map(|update| update.draw_time(&mut updates));
        let update = update.unwrap_or_default().as_secs_f64();
        for (place, time) in times.iter().enumerate() {
            // A late replica is stopped when the update is done.
            let spent = (time.computed - time.began).min(last + update - time.began).max(0.0);
            totals.computed_seconds += spent;
            totals.useful_seconds += if place < needed { spent } else { 0.0 };
        }
        durations.push(last + update);
        arrivals.now += update;
    }
    let steps = durations.len() as u64;
    let surplus = (plan.config.tokens_per_step() - needed) as u64;
    let gradients = Gradients {
        accepted: steps * needed as u64,
        superseded: steps * surplus,
        ..Gradients::default()
    };
    Outcome::new(plan, durations, totals, None).with_gradients(gradients)
}

/// The gradients of one step after another, by arrival.
pub struct Arrivals<'p> {
    plan: &'p Plan,
    replicas: Vec<Computing<'p>>,
    /// How many batches each replica has begun: they have the numbers that the engine gives.
    begun: Vec<u64>,
    /// When the step begins; only episodes need it.
    now: f64,
    times: Vec<Arrival>,
}

impl std::fmt::Debug for Arrivals<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Arrivals").field("plan", &self.plan).finish_non_exhaustive()
    }
}

/// One gradient; seconds since its step began.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Arrival {
    /// When computing began.
    pub began: f64,
    /// When it ended.
    pub computed: f64,
    /// When the gradient arrived.
    pub arrives: f64,
}

impl<'p> Arrivals<'p> {
    /// Begins with a plan's first step.
    #[must_use]
    pub fn new(plan: &'p Plan) -> Self {
        let replicas = (0..plan.total() as u64).map(|replica| Computing::new(plan, replica));
        let begun = vec![0; plan.total()];
        Self { plan, replicas: replicas.collect(), begun, now: 0.0, times: Vec::new() }
    }

    /// The next step's gradients, the earliest first: max(N, A) of them.
    pub fn step(&mut self) -> &[Arrival] {
        self.draw_all();
        self.times.sort_by(|a, b| a.arrives.total_cmp(&b.arrives));
        &self.times
    }

    /// The next step's gradients, the N first ones by replica.
    pub(crate) fn by_replica(&mut self) -> &[Arrival] {
        self.draw_all();
        &self.times
    }

    fn draw_all(&mut self) {
        self.times.clear();
        let total = self.plan.total();
        for replica in 0..total {
            let first = self.draw(replica, 0.0);
            self.times.push(first);
        }
        if self.plan.aggregate() > total {
            self.more_rounds();
        }
        self.now += self.step_seconds();
    }

    /// When the A-th gradient of the step arrives.
    fn step_seconds(&self) -> f64 {
        if self.plan.episodes.is_empty() {
            return 0.0;
        }
        let mut arrivals: Vec<f64> = self.times.iter().map(|time| time.arrives).collect();
        *arrivals.select_nth_unstable_by(self.plan.aggregate() - 1, f64::total_cmp).1
    }

    /// The first free replica begins the next batch, until A are begun.
    fn more_rounds(&mut self) {
        let mut free: crate::EventQueue<usize> = crate::EventQueue::new();
        for (replica, first) in self.times.iter().enumerate() {
            free.at(time(first.arrives), replica);
        }
        while self.times.len() < self.plan.aggregate() {
            let Some(replica) = free.next() else { return };
            let next = self.draw(replica, free.now().as_secs_f64());
            free.at(time(next.arrives), replica);
            self.times.push(next);
        }
    }

    fn draw(&mut self, replica: usize, began: f64) -> Arrival {
        let batch = replica as u64 + self.begun[replica] * self.replicas.len() as u64;
        self.begun[replica] += 1;
        let computing = &mut self.replicas[replica];
        // To the nanosecond, as the engine has it.
        let computed = began + computing.draw(batch, self.now, began).as_secs_f64();
        let wire = computing.draw_wire().as_secs_f64();
        Arrival { began, computed, arrives: computed + wire }
    }
}
