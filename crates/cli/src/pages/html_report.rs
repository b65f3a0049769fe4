//! The page of a run: one HTML file that needs nothing else, and a picture of its first steps.
//!
//! Draws its input; measures and decides nothing. Colours are CSS variables, so that the page
//! follows the reader's light or dark choice.

mod timeline;

use std::fmt::Write as _;
use std::path::Path;

use sync_replicas::record::{Cursor, Span};
use tabular::scores::Scores;

use crate::error::Error;
use crate::pages::drawing::chart::{Axis, Chart, Series};
use crate::pages::drawing::svg::escape;
use crate::run::folder::files::{REPORT, TIMELINE};
use crate::run::history::History;
use crate::run::metrics::Update;
use crate::run::summary::{ReplicaSummary, Summary, headline, percent, story};
use crate::run::{RunRecord, folder};
use crate::settings::Settings;
use crate::units::time;

pub(crate) const STYLE: &str = include_str!("html_report/style.css");
const SCRIPT: &str = include_str!("html_report/page.js");

/// Updates in the picture.
const PICTURE_STEPS: usize = 20;

/// What a page shows.
#[derive(Clone, Debug)]
pub(crate) struct Page<'a> {
    /// Its heading.
    pub(crate) title: String,
    /// Names and values.
    pub(crate) settings: Vec<(String, String)>,
    /// The result.
    pub(crate) summary: &'a Summary,
    /// Every update that stands.
    pub(crate) updates: &'a [Update],
    /// The updates that the run was taken back to.
    pub(crate) restores: &'a [i64],
    /// The updates since the last start, on whose clock the timeline is.
    pub(crate) recent: &'a [Update],
    /// What the replicas did since then.
    pub(crate) timeline: &'a [Span],
}

impl Page<'_> {
    /// Whether a test has measured this.
    fn has(&self, measure: fn(&Scores) -> Option<f64>) -> bool {
        self.updates.iter().any(|update| measure(&update.scores).is_some())
    }
}

/// Draws the pages of a run that ends here. Its result stands without them: changed files that
/// cannot be read back are reported.
pub(crate) fn draw(record: &RunRecord, settings: &Settings, summary: &Summary) {
    if let Err(error) = try_to_draw(record, settings, summary) {
        tracing::error!("the report is not drawn: {error}");
    }
}

/// Draws from the folder, and from what is known here of the latest part.
fn try_to_draw(record: &RunRecord, settings: &Settings, summary: &Summary) -> Result<(), Error> {
    record.flush()?;
    let root = record.folder().root();
    let latest = record.record().since(&mut Cursor::default());
    let history = History::with_latest(root, &latest)?;
    let settings = settings.describe().into_iter();
    let settings = settings.map(|(name, value)| (name.to_owned(), value)).collect();
    write(root, &history, summary, settings)
}

/// Writes the pages of a run into its folder.
pub(crate) fn write(
    root: &Path,
    history: &History,
    summary: &Summary,
    settings: Vec<(String, String)>,
) -> Result<(), Error> {
    let updates: Vec<Update> = history.updates().cloned().collect();
    let last = history.lives.last();
    let recent = last.map_or(&[][..], |life| &life.updates);
    let timeline = last.map_or(&[][..], |life| &life.spans);
    let replicas = settings.iter().find(|(name, _)| name == "replicas");
    let replicas = replicas.map(|(_, value)| format!(" · {value} replicas")).unwrap_or_default();
    let page = Page {
        title: format!("{}{replicas}", summary.model),
        settings,
        summary,
        updates: &updates,
        restores: &history.restores,
        recent,
        timeline,
    };
    folder::write(root, REPORT, &html(&page))?;
    if !timeline.is_empty() {
        folder::write(root, TIMELINE, &picture(&page))?;
    }
    Ok(())
}

/// The whole page.
#[must_use]
pub(crate) fn html(page: &Page<'_>) -> String {
    let title = escape(&page.title);
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <header><h1>{title}</h1><p>{}</p></header>\n",
        escape(&story(page.summary))
    );
    tiles(&mut out, page.summary);
    out.push_str("<section class=\"charts\">\n");
    out.push_str(&loss_chart(page));
    out.push_str(&test_chart(page));
    out.push_str("</section>\n");
    out.push_str(&timeline::section(page.timeline, page.recent));
    replicas(&mut out, page.summary);
    settings(&mut out, page);
    let _ = write!(out, "</main>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n");
    out
}

