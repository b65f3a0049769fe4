//! What a user may wish at any moment, all at once: `fit`, replicas by hand, stops, restores, saves
//! and readers, from threads that know nothing of each other.
//!
//! Every gradient is -1 and the rate 1, so in whatever is seen, saved or averaged the variables
//! equal the step. A seed decides who does what how often, not when: the threads decide that. A run
//! that does not end fails by its watchdog. `SEAMS=A..B` plays other seeds than the few here.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use ndarray::Array1;
use optim::Sgd;
use sync_replicas::checkpoint::{self, CheckpointError, TrainingState};
use sync_replicas::engine::JoinError;
use sync_replicas::error::FitError;
use sync_replicas::options::{StepTimeout, SummationOrder};
use sync_replicas::{
    BoxError, Computed, Gradients, Hooks, Model, ReplicaId, SyncReplicas, Trainer, Variables, Work,
};

/// Longer than any run takes on a machine that does much else.
const LONGEST: Duration = Duration::from_secs(120);

/// Numbers that a seed decides (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn fork(&mut self) -> Self {
        Self(self.below(u64::MAX))
    }
}

struct Down {
    examples: u64,
}

impl Model<f64> for Down {
    type Batch = u64;

    fn gradients(
        &self,
        variables: &Variables<f64>,
        _: &u64,
        _: &Work<'_, f64>,
    ) -> Result<Option<Computed<f64>>, BoxError> {
        let gradients = down(variables.vector("w")?.len());
        Ok(Some(Computed { loss: 1.0, examples: self.examples, gradients }))
    }
}

fn down(length: usize) -> Gradients<f64> {
    Gradients::new().dense("w", Array1::from_elem(length, -1.0))
}

#[track_caller]
fn check_whole(what: &str, step: i64, variables: &Variables<f64>) {
    let w = variables.vector("w").expect("it is there");
    assert!(w.iter().all(|&w| w == step as f64), "{what}: at step {step} w is {w}");
}

#[track_caller]
fn check_saved(state: &TrainingState<f64>) {
    let step = state.global_step.get();
    check_whole("a checkpoint", step, &state.variables);
    check_whole("its averages", step, &state.averaged().expect("they are kept"));
}

/// What one seed does, and with which trainer.
struct Seam {
    trainer: Trainer<f64>,
    length: usize,
    total: u64,
    over: AtomicBool,
    /// What came of everything, counted.
    outcomes: Mutex<BTreeMap<String, u64>>,
}

impl Seam {
    fn new(dice: &mut Dice) -> Self {
        let length = if dice.chance(10) { 300_000 } else { 1 + dice.below(4) as usize };
        let aggregate = 1 + dice.below(3);
        let total = aggregate + dice.below(2);
        let order = if dice.chance(30) { SummationOrder::Replica } else { SummationOrder::Arrival };
        let builder = SyncReplicas::new(Sgd::new(1.0))
            .replicas_to_aggregate(aggregate as usize)
            .total_num_replicas(total as usize)
            .order(order)
            .use_locking(dice.chance(50))
            .observe_gradients(dice.chance(30))
            .step_timeout(StepTimeout::After(Duration::from_millis(50 + dice.below(400))))
            // An average that is the newest value, always.
            .moving_average(0.0);
        let variables = Variables::new().with("w", Array1::zeros(length)).expect("one name");
        Self {
            trainer: builder.build(variables).expect("it fits"),
            length,
            total,
            over: AtomicBool::new(false),
            outcomes: Mutex::default(),
        }
    }

