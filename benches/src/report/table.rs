//! Measured rows as lines of a table for people, and as a list for programs.

use serde_json::{Value, json};

use super::sample::Sample;
use crate::Row;

/// One row with what was measured.
pub(crate) struct Line {
    row: &'static Row,
    value: Result<Sample, String>,
    bound: Option<f64>,
}

impl Line {
    pub(crate) fn timed(row: &'static Row, value: Sample, bound: Option<f64>) -> Self {
        Self { row, value: Ok(value), bound }
    }

    pub(crate) fn counted(row: &'static Row, count: Result<f64, String>) -> Self {
        let value = count.map(|median| Sample { median, spread: 0.0 });
        Self { row, value, bound: None }
    }

    fn value(&self) -> Option<f64> {
        self.value.as_ref().ok().map(|value| value.median)
    }

    fn ratio(&self) -> Option<f64> {
        Some(self.value()? / self.bound?)
    }

    /// Whether all targets are met.
    pub(crate) fn met(&self) -> bool {
        let is_met = |value| {
            let ratio = self.ratio();
            self.row.targets.iter().all(|target| target.is_met(value, ratio))
        };
        self.value().is_some_and(is_met)
    }

    fn target(&self) -> String {
        let targets: Vec<_> = self.row.targets.iter().map(ToString::to_string).collect();
        targets.join(" and ")
    }
}

/// The table's columns.
pub(crate) struct Table {
    name_width: usize,
}

impl Table {
    /// Prints the head of a table that has room for these names.
    pub(crate) fn begin<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let name_width = names.map(str::len).max().unwrap_or_default();
        println!(
            "{:name_width$} {:>9} {:5} {:>6} {:>9} {:>6}  {:30} {:5} bound by",
            "name", "value", "unit", "spread", "bound", "ratio", "target", "met"
        );
        Self { name_width }
    }

    pub(crate) fn print(&self, line: &Line) {
        let (name_width, Row { name, unit, .. }) = (self.name_width, line.row);
        let sample = match &line.value {
            Ok(sample) => sample,
            Err(error) => return println!("{name:name_width$} FAILED: {error}"),
        };
        let (value, spread) = (short(sample.median), format!("{:.0}%", sample.spread * 100.0));
        let bound = line.bound.map(short).unwrap_or_default();
        let ratio = line.ratio().map(|ratio| format!("{ratio:.2}")).unwrap_or_default();
        let met = match line.row.targets {
            [] => "",
            _ if line.met() => "met",
            _ => "NOT",
        };
        let by = line.row.bound.as_ref().map_or("", |bound| bound.name);
        let text = format!(
            "{name:name_width$} {value:>9} {unit:5} {spread:>6} {bound:>9} {ratio:>6}  {:30} \
             {met:5} {by}",
            line.target()
        );
        println!("{}", text.trim_end());
    }
}

/// Three digits, or all that stand before the point.
fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 || size == 0.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// The lines as a list of objects; what there is not is `null`.
pub(crate) fn json(lines: &[Line]) -> String {
    let object = |line: &Line| {
        json!({
            "name": line.row.name,
            "value": line.value(),
            "unit": line.row.unit.to_string(),
            "bound": line.bound,
            "ratio": line.ratio(),
            "target": line.target(),
            "met": line.met(),
        })
    };
    format!("{:#}\n", Value::from_iter(lines.iter().map(object)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bound, Measure, Target, Unit};

    fn row(targets: &'static [Target]) -> &'static Row {
        let bound = Bound { name: "b", amount: 1.0, work: || unreachable!("not measured here") };
        Box::leak(Box::new(Row {
            name: "r",
            unit: Unit::PerSecond,
            measure: Measure::Counted(|| Ok(0.0)),
            bound: Some(bound),
            targets,
        }))
    }

    #[test]
    fn met_when_every_target_is() {
        #[track_caller]
        fn check(targets: &'static [Target], value: f64, bound: Option<f64>, met: bool) {
            let line = Line::timed(row(targets), Sample { median: value, spread: 0.0 }, bound);
            assert_eq!(line.met(), met, "{}", line.target());
        }
        check(&[], 1.0, None, true);
        check(&[Target::AtLeast(2.0)], 2.0, None, true);
        check(&[Target::AtLeast(2.0)], 1.9, None, false);
        check(&[Target::AtMost(2.0)], 2.1, None, false);
        check(&[Target::RatioAtLeast(0.5)], 2.0, Some(4.0), true);
        check(&[Target::RatioAtLeast(0.5)], 2.0, None, false);
        check(&[Target::RatioAtMost(0.5)], 2.0, Some(3.0), false);
        check(&[Target::RatioAtLeast(0.5), Target::AtLeast(3.0)], 2.0, Some(4.0), false);
    }

    #[test]
    fn a_program_reads_every_field() {
        let sample = Sample { median: 2.0, spread: 0.1 };
        let measured = Line::timed(row(&[Target::RatioAtLeast(0.4)]), sample, Some(4.0));
        let failed = Line::counted(row(&[Target::AtMost(1.0)]), Err("no program".to_owned()));
        let read: Value = serde_json::from_str(&json(&[measured, failed])).expect("it is JSON");
        let expected = json!([
            {"name": "r", "value": 2.0, "unit": "1/s", "bound": 4.0, "ratio": 0.5,
             "target": "ratio >= 0.4", "met": true},
            {"name": "r", "value": null, "unit": "1/s", "bound": null, "ratio": null,
             "target": "<= 1", "met": false},
        ]);
        assert_eq!(read, expected);
    }

    #[test]
    fn three_digits() {
        let shown = [0.0, 0.1234, 1.234, 12.34, 123.4, 123_456.0].map(short);
        assert_eq!(shown, ["0", "0.123", "1.23", "12.3", "123", "123456"]);
    }
}
