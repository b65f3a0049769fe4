//! Each rule about documents is shown ones that break it, and ones that nearly do.

use super::*;
use crate::tidy::tests::{check, files};

#[test]
fn a_document_without_a_title_or_with_two_is_found() {
    let facts = files([
        ("a.md", "# A\n\n## B\n"),
        ("b.md", "## B\n"),
        ("c.md", "# C\n\n# D\n"),
        ("d.md", "# D\n```sh\n# a comment\n```\n"),
        ("e.md", "~~~\n```\n# E\n~~~\n"),
    ]);
    check(one_title_a_document, &facts, &["b.md: 0", "c.md: 2", "e.md: 0"]);
}

#[test]
fn a_link_that_leads_nowhere_is_found() {
    #[track_caller]
    fn check_link(text: &str, came: &[&str]) {
        let facts =
            files([("docs/a.md", text), ("docs/b.md", "# B"), ("crates/c/README.md", "# C")]);
        check(links_lead_somewhere, &facts, came);
    }
    check_link("[b](b.md), [c](../crates/c), ![c](../crates/c/README.md#c \"title\")", &[]);
    check_link("[web](https://example.org/x.md), [mail](mailto:a@b), [here](#a)", &[]);
    check_link("`[code](gone.md)`\n```\n[code](gone.md)\n```", &[]);
    check_link("[root](..), [folder](../crates/), [same](./b.md)", &[]);
    check_link("a\n[b](gone.md#b)", &["docs/a.md:2: `gone.md#b`"]);
    check_link("[b](b.md) and [c](crates/c)", &["docs/a.md:1: `crates/c`"]);
    check_link("see [b]\n\n[b]: gone.md", &["docs/a.md:3: `gone.md`"]);
    check_link("[out](../../b.md)", &["docs/a.md:1: `../../b.md`"]);
    check_link("[shield](![x](b.md)", &[]);
    check_link("[type](crate::Type)", &["docs/a.md:1: `crate::Type`"]);
}
