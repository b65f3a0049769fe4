//! Files that hold a secret: a shared key, the private key of a certificate.
//!
//! Opens them and judges who else could read them; other modules read their contents. Invariant: a
//! file that strangers could read, or that any user but its owner could change, is never used.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// Rights that only the owner may have: those of strangers, and a group's to do more than read. A
/// group may read, since that is how Kubernetes hands a secret to a user that is not root.
const TOO_MUCH: u32 = 0o037;

/// Other users of the machine could read a secret, or change it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{option} {}: expected a file that only its owner and its group can read and only its \
     owner can write, got mode {mode:03o}; chmod 600 it, or 640 for the group",
    path.display()
)]
pub struct Exposed {
    /// The option that names it.
    pub option: &'static str,
    /// Which file.
    pub path: PathBuf,
    /// Its permissions.
    pub mode: u32,
}

/// Why a secret was not opened.
pub(super) enum Closed {
    Read(io::Error),
    Exposed(Exposed),
}

impl From<io::Error> for Closed {
    fn from(error: io::Error) -> Self {
        Self::Read(error)
    }
}

/// Opens the file that `option` names. The open file is judged, whatever becomes of the name.
pub(super) fn open(option: &'static str, path: &Path) -> Result<File, Closed> {
    let file = File::open(path)?;
    let mode = permissions(&file)?;
    if mode & TOO_MUCH != 0 {
        return Err(Closed::Exposed(Exposed { option, path: path.to_owned(), mode }));
    }
    Ok(file)
}

#[cfg(unix)]
fn permissions(file: &File) -> io::Result<u32> {
    use std::os::unix::fs::PermissionsExt;

    Ok(file.metadata()?.permissions().mode() & 0o777)
}

#[cfg(not(unix))]
fn permissions(_file: &File) -> io::Result<u32> {
    Ok(0)
}
