//! A line chart over updates.

use std::fmt::Write as _;

use super::svg::{short, ticks};

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 48.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 34.0;

/// The vertical axis.
pub(super) struct Axis {
    pub(super) from: f64,
    pub(super) to: f64,
    /// Whether ticks are written as percentages.
    pub(super) percent: bool,
}

/// One line.
pub(super) struct Series {
    /// Its colour in the style sheet.
    pub(super) class: &'static str,
    pub(super) name: &'static str,
    /// Ascending in the first number.
    pub(super) points: Vec<(f64, f64)>,
    /// Whether each point is marked.
    pub(super) dots: bool,
}

/// A chart and what is written around it.
pub(super) struct Chart {
    pub(super) title: &'static str,
    pub(super) note: &'static str,
    pub(super) y: Axis,
    pub(super) series: Vec<Series>,
}

impl Chart {
    /// The chart as a figure with an inline drawing.
    pub(super) fn draw(&self) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = write!(
            out,
            "<figure>\n<figcaption><h2>{}</h2><p>{}</p>{}</figcaption>\n\
             <svg class=\"chart\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
             aria-label=\"{}\">\n",
            self.title,
            self.note,
            self.legend(),
            self.title
        );
        self.axes(&mut out);
        for series in &self.series {
            self.line(&mut out, series);
        }
        out.push_str("</svg>\n</figure>\n");
        out
    }

    fn legend(&self) -> String {
        if self.series.len() < 2 {
            return String::new();
        }
        let items = self.series.iter().fold(String::new(), |mut items, series| {
            let _ = write!(items, "<span class=\"key {}\">{}</span>", series.class, series.name);
            items
        });
        format!("<p class=\"keys\">{items}</p>")
    }

    fn axes(&self, out: &mut String) {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for tick in ticks(self.y.from, self.y.to, 5) {
            let y = short(self.y(tick), 1);
            let label = match self.y.percent {
                true => format!("{} %", short(100.0 * tick, 1)),
                false => short(tick, 4),
            };
            let _ = writeln!(
                out,
                "<path class=\"grid\" d=\"M{LEFT} {y}H{right}\"/>\
                 <text class=\"y\" x=\"{}\" y=\"{y}\">{label}</text>",
                LEFT - 8.0
            );
        }
        let (first, last) = self.span();
        for tick in ticks(first, last, 6) {
            let x = short(self.x(tick), 1);
            let _ = writeln!(
                out,
                "<text class=\"x\" x=\"{x}\" y=\"{}\">{}</text>",
                bottom + 20.0,
                short(tick, 1)
            );
        }
        let _ = writeln!(out, "<path class=\"axis\" d=\"M{LEFT} {bottom}H{right}\"/>");
    }

    fn line(&self, out: &mut String, series: &Series) {
        if series.points.is_empty() {
            return;
        }
        let mut path = String::new();
        for (n, &(x, y)) in series.points.iter().enumerate() {
            let command = if n == 0 { 'M' } else { 'L' };
            let _ = write!(path, "{command}{} {}", short(self.x(x), 1), short(self.y(y), 1));
        }
        let _ = writeln!(out, "<path class=\"line {}\" d=\"{path}\"/>", series.class);
        if series.dots {
            for &(x, y) in &series.points {
                let value = if self.y.percent { crate::summary::percent(y) } else { short(y, 4) };
                let _ = writeln!(
                    out,
                    "<circle class=\"{}\" cx=\"{}\" cy=\"{}\" r=\"3\"><title>update {x}: {value}\
                     </title></circle>",
                    series.class,
                    short(self.x(x), 1),
                    short(self.y(y), 1),
                );
            }
        }
    }

    /// The updates that the lines cover together.
    fn span(&self) -> (f64, f64) {
        let xs = || self.series.iter().flat_map(|series| series.points.iter().map(|point| point.0));
        let (first, last) = (xs().fold(f64::INFINITY, f64::min), xs().fold(0.0, f64::max));
        // A run starts at update 0, a resumed one later.
        if first.is_finite() && first > 1.0 { (first, last) } else { (0.0, last) }
    }

    fn x(&self, step: f64) -> f64 {
        let (first, last) = self.span();
        LEFT + (WIDTH - LEFT - RIGHT) * part(step, first, last)
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * part(value, self.y.from, self.y.to)
    }
}

/// Where `value` lies between two others, 0 to 1.
fn part(value: f64, from: f64, to: f64) -> f64 {
    if to > from { ((value - from) / (to - from)).clamp(0.0, 1.0) } else { 0.0 }
}
