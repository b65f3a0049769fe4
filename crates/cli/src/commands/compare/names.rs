//! Short names of runs: the part that tells their folders apart.

use std::path::{Path, PathBuf};

/// Each path without the leading and trailing folders that all share.
pub(super) fn short(paths: &[PathBuf]) -> Vec<String> {
    let parts: Vec<Vec<_>> = paths.iter().map(|path| path.components().collect()).collect();
    let least = parts.iter().map(Vec::len).min().unwrap_or(0);
    let same = |at: &dyn Fn(usize) -> usize| {
        parts.windows(2).all(|two| two[0].get(at(two[0].len())) == two[1].get(at(two[1].len())))
    };
    let most = least.saturating_sub(1);
    let begin = (0..most).take_while(|it| same(&|_| *it)).count();
    let end = (0..most - begin).take_while(|it| same(&|length| length - 1 - it)).count();
    let name = |parts: &Vec<_>| {
        let path: PathBuf = parts[begin..parts.len() - end].iter().collect();
        Path::display(&path).to_string()
    };
    parts.iter().map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_tells_folders_apart() {
        #[track_caller]
        fn check(paths: &[&str], expected: &[&str]) {
            let paths: Vec<_> = paths.iter().map(PathBuf::from).collect();
            assert_eq!(short(&paths), expected);
        }
        check(&["/x/runs/a", "/x/runs/b"], &["a", "b"]);
        check(&["/x/a/run", "/x/b/run", "/x/c/run"], &["a", "b", "c"]);
        check(&["/x/a/1", "/x/b/2"], &["a/1", "b/2"]);
        check(&["/x/a", "/x/a/b"], &["a", "a/b"]);
        check(&["/x/a/a", "/x/a"], &["a/a", "a"]);
        check(&["/", "/a"], &["/", "/a"]);
        check(&["/x/runs/a"], &["a"]);
    }
}
