//! The options of `train`, which `node` and `launch` also have.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use optim::Schedule;
use serde::{Deserialize, Serialize};
use sync_replicas::options::{FailingBatch, NonFinite, SparseMean, StepTimeout, TokenPolicy};

use super::data::{DataArgs, FileArg};
use super::export::ExportArgs;
use super::headings::{LENGTH, MODEL, OPTIMIZER, OUTPUT, REPLICAS};
use super::kinds::{
    FAILING_BATCHES, ModelKind, NON_FINITES, OptimizerKind, SPARSE_MEANS, TOKEN_POLICIES,
};
use super::measure::{Measure, StopWhen};
use super::page::{PageAddress, parse_page_address};
use super::parse::{at_least_one, parse_duration, parse_step_timeout, whole};
use super::straggler::StragglerArg;

/// The options of `train`.
#[derive(Clone, Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct TrainArgs {
    /// What to learn from.
    #[command(flatten)]
    pub data: DataArgs,
    /// What to train [default: linear; mlp for the digits]
    #[arg(long, value_enum, help_heading = MODEL)]
    pub model: Option<ModelKind>,
    /// Units of the hidden layer of mlp [default: 128] and wide-deep [default: 64]
    #[arg(long, value_name = "UNITS", value_parser = at_least_one(), help_heading = MODEL)]
    pub hidden: Option<u64>,
    /// Numbers in a row of embedding [default: 32], wide-deep and fm [default: 8]
    #[arg(long, value_name = "NUMBERS", value_parser = at_least_one(), help_heading = MODEL)]
    pub width: Option<u64>,
    /// Seed of the first variables and of the order of the batches
    #[arg(long, value_name = "NUMBER", default_value_t = 0, help_heading = MODEL)]
    #[arg(value_parser = whole::<u64>(0..=u64::MAX))]
    pub seed: u64,

    /// The update rule [default: ftrl for linear, adagrad for other models with tables, else adam]
    #[arg(long, value_enum, help_heading = OPTIMIZER)]
    pub optimizer: Option<OptimizerKind>,
    /// Learning rate, constant [default: one that suits the model and the optimizer, and that
    /// halves every 200 updates, except for adagrad and ftrl]
    #[arg(long, value_name = "RATE", conflicts_with = "schedule", help_heading = OPTIMIZER)]
    pub learning_rate: Option<f64>,
    /// Learning rate over the updates, such as `cosine:initial=0.05,steps=300`
    ///
    ///   exponential:initial=0.1,decay=0.96,every=100     also with staircase=true
    ///   inverse-time:initial=0.1,decay=0.5,every=100     also with staircase=true
    ///   polynomial:initial=0.1,end=0.001,steps=300       also with power=2
    ///   cosine:initial=0.1,steps=300                     also with alpha=0.01
    ///   piecewise:values=0.1/0.01,boundaries=200         one value more than boundaries
    ///   warm-up:steps=20,then=cosine:initial=0.1,steps=300
    #[arg(long, value_name = "TEXT", verbatim_doc_comment, help_heading = OPTIMIZER)]
    pub schedule: Option<Schedule>,
    /// The optimizers' own numbers.
    #[command(flatten)]
    pub numbers: OptimizerNumbers,
    /// Clip each element of a gradient to ±VALUE before it is pushed
    #[arg(long, value_name = "VALUE", group = "clip", help_heading = OPTIMIZER)]
    pub clip_value: Option<f64>,
    /// Scale each variable's gradient to at most this norm before it is pushed
    #[arg(long, value_name = "NORM", group = "clip", help_heading = OPTIMIZER)]
    pub clip_norm: Option<f64>,
    /// Scale a replica's gradients together to at most this norm before they are pushed
    #[arg(long, value_name = "NORM", group = "clip", help_heading = OPTIMIZER)]
    pub clip_global_norm: Option<f64>,
    /// Also keep moving averages of the variables, and test them too
    #[arg(long, value_name = "DECAY", help_heading = OPTIMIZER)]
    pub ema: Option<f64>,

    /// A: how many gradients make an update; the first A fresh ones win
    /// [default: 4; in a cluster the workers less --backup]
    #[arg(long, short = 'a', value_name = "A")]
    #[arg(value_parser = at_least_one(), help_heading = REPLICAS)]
    pub replicas_to_aggregate: Option<u64>,
    /// N: how many replicas compute; N - A of them are backups [default: 5; in a cluster N is the
    /// number of workers, and this option is refused]
    #[arg(long, short = 'n', value_name = "N")]
    #[arg(value_parser = at_least_one(), help_heading = REPLICAS)]
    pub total_num_replicas: Option<u64>,
    /// Make a replica slow; may be repeated; `none` for no straggler [default: the last one, 20 ms,
    /// with the built-in digits; with a file and in a cluster none]
    #[arg(long, value_name = "REPLICA=MILLISECONDS", help_heading = REPLICAS)]
    pub straggler: Vec<StragglerArg>,
    /// Give every gradient the same batch and sum in a fixed order: runs have the same bits
    #[arg(long, help_heading = REPLICAS)]
    pub deterministic: bool,
    /// What happens to tokens that are left when a step ends [default: discard]
    #[arg(long, value_parser = TOKEN_POLICIES.parser(), value_name = "POLICY")]
    #[arg(help_heading = REPLICAS)]
    pub token_policy: Option<TokenPolicy>,
    /// Tokens at the start, at least A - N [default: max(0, A - N), fully synchronous]
    #[arg(long, value_name = "TOKENS", help_heading = REPLICAS)]
    #[arg(value_parser = whole::<u64>(0..=u64::MAX))]
    pub init_tokens: Option<u64>,
    /// What divides a row of a sparse gradient [default: per-row]
    #[arg(long, value_parser = SPARSE_MEANS.parser(), value_name = "RULE")]
    #[arg(help_heading = REPLICAS)]
    pub sparse_mean: Option<SparseMean>,
    /// Behave like the original system in everything: tokens, admission, sparse merge
    #[arg(long, conflicts_with_all = ["deterministic"], help_heading = REPLICAS)]
    pub reference: bool,
    /// After this long without a sign of life a replica's token goes to another [default: 10s; in
    /// a cluster 5s]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, help_heading = REPLICAS)]
    pub lease: Option<Duration>,
    /// After this long with one batch a replica's token goes to another, though it lives;
    /// automatic: ten times the median, at least the lease; none: never [default: automatic]
    #[arg(long, value_name = "DURATION", value_parser = parse_step_timeout)]
    #[arg(help_heading = REPLICAS)]
    pub step_timeout: Option<StepTimeout>,
    /// A step that takes longer than this fails and says who is missing [default: 10m]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, help_heading = REPLICAS)]
    pub step_deadline: Option<Duration>,
    /// Fail when so many replicas have failed that fewer than this are left; one whose data ended
    /// has not failed [default: 1; in a cluster refused]
    #[arg(long, value_name = "COUNT", value_parser = at_least_one(), help_heading = REPLICAS)]
    pub min_replicas: Option<u64>,

    /// What becomes of gradients and updates that are infinite or NaN [default: fail]
    #[arg(long, value_parser = NON_FINITES.parser(), value_name = "CHOICE")]
    #[arg(help_heading = REPLICAS)]
    pub non_finite: Option<NonFinite>,

    /// What becomes of a batch at which three replicas have failed; only with --deterministic,
    /// which gives it to others [default: fail]
    #[arg(long, value_parser = FAILING_BATCHES.parser(), value_name = "CHOICE")]
    #[arg(requires = "deterministic", help_heading = REPLICAS)]
    pub failing_batch: Option<FailingBatch>,

    /// Train up to this global step [default: 1000 with the built-in digits, otherwise from
    /// --epochs]
    #[arg(long, value_name = "STEPS", value_parser = at_least_one(), help_heading = LENGTH)]
    #[arg(conflicts_with = "epochs")]
    pub updates: Option<u64>,
    /// Train until the training data was used this many times [default: enough for 200000 examples,
    /// at least 2 and at most 100 times]
    #[arg(long, value_name = "EPOCHS", value_parser = at_least_one(), help_heading = LENGTH)]
    pub epochs: Option<u64>,
    /// End earlier: once METRIC has not improved in N tests in a row [default: 10], or once a test
    /// reaches a value, as in 'test_accuracy>=0.97' or 'loss<=0.1'. The metrics and :min|max are
    /// those of --keep-best; counts start anew when a run goes on
    #[arg(long, value_name = "METRIC[:min|max][,tests=N]", help_heading = LENGTH)]
    pub stop_when: Option<StopWhen>,
    /// Examples in one replica's batch
    /// [default: 32; 512 of data that has more than 20000]
    #[arg(long, short = 'b', value_name = "EXAMPLES")]
    #[arg(value_parser = at_least_one(), help_heading = LENGTH)]
    pub batch_size: Option<u64>,

    /// Run folder to write [default: runs/MODEL-TIME]
    #[arg(long, value_name = "DIR", help_heading = OUTPUT)]
    pub out: Option<PathBuf>,
    /// Where checkpoints go [default: the run folder's `checkpoint`]
    #[arg(long, value_name = "DIR", help_heading = OUTPUT)]
    pub checkpoint_dir: Option<PathBuf>,
    /// Save a checkpoint every so many updates; the end is always saved
    #[arg(long, value_name = "UPDATES", default_value_t = 100)]
    #[arg(value_parser = at_least_one(), help_heading = OUTPUT)]
    pub save_every: u64,
    /// Test the model every so many updates [default: 25 times in a run, fewer of a large file]
    #[arg(long, value_name = "UPDATES", value_parser = at_least_one(), help_heading = OUTPUT)]
    pub eval_every: Option<u64>,
    /// How many checkpoints stay, two at least: the newest may turn out to have a loss that is NaN
    #[arg(long, value_name = "COUNT", default_value_t = 2)]
    #[arg(value_parser = at_least_one(), help_heading = OUTPUT)]
    pub keep: u64,
    /// Also keep the checkpoint that was best in a test, in the run folder's `best`: by
    /// test_accuracy, averages_test_accuracy or test_auc (larger is better), test_log_loss,
    /// test_rmse or loss (smaller is better); :min|max says otherwise. In a cluster an evaluator
    /// does
    #[arg(long, value_name = "METRIC[:min|max]", help_heading = OUTPUT)]
    pub keep_best: Option<Measure>,
    /// Show the run in TensorBoard: curves, the times of batches and the settings, in the run
    /// folder's `tensorboard`
    #[arg(long, help_heading = OUTPUT)]
    pub tensorboard: bool,
    /// Go on, up to the same --updates, from a run folder, a folder of checkpoints or one
    /// checkpoint; `auto`: if --out has a checkpoint, else begin. Writes into the run's own folder
    /// unless --out names another
    #[arg(long, value_name = "PATH", help_heading = OUTPUT)]
    pub resume: Option<PathBuf>,
    /// Where its record is sent.
    #[command(flatten)]
    pub exports: ExportArgs,
    /// Settings from a TOML file, each under its option's long name with _ for -, such as
    /// `learning_rate = 0.1`; options on the command line win
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// A live page of the training, and metrics for Prometheus: a port, on loopback, or IP:PORT. In
    /// a cluster each process has its own, and that of parameter server 0 shows all; launch gives
    /// the next parameter server the next port. One that others reach needs --key-file or TLS,
    /// though the page itself is open to all who can reach it
    #[arg(long, alias = "metrics-listen", value_name = "IP:PORT", help_heading = OUTPUT)]
    #[arg(value_parser = parse_page_address)]
    pub dashboard: Option<PageAddress>,
    /// Write one JSON object as the last line on standard output
    #[arg(long, help_heading = OUTPUT)]
    pub json: bool,
    /// Show nothing but errors, and the JSON line if asked for
    #[arg(long, short, help_heading = OUTPUT)]
    pub quiet: bool,
}

