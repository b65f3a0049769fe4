//! The report: all rows measured in turns with their bounds, as one table and as a file.
//!
//! It knows nothing of what a row does. Invariant: every row of the file was printed, with the
//! same numbers.

mod load;
mod sample;
mod table;

use std::path::Path;
use std::time::Duration;

use crate::report::load::Load;
use crate::report::sample::{Noise, Plan};
use crate::report::table::{Line, Table};
use crate::{CEILINGS, CLUSTER, Measure, ROWS, Row, TABLES};

/// Measures the ceilings and rows whose name contains `filter`, and `more` that another crate has,
/// prints them, and writes `summary.json` and `ceilings.json` into `folder`.
///
/// # Errors
/// When a file cannot be written.
pub fn run(
    filter: Option<&str>,
    quick: bool,
    folder: &Path,
    more: &'static [Row],
) -> std::io::Result<()> {
    let (millis, secs) = (Duration::from_millis, Duration::from_secs);
    let plan = match quick {
        true => Plan { rounds: 21, slice: millis(8), budget: secs(3) },
        false => Plan { rounds: 75, slice: millis(20), budget: secs(12) },
    };
    let wanted = |row: &&Row| filter.is_none_or(|filter| row.name.contains(filter));
    let (load, mut noise) = (Load::now(), Noise::new());
    let all = [CEILINGS, ROWS, CLUSTER, TABLES, more];
    let table = Table::begin(all.into_iter().flatten().map(|row| row.name));
    let mut measured = |rows: &'static [Row]| -> Vec<Line> {
        let lines = rows.iter().filter(wanted).map(|row| {
            noise.take();
            let line = measure(row, &plan);
            table.print(&line);
            line
        });
        lines.collect()
    };
    let (ceilings, mut rows) = (measured(CEILINGS), measured(ROWS));
    rows.extend(measured(CLUSTER));
    rows.extend(measured(TABLES));
    rows.extend(measured(more));
    let met = rows.iter().filter(|line| line.met()).count();
    println!("\n{met} of {} targets met", rows.len());
    println!("noise: {noise}{}", Load::now().since(&load));
    std::fs::create_dir_all(folder)?;
    for (name, lines) in [("ceilings.json", &ceilings), ("summary.json", &rows)] {
        let path = folder.join(name);
        std::fs::write(&path, table::json(lines))?;
        println!("written: {}", path.display());
    }
    Ok(())
}

fn measure(row: &'static Row, plan: &Plan) -> Line {
    match row.measure {
        Measure::Counted(count) => Line::counted(row, count()),
        Measure::Timed { amount, work } => {
            let work = (work)();
            let bound = row.bound.as_ref().map(|bound| (bound.work)());
            let (own, other) = plan.in_turns(work, bound);
            let bound = row.bound.as_ref().zip(other);
            Line::timed(
                row,
                own.map(|seconds| row.unit.value(amount, seconds)),
                bound.map(|(bound, times)| row.unit.value(bound.amount, times.median)),
            )
        }
    }
}
