//! The program driven as a user would.
fn main() {}
