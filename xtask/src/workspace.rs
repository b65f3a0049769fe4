//! The workspace as data: its packages as cargo resolves them.
//!
//! Read once from `cargo metadata`; it judges nothing. Invariant: `packages` holds the workspace's
//! own members only, and `closure` names every package that a member needs to be built and run,
//! tests aside.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use serde_json::Value;
use xshell::{Shell, cmd};

use crate::Result;

/// The workspace's members and where they build.
pub(crate) struct Workspace {
    /// Sorted by name, as cargo lists them.
    pub(crate) packages: Vec<Package>,
    /// Where cargo puts what it builds.
    pub(crate) target_dir: PathBuf,
}

/// One member.
#[derive(Default)]
pub(crate) struct Package {
    /// The crate's name.
    pub(crate) name: String,
    /// Its folder, relative to the root, with `/`.
    pub(crate) folder: String,
    /// What its manifest asks for.
    pub(crate) dependencies: Vec<Dependency>,
    /// What its features turn on, all of them in one list: `dep:serde`, `tokio/rt`.
    pub(crate) turned_on: Vec<String>,
    /// Names of all packages it needs when built, directly or not, without its tests' needs.
    pub(crate) closure: BTreeSet<String>,
    /// Whether it is made for a registry.
    pub(crate) published: bool,
    /// What a registry and its documentation site show of it.
    pub(crate) shown: Shown,
    /// Its build targets: libraries, programs, tests, examples, benchmarks.
    pub(crate) targets: Vec<Target>,
}

/// One line of a manifest's dependencies.
pub(crate) struct Dependency {
    /// The package's own name, also where the manifest renames it.
    pub(crate) name: String,
    /// When it is needed.
    pub(crate) kind: Kind,
    /// Whether only a feature turns it on.
    pub(crate) optional: bool,
    /// The features asked for.
    pub(crate) features: Vec<String>,
}

/// What a registry and its documentation site show of a package.
#[derive(Default)]
pub(crate) struct Shown {
    /// What it is, in a sentence.
    pub(crate) description: Option<String>,
    /// Where the project is at home.
    pub(crate) homepage: Option<String>,
    /// Where its documentation is.
    pub(crate) documentation: Option<String>,
    /// The page about it, relative to its folder.
    pub(crate) readme: Option<String>,
    /// The words under which it is found.
    pub(crate) keywords: Vec<String>,
    /// The shelves on which it stands.
    pub(crate) categories: Vec<String>,
    /// Whether it has features.
    pub(crate) has_features: bool,
    /// Whether the manifest says with which of them the site builds.
    pub(crate) says_features: bool,
}

/// When a dependency is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// To build and run the crate.
    Normal,
    /// By its build script.
    Build,
    /// By its tests, examples and benchmarks.
    Dev,
}

/// One build target.
pub(crate) struct Target {
    /// The kind as cargo names it: `lib`, `bin`, `test`, `example`, `bench`.
    pub(crate) kind: String,
    /// The target's name.
    pub(crate) name: String,
    /// Its main file, relative to the root, with `/`.
    pub(crate) source: String,
}

impl Workspace {
    /// Asks cargo, and reads its answer.
    ///
    /// # Errors
    /// When a manifest cannot be read or a dependency cannot be resolved.
    pub(crate) fn load(sh: &Shell) -> Result<Workspace> {
        let text = cmd!(sh, "cargo metadata --format-version 1 --all-features").quiet().read()?;
        Workspace::parse(&text)
    }

    /// Reads the text that `cargo metadata --format-version 1` prints.
    fn parse(text: &str) -> Result<Workspace> {
        let json: Value = serde_json::from_str(text)?;
        let root = PathBuf::from(string(&json, "workspace_root")?);
        let members: BTreeSet<&str> =
            list(&json, "workspace_members")?.iter().filter_map(Value::as_str).collect();
        let graph = Graph::parse(&json)?;
        let packages = list(&json, "packages")?
            .iter()
            .filter(|package| package["id"].as_str().is_some_and(|id| members.contains(id)))
            .map(|package| Package::parse(package, &root, &graph))
            .collect::<Result<_>>()?;
        let target_dir = PathBuf::from(string(&json, "target_directory")?);
        Ok(Workspace { packages, target_dir })
    }
}

impl Package {
    /// Whether others can use it.
    pub(crate) fn is_library(&self) -> bool {
        self.targets.iter().any(|it| it.kind == "lib")
    }

