//! How good predictions are on unseen rows, beside those of the base rate.

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};
use sync_replicas::{BoxError, Keys, Rows, Variables};

use crate::data::{Part, Task, rows_at_a_time};
use crate::models::{Network, predictions};

/// How good predictions are; measures that do not fit the task are absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// The part of the rows whose most probable value is right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_accuracy: Option<f64>,
    /// The mean of −log of the probability given to the right value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_log_loss: Option<f64>,
    /// The part of pairs of rows with different targets that are told apart: the area under the
    /// curve of true by false positives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_auc: Option<f64>,
    /// The root of the mean square of the errors, in the target's unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_rmse: Option<f64>,
}

/// The same for the base rate's predictions: the rates in training, and their mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Base {
    /// The accuracy of the value that is most frequent in training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_accuracy: Option<f64>,
    /// The log loss of the rates in training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_log_loss: Option<f64>,
    /// The error of the mean in training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_rmse: Option<f64>,
}

/// The result of a test.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tested {
    /// Of the model.
    pub scores: Scores,
    /// Of the base rate.
    pub base: Base,
}

/// Tests a model with all rows of a part; `lookup` has the rows of tables.
///
/// # Errors
/// Those of the lookup, and of a changed file.
pub fn test(
    model: &Network,
    variables: &Variables<f32>,
    part: &Part,
    lookup: impl Fn(&Keys) -> Result<Rows<f32>, BoxError>,
) -> Result<Tested, BoxError> {
    let mut reader = part.reader()?;
    let mut tally = Tally::default();
    let task = model.task();
    let most = rows_at_a_time(part.values());
    for first in (0..part.len()).step_by(most) {
        let batch = model.batch(reader.examples(first..part.len().min(first + most))?);
        let rows = lookup(&batch.keys())?;
        let scores = model.scores(variables, &batch, |table| rows.get(table))?;
        tally.add(task, predictions(task, scores).view(), batch.examples().targets());
    }
    Ok(tally.tested(task))
}

/// Sums over rows.
#[derive(Debug, Default)]
struct Tally {
    rows: u64,
    right: u64,
    log_loss: f64,
    squares: f64,
    /// The probability of the second of two values, and whether it is the right one.
    ranked: Vec<(f64, bool)>,
    /// Of each value, how many rows have it.
    counts: Vec<u64>,
    base_squares: f64,
}

impl Tally {
    fn add(&mut self, task: &Task, predicted: ArrayView2<'_, f64>, targets: &[f32]) {
        self.rows += targets.len() as u64;
        self.counts.resize(task.classes().len(), 0);
        for (row, target) in predicted.outer_iter().zip(targets) {
            let right = match task {
                Task::Binary { .. } => {
                    let (probability, positive) = (row[0], *target > 0.5);
                    self.ranked.push((probability, positive));
                    self.counts[usize::from(positive)] += 1;
                    let right = if positive { probability } else { 1.0 - probability };
                    self.right += u64::from((probability > 0.5) == positive);
                    right
                }
                Task::Classes { .. } => {
                    let label = *target as usize;
                    self.counts[label] += 1;
                    self.right += u64::from(best(row.iter().copied()) == label);
                    row[label]
                }
                Task::Regression { deviation, .. } => {
                    let own = f64::from(*target) * deviation;
                    let mean = task_mean(task);
                    let error = row[0] - mean - own;
                    self.squares += error * error;
                    self.base_squares += own * own;
                    continue;
                }
            };
            self.log_loss -= right.max(f64::from(f32::MIN_POSITIVE)).ln();
            if right.is_nan() {
                self.log_loss = f64::NAN;
            }
        }
    }

    fn tested(mut self, task: &Task) -> Tested {
        let n = self.rows.max(1) as f64;
        let mean = |sum: f64| Some(sum / n);
        if let Task::Regression { .. } = task {
            let (test_rmse, base_rmse) =
                (Some((self.squares / n).sqrt()), Some((self.base_squares / n).sqrt()));
            return Tested {
                scores: Scores { test_rmse, ..Scores::default() },
                base: Base { base_rmse, ..Base::default() },
            };
        }
        let rates = task.classes().iter().map(|class| class.rate);
        let base = |(count, rate): (&u64, f64)| -(*count as f64) * rate.max(1e-9).ln();
        let base_log_loss = self.counts.iter().zip(rates.clone()).map(base).sum();
        let usual = best(rates);
        Tested {
            scores: Scores {
                test_accuracy: mean(self.right as f64),
                test_log_loss: mean(self.log_loss),
                test_auc: auc(&mut self.ranked),
                test_rmse: None,
            },
            base: Base {
                base_accuracy: mean(self.counts.get(usual).map_or(0.0, |count| *count as f64)),
                base_log_loss: mean(base_log_loss),
                base_rmse: None,
            },
        }
    }
}

