//! The table of several runs: a column for each if they fit, otherwise a line for each.

use serde_json::Value;
use sync_replicas::driver::printable;

use super::run::ComparedRun;
use crate::run::summary::percent;
use crate::units::time;

/// Longer text is cut.
const LONGEST: usize = 32;

/// Shown for what a run lacks.
const NONE: &str = "-";

/// One property of runs: its name, and a cell for each run.
pub(super) struct Fact {
    pub(super) name: String,
    pub(super) cells: Vec<String>,
}

fn rate(rate: f64) -> String {
    if rate < 9.95 { format!("{rate:.2}") } else { format!("{rate:.0}") }
}

/// The properties of any run, in reading order.
pub(super) fn facts(runs: &[ComparedRun], differing: &[String]) -> Vec<Fact> {
    let mut facts = Vec::new();
    let mut add = |name: &str, of: &dyn Fn(&ComparedRun) -> Option<String>| {
        let cells: Vec<Option<String>> = runs.iter().map(of).collect();
        if cells.iter().any(Option::is_some) {
            let cell = |cell: Option<String>| cut(cell.as_deref().unwrap_or(NONE), LONGEST);
            let cells = cells.into_iter().map(cell).collect();
            facts.push(Fact { name: name.to_owned(), cells });
        }
    };
    let number = |value: f64| format!("{value:.4}");
    add("model", &|run| Some(run.model.clone()));
    for key in differing {
        add(key, &|run| run.settings.get(key).and_then(words));
    }
    if runs.iter().any(|run| run.state != "ended") {
        add("state", &|run| Some(run.state.to_owned()));
    }
    add("updates made", &|run| Some(run.updates.to_string()));
    add("time", &|run| Some(time(run.seconds)));
    add("updates/s", &|run| run.updates_per_second.map(rate));
    add("test AUC", &|run| run.scores.test_auc.map(number));
    add("test accuracy", &|run| run.scores.test_accuracy.map(percent));
    add("with averages", &|run| run.averages_test_accuracy.map(percent));
    add("base accuracy", &|run| run.base.base_accuracy.map(percent));
    add("test log loss", &|run| run.scores.test_log_loss.map(number));
    add("base log loss", &|run| run.base.base_log_loss.map(number));
    add("test RMSE", &|run| run.scores.test_rmse.map(number));
    add("base RMSE", &|run| run.base.base_rmse.map(number));
    add("loss", &|run| run.loss.map(number));
    let part = |part: f64| format!("{:.1} %", 100.0 * part);
    add("accepted", &|run| run.parts.accepted_part.map(part));
    add("stale", &|run| run.parts.stale_part.map(part));
    add("unused", &|run| run.parts.unused_part.map(part));
    add("superseded", &|run| run.parts.superseded_part.map(part));
    add("slowest replica", &|run| run.slowest_replica.map(|times| format!("{times:.1} x")));
    add("checkpoints", &|run| Some(run.checkpoints.to_string()));
    add("time of one", &|run| run.checkpoint_seconds.map(time));
    facts
}

/// The table as text of this width.
pub(super) fn text(runs: &[ComparedRun], facts: &[Fact], width: usize) -> String {
    let names: Vec<String> = runs.iter().map(|run| cut(&run.name, LONGEST)).collect();
    let labels = column("", facts.iter().map(|fact| fact.name.as_str()));
    let of_run = |(place, name): (usize, &String)| {
        column(name, facts.iter().map(|fact| fact.cells[place].as_str()))
    };
    let columns: Vec<_> =
        std::iter::once(labels).chain(names.iter().enumerate().map(of_run)).collect();
    if columns.iter().map(wide).sum::<usize>() <= width + GAP {
        return lines(&columns);
    }
    let mut text = String::new();
    let mut block = vec![column("", names.iter().map(String::as_str))];
    for fact in facts {
        let next = column(&fact.name, fact.cells.iter().map(String::as_str));
        let all = block.iter().map(wide).sum::<usize>() + wide(&next);
        if block.len() > 1 && all > width + GAP {
            text += &(lines(&block) + "\n");
            block.truncate(1);
        }
        block.push(next);
    }
    text + &lines(&block)
}

/// Cells below each other.
type Column = Vec<String>;

fn column<'a>(first: &str, rest: impl Iterator<Item = &'a str>) -> Column {
    std::iter::once(first).map(str::to_owned).chain(rest.map(str::to_owned)).collect()
}

/// Between two columns.
const GAP: usize = 2;

fn wide(column: &Column) -> usize {
    GAP + column.iter().map(|cell| cell.chars().count()).max().unwrap_or(0)
}

/// The first column begins at the left, the others end at the right.
fn lines(columns: &[Column]) -> String {
    let mut text = String::new();
    for row in 0..columns.first().map_or(0, Vec::len) {
        let mut line = String::new();
        for (place, column) in columns.iter().enumerate() {
            let (cell, width) = (&column[row], wide(column));
            line += &match place {
                0 => format!("{cell:<0$}", width - GAP),
                _ => format!("{cell:>width$}"),
            };
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

/// A setting as a person reads it.
fn words(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Array(all) => Some(all.iter().filter_map(words).collect::<Vec<_>>().join(", ")),
        other => Some(other.to_string()),
    }
}

/// At most so many letters of it, and no control characters.
fn cut(text: &str, most: usize) -> String {
    let text = printable(text);
    match text.char_indices().nth(most - 1) {
        Some((end, last)) if end + last.len_utf8() < text.len() => format!("{}…", &text[..end]),
        _ => text.into_owned(),
    }
}
