//! The command line as written; its meaning as a whole is [`settings`](crate::settings)'s.
//!
//! Each option is checked by itself here, so that an unknown value lists the possible ones.
//! Invariant: it imports nothing else of the program, so that every command can import it.

mod compare;
mod data;
mod export;
mod headings;
mod kinds;
mod launch;
mod law;
mod measure;
mod node;
mod page;
mod parse;
mod plan;
mod predict;
mod report;
mod security;
mod simulate;
mod status;
mod stop;
mod straggler;
mod train;

use clap::{Parser, Subcommand};
use cluster::exit::Exit;

pub use compare::CompareArgs;
pub use data::{DataArgs, FileArg};
pub use export::{CollectorUrl, ExportArgs};
pub use kinds::{
    Choices, FAILING_BATCHES, MODES, ModelKind, NON_FINITES, OptimizerKind, SPARSE_MEANS, TASKS,
    TOKEN_POLICIES, WIRES, cli_name,
};
pub use launch::LaunchArgs;
pub use law::{LawArg, StragglersArg};
pub use measure::{Measure, Metric, StopWhen};
pub use node::{Addresses, NodeArgs, PsArg};
pub use page::PageAddress;
pub use plan::PlanArgs;
pub use predict::PredictArgs;
pub use report::ReportArgs;
pub use security::SecurityArgs;
pub use simulate::SimulateArgs;
pub use status::StatusArgs;
pub use stop::StopArgs;
pub use straggler::StragglerArg;
pub use train::{OptimizerNumbers, TrainArgs, TrainCommand, says_what_is_trained};

use parse::with_negative_numbers;
use train::EXAMPLES;

/// Synchronous training in which slow and dead replicas never hold a step.
#[derive(Debug, Parser)]
#[command(name = "sync-replicas", version, args_conflicts_with_subcommands = true)]
#[command(after_long_help = format!("{EXAMPLES}\n\n{}", statuses()))]
#[command(next_line_help = false, max_term_width = 100)]
#[command(mut_args(with_negative_numbers))]
#[command(mut_subcommands(|command| command.mut_args(with_negative_numbers)))]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Without a command, `train` is meant.
    #[command(flatten)]
    pub train: TrainArgs,
}

impl Cli {
    /// What to do, with its options.
    #[must_use]
    pub fn into_command(self) -> Command {
        let bare = |train| TrainCommand { file: FileArg::default(), train };
        let command = self.command.unwrap_or_else(|| Command::Train(Box::new(bare(self.train))));
        command.with_file_as_option()
    }

    /// The options of `train`; those of another command are set aside.
    #[must_use]
    pub fn into_train(self) -> TrainArgs {
        match self.command.map(Command::with_file_as_option) {
            Some(Command::Train(command)) => command.train,
            _ => self.train,
        }
    }
}

/// The program's commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train a model on a file of rows, or on handwritten digits, with replicas and backups
    #[command(after_long_help = statuses())]
    Train(Box<TrainCommand>),
    /// Predict a column for each row of a file, with a model that was trained
    #[command(after_long_help = statuses())]
    Predict(PredictArgs),
    /// Simulate stragglers, deaths and returns in virtual time, from a plan
    #[command(after_long_help = format!("{}\n\n{}", simulate::AFTER_HELP, statuses()))]
    Simulate(SimulateArgs),
    /// Answer "how many backups?" from a run's own times, or from a law
    #[command(after_long_help = statuses())]
    Plan(Box<PlanArgs>),
    /// Draw the report of a run from its files, even of one that failed or was killed
    #[command(after_long_help = statuses())]
    Report(ReportArgs),
    /// Compare several runs: settings, results and times in a table, curves on a page
    #[command(after_long_help = statuses())]
    Compare(CompareArgs),
    /// Run the same training as a cluster of processes on this machine
    #[command(after_long_help = statuses())]
    Launch(Box<LaunchArgs>),
    /// Take part in a cluster as one process: a parameter server or a worker
    #[command(after_long_help = statuses())]
    Node(Box<NodeArgs>),
    /// Ask a parameter server who is alive, the step, and which replicas it waits for
    #[command(after_long_help = statuses())]
    Status(StatusArgs),
    /// End a cluster's training everywhere, with a checkpoint
    #[command(after_long_help = statuses())]
    Stop(StopArgs),
}

impl Command {
    /// With a file given as a bare word turned into the option that it stands for.
    fn with_file_as_option(mut self) -> Self {
        let (file, train) = match &mut self {
            Self::Train(it) => (&mut it.file, &mut it.train),
            Self::Launch(it) => (&mut it.file, &mut it.train),
            Self::Node(it) => (&mut it.file, &mut it.train),
            _ => return self,
        };
        if let Some(file) = file.file.take() {
            train.data.data = Some(file);
        }
        self
    }
}

/// The exit statuses of all commands, as a page of help has them.
fn statuses() -> String {
    let row = |exit: &Exit| format!("{:>5}  {}", *exit as u8, exit.meaning());
    let rows: Vec<_> = Exit::ALL.iter().map(row).collect();
    format!("Exit status:\n{}", rows.join("\n"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn train_is_what_is_meant_without_a_command() {
        let bare = Cli::try_parse_from(["x", "--model", "mlp"]).expect("parses").into_train();
        let full = Cli::try_parse_from(["x", "train", "--model", "mlp"]).expect("parses");
        assert_eq!(bare.model, full.into_train().model);
    }
}
