//! `cargo xtask publish`: packs what the registry would get, and publishes nothing.
//!
//! Works on a copy of the tree below the target folder, in which packages have the names that are
//! theirs on the registry and bring the licence with them; a person publishes from there.
//! Invariant: libraries keep their names, so no source differs.

use std::path::Path;

use xshell::{Shell, cmd};

use crate::{
    Result,
    copy::Tree,
    steps::announce,
    workspace::{Package, Workspace},
};

/// Packages whose names belong to others there, or say too little among those of the world.
const PREFIXED: [&str; 7] = ["cli", "cluster", "engine", "hooks", "optim", "simulator", "tabular"];

/// What the licence asks for in every copy.
const TERMS: [&str; 2] = ["LICENSE", "NOTICE"];

/// Packs all that can be published, as it would be; with `build`, builds it from the packages.
///
/// # Errors
/// When a package cannot be packed or built, or the registry cannot be asked.
pub(crate) fn run(sh: &Shell, build: bool) -> Result {
    let Workspace { packages, target_dir } = Workspace::load(sh)?;
    let tree = copy(sh, &target_dir.join("publish"))?;
    for package in packages.iter().filter(|package| package.published) {
        prepare(sh, &tree, package)?;
    }
    let verify = (!build).then_some("--no-verify");
    let _there = sh.push_dir(tree.folder());
    let options = ["--workspace", "--dry-run", "--allow-dirty"];
    let publish = cmd!(sh, "cargo publish {options...} {verify...} --target-dir {target_dir}");
    announce(&publish);
    Ok(publish.quiet().run()?)
}

/// The name of a package on the registry.
pub(crate) fn registry_name(name: &str) -> String {
    if PREFIXED.contains(&name) { format!("sync-replicas-{name}") } else { name.to_owned() }
}

/// Copies the tree as it is, with the commit that it comes from: cargo writes into a package which
/// it is and where in it the package lies, and the registry follows a README's links by that.
fn copy(sh: &Shell, folder: &Path) -> Result<Tree> {
    let (root, git) = (sh.current_dir(), folder.join(".git"));
    sh.remove_path(&git)?;
    let tree = Tree::copy(sh, folder)?;
    cmd!(sh, "git clone --quiet --bare --shared {root} {git}").quiet().run()?;
    cmd!(sh, "git --git-dir {git} config core.bare false").quiet().run()?;
    cmd!(sh, "git -C {folder} reset --quiet").quiet().run()?;
    Ok(tree)
}

/// Makes one package of the copy what the registry gets.
fn prepare(sh: &Shell, tree: &Tree, package: &Package) -> Result {
    for file in TERMS {
        tree.write(&format!("{}/{file}", package.folder), &sh.read_file(file)?)?;
    }
    if registry_name(&package.name) != package.name {
        for (file, old, new) in renaming(&package.name, &package.folder) {
            tree.replace(&file, &old, &new)?;
        }
    }
    Ok(())
}

/// What gives a package its name on the registry: files, what stands there, and what takes its
/// place. The library and those who depend on it keep the name that sources use.
fn renaming(name: &str, folder: &str) -> [(String, String, String); 3] {
    let (manifest, there) = (format!("{folder}/Cargo.toml"), registry_name(name));
    let library = format!("[lib]\nname = \"{}\"\n\n[lints]\n", name.replace('-', "_"));
    [
        (manifest.clone(), format!("\nname = \"{name}\"\n"), format!("\nname = \"{there}\"\n")),
        (manifest, "[lints]\n".to_owned(), library),
        (
            "Cargo.toml".to_owned(),
            format!("\n{name} = {{ "),
            format!("\n{name} = {{ package = \"{there}\", "),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{copy::replaced, root};

    #[test]
    fn short_names_get_the_projects_as_a_prefix() {
        #[track_caller]
        fn check(name: &str, there: &str) {
            assert_eq!(registry_name(name), there);
        }
        check("optim", "sync-replicas-optim");
        check("cli", "sync-replicas-cli");
        check("accum-core", "accum-core");
        check("sync-replicas", "sync-replicas");
    }

    #[test]
    fn every_new_name_fits_the_manifests_as_they_are() {
        let root = root().expect("the root");
        for name in PREFIXED {
            for (file, old, new) in renaming(name, &format!("crates/{name}")) {
                let whole = fs::read_to_string(root.join(&file)).expect("a manifest");
                replaced(&whole, &file, &old, &new).expect("it stands there once");
            }
        }
    }
}
