//! Checked settings: what the options mean together.
//!
//! [`Settings`] can only be made by [`Settings::check`]: an existing one can be trained with.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use optim::{Optimizer, Schedule};
use sync_replicas::BatchSampler;
use sync_replicas::options::SummationOrder;
use tabular::data::Dataset;
use tabular::models::{Kind, Network};
use tabular::predict::SavedModel;

use crate::args::{ModelKind, OptimizerKind, OptimizerNumbers, StragglerArg, TrainArgs, cli_name};
use crate::error::UsageError;
use crate::learner::Clip;
use crate::lengths::Lengths;
use crate::measures;
use crate::model;
use crate::optimizers;
use crate::straggler::Stragglers;

const USUAL_AGGREGATE: u64 = 4;
const USUAL_REPLICAS: u64 = 5;

/// What a run may not change when it goes on: its tables would be of no use.
pub(crate) const COLUMNS: &str = "columns";

/// Whether a run begins or goes on (P-24).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resume {
    /// It begins, and no earlier one may be in its folder.
    Never,
    /// It goes on from a run folder, a folder of checkpoints, or one checkpoint.
    From(PathBuf),
    /// It goes on if its own folder has a checkpoint: for a process that is started again
    /// automatically.
    IfAny,
    /// The same, and goes on from elsewhere the first time.
    OwnOr(PathBuf),
}

impl Resume {
    pub(crate) fn new(asked: Option<&Path>, has_out: bool) -> Result<Self, UsageError> {
        match asked {
            None => Ok(Self::Never),
            Some(path) if path.as_os_str() != "auto" => Ok(Self::From(path.to_owned())),
            Some(_) if has_out => Ok(Self::IfAny),
            Some(_) => {
                let expected = "--out DIR with it, to look for a checkpoint in";
                Err(UsageError::number("--resume auto", expected, "none"))
            }
        }
    }
}

/// Everything a run needs to know; nothing in it contradicts anything else.
#[derive(Debug)]
pub struct Settings {
    /// The options, as given; for those below, their final value is there.
    pub args: TrainArgs,
    /// The model's name.
    pub name: ModelKind,
    /// The model with its sizes.
    pub kind: Kind,
    /// The same, over the columns of the data.
    pub model: Arc<Network>,
    /// What it learns from and is tested with.
    pub data: Arc<Dataset>,
    /// Which examples are in which batch.
    pub sampler: BatchSampler,
    /// Examples in a batch.
    pub batch_size: u64,
    /// The update rule.
    pub optimizer: OptimizerKind,
    /// The optimizer's learning rate.
    pub learning_rate: Schedule,
    /// What happens to gradients before they are pushed.
    pub clip: Option<Clip>,
    /// A, the gradients that a step needs.
    pub replicas_to_aggregate: usize,
    /// N.
    pub total_num_replicas: usize,
    /// Which replicas are slow.
    pub stragglers: Stragglers,
    /// Order of summation.
    pub order: SummationOrder,
    /// Tokens at the start, if given.
    pub initial_tokens: Option<usize>,
    /// How many replicas must be left when others fail, if given.
    pub min_replicas: Option<usize>,
    /// The global step to end at.
    pub updates: u64,
    /// Updates from test to test.
    pub eval_every: u64,
    /// How many checkpoints are kept.
    pub keep: usize,
    /// What to continue from.
    pub resume: Resume,
}

impl Settings {
    /// Settings out of options.
    ///
    /// # Errors
    /// [`UsageError`] names the option, what was expected and what came.
    pub fn check(args: TrainArgs) -> Result<Self, UsageError> {
        Self::new(args, false)
    }

