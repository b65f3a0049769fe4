//! The options that set an optimizer's numbers.

use clap::Args;

pub(super) const OPTIMIZER: &str = "Optimizer";

/// Numbers that belong to some optimizers only; giving one to another optimizer is an error.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = OPTIMIZER)]
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
    /// adagrad, ftrl: first value of the sum of squares [default: 0.1]
    #[arg(long, value_name = "NUMBER")]
    pub initial_accumulator: Option<f64>,
    /// ftrl: strength of the L1 penalty [default: 0]
    #[arg(long, value_name = "STRENGTH")]
    pub l1: Option<f64>,
    /// ftrl: strength of the L2 penalty [default: 0]
    #[arg(long, value_name = "STRENGTH")]
    pub l2: Option<f64>,
}