    fn parse(json: &Value, root: &Path, graph: &Graph<'_>) -> Result<Package> {
        let manifest = relative(Path::new(string(json, "manifest_path")?), root)?;
        let (folder, _) = manifest.rsplit_once('/').unwrap_or(("", ""));
        Ok(Package {
            name: string(json, "name")?.to_owned(),
            folder: folder.to_owned(),
            dependencies: list(json, "dependencies")?
                .iter()
                .map(Dependency::parse)
                .collect::<Result<_>>()?,
            turned_on: strings(json["features"].as_object().into_iter().flat_map(|it| it.values())),
            closure: graph.closure(string(json, "id")?),
            published: json["publish"].as_array().is_none_or(|registries| !registries.is_empty()),
            shown: Shown::parse(json),
            targets: list(json, "targets")?
                .iter()
                .map(|target| Target::parse(target, root))
                .collect::<Result<_>>()?,
        })
    }
}

impl Shown {
    fn parse(json: &Value) -> Shown {
        let text = |key: &str| json[key].as_str().map(str::to_owned);
        let site = &json["metadata"]["docs"]["rs"];
        Shown {
            description: text("description"),
            homepage: text("homepage"),
            documentation: text("documentation"),
            readme: text("readme"),
            keywords: strings([&json["keywords"]]),
            categories: strings([&json["categories"]]),
            has_features: json["features"].as_object().is_some_and(|it| !it.is_empty()),
            says_features: site["all-features"] == true || site["features"].is_array(),
        }
    }
}

impl Dependency {
    fn parse(json: &Value) -> Result<Dependency> {
        let kind = match json["kind"].as_str() {
            None => Kind::Normal,
            Some("build") => Kind::Build,
            Some("dev") => Kind::Dev,
            Some(other) => return Err(format!("cargo names a new kind of edge: {other}").into()),
        };
        Ok(Dependency {
            name: string(json, "name")?.to_owned(),
            kind,
            optional: json["optional"].as_bool().unwrap_or(false),
            features: strings([&json["features"]]),
        })
    }
}

impl Target {
    fn parse(json: &Value, root: &Path) -> Result<Target> {
        let kind = list(json, "kind")?.first().and_then(Value::as_str).unwrap_or_default();
        Ok(Target {
            kind: kind.to_owned(),
            name: string(json, "name")?.to_owned(),
            source: relative(Path::new(string(json, "src_path")?), root)?,
        })
    }
}

/// The resolved graph, without the edges that only tests need.
struct Graph<'a> {
    names: BTreeMap<&'a str, &'a str>,
    edges: BTreeMap<&'a str, Vec<&'a str>>,
}

impl<'a> Graph<'a> {
    fn parse(json: &'a Value) -> Result<Graph<'a>> {
        let mut names = BTreeMap::new();
        for package in list(json, "packages")? {
            names.insert(string(package, "id")?, string(package, "name")?);
        }
        let mut edges = BTreeMap::new();
        for node in list(&json["resolve"], "nodes")? {
            let needed = list(node, "deps")?
                .iter()
                .filter(|edge| {
                    let kinds = edge["dep_kinds"].as_array();
                    kinds.is_some_and(|kinds| kinds.iter().any(|kind| kind["kind"] != "dev"))
                })
                .filter_map(|edge| edge["pkg"].as_str())
                .collect();
            edges.insert(string(node, "id")?, needed);
        }
        Ok(Graph { names, edges })
    }

    fn closure(&self, id: &str) -> BTreeSet<String> {
        let (mut seen, mut todo) = (BTreeSet::new(), vec![id]);
        while let Some(id) = todo.pop() {
            for &next in self.edges.get(id).into_iter().flatten() {
                if seen.insert(next) {
                    todo.push(next);
                }
            }
        }
        seen.into_iter().filter_map(|id| self.names.get(id)).map(|&name| name.to_owned()).collect()
    }
}

fn string<'a>(json: &'a Value, key: &str) -> Result<&'a str> {
    json[key].as_str().ok_or_else(|| format!("cargo metadata gives no text `{key}`").into())
}

fn list<'a>(json: &'a Value, key: &str) -> Result<&'a Vec<Value>> {
    json[key].as_array().ok_or_else(|| format!("cargo metadata gives no list `{key}`").into())
}

/// The texts of all of `lists`, in one list.
fn strings<'a>(lists: impl IntoIterator<Item = &'a Value>) -> Vec<String> {
    let items = lists.into_iter().filter_map(Value::as_array).flatten();
    items.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// `path` from the root on, with `/` on every system.
pub(crate) fn relative(path: &Path, root: &Path) -> Result<String> {
    let path = path
        .strip_prefix(root)
        .map_err(|_| format!("{} lies outside the workspace {}", path.display(), root.display()))?;
    let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
    Ok(parts.join("/"))
}

#[cfg(test)]
mod tests;
