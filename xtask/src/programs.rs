//! The programs of the workspace, and its extension of Python, built once for every check that
//! needs one.
//!
//! Cargo unites the features of what one command builds, and builds a crate anew for each union.
//! So every check asks for the same: all packages with all features, but that of candle, which has
//! a check of its own.

use std::path::{Path, PathBuf};

use serde_json::Value;
use xshell::{Cmd, Shell, cmd};

use crate::{Result, steps::announce};

/// The package that builds candle.
pub(crate) const CANDLE: &str = "sync-replicas-candle";

/// What every check builds.
pub(crate) const ALL: [&str; 4] = ["--workspace", "--exclude", CANDLE, "--all-features"];

/// Has tokio draw from the seed as well in which order it looks at what is ready; for the clusters
/// in virtual time. Cargo keeps what is built so beside what is not.
pub(crate) const EXACT: (&str, &str) = ("RUSTFLAGS", "--cfg tokio_unstable");

/// Has PyO3 link its extension with no library of Python's, as maturin does: the interpreter that
/// loads it has what it needs.
pub(crate) const EXTENSION: (&str, &str) = ("PYO3_BUILD_EXTENSION_MODULE", "1");

/// All programs, with where they are.
pub(crate) struct Programs {
    programs: Vec<Program>,
    extension: Option<PathBuf>,
}

struct Program {
    example: bool,
    /// The folder of its package.
    folder: String,
    name: String,
    path: PathBuf,
}

impl Programs {
    /// Builds every program and every example.
    ///
    /// # Errors
    /// When one does not build.
    pub(crate) fn build(sh: &Shell) -> Result<Self> {
        Self::of_build(cmd!(sh, "cargo build --quiet {ALL...} --lib --bins --examples"))
    }

    /// What this build makes.
    ///
    /// # Errors
    /// When it fails.
    pub(crate) fn of_build(build: Cmd<'_>) -> Result<Self> {
        announce(&build);
        let messages = build.arg("--message-format=json-render-diagnostics").quiet().read()?;
        Ok(Self::of(&messages))
    }

    /// The extension of Python.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn extension(&self) -> Result<&Path> {
        self.extension.as_deref().ok_or_else(|| "cargo built no extension of Python".into())
    }

    /// The programs that the messages of cargo's build name.
    fn of(messages: &str) -> Self {
        let messages: Vec<Value> =
            messages.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let program = |message: &Value| {
            let folder = Path::new(message["manifest_path"].as_str()?).parent()?.file_name()?;
            Some(Program {
                example: message["target"]["kind"][0] == "example",
                folder: folder.to_string_lossy().into_owned(),
                name: message["target"]["name"].as_str()?.to_owned(),
                path: message["executable"].as_str()?.into(),
            })
        };
        let mut extensions = messages.iter().filter(|it| it["target"]["kind"][0] == "cdylib");
        let extension = extensions.find_map(|it| it["filenames"][0].as_str().map(PathBuf::from));
        Self { programs: messages.iter().filter_map(program).collect(), extension }
    }

    /// A program that is no example.
    ///
    /// # Errors
    /// When there is none of this name.
    pub(crate) fn named(&self, name: &str) -> Result<&Path> {
        let found = self.programs.iter().find(|it| !it.example && it.name == name);
        let found = found.ok_or_else(|| format!("cargo built no program `{name}`"))?;
        Ok(&found.path)
    }

    /// An example of a package.
    ///
    /// # Errors
    /// When there is none of this name.
    pub(crate) fn example(&self, package: &str, name: &str) -> Result<&Path> {
        let mut examples = self.programs.iter().filter(|it| it.example && it.folder == package);
        let found = examples.find(|it| it.name == name);
        Ok(&found.ok_or_else(|| format!("cargo built no example `{package}/{name}`"))?.path)
    }

    /// The examples by package and name, in that order.
    pub(crate) fn examples(&self) -> Vec<(String, &Path)> {
        let examples = self.programs.iter().filter(|it| it.example);
        let mut examples: Vec<_> =
            examples.map(|it| (format!("{}/{}", it.folder, it.name), &*it.path)).collect();
        examples.sort();
        examples
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn programs_are_found_by_kind_and_named_by_package() {
        let message = |kind: &str, folder: &str, name: &str| {
            let manifest = format!("/repo/crates/{folder}/Cargo.toml");
            let target = json!({"kind": [kind], "name": name});
            let executable = (kind != "lib").then(|| format!("/target/{kind}/{name}"));
            json!({"manifest_path": manifest, "target": target, "executable": executable})
                .to_string()
        };
        let messages = [
            message("lib", "optim", "optim"),
            message("example", "optim", "two"),
            message("bin", "cli", "sync-replicas"),
            message("example", "hooks", "one"),
            r#"{"reason":"build-finished","success":true}"#.to_owned(),
        ];
        let programs = Programs::of(&messages.join("\n"));
        let expected = [("hooks/one", "/target/example/one"), ("optim/two", "/target/example/two")];
        let expected = expected.map(|(name, program)| (name.to_owned(), Path::new(program)));
        assert_eq!(programs.examples(), expected);
        assert_eq!(programs.example("optim", "two").expect("it was built"), expected[1].1);
        assert!(programs.example("hooks", "two").is_err());
        let program = programs.named("sync-replicas").expect("it was built");
        assert_eq!(program, Path::new("/target/bin/sync-replicas"));
        let error = programs.named("two").expect_err("it is an example").to_string();
        assert_eq!(error, "cargo built no program `two`");
        assert!(programs.extension().is_err());
        let library = json!({
            "manifest_path": "/repo/crates/python/Cargo.toml",
            "target": {"kind": ["cdylib"], "name": "_native"},
            "filenames": ["/target/lib_native.so"],
        });
        let programs = Programs::of(&library.to_string());
        assert_eq!(programs.extension().expect("it was built"), Path::new("/target/lib_native.so"));
    }
}
