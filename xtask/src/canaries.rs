//! `cargo xtask canaries`: known bugs are put back one by one, and the tests must notice each.
//!
//! Works on a copy of the tree below the target folder and never on the tree itself. Invariant: a
//! bug counts as caught only when a test that passes without it fails with it; a bug that no
//! longer fits the code, or does not compile, is a failure of this command.

mod bugs;
mod suite;

use std::collections::{BTreeMap, BTreeSet};

use xshell::Shell;

use self::{
    bugs::{BUGS, Bug},
    suite::{Failure, Suite},
};
use crate::{Result, copy::Tree, steps::Steps, workspace::Workspace};

/// How many of a bug's witnesses are printed.
const SHOWN: usize = 6;

/// Puts back every bug whose name contains `filter`, and gives whether all of them were caught.
///
/// # Errors
/// When the tree cannot be copied or built, or a test fails without any bug.
pub(crate) fn run(sh: &Shell, filter: Option<&str>) -> Result<bool> {
    let workspace = Workspace::load(sh)?;
    let tree = Tree::copy(sh, &workspace.target_dir.join("canaries"))?;
    let chosen: Vec<&Bug> =
        BUGS.iter().filter(|bug| filter.is_none_or(|part| bug.name.contains(part))).collect();
    if chosen.is_empty() {
        let names: Vec<_> = BUGS.iter().map(|bug| bug.name).collect();
        return Err(format!("expected a part of one of {names:?}, got {filter:?}").into());
    }

    let packages: BTreeSet<&str> = chosen.iter().map(|bug| bug.package).collect();
    println!("=== without a bug: {packages:?}");
    let took = BTreeMap::new();
    let mut suite = Suite { sh, tree: &tree, target_dir: &workspace.target_dir, took };
    for package in packages {
        if let Some(Failure { test, .. }) = suite.run_whole(package)?.first() {
            return Err(format!("{test} fails without any bug; mend it first").into());
        }
    }

    let mut steps = Steps::default();
    for bug in chosen {
        steps.step(&format!("{}: {}", bug.name, bug.what), || put_back(&suite, bug));
    }
    Ok(steps.finish())
}

/// One bug in the copy, the tests and models that must notice, and the copy as it was.
fn put_back(suite: &Suite<'_>, bug: &Bug) -> Result {
    let whole = suite.tree.replace(bug.file, bug.good, bug.bad)?;
    let witnesses = witnesses(suite, bug);
    suite.tree.write(bug.file, &whole)?;
    let (tests, models) = witnesses?;
    for failures in [&tests, &models] {
        for failure in failures.iter().take(SHOWN) {
            println!("  caught by {failure}");
        }
        if failures.len() > SHOWN {
            println!("  and by {} more", failures.len() - SHOWN);
        }
    }
    if tests.is_empty() {
        let package = bug.package;
        return Err(format!("no test of {package} noticed it; write the one that does").into());
    }
    if let (true, Some(prefix)) = (models.is_empty(), bug.models) {
        let expected = format!("no model of {prefix} noticed it in 256 cases; extend the model");
        return Err(expected.into());
    }
    Ok(())
}

/// The tests and the models that fail.
fn witnesses(suite: &Suite<'_>, bug: &Bug) -> Result<(Vec<Failure>, Vec<Failure>)> {
    let tests = suite.run(bug.package)?;
    let models = bug.models.map_or(Ok(Vec::new()), |prefix| suite.run_models(prefix))?;
    Ok((tests, models))
}
