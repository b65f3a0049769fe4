//! Tables of addresses, keys and files; values that are wrong in every way that a value can be.

use std::convert::Infallible;
use std::fs;
use std::future::{Ready, ready};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use proptest::prelude::*;
use tonic::body::Body;
use tonic::service::Interceptor;
use tonic::{GrpcMethod, Request};
use tower::{Layer, Service};

use super::*;

const NOW: u64 = 1_000_000_000;
const PATH: &str = "/sync_replicas.v2.Cluster/Train";

fn clock() -> u64 {
    NOW
}

/// A key file of `text` with the permissions `mode`.
fn key_file(text: &str, mode: u32) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("key");
    fs::write(&path, text).expect("a file");
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("permissions");
    (folder, path)
}

fn key(letter: &str) -> SharedKey {
    let (_folder, path) = key_file(&letter.repeat(32), 0o600);
    SharedKey::read(&path).expect("a key")
}

fn value(time: u64, nonce: u8) -> String {
    header::make(&key("k"), PATH, time, [nonce; 16])
}

#[test]
fn addresses_that_others_reach_need_protection() {
    let cases = [
        ("127.0.0.1:0", true),
        ("127.9.9.9:5", true),
        ("[::1]:5", true),
        ("[::ffff:127.0.0.1]:5", true),
        ("localhost:5", true),
        ("LocalHost:5", true),
        ("0.0.0.0:5", false),
        ("[::]:5", false),
        ("10.0.0.1:5", false),
        ("128.0.0.1:5", false),
        ("[::2]:5", false),
        ("[::ffff:10.0.0.1]:5", false),
        ("node1:5", false),
        ("localhost.example:5", false),
        ("127.0.0.1.example:5", false),
        ("127.1:5", false),
        ("127.0.0.1", false),
        ("", false),
    ];
    for (address, loopback) in cases {
        let got = check_bind(address, false);
        assert_eq!(got.is_ok(), loopback, "{address}");
        if let Err(error) = got {
            let error = error.to_string();
            for option in ["--tls-cert", "--tls-key", "--tls-ca", "--key-file"] {
                assert!(error.contains(option), "{error}");
            }
        }
        assert_eq!(check_bind(address, true), Ok(()), "{address}");
    }
}

#[test]
fn key_files() {
    let (long, longest) = ("k".repeat(4097), "k".repeat(4096));
    let cases = [
        ("k".repeat(32), 0o600, ""),
        ("k".repeat(32) + "\n", 0o400, ""),
        (longest, 0o600, ""),
        (
            "k".repeat(31) + "\n",
            0o600,
            "expected 32 to 4096 bytes without spaces around them, got 31",
        ),
        (" ".repeat(40), 0o600, "got 0"),
        (long, 0o600, "got 4097"),
    ];
    for (text, mode, expected) in cases {
        let (_folder, path) = key_file(&text, mode);
        match SharedKey::read(&path) {
            Ok(key) => {
                assert_eq!(expected, "");
                assert_eq!(format!("{key:?}"), "SharedKey(..)");
            }
            Err(error) => {
                let error = error.to_string();
                assert!(!expected.is_empty() && error.contains(expected), "{expected}: {error}");
                assert!(!error.contains("kkk"), "the key is shown: {error}");
            }
        }
    }
    let missing = SharedKey::read(std::path::Path::new("/nowhere/key")).expect_err("no file");
    assert!(missing.to_string().starts_with("--key-file /nowhere/key: expected a file"));
}

