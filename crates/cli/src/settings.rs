//! Checked settings: what the options mean together.
//!
//! Invariant: the groups of [`Settings`] agree with each other, and have all that a run asks of its
//! options, so that whoever holds them checks nothing again.

mod clip;
mod lengths;
mod measures;
mod optimizers;
mod output;
mod replicas;
mod straggler;
mod trained;
mod update_rule;

use sync_replicas::options::SummationOrder;
use tabular::predict::SavedModel;

pub use self::clip::Clip;
pub use self::lengths::Lengths;
pub(crate) use self::measures::BEST;
pub use self::output::{Output, Resume};
pub use self::replicas::Replicas;
pub use self::straggler::Stragglers;
pub use self::trained::Trained;
pub use self::update_rule::UpdateRule;
use crate::args::{StragglerArg, TrainArgs, cli_name};
use crate::error::UsageError;

/// What a run may not change when it goes on: its tables would be of no use.
pub(crate) const COLUMNS: &str = "columns";

/// Everything a run needs to know; nothing in it contradicts anything else.
#[derive(Debug)]
pub struct Settings {
    /// What is trained, and on what.
    pub trained: Trained,
    /// How gradients become updates.
    pub update: UpdateRule,
    /// Who computes them.
    pub replicas: Replicas,
    /// How long, and how often it is tested.
    pub length: Lengths,
    /// What is written, and what it goes on from.
    pub output: Output,
}

/// Where a run trains.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    InProcess,
    InCluster,
}

impl Settings {
    /// Settings out of options.
    ///
    /// # Errors
    /// [`UsageError`] names the option, what was expected and what came.
    pub fn check(args: TrainArgs) -> Result<Self, UsageError> {
        Self::new(args, Place::InProcess)
    }

    fn new(mut args: TrainArgs, place: Place) -> Result<Self, UsageError> {
        if let Some(path) = args.config {
            return Err(UsageError::UnreadConfig { path });
        }
        if args.data.data.is_some() && args.straggler.is_empty() {
            // Who brings data has slow replicas, or none.
            args.straggler.push(StragglerArg::None);
        }
        let (output, replicas) = (Output::check(&args)?, Replicas::check(&args)?);
        let trained = Trained::check(&args)?;
        let task = trained.data.features.target.task.kind();
        measures::check(&args, place, task)?;
        let update = UpdateRule::check(&args, trained.name, task)?;
        let length = Lengths::check(&args, &trained.data, replicas.replicas_to_aggregate)?;
        Ok(Self { trained, update, replicas, length, output })
    }

    /// Settings of a process of a cluster: N is the number of workers, and A is N less the backups
    /// unless it is given.
    ///
    /// # Errors
    /// [`UsageError`] names the option, what was expected and what came.
    pub fn check_in_cluster(
        mut args: TrainArgs,
        workers: u64,
        backup: Option<u64>,
    ) -> Result<Self, UsageError> {
        if let Some(got) = args.total_num_replicas {
            let expected = format!("none: N is the number of workers, {workers}");
            return Err(UsageError::option("-n, --total-num-replicas", expected, got));
        }
        if let Some(got) = args.min_replicas {
            let expected = "none: a worker is a process, which fails by itself";
            return Err(UsageError::option("--min-replicas", expected, got));
        }
        if let Some(path) = &args.data.data {
            let is_file = std::fs::metadata(path).map(|it| it.is_file());
            if is_file.is_ok_and(|is_file| !is_file) {
                let expected = "a file, which each process of the cluster reads";
                return Err(UsageError::option("FILE", expected, path.display()));
            }
        }
        args.total_num_replicas = Some(workers);
        let spare = backup.unwrap_or(0);
        let aggregate = workers.checked_sub(spare).filter(|&aggregate| aggregate > 0);
        let aggregate = aggregate.ok_or_else(|| {
            UsageError::option("--backup", format!("fewer than the {workers} workers"), spare)
        })?;
        args.replicas_to_aggregate.get_or_insert(aggregate);
        // No machine of a cluster is slowed down unasked.
        if args.straggler.is_empty() {
            args.straggler.push(StragglerArg::None);
        }
        Self::new(args, Place::InCluster)
    }

    /// Settings of a cluster's evaluator, which need not know how many workers there are.
    ///
    /// # Errors
    /// [`UsageError`] names the option, what was expected and what came.
    pub fn check_of_evaluator(mut args: TrainArgs) -> Result<Self, UsageError> {
        if args.keep_best.is_some() && args.out.is_none() {
            let expected =
                "--out DIR with it, the run folder, which the best checkpoint is kept in";
            return Err(UsageError::option("--keep-best", expected, "none"));
        }
        // Epochs are so many updates as workers and backups make of them.
        if args.updates.is_none() && (args.epochs.is_some() || args.data.data.is_some()) {
            args.epochs = None;
            args.updates = Some(i64::MAX.unsigned_abs());
        }
        Self::new(args, Place::InCluster)
    }

    /// What predicts with the variables of a checkpoint.
    #[must_use]
    pub fn saved_model(&self) -> SavedModel {
        let Trained { kind, data, .. } = &self.trained;
        SavedModel { model: *kind, features: (*data.features).clone() }
    }

    /// What a run's page shows, and a run that goes on compares, by name.
    #[must_use]
    pub fn describe(&self) -> Vec<(&'static str, String)> {
        let Replicas { replicas_to_aggregate: a, total_num_replicas: n, .. } = self.replicas;
        let mut all = vec![
            ("model", self.trained.kind.name().to_owned()),
            ("data", self.trained.identity()),
            (COLUMNS, self.trained.columns()),
            ("optimizer", cli_name(self.update.kind)),
            ("learning rate", self.update.learning_rate().to_string()),
            ("replicas", format!("{a} of {n}")),
            ("batch size", self.length.batch_size.to_string()),
            ("updates", self.length.updates.to_string()),
            ("seed", self.trained.seed.to_string()),
        ];
        let slow = self.replicas.stragglers.iter();
        let slow: Vec<String> = slow
            .map(|(replica, delay)| format!("replica {replica}, {} ms", delay.as_millis()))
            .collect();
        all.push(("straggler", if slow.is_empty() { "none".into() } else { slow.join("; ") }));
        if self.replicas.order == SummationOrder::Replica {
            all.push(("order", "replica (deterministic)".into()));
        }
        if self.replicas.reference {
            all.push(("preset", "reference".into()));
        }
        all.extend(self.update.clip.map(|clip| ("clipping", clip.to_string())));
        all.extend(self.update.ema.map(|decay| ("moving averages", decay.to_string())));
        all
    }
}

/// More than this many of anything is certainly a typo; threads and tokens are allocated by it.
const MOST: u64 = 1 << 16;

pub(crate) fn count(option: &'static str, got: u64) -> Result<usize, UsageError> {
    match usize::try_from(got) {
        Ok(count) if got <= MOST => Ok(count),
        _ => Err(UsageError::option(option, "at most 65536", got)),
    }
}