fn task_mean(task: &Task) -> f64 {
    match task {
        Task::Regression { mean, .. } => *mean,
        _ => 0.0,
    }
}

/// The place of the largest, the first of equal ones.
pub(crate) fn best(row: impl Iterator<Item = f64>) -> usize {
    let mut best = (0, f64::NEG_INFINITY);
    for (place, value) in row.enumerate() {
        if value > best.1 {
            best = (place, value);
        }
    }
    best.0
}

/// The area under the curve, by ranks (Mann and Whitney 1947); rows of equal probability share
/// their ranks. `None` where one of the two values does not occur.
fn auc(ranked: &mut [(f64, bool)]) -> Option<f64> {
    ranked.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let positives = ranked.iter().filter(|(_, positive)| *positive).count() as f64;
    let negatives = ranked.len() as f64 - positives;
    if positives == 0.0 || negatives == 0.0 {
        return None;
    }
    let (mut below, mut sum) = (0.0, 0.0);
    for equal in ranked.chunk_by(|a, b| a.0 == b.0) {
        let own = equal.iter().filter(|(_, positive)| *positive).count() as f64;
        let others = equal.len() as f64 - own;
        sum += own * (below + others / 2.0);
        below += others;
    }
    Some(sum / (positives * negatives))
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;
    use crate::data::ClassRate;

    /// Of predictions and targets that are at hand.
    fn of(task: &Task, predicted: &Array2<f64>, targets: &[f32]) -> Tested {
        let mut tally = Tally::default();
        tally.add(task, predicted.view(), targets);
        tally.tested(task)
    }

    fn classes<const N: usize>(rates: [f64; N]) -> [ClassRate; N] {
        let mut value = 0;
        rates.map(|rate| {
            value += 1;
            ClassRate { value: value.to_string(), rate }
        })
    }

    #[track_caller]
    fn close(got: Option<f64>, expected: f64) {
        let got = got.expect("is there");
        assert!((got - expected).abs() < 1e-6, "{got}, not {expected}");
    }

    #[test]
    fn two_values() {
        let task = Task::Binary { classes: classes([0.75, 0.25]) };
        let predicted = Array2::from_shape_vec((4, 1), vec![0.1, 0.4, 0.4, 0.9]).expect("fits");
        let it = of(&task, &predicted, &[0.0, 0.0, 1.0, 1.0]);
        close(it.scores.test_accuracy, 0.75);
        close(it.scores.test_log_loss, -(0.9_f64.ln() * 2.0 + 0.6_f64.ln() + 0.4_f64.ln()) / 4.0);
        // Of four pairs three are told apart, and one is half so.
        close(it.scores.test_auc, 3.5 / 4.0);
        close(it.base.base_accuracy, 0.5);
        close(it.base.base_log_loss, -(0.75_f64.ln() + 0.25_f64.ln()) / 2.0);
        assert_eq!(it.scores.test_rmse, None);
        assert_eq!(of(&task, &predicted, &[1.0; 4]).scores.test_auc, None);
    }

    #[test]
    fn several_values() {
        let task = Task::Classes { classes: classes([0.5, 0.3, 0.2]).to_vec() };
        let predicted = vec![0.6, 0.3, 0.1, 0.2, 0.2, 0.6];
        let predicted = Array2::from_shape_vec((2, 3), predicted).expect("fits");
        let it = of(&task, &predicted, &[0.0, 1.0]);
        close(it.scores.test_accuracy, 0.5);
        close(it.scores.test_log_loss, -(0.6_f64.ln() + 0.2_f64.ln()) / 2.0);
        close(it.base.base_log_loss, -(0.5_f64.ln() + 0.3_f64.ln()) / 2.0);
        close(it.base.base_accuracy, 0.5);
        assert_eq!(it.scores.test_auc, None);
    }

    #[test]
    fn numbers() {
        let task = Task::Regression { mean: 10.0, deviation: 2.0 };
        let predicted = Array2::from_shape_vec((2, 1), vec![11.0, 12.0]).expect("fits");
        // The targets are 12 and 8.
        let it = of(&task, &predicted, &[1.0, -1.0]);
        close(it.scores.test_rmse, (17.0_f64 / 2.0).sqrt());
        close(it.base.base_rmse, 2.0);
        assert_eq!(it.scores.test_accuracy, None);
    }

    #[test]
    fn what_is_no_number_is_said() {
        let task = Task::Binary { classes: classes([0.5, 0.5]) };
        let predicted = Array2::from_elem((1, 1), f64::NAN);
        assert!(of(&task, &predicted, &[1.0]).scores.test_log_loss.is_some_and(f64::is_nan));
    }
}