/// A secret of Kubernetes has mode 0440 and the pod's group, where the pod has an `fsGroup`.
#[test]
fn secrets_may_be_read_by_owner_and_group_alone() {
    let cases = [
        (0o400, true),
        (0o440, true),
        (0o600, true),
        (0o640, true),
        (0o700, true),
        (0o660, false),
        (0o604, false),
        (0o644, false),
        (0o444, false),
        (0o602, false),
        (0o777, false),
    ];
    let (key, pem) = ("k".repeat(32), "-----BEGIN CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----");
    for (mode, good) in cases {
        let exposed = format!("got mode {mode:03o}; chmod 600 it, or 640 for the group");
        let says = |option: &str, error: &str| {
            error.contains(&exposed) && error.starts_with(&format!("{option} /"))
        };
        let (_folder, path) = key_file(&key, mode);
        match SharedKey::read(&path) {
            Ok(_) => assert!(good, "{mode:o}"),
            Err(error) => assert!(!good && says("--key-file", &error.to_string()), "{error}"),
        }
        let (_folder, path) = key_file(pem, mode);
        let files = Some(path.clone());
        let settings =
            TlsSettings { cert: files.clone(), key: files.clone(), ca: files, allow: Vec::new() };
        // A certificate is no secret, and no file here is whole.
        for error in [settings.server().expect_err("no key"), settings.client().expect_err("none")]
        {
            let error = error.to_string();
            assert_eq!(says("--tls-key", &error), !good, "{mode:o}: {error}");
        }
    }
}

#[track_caller]
fn check(guard: &Guard, value: Option<&str>, now: u64, expected: Result<(), Denial>) {
    assert_eq!(guard.admit(PATH, value.map(str::as_bytes), now), expected, "{value:?} at {now}");
}

#[test]
fn a_value_is_good_once_and_for_a_minute() {
    let good = value(NOW, 1);
    let other_key = header::make(&key("x"), PATH, NOW, [1; 16]);
    let other_path = header::make(&key("k"), "/sync_replicas.v2.Cluster/Status", NOW, [1; 16]);
    let guard = Guard::new(key("k"));
    let cases = [
        (None, NOW, Err(Denial::Missing)),
        (Some(""), NOW, Err(Denial::Malformed)),
        (Some(&other_key), NOW, Err(Denial::WrongKey)),
        (Some(&other_path), NOW, Err(Denial::WrongKey)),
        (Some(&good), NOW + 60_001, Err(Denial::Expired)),
        (Some(&good), NOW - 60_001, Err(Denial::Expired)),
        (Some(&good), NOW + 60_000, Ok(())),
        (Some(&good), NOW, Err(Denial::Replayed)),
        (Some(&good), NOW + 60_000, Err(Denial::Replayed)),
        (Some(&value(NOW, 2)), NOW, Ok(())),
        (Some(&value(NOW + 60_000, 3)), NOW, Ok(())),
        (Some(&value(NOW + 60_000, 3)), NOW + 120_000, Err(Denial::Replayed)),
        // By now the first two are forgotten; a clock set back does not let them in again.
        (Some(&good), NOW, Err(Denial::Expired)),
        (Some(&value(NOW + 1, 4)), NOW, Ok(())),
    ];
    for (value, now, expected) in cases {
        check(&guard, value.map(|value: &str| value), now, expected);
    }
    let counts = guard.denials();
    let expected = DenialCounts {
        missing: 1,
        malformed: 1,
        wrong_key: 2,
        expired: 3,
        replayed: 3,
        flooded: 0,
    };
    assert_eq!(counts, expected);
}

#[test]
fn every_changed_bit_and_every_cut_is_refused() {
    let good = value(NOW, 1);
    let guard = Guard::new(key("k"));
    for length in 0..good.len() {
        let cut = guard.admit(PATH, Some(&good.as_bytes()[..length]), NOW);
        assert!(cut.is_err(), "the first {length} bytes");
    }
    for bit in 0..good.len() * 8 {
        let mut changed = good.clone().into_bytes();
        changed[bit / 8] ^= 1 << (bit % 8);
        let refused = guard.admit(PATH, Some(&changed), NOW);
        let wrong = [Err(Denial::WrongKey), Err(Denial::Malformed)];
        assert!(wrong.contains(&refused), "bit {bit}: {refused:?}");
    }
    check(&guard, Some(&good), NOW, Ok(()));
}

#[test]
fn memory_of_values_is_bounded_and_pruned() {
    let guard = Guard::new(key("k"));
    let nonce = |number: u32| {
        let mut nonce = [0; 16];
        nonce[..4].copy_from_slice(&number.to_le_bytes());
        nonce
    };
    let key = key("k");
    let made = |number| header::make(&key, PATH, NOW, nonce(number));
    for number in 0..1 << 16 {
        check(&guard, Some(&made(number)), NOW, Ok(()));
    }
    check(&guard, Some(&made(1 << 16)), NOW, Err(Denial::Flooded));
    check(&guard, Some(&value(NOW + 60_001, 1)), NOW + 60_001, Ok(()));
}

