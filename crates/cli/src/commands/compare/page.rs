//! The page of several runs: one HTML file that needs nothing else.
//!
//! Draws what it is given; measures nothing.

use std::fmt::Write as _;

use tabular::scores::Scores;

use super::run::ComparedRun;
use super::table::Fact;
use crate::pages::drawing::chart::{Axis, COLOURS, Chart, Series};
use crate::pages::drawing::svg::escape;
use crate::pages::html_report::{STYLE, smoothed, thinned};
use crate::run::metrics::Update;

const OWN_STYLE: &str = include_str!("page.css");

/// What a test measured, if there was one.
type Measure = fn(&Scores) -> Option<f64>;

/// Where an axis begins and ends, if that does not depend on the data.
type Ends = Option<(f64, f64)>;

const TESTS: [(&str, Measure, Ends); 4] = [
    ("Test AUC", |it| it.test_auc, Some((0.5, 1.0))),
    ("Test accuracy", |it| it.test_accuracy, Some((0.0, 1.0))),
    ("Test log loss", |it| it.test_log_loss, None),
    ("Test RMSE", |it| it.test_rmse, None),
];

/// The whole page.
pub(super) fn html(runs: &[ComparedRun], facts: &[Fact]) -> String {
    let title = format!("{} runs", runs.len());
    let names: Vec<&str> = runs.iter().map(|run| run.name.as_str()).collect();
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{STYLE}{OWN_STYLE}</style>\n</head>\n<body>\n<main>\n\
         <header><h1>{title}</h1><p>{}</p></header>\n",
        escape(&names.join(", "))
    );
    out.push_str("<section class=\"charts\">\n");
    for over in [Over::Updates, Over::Seconds] {
        out.push_str(&loss(runs, over));
    }
    for (title, of, ends) in TESTS {
        let is_measured = |run: &ComparedRun| run.curve.iter().any(|it| of(&it.scores).is_some());
        if runs.iter().any(is_measured) {
            for over in [Over::Updates, Over::Seconds] {
                out.push_str(&test(runs, over, title, of, ends));
            }
        }
    }
    out.push_str("</section>\n");
    table(&mut out, runs, facts);
    out.push_str("</main>\n</body>\n</html>\n");
    out
}

/// What the curves are drawn over.
#[derive(Clone, Copy)]
enum Over {
    Updates,
    Seconds,
}

impl Over {
    fn name(self) -> &'static str {
        match self {
            Self::Updates => "update",
            Self::Seconds => "second",
        }
    }

    fn of(self, update: &Update) -> f64 {
        match self {
            Self::Updates => update.step as f64,
            Self::Seconds => update.seconds,
        }
    }

    fn points(self, run: &ComparedRun, of: impl Fn(&Update) -> Option<f64>) -> Vec<(f64, f64)> {
        let measured = run.curve.iter().filter_map(|it| Some((self.of(it), of(it)?)));
        measured.filter(|(_, value)| value.is_finite()).collect()
    }
}

fn loss(runs: &[ComparedRun], over: Over) -> String {
    let points = |run| over.points(run, |update| update.loss);
    let lines = runs.iter().map(|run| thinned(smoothed(&points(run)))).collect();
    let note = match over {
        Over::Updates => "running mean of each update's loss, over the updates",
        Over::Seconds => "running mean of each update's loss, over the seconds of training",
    };
    chart(runs, lines, ("Training loss", note), over, None)
}

fn test(runs: &[ComparedRun], over: Over, title: &str, of: Measure, ends: Ends) -> String {
    let lines = runs.iter().map(|run| thinned(over.points(run, |it| of(&it.scores)))).collect();
    let note = match over {
        Over::Updates => "of rows that no replica ever sees, over the updates",
        Over::Seconds => "of rows that no replica ever sees, over the seconds of training",
    };
    chart(runs, lines, (title, note), over, ends)
}

fn chart(
    runs: &[ComparedRun],
    lines: Vec<Vec<(f64, f64)>>,
    (title, note): (&str, &'static str),
    over: Over,
    ends: Ends,
) -> String {
    let points = || lines.iter().flatten().copied();
    let x = Axis { from: 0.0, ..Axis::over(over.name(), points().map(|point| point.0)) };
    let (from, to) = ends.unwrap_or_else(|| (0.0, points().map(|it| it.1).fold(0.0, f64::max)));
    let y = Axis { name: "", from, to, percent: title == "Test accuracy" };
    // What few points have is seen by its dots.
    let dots = title != "Training loss";
    let series = runs.iter().zip(COLOURS.iter().cycle()).zip(lines.iter().cloned());
    let series = series.map(|((run, class), points)| Series {
        class,
        name: escape(&run.name),
        points,
        dots,
    });
    let (title, series) = (title.to_owned(), series.collect());
    Chart { title, note, x, y, series, marks: Vec::new() }.draw()
}

fn table(out: &mut String, runs: &[ComparedRun], facts: &[Fact]) {
    out.push_str("<section>\n<div class=\"scroll\"><table class=\"numbers\">\n<tr><th></th>");
    for run in runs {
        let _ = write!(out, "<th>{}</th>", escape(&run.name));
    }
    out.push_str("</tr>\n");
    for fact in facts {
        let _ = write!(out, "<tr><td>{}</td>", escape(&fact.name));
        for cell in &fact.cells {
            let _ = write!(out, "<td>{}</td>", escape(cell));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</table></div>\n</section>\n");
}