/// The options of `train` after its name.
#[derive(Clone, Debug, Args)]
pub struct TrainCommand {
    /// What to learn from.
    #[command(flatten)]
    pub file: FileArg,
    /// All other options.
    #[command(flatten)]
    pub train: TrainArgs,
}

/// Numbers that belong to some optimizers only; giving one to another optimizer is an error.
#[derive(Clone, Debug, Default, Args, Serialize, Deserialize)]
#[command(next_help_heading = OPTIMIZER)]
#[serde(default)]
pub struct OptimizerNumbers {
    /// momentum [default: 0.9], rmsprop [default: 0]
    #[arg(long, value_name = "FACTOR")]
    pub momentum: Option<f64>,
    /// momentum: look ahead as Nesterov does
    #[arg(long)]
    pub nesterov: bool,
    /// adam, lazy-adam, adamw: decay of the first moment [default: 0.9]
    #[arg(long, value_name = "DECAY")]
    pub beta1: Option<f64>,
    /// adam, lazy-adam, adamw: decay of the second moment [default: 0.999]
    #[arg(long, value_name = "DECAY")]
    pub beta2: Option<f64>,
    /// adam, lazy-adam, adamw, rmsprop: what keeps the division finite
    #[arg(long, value_name = "NUMBER")]
    pub epsilon: Option<f64>,
    /// adamw: part of a weight taken away at each update, times the rate [default: 0.01]
    #[arg(long, value_name = "RATE")]
    pub weight_decay: Option<f64>,
    /// rmsprop: decay of the mean square [default: 0.9]
    #[arg(long, value_name = "DECAY")]
    pub decay: Option<f64>,
    /// rmsprop: subtract the squared mean
    #[arg(long)]
    pub centered: bool,
    /// adagrad, ftrl: first value of the sum of squares [default: 0.1; 1e-8 of linear, wide-deep
    /// and fm]
    #[arg(long, value_name = "NUMBER")]
    #[serde(alias = "initial_accumulator_value")]
    pub initial_accumulator: Option<f64>,
    /// ftrl: strength of the L1 penalty [default: 0]
    #[arg(long, value_name = "STRENGTH")]
    pub l1: Option<f64>,
    /// ftrl: strength of the L2 penalty [default: 0]
    #[arg(long, value_name = "STRENGTH")]
    pub l2: Option<f64>,
}

