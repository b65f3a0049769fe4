//! Files and folders for their owner alone: their contents give weights away (P-27).
//!
//! Invariant: nothing is written through a planted link.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::path::Path;

/// Makes a file that only its owner can read; anything of that name, even a link, is removed.
///
/// # Errors
/// The system's error.
pub fn create_private_file(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Opens a file to write at its end; if it is new, only its owner can read it.
///
/// # Errors
/// The system's error.
pub fn append_private_file(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Makes a folder, and its missing parents; those that it makes are for their owner alone.
///
/// # Errors
/// The system's error.
pub fn create_private_folder(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

#[cfg(all(test, unix))]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn they_are_for_their_owner_and_follow_no_link() {
        let folder = tempfile::tempdir().expect("a folder");
        let mode =
            |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
        let inner = folder.path().join("a/b");
        create_private_folder(&inner).expect("it can be made");
        create_private_folder(&inner).expect("it is there");
        assert_eq!((mode(&inner), mode(&folder.path().join("a"))), (0o700, 0o700));

        let (victim, link) = (folder.path().join("victim"), inner.join("file"));
        fs::write(&victim, "precious").expect("it can be written");
        symlink(&victim, &link).expect("it can be made");
        create_private_file(&link).and_then(|mut it| it.write_all(b"new")).expect("it is made");
        assert_eq!(fs::read_to_string(&victim).expect("it is there"), "precious");
        assert_eq!(fs::read_to_string(&link).expect("it is there"), "new");
        assert_eq!(mode(&link), 0o600);

        let log = inner.join("log");
        for _ in 0..2 {
            append_private_file(&log).and_then(|mut it| it.write_all(b"x")).expect("it is made");
        }
        assert_eq!(
            (fs::read_to_string(&log).expect("it is there"), mode(&log)),
            ("xx".to_owned(), 0o600)
        );
    }
}
