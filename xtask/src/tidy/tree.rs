//! The repository's files as data: every path, and the text of those that rules read.
//!
//! Not what git tracks: rules also see a file that is about to be added. Invariant: paths are
//! relative to the root and written with `/`.

use std::{collections::BTreeMap, fs, path::Path};

use crate::{Result, workspace::relative};

/// Names of folders that hold what was built or produced, and no part of the project.
const SKIPPED: [&str; 3] = [".git", "runs", "target"];

/// Extensions of the files whose text rules read.
const READ: [&str; 3] = ["md", "rs", "toml"];

/// Paths in order, with the text of some.
#[derive(Default)]
pub(crate) struct Tree {
    files: BTreeMap<String, Option<String>>,
}

impl Tree {
    /// Reads the folder `root` and all below it.
    ///
    /// # Errors
    /// When a folder or a text cannot be read, also when a text is not UTF-8.
    pub(crate) fn load(root: &Path) -> Result<Tree> {
        let mut tree = Tree::default();
        let mut folders = vec![root.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder)? {
                let entry = entry?;
                let path = entry.path();
                if !entry.file_type()?.is_dir() {
                    let read = path.extension().is_some_and(|it| READ.iter().any(|ext| it == *ext));
                    let text = if read { Some(read_text(&path)?) } else { None };
                    let text = text.filter(|text| !is_generated(text));
                    tree.insert(&relative(&path, root)?, text);
                } else if SKIPPED.iter().all(|skipped| entry.file_name() != *skipped) {
                    folders.push(path);
                }
            }
        }
        Ok(tree)
    }

    /// Adds one file.
    pub(crate) fn insert(&mut self, path: &str, text: Option<String>) {
        self.files.insert(path.to_owned(), text);
    }

    /// Every path.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// Path and text of every file whose name ends with `suffix`.
    pub(crate) fn texts(&self, suffix: &str) -> impl Iterator<Item = (&str, &str)> {
        self.files
            .iter()
            .filter(move |(path, _)| path.ends_with(suffix))
            .filter_map(|(path, text)| Some((path.as_str(), text.as_deref()?)))
    }

    /// The text of one file, if it is there.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path)?.as_deref()
    }

    /// Whether there is a file or a folder of this path; the empty path is the root.
    pub(crate) fn has(&self, path: &str) -> bool {
        let folder = format!("{path}/");
        path.is_empty()
            || self.files.contains_key(path)
            || self
                .files
                .range(folder.clone()..)
                .next()
                .is_some_and(|(it, _)| it.starts_with(&folder))
    }
}

/// What a program has written is held to no rule of style, as rustfmt and others do.
fn is_generated(text: &str) -> bool {
    text.lines().next().is_some_and(|first| first.contains("@generated"))
}

fn read_text(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_files_and_the_folders_above_them() {
        let mut tree = Tree::default();
        tree.insert("docs/a-b.md", None);
        tree.insert("docs/a/b/c.md", Some("text".to_owned()));
        for path in ["", "docs", "docs/a", "docs/a/b", "docs/a/b/c.md", "docs/a-b.md"] {
            assert!(tree.has(path), "{path}");
        }
        for path in ["doc", "docs/a/c", "docs/a-", "docs/a/b/c.md/d"] {
            assert!(!tree.has(path), "{path}");
        }
        assert_eq!(tree.texts(".md").collect::<Vec<_>>(), [("docs/a/b/c.md", "text")]);
        assert_eq!(tree.text("docs/a-b.md"), None);
    }

    #[test]
    fn this_very_file_is_read_and_nothing_built_is() {
        let tree = Tree::load(Path::new(env!("CARGO_MANIFEST_DIR"))).expect("readable");
        assert!(tree.text("src/tidy/tree.rs").is_some_and(|text| text.starts_with("//!")));
        assert!(!tree.has("target"));
    }
}