pub(super) const EXAMPLES: &str = "\
Examples:
  sync-replicas                                   4 of 5 replicas, the last one slow
  sync-replicas -a 5                              no backup: every step waits for the slow one
  sync-replicas train FILE.csv --target COLUMN    learn to predict a column of a file
  sync-replicas --schedule warm-up:steps=20,then=cosine:initial=0.1,steps=300
  sync-replicas --deterministic --json | tail -1  the same variables_sha256 every time
  sync-replicas --resume runs/mlp-...             go on where Ctrl-C ended

The run folder has report.html (open it in a browser), metrics.jsonl and a checkpoint.";

/// Options of a training that are not about what is trained: the launcher gives them to any
/// program.
const OF_ANY_PROGRAM: [&str; 12] = [
    "out",
    "checkpoint_dir",
    "save_every",
    "keep",
    "tensorboard",
    "trace",
    "otlp",
    "resume",
    "config",
    "dashboard",
    "json",
    "quiet",
];

/// Whether the option of this name says what is trained.
pub fn says_what_is_trained(name: &str) -> bool {
    let training = TrainCommand::augment_args(clap::Command::new("train"));
    let mut training = training.get_arguments().map(|arg| arg.get_id().as_str());
    !OF_ANY_PROGRAM.contains(&name) && training.any(|id| id == name)
}
