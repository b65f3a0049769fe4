//! The tests of some packages, run in the copy: which failed, and after how many cases.
//!
//! The test programs are run one by one rather than through `cargo test`, so that one that a bug
//! makes wait for ever can be ended. Invariant: a program that ends badly is at least one failure.

use std::{
    collections::BTreeMap,
    fmt,
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use xshell::{Shell, cmd};

use crate::{Result, copy::Tree};

/// A test program that takes this much longer than five times what it takes without a bug waits for
/// something that the bug took away.
const PATIENCE: Duration = Duration::from_secs(10);

/// What it takes to run tests of the copy.
pub(super) struct Suite<'a> {
    pub(super) sh: &'a Shell,
    pub(super) tree: &'a Tree,
    /// The project's own, so that dependencies are built once.
    pub(super) target_dir: &'a Path,
    /// How long each test program took without a bug.
    pub(super) took: BTreeMap<String, Duration>,
}

/// One test that failed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// The program and the test's path in it.
    pub(super) test: String,
    /// How many random cases passed before, where random cases are tried.
    pub(super) cases: Option<u64>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cases {
            None => f.write_str(&self.test),
            Some(cases) => write!(f, "{} (after {cases} cases)", self.test),
        }
    }
}

/// So many histories of each model are tried.
const MODEL_CASES: &str = "256";

/// A minute more than all of them need without a bug.
const MODEL_LIMIT: Duration = Duration::from_secs(90);

/// A test program that cargo built.
struct Program {
    name: String,
    file: PathBuf,
    folder: PathBuf,
}

impl Suite<'_> {
    /// Builds and runs the tests of a package that has no bug, and notes how long they take.
    pub(super) fn run_whole(&mut self, package: &str) -> Result<Vec<Failure>> {
        let mut failures = Vec::new();
        for program in self.build(package)? {
            let started = Instant::now();
            failures.extend(program.run(None)?);
            self.took.insert(program.name, started.elapsed());
        }
        Ok(failures)
    }

    /// Builds and runs the tests of a package that may have a bug.
    pub(super) fn run(&self, package: &str) -> Result<Vec<Failure>> {
        let mut failures = Vec::new();
        for program in self.build(package)? {
            let limit = self.took.get(&program.name).map(|&took| 5 * took + PATIENCE);
            failures.extend(program.run(limit)?);
        }
        Ok(failures)
    }

    /// Runs the reference models whose name begins with `prefix`.
    pub(super) fn run_models(&self, prefix: &str) -> Result<Vec<Failure>> {
        let (sh, target) = (self.sh, self.target_dir);
        let _there = sh.push_dir(self.tree.folder());
        let build = cmd!(sh, "cargo build --quiet -p models --message-format=json")
            .arg("--target-dir")
            .arg(target);
        let Some(models) = programs(&build.quiet().read()?, false).pop() else {
            return Err("cargo built no program of the package models".into());
        };
        let (_, output) = models.output(&[prefix, "--cases", MODEL_CASES], Some(MODEL_LIMIT))?;
        Ok(failed_models(&output))
    }

    fn build(&self, package: &str) -> Result<Vec<Program>> {
        let (sh, target) = (self.sh, self.target_dir);
        let _there = sh.push_dir(self.tree.folder());
        let build = cmd!(sh, "cargo test -p {package} --all-features --lib --tests --no-run")
            .args(["--quiet", "--message-format=json-render-diagnostics", "--target-dir"])
            .arg(target);
        Ok(programs(&build.quiet().read()?, true))
    }
}

impl Program {
    /// Runs all its tests, and ends it when that takes longer than `limit`.
    fn run(&self, limit: Option<Duration>) -> Result<Vec<Failure>> {
        let (status, output) = self.output(&[], limit)?;
        let mut failures = failed_tests(&self.name, &output);
        if status.is_none() || (failures.is_empty() && status != Some(true)) {
            let how = if status.is_none() { "some test waits for ever" } else { "ended badly" };
            failures.push(Failure { test: format!("{}: {how}", self.name), cases: None });
        }
        Ok(failures)
    }

