//! What all processes of a training must agree on, item by item, so that a refusal can name the
//! item and both values (P-26).
//!
//! Each process says its items in its hello, as lines of a name, a tab and a value. What may
//! differ, such as paths and ports, is none. Invariant: two that agree have equal bytes.

use sync_replicas::driver::printable;

/// Values that are shown are not longer.
const SHOWN: usize = 200;

/// The items in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Agreement(String);

impl Agreement {
    /// Adds an item.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        let one_line = |text: &str| printable(text).into_owned();
        self.0 += &format!("{}\t{}\n", one_line(name), one_line(value));
        self
    }

    /// As it travels.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0.into_bytes()
    }
}

/// In what two programs differ, in words; `None` if they agree.
pub(crate) fn difference(own: &[u8], other: &[u8]) -> Option<String> {
    if own == other {
        return None;
    }
    let (own, other) = (String::from_utf8_lossy(own), String::from_utf8_lossy(other));
    let mut others = other.lines();
    let mut lines = own.lines().map(|line| (line, others.next()));
    let (own, other) = lines.find(|&(own, other)| Some(own) != other).unwrap_or(("", None));
    let item = |line: &str| -> (String, String) {
        let (name, value) = line.split_once('\t').unwrap_or((line, ""));
        let short = |text: &str| printable(&text.chars().take(SHOWN).collect::<String>()).into();
        (short(name), short(value))
    };
    let (name, own) = item(own);
    let words = match other.map(item) {
        Some((same, other)) if same == name => format!("{name}: here {own}, there {other}"),
        // One has an item that the other has not.
        _ if name.is_empty() => "the other one has more items".to_owned(),
        _ => format!("{name}: here {own}, there no such item at its place"),
    };
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_item_that_differs_is_named_with_both_values() {
        #[track_caller]
        fn check(own: &[(&str, &str)], other: &[(&str, &str)], expected: Option<&str>) {
            let bytes = |items: &[(&str, &str)]| {
                let all = items.iter();
                all.fold(Agreement::default(), |all, (name, value)| all.with(name, value))
                    .into_bytes()
            };
            let got = difference(&bytes(own), &bytes(other));
            assert_eq!(got.as_deref(), expected, "{own:?}, {other:?}");
        }
        let own = [("wire", "f32"), ("optimizer", "Sgd { rate: 0.001 }"), ("seed", "1")];
        check(&own, &own, None);
        let rate = [("wire", "f32"), ("optimizer", "Sgd { rate: 5 }"), ("seed", "2")];
        let expected = "optimizer: here Sgd { rate: 0.001 }, there Sgd { rate: 5 }";
        check(&own, &rate, Some(expected));
        check(&own, &own[..2], Some("seed: here 1, there no such item at its place"));
        check(&own[..2], &own, Some("the other one has more items"));
        let variables = [("wire", "f32"), ("variable `w`", "[2]")];
        check(&variables, &own, Some("variable `w`: here [2], there no such item at its place"));
        // Not what it is said with.
        check(
            &[("a\tb", "c\nd\x1b")],
            &[("a", "")],
            Some("a\\tb: here c\\nd\\u{1b}, there no such item at its place"),
        );
    }

    #[test]
    fn whatever_comes_is_shown_in_short() {
        let own = Agreement::default().with("wire", "f32").into_bytes();
        for other in [&b""[..], b"\xff\xfe", b"wire", b"wire\t", &[b'x'; 100_000]] {
            let words = difference(&own, other).expect("they differ");
            assert!(words.len() < 600 && words.starts_with("wire: here f32, there"), "{words}");
        }
    }
}
