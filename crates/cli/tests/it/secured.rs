//! Clusters of real processes with a shared key and with TLS: who has neither is refused in words
//! that say what to do, and training goes on.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::Value;

use crate::program::{folder, json, program, run};

/// Nothing here takes this long.
const LONG: Duration = Duration::from_secs(60);

/// A launched training that goes on until it is interrupted.
struct Training {
    child: Option<Child>,
    /// Of ps 0.
    address: String,
}

impl Training {
    fn begin(folder: &Path, security: &[&str]) -> Self {
        let launch = ["launch", "--workers", "2", "--updates", "1000000", "--out", "a", "--json"];
        let rest = ["--straggler", "none", "--quiet"];
        let mut command = program(folder, &[&launch[..], &rest, security].concat());
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
        let mut training = Self { child: Some(child), address: String::new() };
        let log = folder.join("a/logs/ps-0.log");
        let address = wait("it listens", || {
            let log = fs::read_to_string(&log).ok()?;
            let (_, address) = log.split_once("address=")?;
            Some(address.split_whitespace().next()?.to_owned())
        });
        training.address = address;
        training
    }

    /// The step, once it is above another.
    fn step_after(&self, folder: &Path, security: &[&str], step: i64) -> i64 {
        wait("steps are made", || {
            let args = [&["status", "--json", &self.address][..], security].concat();
            let said = run(folder, &args);
            let status: Value = serde_json::from_str(&said.out).ok()?;
            status["global_step"].as_i64().filter(|&now| now > step)
        })
    }

    /// Interrupts it; it must end in peace.
    fn end(mut self) {
        let id = self.child.as_ref().map_or(0, Child::id);
        let sent = Command::new("kill").args(["-INT", &id.to_string()]).status();
        assert!(sent.expect("kill is there").success());
        let child = self.child.take().expect("it runs");
        let output = child.wait_with_output().expect("ends");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(130), "{said}");
        assert_eq!(json(&String::from_utf8_lossy(&output.stdout))["interrupted"], true);
    }
}

/// Also where a check fails: its processes end with the launcher.
impl Drop for Training {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            drop((child.kill(), child.wait()));
        }
    }
}

#[track_caller]
fn wait<V>(what: &str, look: impl Fn() -> Option<V>) -> V {
    let begun = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(begun.elapsed() < LONG, "{what}: not within {} s", LONG.as_secs());
        std::thread::yield_now();
    }
}

/// A training with `security`, and others that are not let in: their options, their exit status
/// as a worker, and what they say as a worker and as somebody who asks for the status.
fn check(folder: &Path, security: &[&str], others: &[(&[&str], i32, &str, &str)]) {
    let training = Training::begin(folder, security);
    let mut step = training.step_after(folder, security, 0);
    for (options, status, worker, asker) in others {
        let place = ["node", "--role", "worker", "--index", "1", "--ps", &training.address];
        let rest = ["--worker-hosts", "127.0.0.1:1,127.0.0.1:2", "--patience", "1s"];
        let said = run(folder, &[&place[..], &rest, options].concat());
        assert_eq!(said.status, *status, "{options:?}: {}", said.err);
        assert!(said.err.contains(worker), "{options:?}: {}", said.err);
        let said = run(folder, &[&["status", &training.address][..], options].concat());
        assert_eq!(said.status, 1, "{options:?}: {}", said.err);
        assert!(said.err.contains(asker), "{options:?}: {}", said.err);
        step = training.step_after(folder, security, step);
    }
    training.end();
}

