//! `cargo xtask tidy`: the layers and the house rules, checked.
//!
//! Rules judge facts that were read beforehand, so that each can be shown bad facts in a test; none
//! touches the disk. A new rule is a function and a line in [`RULES`].

mod layers;
mod layout;
mod registry;
mod sources;
pub(crate) mod tree;

use std::fmt;

use xshell::Shell;

use crate::{
    Result,
    workspace::{Package, Workspace},
};
use tree::Tree;

/// The crates of the lowest floor; none of them knows another.
pub(crate) const PILLARS: [&str; 5] =
    ["accum-core", "embedding-table", "hooks", "optim", "token-queue"];

/// Looks at the facts and gives what it finds wrong with them.
type Rule = fn(&Facts) -> Vec<Finding>;

/// Every rule by the name under which it reports.
const RULES: [(&str, Rule); 17] = [
    ("pillars", layers::pillars_do_not_know_each_other),
    ("layers", layers::crates_depend_downwards),
    ("tokio", layers::tokio_only_for_its_sync_part),
    ("grpc", layers::no_grpc_below_the_cluster),
    ("serde", layers::serde_is_optional_in_pillars),
    ("prose-first", sources::files_open_with_prose),
    ("file-length", sources::files_are_short),
    ("columns", sources::lines_fit_the_page),
    ("options", sources::options_import_no_command),
    ("manifest", layout::crates_inherit_what_is_shared),
    ("registry", registry::packages_say_what_they_are),
    ("shown-features", registry::features_are_shown),
    ("packages", registry::packages_stand_alone),
    ("one-test-binary", layout::one_integration_binary_a_crate),
    ("example-names", layout::example_names_are_distinct),
    ("toolchain", layout::no_toolchain_file),
    ("top-level", layout::top_level_is_known),
];

/// All that rules may look at.
#[derive(Default)]
struct Facts {
    packages: Vec<Package>,
    tree: Tree,
}

/// One breach of a rule, in the words of the person who has to mend it.
#[derive(Debug)]
pub(crate) struct Finding {
    pub(crate) place: String,
    expected: String,
    pub(crate) came: String,
    remedy: &'static str,
    warning: bool,
}

impl Finding {
    pub(crate) fn new(
        place: impl Into<String>,
        expected: impl Into<String>,
        came: impl Into<String>,
        remedy: &'static str,
    ) -> Finding {
        let (place, expected, came) = (place.into(), expected.into(), came.into());
        Finding { place, expected, came, remedy, warning: false }
    }

    /// The same, shown but not counted as a failure.
    fn warning(self) -> Finding {
        Finding { warning: true, ..self }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { place, expected, came, remedy, .. } = self;
        write!(f, "{place}: expected {expected}, came {came}; {remedy}")
    }
}

/// Checks every rule and prints what was found.
///
/// # Errors
/// When a rule is broken (a warning breaks none), or when the facts cannot be read.
pub(crate) fn run(sh: &Shell) -> Result {
    let packages = Workspace::load(sh)?.packages;
    let facts = Facts { packages, tree: Tree::load(&sh.current_dir())? };
    let (mut broken, mut warnings) = (0, 0);
    for (name, rule) in RULES {
        let findings = rule(&facts);
        for finding in &findings {
            let level = if finding.warning { "warning" } else { "error" };
            println!("{level}[{name}]: {finding}");
        }
        let failures = findings.iter().filter(|finding| !finding.warning).count();
        warnings += findings.len() - failures;
        broken += usize::from(failures > 0);
    }
    println!("tidy: {} rules, {broken} broken, {warnings} warnings", RULES.len());
    if broken > 0 {
        return Err(format!("{broken} of {} tidy rules are broken", RULES.len()).into());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
