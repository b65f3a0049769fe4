//! The figures of a simulated run and of the published numbers.

use simulator::checks::{Backups, Curves, Published};
use simulator::{Outcome, Plan};

use crate::pages::drawing::chart::{Axis, COLOURS, Chart, Series};

/// The most points in a curve that can be seen.
const POINTS: usize = 120;

/// The part of the steps done within a time.
pub(super) fn steps(plan: &Plan, outcome: &Outcome) -> String {
    let mut seconds = outcome.step_seconds.clone();
    seconds.sort_by(f64::total_cmp);
    let name = if plan.name.is_empty() { "a plan" } else { &plan.name };
    let part = simulator::stats::quantile(&seconds, 0.99);
    let points = distribution(&seconds, part * 1.1);
    let mean = outcome.report.step_seconds.mean;
    Chart {
        title: format!("How long a step takes: {name}"),
        note: "",
        x: Axis::over("seconds", points.iter().map(|point| point.0)),
        y: Axis { name: "part of the steps", from: 0.0, to: 1.0, percent: true },
        series: vec![Series {
            class: "a",
            name: "steps done within".to_owned(),
            points,
            dots: false,
        }],
        marks: vec![mean],
    }
    .file()
}

/// The figures of the page on stragglers, by the names of their files.
pub(super) fn published(published: &Published) -> [(&'static str, String); 3] {
    [
        ("stragglers-arrivals.svg", arrivals(&published.curves)),
        ("stragglers-fleet.svg", fleet(&published.curves)),
        ("stragglers-backups.svg", backups(&published.backups)),
    ]
}

fn arrivals(curves: &Curves) -> String {
    const LONGEST: f64 = 4.0;
    let series = curves.arrived.iter().zip(COLOURS).map(|(arrived, class)| Series {
        class,
        name: format!("k = {}", arrived.k),
        points: distribution(&arrived.seconds, LONGEST),
        dots: false,
    });
    Chart {
        title: "When the k-th of 100 gradients arrives (calibration C, fitted)".to_owned(),
        note: "",
        x: Axis { name: "seconds since the step began", from: 1.0, to: LONGEST, percent: false },
        y: Axis { name: "part of the steps", from: 0.0, to: 1.0, percent: true },
        series: series.collect(),
        marks: vec![2.0],
    }
    .file()
}

fn fleet(curves: &Curves) -> String {
    let ideal = curves.fleet.iter();
    let ideal = ideal.map(|point| (point.aggregate as f64, point.hours(point.ideal)));
    let tokens = curves
        .fleet
        .iter()
        .filter_map(|point| Some((point.aggregate as f64, point.hours(point.reference?))));
    Chart {
        title: "Hours to train with A of 100 machines (calibration C)".to_owned(),
        note: "",
        x: Axis { name: "A: gradients that make a step", from: 50.0, to: 100.0, percent: false },
        y: Axis { name: "hours", from: 30.0, to: 95.0, percent: false },
        series: vec![
            Series {
                class: "a",
                name: "the formula, and replicas that are told at once".to_owned(),
                points: ideal.collect(),
                dots: false,
            },
            Series {
                class: "b",
                name: "tokens as in TensorFlow".to_owned(),
                points: tokens.collect(),
                dots: true,
            },
        ],
        marks: vec![96.0],
    }
    .file()
}

fn backups([ideal, tokens]: &[Backups; 2]) -> String {
    let series = [(ideal, "a", "the formula (calibration O)"), (tokens, "b", "tokens (its twin)")];
    let series = series.map(|(backups, class, name)| {
        let seconds = backups.seconds.iter().enumerate();
        let points = seconds.map(|(backups, &seconds)| (backups as f64, seconds)).collect();
        Series { class, name: name.to_owned(), points, dots: true }
    });
    Chart {
        title: "The median step of 50 gradients with backups (fitted)".to_owned(),
        note: "",
        x: Axis { name: "backups", from: 0.0, to: 5.0, percent: false },
        y: Axis { name: "seconds, 1.93 with four", from: 1.8, to: 2.3, percent: false },
        series: series.into(),
        marks: Vec::new(),
    }
    .file()
}

/// The part of ascending times within each of some times up to `longest`.
fn distribution(sorted: &[f64], longest: f64) -> Vec<(f64, f64)> {
    let first = sorted.first().copied().unwrap_or(0.0).min(longest);
    let count = sorted.len().max(1) as f64;
    (0..=POINTS)
        .map(|n| {
            let time = first + (longest - first) * n as f64 / POINTS as f64;
            (time, sorted.partition_point(|seconds| *seconds <= time) as f64 / count)
        })
        .collect()
}
