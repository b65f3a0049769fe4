//! Who cites a number: code, a test, or neither.

/// What a comment belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Where {
    /// A crate's own code.
    Code,
    /// A test.
    Test,
    /// An example or a benchmark, which proves nothing.
    Elsewhere,
}

impl Where {
    /// As it is written in the list of numbers.
    pub(super) fn word(self) -> &'static str {
        match self {
            Where::Code => "code",
            Where::Test => "test",
            Where::Elsewhere => "example",
        }
    }
}
