//! The built-in plans, by name.

/// A built-in plan: its name and its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carried {
    /// The name to ask for.
    pub name: &'static str,
    /// The file.
    pub text: &'static str,
}

macro_rules! carried {
    ($($name:literal),* $(,)?) => {
        [$(Carried { name: $name, text: include_str!(concat!("../plans/", $name, ".toml")) }),*]
    };
}

/// All of them.
pub const CARRIED: [Carried; 13] = carried![
    "chen-2016",
    "osdi-2016",
    "osdi-2016-tokens",
    "exponential",
    "one-slow-machine",
    "spot-machines",
    "dead-without-lease",
    "bytedance-sequences",
    "bytedance-slow-rank",
    "pai-quiet",
    "pai-two-kinds",
    "greyhound-512",
    "meta-failures",
];

/// The built-in plan of this name.
#[must_use]
pub fn carried(name: &str) -> Option<&'static Carried> {
    CARRIED.iter().find(|plan| plan.name == name)
}