/// Answers every call.
#[derive(Clone)]
struct Open;

impl Service<http::Request<Body>> for Open {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _request: http::Request<Body>) -> Self::Future {
        ready(Ok(http::Response::new(Body::empty())))
    }
}

/// The gRPC status with which a server behind `layer` answers; none if the call came through.
fn status_of(layer: &AdmissionLayer, value: Option<&str>) -> Option<String> {
    let mut request = http::Request::builder().uri(format!("http://host{PATH}"));
    if let Some(value) = value {
        request = request.header("authorization", value);
    }
    let request = request.body(Body::empty()).expect("a request");
    let mut answer = layer.layer(Open).call(request);
    let polled = answer.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    let Poll::Ready(Ok(response)) = polled else { panic!("expected an answer at once") };
    let status = response.headers().get("grpc-status");
    status.map(|status| status.to_str().expect("a number").to_owned())
}

#[test]
fn a_signed_call_comes_through_the_layer_once() {
    let guard = Arc::new(Guard::new(key("k")));
    let layer = AdmissionLayer::new(Some(Arc::clone(&guard)), clock);
    let mut request = Request::new(());
    request.extensions_mut().insert(GrpcMethod::new("sync_replicas.v2.Cluster", "Train"));
    let signed = Signer::new(Some(key("k")), clock).call(request).expect("a signed request");
    let value = signed.metadata().get("authorization").expect("a value").to_str().expect("text");

    let unauthenticated = Some("16".to_owned());
    assert_eq!(status_of(&layer, None), unauthenticated);
    assert_eq!(status_of(&layer, Some(value)), None);
    // A new value is let in: that is worth another try.
    assert_eq!(status_of(&layer, Some(value)), Some("14".to_owned()));
    let counts = DenialCounts { missing: 1, replayed: 1, ..DenialCounts::default() };
    assert_eq!(guard.denials(), counts);

    assert_eq!(status_of(&AdmissionLayer::new(None, clock), None), None);
    let plain = Signer::new(None, clock).call(Request::new(())).expect("a request");
    assert!(plain.metadata().is_empty());
}

#[test]
fn tls_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("permissions");
        Some(path)
    };
    let pem = |label: &str| format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n");
    let cert = file("cert", &pem("CERTIFICATE"));
    let key = file("key", &pem("PRIVATE KEY"));
    let text = file("text", "none");
    let gone = Some(PathBuf::from("/nowhere/file"));
    let settings = |cert: &Option<PathBuf>, key: &Option<PathBuf>, ca: &Option<PathBuf>| {
        TlsSettings { cert: cert.clone(), key: key.clone(), ca: ca.clone(), allow: Vec::new() }
    };
    let cases = [
        (settings(&None, &key, &None), "expected --tls-cert", "expected --tls-ca"),
        (settings(&cert, &None, &cert), "expected --tls-key", "expected --tls-key"),
        (settings(&gone, &key, &None), "--tls-cert /nowhere/file: expected a PEM file", "--tls-ca"),
        (
            settings(&text, &key, &text),
            "with a CERTIFICATE, got none",
            "with a CERTIFICATE, got none",
        ),
        (settings(&cert, &text, &cert), "with a PRIVATE KEY, got none", "with a PRIVATE KEY"),
        (settings(&cert, &key, &cert), "that fit together, got: ", "that fit together, got: "),
    ];
    for (settings, server, client) in cases {
        let got = settings.server().expect_err(server).to_string();
        assert!(got.contains(server), "expected {server:?} in {got:?}");
        let got = settings.client().expect_err(client).to_string();
        assert!(got.contains(client), "expected {client:?} in {got:?}");
    }
}

proptest! {
    #[test]
    fn garbage_never_panics(
        value in prop::collection::vec(any::<u8>(), 0..200),
        text in "v1[.0-9a-f]{0,120}",
    ) {
        let guard = Guard::new(key("k"));
        prop_assert!(guard.admit(PATH, Some(&value), NOW).is_err());
        prop_assert!(guard.admit(PATH, Some(text.as_bytes()), NOW).is_err());
    }
}
