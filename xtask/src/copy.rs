//! A copy of the project's files below the target folder, in which they can be changed.
//!
//! Invariant: only files whose content differs are written, so that cargo builds again only what a
//! change touches.

use std::{
    fs,
    path::{Path, PathBuf},
};

use xshell::{Shell, cmd};

use crate::Result;

/// The copy.
pub(crate) struct Tree {
    folder: PathBuf,
}

impl Tree {
    /// Brings `folder` to what the working tree has now, new files that git does not ignore
    /// included.
    pub(crate) fn copy(sh: &Shell, folder: &Path) -> Result<Self> {
        let listed =
            cmd!(sh, "git ls-files -z --cached --others --exclude-standard").quiet().read()?;
        let root = sh.current_dir();
        let tree = Self { folder: folder.to_owned() };
        let mut files = Vec::new();
        // A file that was removed and not committed yet is still listed.
        for file in listed.split('\0').filter(|file| root.join(file).is_file()) {
            tree.write_bytes(file, &fs::read(root.join(file))?)?;
            files.push(folder.join(file));
        }
        files.sort();
        remove_others(folder, &files)?;
        Ok(tree)
    }

    /// Where it is.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Puts `new` where `old` stands, which must be in one place only; gives the whole file as it
    /// was.
    pub(crate) fn replace(&self, file: &str, old: &str, new: &str) -> Result<String> {
        let whole = fs::read_to_string(self.folder.join(file))
            .map_err(|error| format!("{file} cannot be read: {error}; name its new place"))?;
        self.write(file, &replaced(&whole, file, old, new)?)?;
        Ok(whole)
    }

    /// Writes a file of the copy.
    pub(crate) fn write(&self, file: &str, text: &str) -> Result {
        self.write_bytes(file, text.as_bytes())
    }

    fn write_bytes(&self, file: &str, bytes: &[u8]) -> Result {
        let path = self.folder.join(file);
        if fs::read(&path).is_ok_and(|there| there == bytes) {
            return Ok(());
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        Ok(fs::write(path, bytes)?)
    }
}

/// `whole` with `new` where `old` stands.
///
/// # Errors
/// When `old` is not there exactly once.
pub(crate) fn replaced(whole: &str, file: &str, old: &str, new: &str) -> Result<String> {
    match whole.matches(old).count() {
        1 => Ok(whole.replacen(old, new, 1)),
        found => Err(format!(
            "expected this text once in {file}, found it {found} times: {old:?}; write its \
             replacement anew for the file as it is now"
        )
        .into()),
    }
}

/// Removes what an earlier run or a failing test left: everything below `folder` but `files`,
/// which are sorted.
fn remove_others(folder: &Path, files: &[PathBuf]) -> Result {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            remove_others(&path, files)?;
        } else if files.binary_search(&path).is_err() {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_replaced_where_it_stands_once() {
        #[track_caller]
        fn check(whole: &str, expected: std::result::Result<&str, &str>) {
            let got = replaced(whole, "a.rs", "< b", "<= b").map_err(|error| error.to_string());
            match expected {
                Ok(text) => assert_eq!(got.as_deref(), Ok(text)),
                Err(part) => assert!(got.expect_err("it cannot").contains(part)),
            }
        }
        check("if a < b {}", Ok("if a <= b {}"));
        check("if a > b {}", Err("found it 0 times"));
        check("a < b, a < b", Err("found it 2 times"));
    }
}
