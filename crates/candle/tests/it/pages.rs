//! The programs of the project's pages are the examples, which are built and run.

use std::fs;
use std::path::Path;

/// The first program of a page, and the example that it is.
#[track_caller]
fn check(page: &str, example: &str) {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| fs::read_to_string(crates.join(path)).expect("it is in the project");
    let (page, example) =
        (read(&format!("../../docs/{page}")), read(&format!("examples/{example}.rs")));
    let (_, program) = page.split_once("```rust,ignore\n").expect("it has a program of candle");
    let (program, _) = program.split_once("```").expect("the program ends");
    // A page needs no header of a file, and no lint of the project's.
    let body = example.find("\nuse ").expect("it uses something") + 1;
    assert_eq!(program, &example[body..]);
}

#[test]
fn the_programs_of_the_pages_are_the_examples() {
    check("guide.md", "line");
    check("own-model.md", "sine");
}