    fn count(&self, what: impl Into<String>) {
        let mut outcomes = self.outcomes.lock().expect("nobody panics with it");
        *outcomes.entry(what.into()).or_default() += 1;
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// `fit` a few times, with hooks that look, save and stop.
    fn fits(&self, mut dice: Dice, folder: &Path) {
        for _ in 0..4 + dice.below(4) {
            let until = self.trainer.snapshot().global_step.get() + 1 + dice.below(20) as i64;
            let mut seen = None;
            let mut hooks = Hooks::new().every(1, move |chief, report| {
                let snapshot = chief.snapshot();
                check_whole("a hook", snapshot.global_step.get(), &snapshot.variables);
                // No update is missed, save by a restore, which begins another life.
                let last = seen.replace((snapshot.generation, report.global_step));
                if let Some((generation, step)) = last.filter(|it| it.0 == snapshot.generation) {
                    assert_eq!(report.global_step, step + 1, "{generation}");
                }
                Ok(())
            });
            if dice.chance(80) {
                hooks = hooks.stop_at_step(until);
            } else {
                let stop = self.trainer.stop_handle();
                hooks = hooks.every(1 + dice.below(9), move |_, _| {
                    stop.stop("a hook says so");
                    Ok(())
                });
            }
            if dice.chance(30) {
                hooks = hooks.checkpoints(folder, 1 + dice.below(5), 2);
            }
            let examples = if dice.chance(10) { u64::MAX } else { 1 };
            match self.trainer.fit(&Down { examples }, |_| 0.., hooks) {
                Ok(report) => self.count(format!("fit: {}", words(&report.stopped))),
                Err(FitError::Busy { .. }) => self.count("fit: busy"),
                Err(FitError::Restored) => self.count("fit: restored"),
                // A replica of the same number took part by hand.
                Err(FitError::TooFewReplicas { .. }) => self.count("fit: all failed"),
                Err(error) => panic!("fit: {error}"),
            }
            let snapshot = self.trainer.snapshot();
            check_whole("after fit", snapshot.global_step.get(), &snapshot.variables);
        }
        self.over.store(true, Ordering::Relaxed);
        // A replica that waits by hand is told.
        self.trainer.stop_handle().stop("the test is over");
    }

    /// A replica by hand, which comes and goes.
    fn hand(&self, mut dice: Dice) {
        while !self.is_over() {
            let id = ReplicaId::new(dice.below(self.total));
            let mut replica = match self.trainer.replica(id) {
                Ok(replica) => replica,
                Err(JoinError::Ended | JoinError::Present { .. }) => {
                    std::thread::yield_now();
                    continue;
                }
                Err(error) => panic!("{error}"),
            };
            for _ in 0..1 + dice.below(3) {
                let Ok(Some(step)) = replica.next_step() else { break };
                check_whole("a step", step.global_step().get(), step.variables());
                match dice.below(4) {
                    0 => step.give_up(),
                    _ => drop(step.push(down(self.length))),
                }
            }
            self.count("hand: a life");
        }
    }

    fn reads(&self, mut dice: Dice) {
        while !self.is_over() {
            let snapshot = self.trainer.snapshot();
            check_whole("a snapshot", snapshot.global_step.get(), &snapshot.variables);
            match dice.below(5) {
                0 => drop(self.trainer.slot("w", "none")),
                1 => drop(self.trainer.averages()),
                2 => drop(self.trainer.last_average()),
                _ => std::thread::yield_now(),
            }
        }
    }

    fn saves(&self, mut dice: Dice, folder: &Path) {
        while !self.is_over() {
            self.trainer.save(folder, 1 + dice.below(2) as usize).expect("both savers succeed");
            match checkpoint::read(folder) {
                Ok(state) => check_saved(&state),
                // The other saver removed it, or took its place, while it was read.
                Err(CheckpointError::Io { .. } | CheckpointError::NotFound { .. }) => {}
                Err(CheckpointError::Damaged { .. }) => {}
                Err(error) => panic!("{error}"),
            }
            self.count("save");
        }
    }

    fn restores(&self, mut dice: Dice, folder: &Path) {
        while !self.is_over() {
            if dice.chance(20) {
                let step = self.trainer.restore(folder).expect("nobody else writes it");
                assert_eq!(step.get(), 0);
                self.count("restore");
            }
            std::thread::yield_now();
        }
    }

    fn stops(&self, mut dice: Dice) {
        while !self.is_over() {
            if dice.chance(5) {
                self.trainer.stop_handle().stop("from beside");
                self.count("stop");
            }
            std::thread::yield_now();
        }
    }

    /// Tasks of the program's own pool ask for what an update is writing.
    fn pool(&self) {
        while !self.is_over() {
            rayon::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|_| {
                        let snapshot = self.trainer.snapshot();
                        check_whole("a task", snapshot.global_step.get(), &snapshot.variables);
                    });
                }
            });
        }
    }
}

/// A reason without its numbers.
fn words(reason: &str) -> String {
    reason.chars().filter(|character| !character.is_ascii_digit()).collect()
}

fn play(seed: u64) -> BTreeMap<String, u64> {
    let mut dice = Dice(seed);
    let seam = Seam::new(&mut dice);
    let (hooks, saves, start) = (folder(), folder(), folder());
    seam.trainer.save(start.path(), 1).expect("it is saved");
    std::thread::scope(|scope| {
        let seam = &seam;
        let mut dices = || dice.fork();
        let (fits, hand, reads) = (dices(), dices(), dices());
        let (first, second, restores, stops) = (dices(), dices(), dices(), dices());
        let mut chosen = dices();
        let (hooks, saves, start) = (hooks.path(), saves.path(), start.path());
        if chosen.chance(50) {
            scope.spawn(move || seam.hand(hand));
        }
        if chosen.chance(60) {
            scope.spawn(move || seam.reads(reads));
        }
        if chosen.chance(40) {
            scope.spawn(move || seam.saves(first, saves));
            scope.spawn(move || seam.saves(second, saves));
        }
        if chosen.chance(30) {
            scope.spawn(move || seam.restores(restores, start));
        }
        if chosen.chance(40) {
            scope.spawn(move || seam.stops(stops));
        }
        if chosen.chance(30) {
            scope.spawn(move || seam.pool());
        }
        seam.fits(fits, hooks);
    });
    let outcomes = seam.outcomes.into_inner().expect("nobody panicked");
    if outcomes.contains_key("save") {
        check_saved(&checkpoint::read(saves.path()).expect("the last one is good"));
    }
    outcomes
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

/// Plays a seed on a thread of its own, which must come to an end.
#[allow(clippy::print_stderr, reason = "a test shows it when it fails")]
fn play_in_time(seed: u64) -> BTreeMap<String, u64> {
    let (done, wait) = mpsc::channel();
    let player = std::thread::spawn(move || done.send(play(seed)));
    match wait.recv_timeout(LONGEST) {
        Ok(outcomes) => outcomes,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("seed {seed} does not end"),
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            let panic = player.join().expect_err("it had no answer");
            eprintln!("seed {seed}");
            std::panic::resume_unwind(panic)
        }
    }
}

fn seeds() -> Range<u64> {
    let Ok(text) = std::env::var("SEAMS") else { return 0..24 };
    let (from, to) = text.split_once("..").expect("SEAMS is A..B");
    from.parse().expect("a number")..to.parse().expect("a number")
}

// P-1, P-5, P-9, P-11: whatever comes in between, no update is torn from its count, no replica
// waits for ever, and of two savers both succeed.
#[test]
fn whatever_is_wished_in_between() {
    let mut all = BTreeMap::<String, u64>::new();
    for seed in seeds() {
        for (what, count) in play_in_time(seed) {
            *all.entry(what).or_default() += count;
        }
    }
    println!("seams {:?}: {all:#?}", seeds());
}