/// P-27: other users of the machine can know the address, and not the key; the run folder has both.
#[test]
fn a_launched_training_is_its_users_own() {
    let folder = folder();
    let mut training = Training::begin(folder.path(), &[]);
    let files = ["launch.json", "launch.key"].map(|name| folder.path().join("a").join(name));
    for file in &files {
        let mode = fs::metadata(file).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", file.display());
    }
    wait("steps are made", || {
        let status: Value =
            serde_json::from_str(&run(folder.path(), &["status", "--json", "a"]).out).ok()?;
        status["global_step"].as_i64().filter(|&step| step > 0)
    });
    for command in ["status", "stop"] {
        let said = run(folder.path(), &[command, &training.address]);
        assert_eq!(said.status, 1, "{}", said.err);
        assert!(said.err.contains("got none; give --key-file"), "{}", said.err);
    }
    // A key that is named is meant.
    key(folder.path(), "theirs");
    let said = run(folder.path(), &["status", "a", "--key-file", "theirs"]);
    assert_eq!(said.status, 1, "{}", said.err);
    assert_eq!(run(folder.path(), &["stop", "a"]).status, 0);
    let output = training.child.take().expect("it runs").wait_with_output().expect("ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(files.iter().all(|file| !file.exists()), "they are left");
    let said = run(folder.path(), &["status", "a"]);
    assert_eq!(said.status, 2, "{}", said.err);
    assert!(said.err.contains("a training that `launch` runs now"), "{}", said.err);
}

/// P-26: a process whose settings differ is told which, and both values; training goes on.
#[test]
fn what_all_must_agree_on_is_compared_item_by_item() {
    let folder = folder();
    key(folder.path(), "ours");
    let security = ["--key-file", "ours"];
    let training = Training::begin(folder.path(), &security);
    let mut step = training.step_after(folder.path(), &security, 0);
    for (options, item, value) in [
        (["--learning-rate", "5"], "optimizer: the server has", "5"),
        (["--optimizer", "sgd"], "optimizer: the server has {\"adam\"", "the other {\"sgd\""),
        (["--seed", "77"], "seed: the server has", "the other 77"),
        (["--batch-size", "33"], "batch size: the server has", "the other 33"),
        (["--wire", "bf16"], "wire: the server has \"native\"", "the other \"bf16\""),
        (["--model", "softmax"], "model: the server has mlp", "the other softmax"),
    ] {
        let place = ["node", "--role", "worker", "--index", "1", "--ps", &training.address];
        let rest = ["--worker-hosts", "127.0.0.1:1,127.0.0.1:2", "--patience", "1s"];
        let said = run(folder.path(), &[&place[..], &rest, &security, &options].concat());
        assert_eq!(said.status, 1, "{options:?}: {}", said.err);
        let differs = said.err.split_once(item).is_some_and(|(_, rest)| rest.contains(value));
        assert!(differs, "{options:?}: {}", said.err);
        step = training.step_after(folder.path(), &security, step);
    }
    training.end();
}

/// P-26, P-28: a second process of a worker does not disturb the first, and may be tried again.
#[test]
fn a_second_process_of_a_worker_waits_and_gives_up() {
    let folder = folder();
    key(folder.path(), "ours");
    let words = "did not let this replica in";
    let training = Training::begin(folder.path(), &["--key-file", "ours"]);
    let mut step = training.step_after(folder.path(), &["--key-file", "ours"], 0);
    for _ in 0..2 {
        let place = ["node", "--role", "worker", "--index", "1", "--ps", &training.address];
        let rest = ["--worker-hosts", "127.0.0.1:1,127.0.0.1:2", "--patience", "1s"];
        let said = run(folder.path(), &[&place[..], &rest, &["--key-file", "ours"]].concat());
        assert_eq!(said.status, 138, "{}", said.err);
        let held = said.err.contains("another process has the place of replica 1");
        assert!(held && said.err.contains(words), "{}", said.err);
        step = training.step_after(folder.path(), &["--key-file", "ours"], step);
    }
    training.end();
}

fn key(folder: &Path, name: &str) {
    let path = folder.join(name);
    fs::write(&path, name.repeat(32)).expect("a file");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("permissions");
}

#[test]
fn a_key_lets_in_those_who_have_it() {
    let folder = folder();
    key(folder.path(), "ours");
    key(folder.path(), "theirs");
    let none = "expected an authorization made with the shared key, got none; give --key-file";
    let other =
        "expected an authorization made with the shared key, got another; compare --key-file";
    check(
        folder.path(),
        &["--key-file", "ours"],
        &[(&[], 1, none, none), (&["--key-file", "theirs"], 1, other, other)],
    );
    let said = run(folder.path(), &["launch", "--key-file", "gone"]);
    assert_eq!(said.status, 2, "{}", said.err);
    assert!(said.err.contains("--key-file gone: expected a file"), "{}", said.err);
}

/// An authority, and certificates that it signed, for this machine and for another one:
/// `NAME-ca.pem`, `NAME-cert.pem`, `NAME-other-cert.pem` and so on.
fn certificates(folder: &Path, name: &str) {
    let mut params = CertificateParams::new([]).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let authority = CertifiedIssuer::self_signed(params, key).expect("an authority");
    let write = |kind: &str, text: String| {
        let path = folder.join(format!("{name}-{kind}.pem"));
        fs::write(&path, text).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("permissions");
    };
    write("ca", authority.pem());
    for (prefix, host) in [("", "127.0.0.1"), ("other-", "other.example")] {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new([host.to_owned()]).expect("parameters");
        let cert = params.signed_by(&key, &authority).expect("a certificate");
        write(&format!("{prefix}cert"), cert.pem());
        write(&format!("{prefix}key"), key.serialize_pem());
    }
}

/// P-26: an authority signs more than the certificates of one training.
#[test]
fn a_name_lets_in_those_who_have_a_certificate_for_it() {
    let folder = folder();
    certificates(folder.path(), "ours");
    let mutual =
        ["--tls-cert", "ours-cert.pem", "--tls-key", "ours-key.pem", "--tls-ca", "ours-ca.pem"];
    let cert = ["--tls-cert", "ours-other-cert.pem", "--tls-key", "ours-other-key.pem"];
    let other = [&cert[..], &["--tls-ca", "ours-ca.pem"]].concat();
    let allowed = [&mutual[..], &["--tls-allow", "none.example", "--tls-allow", "127.0.0.1"]];
    let words = "expected a certificate for a name that --tls-allow has";
    check(folder.path(), &allowed.concat(), &[(&other, 1, words, words)]);
    let said = run(folder.path(), &["launch", "--tls-allow", "a name"]);
    assert_eq!(said.status, 2, "{}", said.err);
    assert!(said.err.contains("--tls-ca, which signs the certificates"), "{}", said.err);
}

#[test]
fn certificates_let_in_those_of_the_same_authority() {
    let folder = folder();
    certificates(folder.path(), "ours");
    certificates(folder.path(), "theirs");
    let mutual =
        ["--tls-cert", "ours-cert.pem", "--tls-key", "ours-key.pem", "--tls-ca", "ours-ca.pem"];
    let stranger =
        ["--tls-cert", "theirs-cert.pem", "--tls-key", "theirs-key.pem", "--tls-ca", "ours-ca.pem"];
    let suspicious =
        ["--tls-cert", "ours-cert.pem", "--tls-key", "ours-key.pem", "--tls-ca", "theirs-ca.pem"];
    let anonymous = ["--tls-ca", "ours-ca.pem"];
    let advice = "something listens there, so compare --tls-cert, --tls-key and --tls-ca";
    let other = "invalid peer certificate";
    check(
        folder.path(),
        &mutual,
        &[
            (&[], 138, advice, advice),
            (&anonymous, 138, advice, advice),
            (&stranger, 138, advice, advice),
            (&suspicious, 138, advice, other),
        ],
    );
    let said = run(folder.path(), &["launch", "--tls-cert", "ours-cert.pem"]);
    assert_eq!(said.status, 2, "{}", said.err);
    assert!(said.err.contains("expected --tls-key, which belongs to"), "{}", said.err);
}

/// A server calls others as well, so it must know whom to trust.
#[test]
fn a_server_without_an_authority_says_so() {
    let folder = folder();
    certificates(folder.path(), "ours");
    let place = ["node", "--role", "ps", "--ps", "127.0.0.1:1", "--worker-hosts", "127.0.0.1:1"];
    let tls = ["--tls-cert", "ours-cert.pem", "--tls-key", "ours-key.pem"];
    let said = run(folder.path(), &[&place[..], &tls, &["--out", "a"]].concat());
    assert_eq!(said.status, 2, "{}", said.err);
    assert!(said.err.contains("expected --tls-ca, which says whom to trust"), "{}", said.err);
}
