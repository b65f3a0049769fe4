//! A line chart: on a page, among its styles, or as a separate file.

use std::fmt::Write as _;

use super::svg::{escape, short, ticks};

const STYLE: &str = include_str!("figure.css");

/// The classes of a file's lines, in the order in which colours are best told apart.
pub const COLOURS: [&str; 7] = ["a", "b", "c", "d", "e", "f", "g"];

/// An axis.
#[derive(Clone, Debug)]
pub struct Axis {
    /// What it measures; not written on a page, where the caption says it.
    pub name: &'static str,
    /// Where it begins.
    pub from: f64,
    /// Where it ends.
    pub to: f64,
    /// Whether ticks are written as percentages.
    pub percent: bool,
}

/// One line.
#[derive(Clone, Debug)]
pub struct Series {
    /// Its colour in the style sheet.
    pub class: &'static str,
    /// Its name in the legend.
    pub name: String,
    /// Its points, ascending in the first number.
    pub points: Vec<(f64, f64)>,
    /// Whether each point is marked.
    pub dots: bool,
}

/// A chart and its captions.
#[derive(Clone, Debug)]
pub struct Chart {
    /// Its title.
    pub title: String,
    /// A page's text below the title.
    pub note: &'static str,
    /// The axis across.
    pub x: Axis,
    /// The axis upwards.
    pub y: Axis,
    /// Its lines.
    pub series: Vec<Series>,
    /// Upright lines at these places.
    pub marks: Vec<f64>,
}

/// Where the axes lie.
struct Frame {
    width: f64,
    height: f64,
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

const ON_A_PAGE: Frame =
    Frame { width: 640.0, height: 300.0, left: 48.0, right: 14.0, top: 12.0, bottom: 34.0 };

/// The approximate width of a letter in a legend.
const LETTER: f64 = 6.6;

impl Chart {
    /// The chart as a figure with an inline drawing.
    #[must_use]
    pub fn draw(&self) -> String {
        let Frame { width, height, .. } = ON_A_PAGE;
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = write!(
            out,
            "<figure>\n<figcaption><h2>{}</h2><p>{}</p>{}</figcaption>\n\
             <svg class=\"chart\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
             aria-label=\"{}\">\n",
            self.title,
            self.note,
            self.keys(),
            self.title
        );
        self.body(&mut out, &ON_A_PAGE);
        out.push_str("</svg>\n</figure>\n");
        out
    }

    /// The chart as a separate file, with title, legend and the names of the axes.
    #[must_use]
    pub fn file(&self) -> String {
        let rows = self.legend_rows(ON_A_PAGE.left, ON_A_PAGE.width);
        let top = 58.0 + 18.0 * rows.iter().map(|place| place.1).fold(0.0, f64::max);
        let frame = Frame { height: top + 300.0, top, bottom: 52.0, left: 60.0, ..ON_A_PAGE };
        let Frame { width, height, left, bottom, .. } = frame;
        let title = escape(&self.title);
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
             width=\"{width}\" height=\"{height}\" role=\"img\" aria-label=\"{title}\">\n\
             <style>\n{STYLE}</style>\n<rect class=\"paper\" width=\"{width}\" \
             height=\"{height}\"/>\n<text class=\"title\" x=\"14\" y=\"24\">{title}</text>\n"
        );
        for (series, (x, row)) in self.series.iter().zip(rows) {
            let y = 44.0 + 18.0 * row;
            let _ = writeln!(
                out,
                "<path class=\"line {}\" d=\"M{x} {}h16\"/><text x=\"{}\" y=\"{y}\">{}</text>",
                series.class,
                y - 4.0,
                x + 22.0,
                escape(&series.name)
            );
        }
        self.body(&mut out, &frame);
        let middle = (top + height - bottom) / 2.0;
        let _ = writeln!(
            out,
            "<text class=\"x\" x=\"{}\" y=\"{}\">{}</text>\n\
             <text class=\"x\" transform=\"translate(16 {middle}) rotate(-90)\">{}</text>\n</svg>",
            (left + width) / 2.0,
            height - 12.0,
            escape(self.x.name),
            escape(self.y.name)
        );
        out
    }

