//! Which metrics a run has for `--keep-best` and `--stop-when`.

use std::path::Path;

use tabular::data::TaskKind;

use crate::args::{Metric, TrainArgs};
use crate::error::UsageError;
use crate::settings::Place;

/// The folder of the best checkpoint, in that of its run.
pub(crate) const BEST: &str = "best";

/// Refuses a metric that this run does not measure. In a cluster an evaluator keeps the best
/// checkpoint, and the chief ends training.
pub(super) fn check(args: &TrainArgs, place: Place, task: TaskKind) -> Result<(), UsageError> {
    let in_cluster = place == Place::InCluster;
    let no_averages = args.ema.is_none().then_some("needs --ema");
    let of_task = |metric| {
        let fits = match metric {
            Metric::TestRmse => task == TaskKind::Regression,
            Metric::TestAuc => task == TaskKind::Binary,
            Metric::Loss => true,
            _ => task != TaskKind::Regression,
        };
        (!fits).then_some("is not measured of such a target")
    };
    let in_checkpoints = |metric| match metric {
        Metric::AveragesTestAccuracy => no_averages.or(of_task(metric)),
        Metric::Loss => in_cluster.then_some("is in no checkpoint, which a cluster keeps it by"),
        _ => of_task(metric),
    };
    let in_tests = |metric| match metric {
        Metric::AveragesTestAccuracy if in_cluster => Some("the chief of a cluster does not test"),
        Metric::AveragesTestAccuracy => no_averages.or(of_task(metric)),
        _ => of_task(metric),
    };
    refuse_best_folder(args)?;
    refuse("--keep-best", args.keep_best.map(|best| best.metric), in_checkpoints)?;
    refuse("--stop-when", args.stop_when.map(|stop| stop.metric()), in_tests)
}

/// Refuses `--checkpoint-dir` where the best checkpoint goes: rotation would not spare it.
fn refuse_best_folder(args: &TrainArgs) -> Result<(), UsageError> {
    let Some((_, out)) = args.keep_best.zip(args.out.as_ref()) else { return Ok(()) };
    let whole = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    match args.checkpoint_dir.as_ref().filter(|dir| whole(dir) == whole(&out.join(BEST))) {
        None => Ok(()),
        Some(dir) => {
            let expected = "another folder than that of the best checkpoint (--keep-best)";
            Err(UsageError::option("--checkpoint-dir", expected, dir.display()))
        }
    }
}

fn refuse(
    option: &'static str,
    asked: Option<Metric>,
    lack: impl Fn(Metric) -> Option<&'static str>,
) -> Result<(), UsageError> {
    let Some((asked, why)) = asked.and_then(|asked| Some((asked, lack(asked)?))) else {
        return Ok(());
    };
    let there = Metric::ALL.into_iter().filter(|metric| lack(*metric).is_none());
    let there: Vec<_> = there.map(Metric::name).collect();
    let got = format!("{}, which {why}", asked.name());
    Err(UsageError::option(option, there.join(" or "), got))
}
