//! Who did what when: a lane for each replica, a bar for each batch, a line for each update.
//!
//! On the page, positions are percentages, so that it can be zoomed without distorting text; in
//! the picture they are pixels.

use std::fmt::Write as _;
use std::time::Duration;

use sync_replicas::record::{Span, SpanKind};

use crate::pages::drawing::svg::{escape, short, ticks};
use crate::run::metrics::Update;

const LANE: f64 = 34.0;
const BAR: f64 = 20.0;
const TOP: f64 = 26.0;
const BOTTOM: f64 = 26.0;

/// Of more updates than this, only so many of the first and the last are shown.
const MOST_STEPS: usize = 400;
const WINDOW_STEPS: usize = 150;
/// The width at which the page opens: so many pixels for each update, within limits.
const PIXELS_A_STEP: f64 = 48.0;
const WIDEST: f64 = 30_000.0;

/// How the kinds are drawn and named, in the order of the legend.
const KINDS: [(&str, &str); 8] = [
    ("accepted", "computed and accepted"),
    ("stale", "computed, dropped as stale"),
    ("duplicate", "computed, another was first"),
    ("not_finite", "computed, left out as not finite"),
    ("superseded", "superseded: its step was over"),
    ("looked_up", "looked rows up"),
    ("sent", "sent to the servers"),
    ("waited", "waited for a token"),
];

/// A part of the run: the spans that touch it and the updates in it.
struct Window<'a> {
    from: f64,
    to: f64,
    replicas: u64,
    spans: Vec<&'a Span>,
    updates: &'a [Update],
}

impl<'a> Window<'a> {
    fn new(spans: &'a [Span], updates: &'a [Update], from: f64) -> Self {
        let to = updates.last().map_or(from, |update| update.seconds);
        let touches = |span: &&Span| span.end.as_secs_f64() > from && span.start.as_secs_f64() < to;
        Self {
            from,
            to,
            replicas: spans.iter().map(|span| span.replica.get() + 1).max().unwrap_or(0),
            spans: spans.iter().filter(touches).collect(),
            updates,
        }
    }

    fn part(&self, seconds: f64) -> f64 {
        if self.to > self.from { (seconds - self.from) / (self.to - self.from) } else { 0.0 }
    }

    fn height(&self) -> f64 {
        TOP + LANE * self.replicas as f64 + BOTTOM
    }
}

/// How parts of a window become coordinates: *left + part · width*, with a unit.
#[derive(Clone, Copy)]
struct Scale {
    left: f64,
    width: f64,
    unit: &'static str,
}

impl Scale {
    fn x(self, part: f64) -> String {
        format!("{}{}", short(self.left + self.width * part.clamp(0.0, 1.0), 3), self.unit)
    }

    fn length(self, from: f64, to: f64) -> String {
        let part = to.clamp(0.0, 1.0) - from.clamp(0.0, 1.0);
        format!("{}{}", short(self.width * part, 3), self.unit)
    }
}

/// The page's section: a legend, a zoom, and one or two windows.
pub(super) fn section(spans: &[Span], updates: &[Update]) -> String {
    let mut out = String::from("<section>\n<h2>Timeline</h2>\n");
    if spans.is_empty() {
        out.push_str(
            "<p class=\"keys\">No batch was recorded since the last start.</p>\n</section>\n",
        );
        return out;
    }
    out.push_str("<p class=\"keys\">");
    for (class, name) in present(spans) {
        // Writing to a string cannot fail.
        let _ = write!(out, "<span class=\"key {class}\">{name}</span>");
    }
    out.push_str(
        "<span class=\"key pushed\">pushed</span><span class=\"key step\">update</span></p>\n\
         <label class=\"zoom\">zoom <input type=\"range\" min=\"-3\" max=\"4\" step=\"0.1\" \
         value=\"0\" aria-label=\"zoom of the timeline\"></label>\n",
    );
    if updates.len() <= MOST_STEPS {
        strip(&mut out, &Window::new(spans, updates, 0.0), "");
    } else {
        let (head, tail) = (&updates[..WINDOW_STEPS], updates.len() - WINDOW_STEPS);
        strip(&mut out, &Window::new(spans, head, 0.0), "the first updates");
        let from = updates[tail - 1].seconds;
        strip(&mut out, &Window::new(spans, &updates[tail..], from), "the last updates");
    }
    out.push_str("</section>\n");
    out
}

/// Only what happened is explained.
fn present(spans: &[Span]) -> impl Iterator<Item = (&'static str, &'static str)> {
    KINDS.into_iter().filter(|(name, _)| spans.iter().any(|span| span.kind.name() == *name))
}

fn strip(out: &mut String, window: &Window<'_>, name: &str) {
    let width = (PIXELS_A_STEP * window.updates.len() as f64).clamp(900.0, WIDEST);
    let height = window.height();
    if !name.is_empty() {
        let _ = writeln!(out, "<h3>{name}</h3>");
    }
    let _ = write!(out, "<div class=\"strip\"><div class=\"names\" style=\"height:{height}px\">");
    for replica in 0..window.replicas {
        let _ =
            write!(out, "<span style=\"top:{}px\">replica {replica}</span>", top(replica) + 1.0);
    }
    let _ = writeln!(
        out,
        "</div><div class=\"scroll\"><svg class=\"timeline\" data-width=\"{width}\" \
         width=\"{width}\" height=\"{height}\" role=\"img\" aria-label=\"timeline {name}\">"
    );
    draw(out, window, Scale { left: 0.0, width: 100.0, unit: "%" }, true);
    out.push_str("</svg></div></div>\n");
}