    /// Where the legend's entries begin, and in which row.
    fn legend_rows(&self, left: f64, width: f64) -> Vec<(f64, f64)> {
        let (mut x, mut row) = (14.0_f64.min(left), 0.0);
        let mut places = Vec::new();
        for series in &self.series {
            let length = 40.0 + LETTER * series.name.chars().count() as f64;
            if x > 14.0 && x + length > width {
                (x, row) = (14.0, row + 1.0);
            }
            places.push((short(x, 0).parse().unwrap_or(x), row));
            x += length;
        }
        places
    }

    fn keys(&self) -> String {
        if self.series.len() < 2 {
            return String::new();
        }
        let items = self.series.iter().fold(String::new(), |mut items, series| {
            let _ = write!(items, "<span class=\"key {}\">{}</span>", series.class, series.name);
            items
        });
        format!("<p class=\"keys\">{items}</p>")
    }

    fn body(&self, out: &mut String, frame: &Frame) {
        let (left, right) = (frame.left, frame.width - frame.right);
        let bottom = frame.height - frame.bottom;
        for tick in ticks(self.y.from, self.y.to, 5) {
            let y = short(self.y(tick, frame), 1);
            let _ = writeln!(
                out,
                "<path class=\"grid\" d=\"M{left} {y}H{right}\"/>\
                 <text class=\"y\" x=\"{}\" y=\"{y}\">{}</text>",
                left - 8.0,
                self.y.label(tick, 4)
            );
        }
        for tick in ticks(self.x.from, self.x.to, 6) {
            let _ = writeln!(
                out,
                "<text class=\"x\" x=\"{}\" y=\"{}\">{}</text>",
                short(self.x(tick, frame), 1),
                bottom + 20.0,
                self.x.label(tick, 2)
            );
        }
        let _ = writeln!(out, "<path class=\"axis\" d=\"M{left} {bottom}H{right}\"/>");
        for mark in &self.marks {
            let x = short(self.x(*mark, frame), 1);
            let _ = writeln!(out, "<path class=\"mark\" d=\"M{x} {}V{bottom}\"/>", frame.top);
        }
        for series in &self.series {
            self.line(out, frame, series);
        }
    }

    fn line(&self, out: &mut String, frame: &Frame, series: &Series) {
        if series.points.is_empty() {
            return;
        }
        let mut path = String::new();
        for (n, &(x, y)) in series.points.iter().enumerate() {
            let command = if n == 0 { 'M' } else { 'L' };
            let (x, y) = (self.x(x, frame), self.y(y, frame));
            let _ = write!(path, "{command}{} {}", short(x, 1), short(y, 1));
        }
        let _ = writeln!(out, "<path class=\"line {}\" d=\"{path}\"/>", series.class);
        if series.dots {
            for &(x, y) in &series.points {
                let name = if self.x.name.is_empty() { "update" } else { self.x.name };
                let value = match self.y.percent {
                    true => crate::run::summary::percent(y),
                    false => short(y, 4),
                };
                let _ = writeln!(
                    out,
                    "<circle class=\"{}\" cx=\"{}\" cy=\"{}\" r=\"3\"><title>{} {x}: {value}\
                     </title></circle>",
                    series.class,
                    short(self.x(x, frame), 1),
                    short(self.y(y, frame), 1),
                    escape(name)
                );
            }
        }
    }

    fn x(&self, value: f64, frame: &Frame) -> f64 {
        frame.left + (frame.width - frame.left - frame.right) * self.x.part(value)
    }

    fn y(&self, value: f64, frame: &Frame) -> f64 {
        let height = frame.height - frame.top - frame.bottom;
        frame.height - frame.bottom - height * self.y.part(value)
    }
}

impl Axis {
    /// An axis over what these lines cover, from `least` on if they begin above it but near.
    #[must_use]
    pub fn over(name: &'static str, numbers: impl Iterator<Item = f64>) -> Self {
        let (from, to) = numbers
            .filter(|number| number.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(from, to), n| (from.min(n), to.max(n)));
        let (from, to) = if from <= to { (from, to) } else { (0.0, 1.0) };
        Self { name, from, to, percent: false }
    }

    fn label(&self, tick: f64, digits: usize) -> String {
        match self.percent {
            true => format!("{} %", short(100.0 * tick, 1)),
            false => short(tick, digits),
        }
    }

    /// Where `value` lies on the axis, 0 to 1.
    fn part(&self, value: f64) -> f64 {
        let length = self.to - self.from;
        if length > 0.0 { ((value - self.from) / length).clamp(0.0, 1.0) } else { 0.0 }
    }
}
