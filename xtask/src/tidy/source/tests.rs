//! Rust's lexical traps, each with what must be left of it.

use super::*;

/// Compares the two parts of `text`, with runs of spaces as one.
#[track_caller]
fn check(text: &str, code: &str, comments: &str) {
    let source = Source::new(text);
    assert_eq!(source.code.chars().count(), text.chars().count(), "columns moved");
    assert_eq!(source.code.matches('\n').count(), text.matches('\n').count(), "lines moved");
    let squeeze = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(squeeze(&source.code), code, "code of {text:?}");
    assert_eq!(squeeze(&source.comments), comments, "comments of {text:?}");
}

#[test]
fn comments_are_parted_from_code() {
    check("a // b\nc", "a c", "// b");
    check("a /* b /* c */ d */ e", "a e", "/* b /* c */ d */");
    check("//! top\nfn f() {} // \"quoted\n", "fn f() {}", "//! top // \"quoted");
    check("a / b * c", "a / b * c", "");
    check("a /* open", "a", "/* open");
}

#[test]
fn literals_hide_what_is_in_them() {
    check(r#"f("// no", 1)"#, "f( , 1)", "");
    check(r#"f("a \" // b", 1) // c"#, "f( , 1)", "// c");
    check(r##"f(r#"a " } // b"#, 1)"##, "f( , 1)", "");
    check(r#"f(r"\", br"}", b"{") // c"#, "f( , b , b )", "// c");
    check("f(\"é{\", '{', '\\'', '\\u{7d}') }", "f( , , , ) }", "");
    check("\"open { ", "", "");
}

#[test]
fn lifetimes_and_raw_identifiers_are_code() {
    check("fn f<'a>(x: &'a str) {}", "fn f<'a>(x: &'a str) {}", "");
    check("let r#type = for_r; // c", "let r#type = for_r;", "// c");
    check("'outer: loop {}", "'outer: loop {}", "");
}

#[test]
fn functions_are_measured_from_their_name_to_their_brace() {
    let text = [
        "trait T { fn no_body(&self, a: [u8; 2]); }",
        "fn one() { \"}\"; }",
        "pub async fn four(",
        "    a: [u8; 3],",
        ") -> fn(u8) -> u8",
        "{ if a { b } else { c }; /* } */ }",
        "// fn commented() {",
        "fn outer() {",
        "    fn inner() {",
        "    }",
        "}",
    ];
    let source = Source::new(&text.join("\n"));
    let expected = [(2, "one", 1), (3, "four", 4), (8, "outer", 4), (9, "inner", 2)];
    assert_eq!(source.functions(), expected);
}

#[test]
fn tests_can_be_left_out() {
    let text =
        "a();\n#[cfg(test)]\nmod tests;\nb();\n#[cfg(test)]\nmod m {\n fn c() { d() }\n}\ne();";
    let code = Source::new(text).code_without_tests();
    assert_eq!(code.split_whitespace().collect::<Vec<_>>(), ["a();", "b();", "e();"]);
    assert_eq!(code.lines().count(), text.lines().count());
}

#[test]
fn words_stand_alone() {
    assert_eq!(words("unsafe_code unsafe  un_unsafe", "unsafe"), [12]);
    assert_eq!(words("std::thread; my::thread::x", "thread::"), [17]);
    assert_eq!(words("mytodo!() todo!()", "todo!"), [10]);
}
