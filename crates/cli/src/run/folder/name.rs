//! The name of a run folder without `--out`: the model and the time.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::system::host_time::utc;

/// `runs/MODEL-TIME`, with a number if that is taken.
pub(super) fn fresh(model: &str) -> PathBuf {
    unused(&Path::new("runs").join(format!("{model}-{}", utc(SystemTime::now()))))
}

/// Two runs that start in the same second get separate folders.
fn unused(path: &Path) -> PathBuf {
    let numbered = |n: u32| {
        path.with_file_name(format!(
            "{}-{n}",
            path.file_name().unwrap_or_default().to_string_lossy()
        ))
    };
    let mut candidates = std::iter::once(path.to_owned()).chain((2..).map(numbered));
    candidates.find(|path| !path.exists()).unwrap_or_else(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn names_taken_get_a_number() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let wanted = dir.path().join("mlp-1");
        assert_eq!(unused(&wanted), wanted);
        fs::create_dir(&wanted).expect("is new");
        assert_eq!(unused(&wanted), dir.path().join("mlp-1-2"));
    }
}
