//! What all processes of a training must agree on, item by item, so that a refusal can name the
//! item and both values (P-26).
//!
//! Each process states its items in its hello. Settings that may differ, such as paths and ports,
//! are not items. Invariant: two programs that agree have the same items in the same order,
//! versions first.

use sync_replicas::driver::printable;

use crate::definition::Definition;
use crate::proto::Item;
use crate::stream;

/// The longest value that is shown.
const SHOWN: usize = 200;

/// How much is shown before the place where long values differ.
const BEFORE: usize = 60;

/// The items in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreement(Vec<Item>);

impl Default for Agreement {
    /// The versions of the protocol and of this program.
    fn default() -> Self {
        Self(Vec::new())
            .with("protocol", stream::SERVICE)
            .with("version", env!("CARGO_PKG_VERSION"))
    }
}

impl Agreement {
    /// Adds an item.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        let (name, value) = (name.to_owned(), value.to_owned());
        self.0.push(Item { name, value, defines: false });
        self
    }

    /// All that a program fixes: first its own items, from which others may follow.
    pub(crate) fn of(own: &[(String, String)], definition: &Definition) -> Self {
        let all = Self::default();
        let mut all = own.iter().fold(all, |all, (name, value)| all.with(name, value));
        all.0.extend(definition.items());
        all
    }

    /// Those of a program whose items have arrived.
    pub(crate) fn from_items(items: Vec<Item>) -> Self {
        Self(items)
    }

    /// What makes a server without a program, for its checkpoints.
    pub(crate) fn definition(&self) -> Option<serde_json::Value> {
        let definition = Definition::parse(&self.0).ok()?;
        serde_json::to_value(definition).ok()
    }

    /// As they travel.
    pub(crate) fn items(&self) -> Vec<Item> {
        self.0.clone()
    }

    /// How another program differs, in words; `None` if it agrees.
    pub(crate) fn difference(&self, other: &[Item]) -> Option<String> {
        if self.0 == other {
            return None;
        }
        let mut others = other.iter();
        let mut pairs = self.0.iter().map(|item| (item, others.next()));
        let Some((own, other)) = pairs.find(|&(own, other)| Some(own) != other) else {
            let more = others.next().map_or_else(String::new, |item| shown(&item.name, 0));
            return Some(format!("{more}: the server has no such item"));
        };
        let name = shown(&own.name, 0);
        Some(match other.filter(|other| other.name == own.name) {
            Some(other) => {
                let both = own.value.chars().zip(other.value.chars());
                let same = both.take_while(|(here, there)| here == there).count();
                let (here, there) = (shown(&own.value, same), shown(&other.value, same));
                format!("{name}: the server has {here}, the other {there}")
            }
            None => {
                format!(
                    "{name}: the server has {}, the other no such item at its place",
                    shown(&own.value, 0)
                )
            }
        })
    }
}

/// A text in words; of a long one the part around a difference, before which so many characters are
/// equal.
fn shown(text: &str, same: usize) -> String {
    let length = text.chars().count();
    let from = if length > SHOWN { same.saturating_sub(BEFORE) } else { 0 };
    let part: String = text.chars().skip(from).take(SHOWN).collect();
    let mark = |is_left_out: bool| if is_left_out { "..." } else { "" };
    format!("{}{}{}", mark(from > 0), printable(&part), mark(from + SHOWN < length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agreement(items: &[(&str, &str)]) -> Agreement {
        let none = Agreement(Vec::new());
        items.iter().fold(none, |all, (name, value)| all.with(name, value))
    }

    #[test]
    fn the_first_item_that_differs_is_named_with_both_values() {
        #[track_caller]
        fn check(own: &[(&str, &str)], other: &[(&str, &str)], expected: Option<&str>) {
            let got = agreement(own).difference(&agreement(other).items());
            assert_eq!(got.as_deref(), expected, "{own:?}, {other:?}");
        }
        let own = [("wire", "f32"), ("optimizer", "Sgd { rate: 0.001 }"), ("seed", "1")];
        check(&own, &own, None);
        let rate = [("wire", "f32"), ("optimizer", "Sgd { rate: 5 }"), ("seed", "2")];
        let expected = "optimizer: the server has Sgd { rate: 0.001 }, the other Sgd { rate: 5 }";
        check(&own, &rate, Some(expected));
        check(&own, &own[..2], Some("seed: the server has 1, the other no such item at its place"));
        check(&own[..2], &own, Some("seed: the server has no such item"));
        let variables = [("wire", "f32"), ("variable `w`", "[2]")];
        check(
            &variables,
            &own,
            Some("variable `w`: the server has [2], the other no such item at its place"),
        );
        // Not as it is said.
        check(
            &[("a\tb", "c\nd\x1b")],
            &[("a", "")],
            Some("a\\tb: the server has c\\nd\\u{1b}, the other no such item at its place"),
        );
    }

    #[test]
    fn a_cluster_that_is_half_upgraded_hears_both_versions() {
        let own = Agreement::default().with("wire", "f32");
        let version = env!("CARGO_PKG_VERSION");
        let mut other = own.items();
        other[1].value = "0.0.9".to_owned();
        let expected = format!("version: the server has {version}, the other 0.0.9");
        assert_eq!(own.difference(&other), Some(expected));
        other[0].value = "sync_replicas.v1.Cluster".to_owned();
        let expected =
            "protocol: the server has sync_replicas.v2.Cluster, the other sync_replicas.v1.Cluster"
                .to_owned();
        assert_eq!(own.difference(&other), Some(expected));
    }

    #[test]
    fn of_long_values_the_part_is_shown_in_which_they_differ() {
        let value = |end: &str| format!("{}{end}{}", "x".repeat(1_000), "y".repeat(1_000));
        let (own, other) = (value("step_timeout: 3s"), value("step_timeout: 4s"));
        let words = agreement(&[("a", &own)]).difference(&agreement(&[("a", &other)]).items());
        let words = words.expect("they differ");
        for part in ["has ...xx", "xstep_timeout: 3sy", "other ...xx", "xstep_timeout: 4sy"] {
            assert!(words.contains(part), "{words}");
        }
        assert!(words.len() < 600 && words.ends_with("yy..."), "{words}");
    }

    #[test]
    fn whatever_comes_is_shown_in_short() {
        let own = agreement(&[("wire", "f32")]);
        let long = Item { name: "wire".to_owned(), value: "x".repeat(100_000), defines: false };
        for other in [Vec::new(), vec![Item::default()], vec![long]] {
            let words = own.difference(&other).expect("they differ");
            assert!(
                words.len() < 600 && words.starts_with("wire: the server has f32, the other"),
                "{words}"
            );
        }
    }
}