/// A picture of the first updates, as a separate file.
#[must_use]
pub(crate) fn picture(page: &Page<'_>) -> String {
    timeline::picture(page.timeline, page.recent, PICTURE_STEPS, STYLE)
}

fn tiles(out: &mut String, summary: &Summary) {
    let (name, value) =
        headline(&summary.scores).unwrap_or_else(|| ("accuracy", "unknown".to_owned()));
    let tested = match summary.tested_at {
        Some(step) => format!("test {name} at update {step}"),
        None => format!("test {name}"),
    };
    let mut tiles = vec![(tested.as_str(), value)];
    let number = |value: f64| format!("{value:.4}");
    if let Some(loss) = summary.scores.test_log_loss {
        tiles.push(("test log loss", number(loss)));
    }
    let base = &summary.base;
    if let Some(base) = base.base_log_loss.or(base.base_rmse) {
        tiles.push(("of the base rate", number(base)));
    }
    if let Some(averages) = summary.averages_test_accuracy {
        tiles.push(("with moving averages", percent(averages)));
    }
    let rate = summary.updates_this_run as f64 / summary.seconds.max(1e-9);
    tiles.extend([
        ("updates", summary.updates.to_string()),
        ("updates per second", format!("{rate:.0}")),
    ]);
    if !(summary.unfinished && summary.replicas.is_empty()) {
        tiles.extend([
            ("accepted", summary.accepted.to_string()),
            ("stale", (summary.stale + summary.duplicates).to_string()),
            ("superseded", summary.superseded.to_string()),
        ]);
    }
    out.push_str("<section class=\"tiles\">\n");
    for (name, value) in tiles {
        let _ = writeln!(out, "<div><b>{value}</b><span>{name}</span></div>");
    }
    out.push_str("</section>\n");
}

fn loss_chart(page: &Page<'_>) -> String {
    let points: Vec<(f64, f64)> = page
        .updates
        .iter()
        .filter_map(|update| Some((update.step as f64, update.loss?)))
        .filter(|(_, loss)| loss.is_finite())
        .collect();
    let smooth = thinned(smoothed(&points));
    let points = thinned(points);
    let top = points.iter().map(|point| point.1).fold(0.0, f64::max);
    Chart {
        title: "Training loss".to_owned(),
        note: match page.restores {
            [] => "mean loss of each update's gradients, and its running mean",
            _ => {
                "mean loss of each update's gradients, and its running mean; upright \
                  lines: taken back to a checkpoint, and made again from there"
            }
        },
        x: steps(points.iter().map(|point| point.0)),
        y: Axis { name: "", from: 0.0, to: top, percent: false },
        marks: page.restores.iter().map(|step| *step as f64).collect(),
        series: vec![
            Series { class: "raw", name: "each update".to_owned(), points, dots: false },
            Series { class: "main", name: "running mean".to_owned(), points: smooth, dots: false },
        ],
    }
    .draw()
}

/// The most telling measure.
fn test_chart(page: &Page<'_>) -> String {
    let points = |of: fn(&Update) -> Option<f64>| -> Vec<(f64, f64)> {
        let tested =
            page.updates.iter().filter_map(|update| Some((update.step as f64, of(update)?)));
        tested.collect()
    };
    let (title, of): (_, fn(&Update) -> Option<f64>) = if page.has(|it| it.test_auc) {
        ("Test AUC", |update| update.scores.test_auc)
    } else if page.has(|it| it.test_rmse) {
        ("Test RMSE", |update| update.scores.test_rmse)
    } else {
        ("Test accuracy", |update| update.scores.test_accuracy)
    };
    let own = thinned(points(of));
    let averages = match title {
        "Test accuracy" => thinned(points(|update| update.averages_test_accuracy)),
        _ => Vec::new(),
    };
    let heights: Vec<f64> = own.iter().chain(&averages).map(|point| point.1).collect();
    let mut series =
        vec![Series { class: "good", name: "variables".to_owned(), points: own, dots: true }];
    if !averages.is_empty() {
        let (class, name) = ("main", "moving averages".to_owned());
        series.push(Series { class, name, points: averages, dots: true });
    }
    let y = match title {
        "Test accuracy" => Axis { name: "", from: 0.0, to: 1.0, percent: true },
        "Test RMSE" => Axis {
            name: "",
            from: 0.0,
            to: heights.into_iter().fold(0.0, f64::max),
            percent: false,
        },
        // Chance is at the half.
        _ => Axis { name: "", from: 0.5, to: 1.0, percent: false },
    };
    Chart {
        title: title.to_owned(),
        note: "of rows that no replica ever sees",
        x: steps(series.iter().flat_map(|series| series.points.iter().map(|point| point.0))),
        y,
        marks: page.restores.iter().map(|step| *step as f64).collect(),
        series,
    }
    .draw()
}

