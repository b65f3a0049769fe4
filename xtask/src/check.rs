//! `cargo xtask check [--since REV]`: the quick answer while working.
//!
//! Format, house rules and lints of everything, which cargo makes cheap where nothing changed, and
//! the unit tests of the packages that changed. What `ci` does beyond that takes minutes.

use std::collections::BTreeSet;

use xshell::{Shell, cmd};

use crate::{
    Result, ci,
    programs::EXACT,
    spec,
    steps::Steps,
    tidy,
    workspace::{Package, Workspace},
};

/// Checks what differs from the commit `since`, the last one if none is given, and gives whether
/// all passed.
///
/// # Errors
/// When cargo cannot read the workspace, or git does not know the commit.
pub(crate) fn run(sh: &Shell, since: Option<&str>) -> Result<bool> {
    let workspace = Workspace::load(sh)?;
    let since = since.unwrap_or("HEAD");
    let edited = cmd!(sh, "git diff --name-only --relative {since}").quiet().read()?;
    let new = cmd!(sh, "git ls-files --others --exclude-standard").quiet().read()?;
    let changed = changed(&workspace.packages, edited.lines().chain(new.lines()));

    let mut steps = Steps::default();
    let (name, value) = EXACT;
    sh.set_var(name, value);
    steps.command("format", cmd!(sh, "cargo fmt --all --check"));
    steps.step("tidy", || tidy::run(sh));
    steps.step("spec", || spec::run(sh));
    ci::clippy(sh, &mut steps);
    for package in &changed {
        let kind = if package.is_library() { "--lib" } else { "--bins" };
        let name = &package.name;
        let test = cmd!(sh, "cargo test --quiet --package {name} --all-features {kind}");
        steps.command(&format!("unit tests of {name}"), test);
    }
    if changed.is_empty() {
        println!("\nno package differs from {since}: no unit tests were run");
    }
    Ok(steps.finish())
}

/// The packages in whose folders the files lie, in the workspace's order.
fn changed<'a>(packages: &'a [Package], files: impl Iterator<Item = &'a str>) -> Vec<&'a Package> {
    let owner = |file: &str| {
        let inside =
            |it: &&Package| file.strip_prefix(&it.folder).is_some_and(|rest| rest.starts_with('/'));
        packages.iter().filter(inside).max_by_key(|it| it.folder.len()).map(|it| &it.name)
    };
    let names: BTreeSet<_> = files.filter_map(owner).collect();
    packages.iter().filter(|it| names.contains(&it.name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_changes_the_package_it_lies_in() {
        let package = |name: &str, folder: &str| Package {
            name: name.to_owned(),
            folder: folder.to_owned(),
            ..Package::default()
        };
        let packages = [
            package("cli", "crates/cli"),
            package("cli-tools", "crates/cli-tools"),
            package("inner", "crates/cli/inner"),
            package("xtask", "xtask"),
        ];
        #[track_caller]
        fn check(packages: &[Package], files: &[&str], expected: &[&str]) {
            let got: Vec<_> =
                changed(packages, files.iter().copied()).iter().map(|it| &it.name).collect();
            assert_eq!(got, expected, "{files:?}");
        }
        check(&packages, &[], &[]);
        check(&packages, &["docs/guide.md", "Cargo.toml", "crates/README.md"], &[]);
        check(&packages, &["xtask/src/ci.rs", "crates/cli/src/args.rs"], &["cli", "xtask"]);
        check(&packages, &["crates/cli-tools/src/lib.rs"], &["cli-tools"]);
        check(&packages, &["crates/cli/inner/src/lib.rs"], &["inner"]);
    }
}