    fn new(mut args: TrainArgs, in_cluster: bool) -> Result<Self, UsageError> {
        if let Some(path) = args.config {
            return Err(UsageError::UnreadConfig { path });
        }
        let name = args.model.unwrap_or_else(|| model::usual_model(&args.data));
        let kind = model::kind(name, args.hidden, args.width)?;
        let optimizer = args.optimizer.unwrap_or_else(|| model::usual_optimizer(name));
        let clip = Clip::new(args.clip_value, args.clip_norm, args.clip_global_norm)?;
        if let Some(decay) = args.ema.filter(|decay| !(0.0..=1.0).contains(decay)) {
            return Err(UsageError::number("--ema", "a decay from 0 to 1", decay));
        }
        let total_num_replicas = args.total_num_replicas.unwrap_or(USUAL_REPLICAS);
        if args.data.data.is_some() && args.straggler.is_empty() {
            // Who brings data has slow replicas, or none.
            args.straggler.push(StragglerArg::None);
        }
        let stragglers = Stragglers::new(&args.straggler, total_num_replicas)?;
        let data = model::data(&args.data, name)?;
        let model = model::network(kind, &data)?;
        let task = data.features.target.task.kind();
        measures::check(&args, in_cluster, task)?;
        let learning_rate = match (&args.schedule, args.learning_rate) {
            (Some(schedule), _) => schedule.clone(),
            (None, Some(rate)) => rate.into(),
            (None, None) => optimizers::usual_rate(name, optimizer, task),
        };
        learning_rate.validate()?;
        optimizers::build(optimizer, learning_rate.clone(), &args.numbers, name)?;
        let replicas_to_aggregate = count(
            "-a, --replicas-to-aggregate",
            args.replicas_to_aggregate.unwrap_or(USUAL_AGGREGATE),
        )?;
        let lengths = Lengths::new(&args, &data, replicas_to_aggregate)?;
        let Lengths { batch_size, updates, eval_every } = lengths;
        let in_batch = count("--batch-size", batch_size)?;
        let sampler = BatchSampler::new(data.train.len(), in_batch, args.seed).map_err(|_| {
            let expected = format!("1 to {} (the training examples)", data.train.len());
            UsageError::number("--batch-size", expected, in_batch)
        })?;
        Ok(Self {
            name,
            kind,
            model: Arc::new(model),
            data: Arc::new(data),
            sampler,
            batch_size,
            optimizer,
            learning_rate,
            clip,
            replicas_to_aggregate,
            total_num_replicas: count("-n, --total-num-replicas", total_num_replicas)?,
            stragglers,
            order: if args.deterministic {
                SummationOrder::Replica
            } else {
                SummationOrder::Arrival
            },
            initial_tokens: args.init_tokens.map(|n| count("--init-tokens", n)).transpose()?,
            min_replicas: args.min_replicas.map(|n| count("--min-replicas", n)).transpose()?,
            updates,
            eval_every,
            keep: count("--keep", args.keep)?,
            resume: Resume::new(args.resume.as_deref(), args.out.is_some())?,
            args,
        })
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
            return Err(UsageError::number("-n, --total-num-replicas", expected, got));
        }
        if let Some(got) = args.min_replicas {
            let expected = "none: a worker is a process, which fails by itself";
            return Err(UsageError::number("--min-replicas", expected, got));
        }
        if let Some(path) = &args.data.data {
            let is_file = std::fs::metadata(path).map(|it| it.is_file());
            if is_file.is_ok_and(|is_file| !is_file) {
                let expected = "a file, which each process of the cluster reads";
                return Err(UsageError::number("FILE", expected, path.display()));
            }
        }
        args.total_num_replicas = Some(workers);
        let spare = backup.unwrap_or(0);
        let aggregate = workers.checked_sub(spare).filter(|&aggregate| aggregate > 0);
        let aggregate = aggregate.ok_or_else(|| {
            UsageError::number("--backup", format!("fewer than the {workers} workers"), spare)
        })?;
        args.replicas_to_aggregate.get_or_insert(aggregate);
        // No machine of a cluster is slowed down unasked.
        if args.straggler.is_empty() {
            args.straggler.push(StragglerArg::None);
        }
        Self::new(args, true)
    }

    /// Settings of a cluster's evaluator, which need not know how many workers there are.
    ///
    /// # Errors
    /// [`UsageError`] names the option, what was expected and what came.
    pub fn check_of_evaluator(mut args: TrainArgs) -> Result<Self, UsageError> {
        if args.keep_best.is_some() && args.out.is_none() {
            let expected =
                "--out DIR with it, the run folder, which the best checkpoint is kept in";
            return Err(UsageError::number("--keep-best", expected, "none"));
        }
        // Epochs are so many updates as workers and backups make of them.
        if args.updates.is_none() && (args.epochs.is_some() || args.data.data.is_some()) {
            args.epochs = None;
            args.updates = Some(i64::MAX.unsigned_abs());
        }
        Self::new(args, true)
    }

    /// What was found in the data, for its user; nothing for the built-in digits.
    #[must_use]
    pub fn story(&self) -> Option<String> {
        let data = &self.args.data;
        data.data.as_ref().map(|_| model::story(data, &self.data, self.kind))
    }

    /// What predicts with the variables of a checkpoint.
    #[must_use]
    pub fn saved_model(&self) -> SavedModel {
        SavedModel { model: self.kind, features: (*self.data.features).clone() }
    }

    /// The data's fingerprint.
    #[must_use]
    pub(crate) fn identity(&self) -> String {
        model::identity(&self.args.data, &self.data)
    }

    /// Which columns it learns from.
    #[must_use]
    pub(crate) fn columns(&self) -> String {
        model::columns(&self.data)
    }

    /// The update rule, as often as needed.
    ///
    /// # Errors
    /// None in practice: [`Settings::check`] has already built it.
    pub fn optimizer(&self) -> Result<Box<dyn Optimizer<f32>>, UsageError> {
        Ok(self.built_optimizer()?.optimizer)
    }

    /// Its numbers beside the learning rate, including those that no option gave.
    pub(crate) fn optimizer_numbers(&self) -> Result<OptimizerNumbers, UsageError> {
        Ok(self.built_optimizer()?.numbers)
    }

    fn built_optimizer(&self) -> Result<optimizers::Built, UsageError> {
        optimizers::build(self.optimizer, self.learning_rate.clone(), &self.args.numbers, self.name)
    }

    /// What a run's page shows, and a run that goes on compares, by name.
    #[must_use]
    pub fn describe(&self) -> Vec<(&'static str, String)> {
        let mut all = vec![
            ("model", self.kind.name().to_owned()),
            ("data", self.identity()),
            (COLUMNS, self.columns()),
            ("optimizer", cli_name(self.optimizer)),
            ("learning rate", self.learning_rate.to_string()),
            ("replicas", format!("{} of {}", self.replicas_to_aggregate, self.total_num_replicas)),
            ("batch size", self.batch_size.to_string()),
            ("updates", self.updates.to_string()),
            ("seed", self.args.seed.to_string()),
        ];
        let slow: Vec<String> = self
            .stragglers
            .iter()
            .map(|(replica, delay)| format!("replica {replica}, {} ms", delay.as_millis()))
            .collect();
        all.push(("straggler", if slow.is_empty() { "none".into() } else { slow.join("; ") }));
        if self.order == SummationOrder::Replica {
            all.push(("order", "replica (deterministic)".into()));
        }
        if self.args.reference {
            all.push(("preset", "reference".into()));
        }
        all.extend(self.clip.map(|clip| ("clipping", clip.to_string())));
        all.extend(self.args.ema.map(|decay| ("moving averages", decay.to_string())));
        all
    }
}

/// More than this many of anything is certainly a typo; threads and tokens are allocated by it.
const MOST: u64 = 1 << 16;

fn count(option: &'static str, got: u64) -> Result<usize, UsageError> {
    match usize::try_from(got) {
        Ok(count) if got <= MOST => Ok(count),
        _ => Err(UsageError::number(option, "at most 65536", got)),
    }
}