/// The updates that are drawn: a run starts at update 0, a resumed one later.
fn steps(steps: impl Iterator<Item = f64>) -> Axis {
    let axis = Axis::over("", steps);
    if axis.from > 1.0 { axis } else { Axis { from: 0.0, ..axis } }
}

/// The mean over the neighbours, a fiftieth of the points to each side.
pub(crate) fn smoothed(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let reach = points.len().div_ceil(50);
    let mut sums = Vec::with_capacity(points.len() + 1);
    sums.push(0.0);
    sums.extend(points.iter().scan(0.0, |sum, point| {
        *sum += point.1;
        Some(*sum)
    }));
    let mean = |n: usize| {
        let (from, to) = (n.saturating_sub(reach), points.len().min(n + reach + 1));
        (sums[to] - sums[from]) / (to - from) as f64
    };
    points.iter().enumerate().map(|(n, point)| (point.0, mean(n))).collect()
}

/// More points than a chart has pixels cannot be seen: the lowest and the highest of each group
/// stay, in their order.
pub(crate) fn thinned(points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    const GROUPS: usize = 1000;
    if points.len() <= 2 * GROUPS {
        return points;
    }
    let group = points.len().div_ceil(GROUPS);
    let ends = |group: &[(f64, f64)]| {
        let by_height = |a: &&(f64, f64), b: &&(f64, f64)| a.1.total_cmp(&b.1);
        let lowest = group.iter().min_by(by_height).copied();
        let highest = group.iter().max_by(by_height).copied();
        let mut ends: Vec<_> = lowest.into_iter().chain(highest).collect();
        ends.sort_by(|a, b| a.0.total_cmp(&b.0));
        ends.dedup();
        ends
    };
    points.chunks(group).flat_map(ends).collect()
}

fn replicas(out: &mut String, summary: &Summary) {
    out.push_str(
        "<section>\n<h2>Replicas</h2>\n<div class=\"scroll\"><table class=\"numbers\">\n\
         <tr><th>replica</th><th>batches</th><th>accepted</th><th>stale</th><th>superseded</th>\
         <th>computed</th><th>waited</th>\
         <th class=\"wide\">what came of its batches</th></tr>\n",
    );
    let begun = |r: &ReplicaSummary| r.batches.saturating_add(r.superseded);
    let most = summary.replicas.iter().map(begun).max().unwrap_or(0).max(1);
    for r in &summary.replicas {
        let dropped = r.stale + r.duplicates;
        let bar = [("accepted", r.accepted), ("stale", dropped), ("superseded", r.superseded)];
        let bar = bar.iter().fold(String::new(), |mut bar, (class, count)| {
            let width = 100.0 * *count as f64 / most as f64;
            let _ = write!(bar, "<i class=\"{class}\" style=\"width:{width:.2}%\"></i>");
            bar
        });
        let slow = r.straggler_ms.map(|ms| format!(" <small>slow by {ms} ms</small>"));
        let failed =
            r.failure.as_ref().map(|why| format!(" <small>failed: {}</small>", escape(why)));
        let _ = writeln!(
            out,
            "<tr><td>{}{}{}</td><td>{}</td><td>{}</td><td>{dropped}</td><td>{}</td><td>{}</td>\
             <td>{}</td><td class=\"wide\"><div class=\"bar\">{bar}</div></td></tr>",
            r.replica,
            slow.unwrap_or_default(),
            failed.unwrap_or_default(),
            r.batches,
            r.accepted,
            r.superseded,
            time(r.compute_seconds),
            time(r.wait_seconds),
        );
    }
    out.push_str("</table></div>\n</section>\n");
}

fn settings(out: &mut String, page: &Page<'_>) {
    let summary = page.summary;
    out.push_str("<section>\n<h2>Run</h2>\n<dl>\n");
    let results = [
        ("run folder", summary.run_dir.clone()),
        ("checkpoint", summary.checkpoint.clone()),
        ("variables, SHA-256", summary.variables_sha256.clone()),
    ];
    let settings = page.settings.iter().map(|(name, value)| (name.as_str(), value));
    for (name, value) in settings.chain(results.iter().map(|(name, value)| (*name, value))) {
        let _ = writeln!(out, "<dt>{}</dt><dd>{}</dd>", escape(name), escape(value));
    }
    out.push_str("</dl>\n</section>\n");
}

#[cfg(test)]
mod tests;
