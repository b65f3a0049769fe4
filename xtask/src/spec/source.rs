//! Rust sources line by line: comments, functions, and what only tests are built with.
//!
//! No parser: it leans on the layout that rustfmt gives. Invariant: an item under `#[cfg(test)]`
//! ends with the first line that closes something as far left as it began.

/// One line of a source.
pub(super) struct Line<'a> {
    /// Its number, from 1.
    pub(super) number: usize,
    /// Whether only tests are built with it.
    pub(super) of_test: bool,
    text: &'a str,
}

/// Every line of `text`.
pub(super) fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    // How far to the right the item under `#[cfg(test)]` stands, while in one.
    let mut item = None;
    text.lines().enumerate().map(move |(index, text)| {
        let code = text.trim_start();
        let indent = text.len() - code.len();
        if item.is_none() && code == "#[cfg(test)]" {
            item = Some(indent);
        }
        let of_test = item.is_some();
        item.take_if(|start| indent <= *start && code.ends_with([';', '}']));
        Line { number: index + 1, of_test, text }
    })
}

impl<'a> Line<'a> {
    /// Its comment; slashes in a string are none.
    pub(super) fn comment(&self) -> &'a str {
        let mut slashes = self.text.match_indices("//").map(|(at, _)| at);
        let is_code = |at: &usize| self.text[..*at].matches('"').count().is_multiple_of(2);
        slashes.find(is_code).map_or("", |at| &self.text[at..])
    }

    /// The name of the function that begins on it.
    pub(super) fn function(&self) -> Option<&'a str> {
        let (before, after) = self.text.split_once("fn ")?;
        let is_item = before
            .split_whitespace()
            .all(|word| matches!(word, "async" | "const") || word.starts_with("pub"));
        let end = after.find(|c: char| !c.is_alphanumeric() && c != '_')?;
        (is_item && end > 0).then(|| &after[..end])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_told_from_strings() {
        #[track_caller]
        fn check(text: &str, expected: &str) {
            assert_eq!(lines(text).map(|line| line.comment()).collect::<String>(), expected);
        }
        check("f(1); // a \"b\" // c", "// a \"b\" // c");
        check("f(\"// no\");\nf(\"no\"); // d\n//! e", "// d//! e");
        check("a / b", "");
    }

    #[test]
    fn functions_have_names() {
        let text = "pub(crate) async fn one<T>(\n    fn two() {}\n// fn no() {}\nlet a: fn (u8);";
        let names: Vec<_> = lines(text).filter_map(|line| line.function()).collect();
        assert_eq!(names, ["one", "two"]);
    }

    #[test]
    fn items_of_tests_end_where_they_began() {
        let text = "a();\n#[cfg(test)]\nmod tests;\nb();\nimpl A {\n    #[cfg(test)]\n    \
                    fn c() {\n        d();\n    }\n\n    fn e() {}\n}\n#[cfg(test)]\nuse f::{\n    \
                    g,\n};\nh();";
        let of_test = lines(text).filter(|line| line.of_test).map(|line| line.number);
        assert_eq!(of_test.collect::<Vec<_>>(), [2, 3, 6, 7, 8, 9, 13, 14, 15, 16]);
    }
}
