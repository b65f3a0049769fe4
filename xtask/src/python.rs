//! `cargo xtask python`: the Python package, built, type-checked and tested in its own environment.
//!
//! The environment is below `target`, with the packages that `crates/python/requirements*.txt` pin.
//! By itself it builds the package as its users do, with maturin; in `ci`, which has built all of
//! the workspace, it takes the extension from there, and no crate is built twice.
//! Invariant: where Python or its packages cannot be had, nothing fails and a line says so, but not
//! where `CI` is set: what should be checked there is.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use xshell::{Shell, cmd};

use crate::{
    Result,
    programs::{EXACT, Programs},
    steps::{Beside, Steps, announce},
};

const PACKAGE: &str = "crates/python";

/// What is tested, each in an environment of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tests {
    /// What is small enough for every change.
    Basic,
    /// That, and what needs PyTorch.
    Torch,
    /// What needs W&B and MLflow, alone.
    Trackers,
    /// Trainings under Ray, on several nodes of this machine.
    Ray,
}

/// Python by itself; whether all passed.
pub(crate) fn alone(sh: &Shell, tests: Tests) -> bool {
    let (name, value) = EXACT;
    sh.set_var(name, value);
    let mut steps = Steps::default();
    if let Some(tests) = begin(sh, &mut steps, tests, None) {
        steps.join(tests);
    }
    steps.finish()
}

/// The package's steps, or a line that says why there are none; its tests, which start processes
/// and wait for them, run on beside other steps.
pub(crate) fn begin(
    sh: &Shell,
    steps: &mut Steps,
    tests: Tests,
    built: Option<&Programs>,
) -> Option<Beside> {
    let made = environment(sh, tests);
    let must = env::var_os("CI").is_some_and(|it| !it.is_empty());
    let environment = match made {
        Err(error) if !must => {
            println!("\nskipped python: {error}");
            return None;
        }
        made => steps.step("python's environment", || made),
    };
    let environment = environment?;
    // Tests of clusters start it.
    let program = steps.step("the program of python's tests", || match built {
        Some(built) => Ok(built.named("sync-replicas")?.to_owned()),
        None => Ok(Programs::build(sh)?.named("sync-replicas")?.to_owned()),
    });
    let _program = sh.push_env("SYNC_REPLICAS_PROGRAM", program?);
    let python = environment.join("bin/python");
    steps.step("python's build", || match built {
        Some(built) => link(sh, &environment, built.extension()?),
        None => install(sh, &environment),
    });
    let _folder = sh.push_dir(PACKAGE);
    steps.command("python's types", cmd!(sh, "{python} -m mypy"));
    let native = ["sync_replicas._native", "--mypy-config-file", "pyproject.toml"];
    steps.command("python's stubs", cmd!(sh, "{python} -m mypy.stubtest {native...}"));
    if tests == Tests::Ray {
        // It prints how long updates stood still.
        let only = ["-m", "ray", "--capture=no"];
        steps.command("trainings under ray", cmd!(sh, "{python} -m pytest --quiet {only...}"));
        return None;
    }
    let only: &[&str] = if tests == Tests::Trackers { &["-m", "trackers"] } else { &[] };
    Some(Steps::beside("python's tests", cmd!(sh, "{python} -m pytest --quiet {only...}")))
}

/// The interpreter of an environment that has the package.
///
/// # Errors
/// When Python or its packages cannot be had, or the package does not build.
pub(crate) fn built(sh: &Shell) -> Result<PathBuf> {
    let environment = environment(sh, Tests::Basic)?;
    install(sh, &environment)?;
    Ok(environment.join("bin/python"))
}

/// Builds the package into an environment, which then has it as it is here.
fn install(sh: &Shell, environment: &Path) -> Result {
    let maturin = environment.join("bin/maturin");
    let _folder = sh.push_dir(PACKAGE);
    let _here = sh.push_env("VIRTUAL_ENV", environment);
    let develop = cmd!(sh, "{maturin} develop --quiet");
    announce(&develop);
    Ok(develop.quiet().run()?)
}

/// Has the environment find the package where it is, with this extension: what `maturin develop`
/// does with one that it has built.
fn link(sh: &Shell, environment: &Path, extension: &Path) -> Result {
    let (package, python) = (sh.current_dir().join(PACKAGE), environment.join("bin/python"));
    sh.copy_file(extension, package.join("python/sync_replicas/_native.abi3.so"))?;
    let packages = "import sysconfig; print(sysconfig.get_path('platlib'))";
    let packages = PathBuf::from(cmd!(sh, "{python} -c {packages}").quiet().read()?);
    let folder = package.join("python").display().to_string();
    sh.write_file(packages.join("sync_replicas.pth"), folder + "\n")?;
    let script = environment.join("bin/sync-replicas");
    let main = "import sys\nfrom sync_replicas.__main__ import main\nsys.exit(main())\n";
    sh.write_file(&script, format!("#!{}\n{main}", python.display()))?;
    Ok(cmd!(sh, "chmod +x {script}").quiet().run()?)
}

/// The environment, made where it is not there, with what is to be in it.
fn environment(sh: &Shell, tests: Tests) -> Result<PathBuf> {
    let enough = "import sys; sys.exit(sys.version_info < (3, 10))";
    if cmd!(sh, "python3 -c {enough}").quiet().ignore_stderr().run().is_err() {
        return Err("no `python3` of version 3.10 or later here".into());
    }
    let (name, requirements) = match tests {
        Tests::Basic => ("python", "requirements.txt"),
        Tests::Torch => ("python-torch", "requirements-torch.txt"),
        Tests::Trackers => ("python-trackers", "requirements-trackers.txt"),
        Tests::Ray => ("python-ray", "requirements-ray.txt"),
    };
    let environment = sh.current_dir().join("target").join(name);
    let folder = Path::new(PACKAGE);
    let wanted = ["requirements.txt", requirements].map(|it| sh.read_file(folder.join(it)));
    let wanted = wanted.into_iter().collect::<std::result::Result<String, _>>()?;
    let installed = environment.join("requirements");
    if fs::read_to_string(&installed).is_ok_and(|it| it == wanted) {
        return Ok(environment);
    }
    cmd!(sh, "python3 -m venv {environment}").quiet().run()?;
    let (pip, list) = (environment.join("bin/pip"), folder.join(requirements));
    cmd!(sh, "{pip} install --quiet --disable-pip-version-check -r {list}").quiet().run()?;
    fs::write(installed, wanted)?;
    Ok(environment)
}
