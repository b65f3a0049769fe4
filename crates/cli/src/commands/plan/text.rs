//! The answers as tables, sentences and figures.

use std::fmt::Write as _;

use simulator::advice::{Advice, Choice};
use sync_replicas::driver::printable;

use super::answer::{Answer, BatchAnswer, FleetAnswer};
use super::replicas;
use super::words::{NONE, count, wrapped};
use crate::pages::drawing::chart::{Axis, Chart, Series};
use crate::units::time;

pub(super) fn answer(answer: &Answer) -> String {
    let source = printable(&answer.source);
    let mut out = wrapped(&format!("How many backups? From {source}."), "");
    for note in &answer.notes {
        out.push_str(&wrapped(&format!("- {note}"), "  "));
    }
    if let Some(measured) = &answer.measured {
        replicas::told(&mut out, measured);
    }
    let interval = match answer.has_intervals() {
        true => |choice: &Choice| time(choice.plus_minus),
        false => |_: &Choice| NONE.to_owned(),
    };
    if let Some(fleet) = &answer.fixed_fleet {
        self::fleet(&mut out, fleet, interval);
    }
    if let Some(batch) = &answer.fixed_batch {
        self::batch(&mut out, batch, answer.names_somebody(), interval);
    }
    if let Some(measured) = &answer.measured {
        replicas::replayed(&mut out, measured);
    }
    out
}

/// The text of an interval.
type Interval = fn(&Choice) -> String;

/// The text of a fleet's cost: hours where steps are counted, otherwise against the best.
fn cost(fleet: &FleetAnswer, choice: &Choice) -> f64 {
    let best = fleet.advice.choices[fleet.advice.best.index].cost;
    if fleet.hours { choice.cost / 3600.0 } else { choice.cost / best.max(f64::MIN_POSITIVE) }
}

fn fleet(out: &mut String, fleet: &FleetAnswer, interval: Interval) {
    let FleetAnswer { machines, recommended, as_good: (from, to), .. } = fleet;
    let title = format!(
        "A fixed fleet: {}, of which A make a step. Steps needed: {}.",
        count(*machines, "machine"),
        fleet.iterations
    );
    // Writing to a string cannot fail.
    let _ = writeln!(out, "\n{}", wrapped(&title, ""));
    let training = |choice: &Choice| match fleet.hours {
        true => time(choice.cost),
        false => format!("{:.2} ×", cost(fleet, choice)),
    };
    let columns = (interval, "training", training);
    table(out, &fleet.advice, fleet.advice.best.index, columns);
    let backups = machines.saturating_sub(*recommended);
    let advice = format!(
        "Use A = {recommended} of N = {machines}: {}.{}{}",
        count(backups, "backup"),
        good(*from, *to, "A"),
        if fleet.at_edge { A_EDGE } else { "" }
    );
    let _ = write!(out, "\n{}", wrapped(&advice, ""));
}

const A_EDGE: &str = " That is as far as the points of --iterations go: an A beyond them may be \
                      better; measure the steps that it needs.";
const BACKUPS_EDGE: &str = " That is the most that was looked at: more may be better; give \
                            --most-backups.";

fn batch(out: &mut String, batch: &BatchAnswer, slow: bool, interval: Interval) {
    let BatchAnswer { gradients, fastest_backups: fast, thriftiest_backups: thrifty, .. } = batch;
    let title = format!(
        "A fixed batch: {} a step, and so many machines more.{}",
        count(*gradients, "gradient"),
        if slow { " They are drawn from those measured, slow ones among them." } else { "" }
    );
    let _ = writeln!(out, "\n{}", wrapped(&title, ""));
    let first = &batch.advice.choices[0];
    let speed =
        |choice: &Choice| format!("{:.2} ×", first.cost / choice.cost.max(f64::MIN_POSITIVE));
    let columns = (interval, "work each", speed);
    table(out, &batch.advice, batch.advice.fastest.index, columns);
    let advice = |what: &str, backups: usize, (from, to), edge: bool| {
        let machines = gradients + backups;
        let edge = if edge { BACKUPS_EDGE } else { "" };
        let (backups, good) = (count(backups, "backup"), good(from, to, "backups"));
        wrapped(&format!("{what}: N = {machines}, {backups}.{good}{edge}"), "")
    };
    let _ = write!(
        out,
        "\n{}{}",
        advice("The shortest step", *fast, batch.fastest_as_good, batch.fastest_at_edge),
        advice(
            "The most work for each machine",
            *thrifty,
            batch.thriftiest_as_good,
            batch.thriftiest_at_edge
        ),
    );
}

