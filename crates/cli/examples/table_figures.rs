//! The figures of `docs/tables.md`, from what `cargo xtask bench tables/` has measured.
//!
//! Run it with `cargo run -p cli --example table_figures`, where `target` is.

#![allow(clippy::print_stdout, reason = "a program for a terminal")]

use std::error::Error;
use std::fs;

use cli::pages::drawing::chart::{Axis, Chart, Series};
use serde_json::Value;

/// What the rows of the bench call these sizes.
const SIZES: [(&str, f64); 3] = [("16000", 16.0), ("128000", 128.0), ("1e6", 1000.0)];

/// Megabytes of a batch's keys and rows, there and back.
const BATCH: f64 = 2.0 * 8_000.0 * (8.0 + 64.0 * 4.0) / 1e6;

fn main() -> Result<(), Box<dyn Error>> {
    let Ok(measured) = fs::read_to_string("target/bench/summary.json") else {
        println!("nothing was measured: run `cargo xtask bench tables/` first");
        return Ok(());
    };
    let rows: Value = serde_json::from_str(&measured)?;
    let number = |name: String, field: &str| {
        let row = rows.as_array().into_iter().flatten().find(|row| row["name"] == *name);
        let number = row.and_then(|row| row[field].as_f64());
        number.ok_or_else(|| format!("`{name}` has no {field}: run `cargo xtask bench tables/`"))
    };
    let line = |of: &dyn Fn(&str) -> Result<f64, String>| {
        SIZES.iter().map(|(name, size)| Ok((*size, of(name)?))).collect::<Result<_, String>>()
    };
    let step = |name: &str| format!("tables/step/{name}_rows");
    let table = line(&|name| Ok(1e3 / number(step(name), "value")?))?;
    let array = line(&|name| Ok(1e3 / number(step(name), "bound")?))?;
    draw("tables-time.svg", "How long a step takes", "milliseconds", table, array)?;
    let table = line(&|name| Ok(BATCH * number(format!("tables/bytes/{name}_rows"), "value")?))?;
    let bytes = |name: &str| number(format!("tables/bytes_of_array/{name}_rows"), "value");
    let array = line(&|name| Ok(BATCH * bytes(name)?))?;
    draw("tables-bytes.svg", "What a step sends and gets", "megabytes", table, array)
}

fn draw(
    file: &str,
    title: &str,
    unit: &'static str,
    table: Vec<(f64, f64)>,
    array: Vec<(f64, f64)>,
) -> Result<(), Box<dyn Error>> {
    let most = table.iter().chain(&array).map(|point| point.1).fold(0.0, f64::max);
    let series = |class, name: &str, points| {
        let name = name.to_owned();
        Series { class, name, points, dots: true }
    };
    let chart = Chart {
        title: format!("{title}: one server, one replica, 8,000 rows of 64 numbers a batch"),
        note: "",
        x: Axis { name: "thousand rows", from: 0.0, to: 1000.0, percent: false },
        y: Axis { name: unit, from: 0.0, to: most, percent: false },
        series: vec![series("a", "a table", table), series("b", "an array of all rows", array)],
        marks: Vec::new(),
    };
    Ok(fs::write(format!("docs/{file}"), chart.file())?)
}