    /// Whether it succeeded, `None` when it took longer than `limit`; and what it printed.
    fn output(&self, args: &[&str], limit: Option<Duration>) -> Result<(Option<bool>, String)> {
        let mut child = Command::new(&self.file)
            .args(args)
            .current_dir(&self.folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut stdout = child.stdout.take();
        let reader = thread::spawn(move || {
            let mut text = Vec::new();
            stdout.as_mut().map(|stdout| stdout.read_to_end(&mut text));
            String::from_utf8_lossy(&text).into_owned()
        });
        let status = wait(&mut child, limit)?;
        Ok((status, reader.join().unwrap_or_default()))
    }
}

/// Whether the program succeeded; `None` when it had to be ended.
fn wait(child: &mut Child, limit: Option<Duration>) -> Result<Option<bool>> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status.success()));
        }
        if limit.is_some_and(|limit| started.elapsed() > limit) {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// The test programs that the messages of cargo's build name, or the other programs.
fn programs(messages: &str, tests: bool) -> Vec<Program> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let found = messages.filter(|message| message["profile"]["test"] == tests);
    let found = found.filter_map(|message| {
        let folder = Path::new(message["manifest_path"].as_str()?).parent()?;
        let (package, target) = (folder.file_name()?.to_string_lossy(), &message["target"]["name"]);
        Some(Program {
            name: format!("{package} {}", target.as_str()?),
            file: message["executable"].as_str()?.into(),
            folder: folder.to_owned(),
        })
    });
    found.collect()
}

/// The tests that failed by a test program's own words, in order of name.
fn failed_tests(program: &str, output: &str) -> Vec<Failure> {
    let named =
        output.lines().filter_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED"));
    let failure = |name| Failure { test: format!("{program} {name}"), cases: cases(output, name) };
    let mut failures: Vec<_> = named.map(failure).collect();
    failures.sort_by(|a, b| a.test.cmp(&b.test));
    failures
}

/// The models that failed, and how many cases passed before, from the lines that begin with
/// `FAILED at case N: MODEL`.
fn failed_models(output: &str) -> Vec<Failure> {
    let failed = output.lines().filter_map(|line| {
        let (case, name) = line.strip_prefix("FAILED at case ")?.split_once(": ")?;
        let case: u64 = case.parse().ok()?;
        Some(Failure { test: format!("model {name}"), cases: Some(case.saturating_sub(1)) })
    });
    failed.collect()
}

/// How many cases of a property passed, from what proptest prints below a failed test's heading.
fn cases(output: &str, name: &str) -> Option<u64> {
    let (_, after) = output.split_once(&format!("---- {name} stdout ----"))?;
    let own = after.split("\n---- ").next()?;
    let (_, number) = own.split_once("successes: ")?;
    number.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "
running 4 tests
test dense::a_table ... ok
test model::random ... FAILED
test dense::late ... FAILED

failures:

---- dense::late stdout ----
assertion failed

---- model::random stdout ----
Test failed: stale, yet accepted.
minimal failing input: events = []
\tsuccesses: 17
\tlocal rejects: 0
";

    #[test]
    fn failures_and_their_cases_are_read() {
        let failure = |test: &str, cases| Failure { test: format!("optim it {test}"), cases };
        let expected = [failure("dense::late", None), failure("model::random", Some(17))];
        assert_eq!(failed_tests("optim it", OUTPUT), expected);
        assert_eq!(expected[1].to_string(), "optim it model::random (after 17 cases)");
    }

    #[test]
    fn failed_models_are_read() {
        let output = "model a/b: 256 cases, 9 transitions\nFAILED at case 4: a/c\nx";
        let expected = [Failure { test: "model a/c".to_owned(), cases: Some(3) }];
        assert_eq!(failed_models(output), expected);
    }

    #[test]
    fn test_programs_are_told_from_the_rest() {
        let message = |test: bool, executable: Value| {
            serde_json::json!({
                "manifest_path": "/copy/crates/optim/Cargo.toml",
                "target": {"name": "it"},
                "profile": {"test": test},
                "executable": executable,
            })
            .to_string()
        };
        let messages = [message(true, "/t/it".into()), message(false, "/t/x".into()), "no".into()];
        let others = programs(&messages.join("\n"), false);
        assert_eq!(
            others.iter().map(|it| it.file.as_path()).collect::<Vec<_>>(),
            [Path::new("/t/x")]
        );
        let found = programs(&messages.join("\n"), true);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].name, "optim it");
        assert_eq!(found[0].folder, Path::new("/copy/crates/optim"));
    }
}
