//! A view as text: a row for each replica, with what it did lately.

use std::fmt::Write as _;

use sync_replicas::driver::printable;

use super::View;
use super::view::Row;
use crate::units::time;

/// The text to the left of a replica's past.
const BEFORE: usize = 58;

/// The view in this many columns.
pub(crate) fn rows(view: &View, columns: usize) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "step {}, {:.0} updates a second, {} of {}: {}",
        view.step,
        view.rate,
        view.aggregate,
        view.total,
        printable(&view.state)
    );
    if !view.waits.is_empty() {
        let _ = writeln!(out, "{}", view.waits);
    }
    for advice in &view.advice {
        let _ = writeln!(out, "! {}", printable(advice));
    }
    let _ = writeln!(
        out,
        "\n{:>7}  {:<22}{:>9}{:>6}{:>10}  lately",
        "replica", "does", "accepted", "late", "computes"
    );
    let cells = columns.saturating_sub(BEFORE + 1).clamp(8, 60);
    for row in &view.replicas {
        let compute = row.compute.map_or_else(|| "-".to_owned(), time);
        let mark = if row.slow { '!' } else { ' ' };
        let doing: String = printable(&row.doing).to_string().chars().take(22).collect();
        let _ = writeln!(
            out,
            "{:>7}{mark} {doing:<22}{:>9}{:>5.0}%{compute:>10}  {}",
            row.replica,
            row.accepted,
            100.0 * row.late,
            past(row, view.window, cells)
        );
    }
    let _ = writeln!(out, "\n  █ accepted  ▒ too late or given up  · waited for a token");
    for server in &view.servers {
        let words = [&server.state, &server.memory, &server.received];
        let words: Vec<&str> = words.into_iter().map(String::as_str).collect();
        let (state, memory, received) = (words[0], words[1], words[2]);
        let _ = write!(out, "ps {}: {state}", server.server);
        if !memory.is_empty() {
            let _ = write!(out, ", {memory} of memory, {received} received");
        }
        out.push('\n');
    }
    let _ = writeln!(out, "checkpoints: {}", printable(&view.checkpoints));
    out
}

/// What a replica did in a window of time, a cell for each part of it: what filled most of it.
fn past(row: &Row, (from, to): (f64, f64), cells: usize) -> String {
    let cell = (to - from) / cells as f64;
    let shown = |number: usize| {
        let (start, end) = (from + cell * number as f64, from + cell * (number + 1) as f64);
        let within = |&(a, b, _): &(f64, f64, _)| (b.min(end) - a.max(start)).max(0.0);
        let most = row.spans.iter().max_by(|a, b| within(a).total_cmp(&within(b)));
        match most.filter(|span| within(span) > 0.0) {
            None => ' ',
            Some((_, _, "accepted")) => '█',
            Some((_, _, "waited")) => '·',
            Some((_, _, "sent" | "looked_up")) => '-',
            Some(_) => '▒',
        }
    };
    if cell > 0.0 { (0..cells).map(shown).collect() } else { String::new() }
}
