//! How a launched training is reached: `launch.json` in its run folder, and the key beside it.
//!
//! Written for as long as the launcher lives, and read by `status` and `stop`. Invariant: other
//! users of the machine can read neither.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::args::SecurityArgs;
use crate::error::Error;
use crate::run::folder;
use crate::run::folder::files::{LAUNCH, LAUNCH_KEY};

/// What is needed to call the parameter servers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Reach {
    /// By number.
    pub(crate) ps: Vec<String>,
    /// How they let callers in.
    pub(crate) security: SecurityArgs,
}

/// The files, which are removed with it.
pub(super) struct Reachable {
    root: PathBuf,
}

impl Reach {
    /// That of the training that a launcher runs in this folder.
    pub(crate) fn of(root: &Path) -> Result<Self, Error> {
        let path = root.join(LAUNCH);
        let text = fs::read_to_string(&path).map_err(|error| {
            let shown = root.display();
            Error::usage(match error.kind() {
                io::ErrorKind::NotFound => format!(
                    "expected the run folder of a training that `launch` runs now, got {shown}, \
                     in which there is no {LAUNCH}; give the address of its first parameter server"
                ),
                _ => format!("{} cannot be read: {error}", path.display()),
            })
        })?;
        let read: Result<Self, _> = serde_json::from_str(&text);
        let mut reach = read
            .map_err(|error| Error::usage(format!("{} cannot be read: {error}", path.display())))?;
        // The key that was drawn is where the folder is by now.
        reach.security.key_file = reach.security.key_file.map(|file| root.join(file));
        Ok(reach)
    }
}

impl Reachable {
    /// Writes down how to reach servers at these addresses; draws a key unless the user has said
    /// how callers prove themselves. Removes files left by a killed launcher.
    pub(super) fn new(
        root: &Path,
        ps: Vec<String>,
        given: &SecurityArgs,
    ) -> Result<(Self, SecurityArgs), Error> {
        let written = Self { root: root.to_owned() };
        let mut security = given.absolute().map_err(Error::failed)?;
        let mut reach = Reach { ps, security: security.clone() };
        if security.key_file.is_none() && security.tls_ca.is_none() {
            let path = std::path::absolute(root.join(LAUNCH_KEY)).map_err(Error::failed)?;
            folder::write(root, LAUNCH_KEY, &format!("{}\n", draw()?))?;
            (security.key_file, reach.security.key_file) = (Some(path), Some(LAUNCH_KEY.into()));
        }
        let text = serde_json::to_string_pretty(&reach).map_err(Error::failed)?;
        folder::write(root, LAUNCH, &format!("{text}\n"))?;
        Ok((written, security))
    }
}

impl Drop for Reachable {
    fn drop(&mut self) {
        for name in [LAUNCH, LAUNCH_KEY] {
            // A folder that was abandoned is gone with them.
            let _ = fs::remove_file(self.root.join(name));
        }
    }
}

/// 32 random bytes, as text.
fn draw() -> Result<String, Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| {
        Error::failed(format!("expected random bytes from the system, got: {error}"))
    })?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