fn good(from: usize, to: usize, name: &str) -> String {
    if from == to {
        String::new()
    } else {
        format!(" As far as can be told, {name} from {from} to {to} are as good.")
    }
}

/// Lines around the best one, if there are many.
const MOST_LINES: usize = 24;

fn table(
    out: &mut String,
    advice: &Advice,
    best: usize,
    (interval, last, cost): (Interval, &str, impl Fn(&Choice) -> String),
) {
    let _ = writeln!(
        out,
        "     A    N backups       step  ± (95 %)        sd       p95   wasted {last:>10}"
    );
    let from = best.saturating_sub(MOST_LINES / 2);
    let lines = advice.choices.iter().enumerate().skip(from).take(MOST_LINES);
    for (place, choice) in lines {
        let bound = if choice.lower_bound { "≥ " } else { "" };
        let _ = writeln!(
            out,
            "{} {:>4} {:>4} {:>7} {:>10} {:>9} {:>9} {:>9} {:>6.1} % {:>10}",
            if place == best { "*" } else { " " },
            choice.replicas_to_aggregate,
            choice.total_num_replicas,
            choice.backups,
            format!("{bound}{}", time(choice.step_seconds)),
            interval(choice),
            time(choice.deviation),
            time(choice.p95),
            100.0 * choice.wasted_compute,
            cost(choice),
        );
    }
    if advice.choices.len() > MOST_LINES {
        let _ = writeln!(out, "  ({} choices; --json has all)", advice.choices.len());
    }
    if advice.by_formula_alone > 0 {
        let _ = writeln!(
            out,
            "  ({} more were looked at by the formula alone, and seemed no better)",
            advice.by_formula_alone
        );
    }
}

/// A figure for each answer, by its file's name.
pub(super) fn figures(answer: &Answer) -> Vec<(&'static str, String)> {
    let (mut figures, intervals) = (Vec::new(), answer.has_intervals());
    if let Some(fleet) = &answer.fixed_fleet {
        let name = if fleet.hours { "hours of training" } else { "length of training, best = 1" };
        let title = format!("Training with A of {} machines", fleet.machines);
        let x = |choice: &Choice| choice.replicas_to_aggregate as f64;
        let axes = ("A: gradients that make a step", name);
        let best = fleet.advice.best.index;
        let figure = curve(
            title,
            axes,
            &fleet.advice,
            best,
            intervals,
            (x, |choice: &Choice| cost(fleet, choice)),
        );
        figures.push(("fleet.svg", figure));
    }
    if let Some(batch) = &answer.fixed_batch {
        let title = format!("A step of {} gradients with backups", batch.gradients);
        let x = |choice: &Choice| choice.backups as f64;
        let axes = ("backups", "seconds a step");
        let best = batch.advice.fastest.index;
        let figure = curve(
            title,
            axes,
            &batch.advice,
            best,
            intervals,
            (x, |choice: &Choice| choice.step_seconds),
        );
        figures.push(("batch.svg", figure));
    }
    figures
}

/// A value over the choices, with its 95 % interval as two more lines if there is one.
fn curve(
    title: String,
    (x_name, y_name): (&'static str, &'static str),
    advice: &Advice,
    best: usize,
    has_intervals: bool,
    (x, y): (impl Fn(&Choice) -> f64, impl Fn(&Choice) -> f64),
) -> String {
    let points = |factor: f64| -> Vec<(f64, f64)> {
        let known = advice.choices.iter().filter(|choice| !choice.lower_bound);
        let relative = |choice: &Choice| choice.plus_minus / choice.step_seconds.max(1e-12);
        known.map(|it| (x(it), y(it) * (1.0 + factor * relative(it)))).collect()
    };
    let line = |class, name: &str, factor, dots| Series {
        class,
        name: name.to_owned(),
        points: points(factor),
        dots,
    };
    let mut series = vec![line("a", "expected", 0.0, true)];
    if has_intervals {
        series.insert(0, line("f", "95 % from", -1.0, false));
        series.push(line("f", "95 % to", 1.0, false));
    }
    let all = || series.iter().flat_map(|series| &series.points);
    let y_axis = Axis::over(y_name, all().map(|point| point.1));
    let room = 0.1 * (y_axis.to - y_axis.from);
    Chart {
        title,
        note: "",
        x: Axis::over(x_name, all().map(|point| point.0)),
        y: Axis { from: (y_axis.from - room).max(0.0), to: y_axis.to + room, ..y_axis },
        marks: vec![x(&advice.choices[best])],
        series,
    }
    .file()
}