/// A separate file: the first `steps` updates.
pub(super) fn picture(spans: &[Span], updates: &[Update], steps: usize, style: &str) -> String {
    const NAMES: f64 = 84.0;
    const WIDTH: f64 = 1100.0;
    const LEGEND: f64 = 30.0;
    let window = Window::new(spans, &updates[..updates.len().min(steps)], 0.0);
    let height = window.height() + LEGEND;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         width=\"{WIDTH}\" height=\"{height}\" class=\"timeline\" role=\"img\" \
         aria-label=\"What each replica did in the first updates\">\n<style>\n{style}</style>\n\
         <rect class=\"paper\" width=\"{WIDTH}\" height=\"{height}\"/>\n"
    );
    for replica in 0..window.replicas {
        let y = top(replica) + BAR / 2.0 + 4.0;
        let _ = writeln!(out, "<text x=\"12\" y=\"{y}\">replica {replica}</text>");
    }
    draw(&mut out, &window, Scale { left: NAMES, width: WIDTH - NAMES - 16.0, unit: "" }, false);
    let (mut x, y) = (NAMES, height - 16.0);
    for (class, name) in present(spans) {
        let _ = writeln!(
            out,
            "<rect class=\"{class}\" x=\"{x}\" y=\"{}\" width=\"14\" height=\"12\" rx=\"2\"/>\
             <text x=\"{}\" y=\"{y}\">{name}</text>",
            y - 10.0,
            x + 20.0
        );
        x += 44.0 + 6.6 * name.len() as f64;
    }
    out.push_str("</svg>\n");
    out
}

/// The upper edge of a replica's bars.
fn top(replica: u64) -> f64 {
    TOP + LANE * replica as f64 + (LANE - BAR) / 2.0
}

fn draw(out: &mut String, window: &Window<'_>, scale: Scale, titles: bool) {
    updates(out, window, scale);
    for span in &window.spans {
        bar(out, window, scale, span, titles);
    }
    clock(out, window, scale);
}

/// A line where each update was made, with a number above some.
fn updates(out: &mut String, window: &Window<'_>, scale: Scale) {
    let bottom = window.height() - BOTTOM;
    // Quick runs have updates too close together for every number.
    let every = if window.updates.len() <= 25 { 1 } else { 5 };
    for update in window.updates {
        let x = scale.x(window.part(update.seconds));
        let _ = write!(
            out,
            "<line class=\"step\" x1=\"{x}\" x2=\"{x}\" y1=\"{}\" y2=\"{bottom}\"/>",
            TOP - 6.0
        );
        if update.step % every == 0 {
            let _ = write!(out, "<text class=\"x\" x=\"{x}\" y=\"14\">{}</text>", update.step);
        }
    }
    out.push('\n');
}

fn bar(out: &mut String, window: &Window<'_>, scale: Scale, span: &Span, titles: bool) {
    let part = |time: Duration| window.part(time.as_secs_f64());
    let (from, to) = (part(span.start), part(span.end));
    let (top, kind) = (top(span.replica.get()), span.kind.name());
    let (y, height) = match span.kind {
        SpanKind::Waited | SpanKind::Sent => (top + BAR / 2.0 - 2.0, 4.0),
        // Within the bar of its batch.
        SpanKind::LookedUp => (top + BAR - 4.0, 4.0),
        _ => (top, BAR),
    };
    let _ = write!(
        out,
        "<rect class=\"{kind}\" x=\"{}\" y=\"{y}\" width=\"{}\" height=\"{height}\"",
        scale.x(from),
        scale.length(from, to),
    );
    if titles {
        let length = crate::units::time(span.end.saturating_sub(span.start).as_secs_f64());
        let words = KINDS.iter().find(|(name, _)| *name == kind).map_or(kind, |(_, words)| words);
        let step = if span.kind == SpanKind::Waited { "for step" } else { "step" };
        let title =
            format!("replica {}, {step} {}: {words}, {length}", span.replica.get(), span.step);
        let _ = write!(out, "><title>{}</title></rect>", escape(&title));
    } else {
        out.push_str("/>");
    }
    let pushed = matches!(span.kind, SpanKind::Accepted | SpanKind::Stale | SpanKind::Duplicate);
    if pushed && to <= 1.0 {
        let x = scale.x(to);
        let (y1, y2) = (y - 3.0, y + height + 3.0);
        let _ = write!(
            out,
            "<line class=\"pushed {kind}\" x1=\"{x}\" x2=\"{x}\" y1=\"{y1}\" y2=\"{y2}\"/>"
        );
    }
    out.push('\n');
}

/// The time below the lanes.
fn clock(out: &mut String, window: &Window<'_>, scale: Scale) {
    let (from, to) = (1e3 * window.from, 1e3 * window.to);
    let count = (window.updates.len() / 3).clamp(5, 60);
    for tick in ticks(from, to, count) {
        let part = window.part(tick / 1e3);
        let (x, y) = (scale.x(part), window.height() - 8.0);
        // Half of a centred label would be cut off at the left edge.
        let class = if part < 0.01 { "time" } else { "x time" };
        let _ =
            write!(out, "<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{} ms</text>", short(tick, 3));
    }
    out.push('\n');
}
