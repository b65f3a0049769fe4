//! Who comes in over a real connection: a health service behind TLS and a shared key.
//!
//! Certificates are made anew for each test, so none can run out.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use cluster::Connector;
use cluster::security::{DenialCounts, SharedKey, Signer, TlsError, TlsSettings, wall_clock};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::net::TcpListener;
use tonic::transport::Endpoint;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::served::{PATIENCE, RUN, Server};

/// Serves until the runtime of the test ends; the port.
async fn serve(tls: Option<&TlsSettings>, key: Option<SharedKey>) -> (u16, Server) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let tls = tls.map(|tls| tls.server().expect("settings"));
    let others = (Vec::new(), PATIENCE);
    (port, Server::start_secured(RUN, (0, 1), (key, tls), listener, others).0)
}

/// Asks for the server's health; an error if it was not let in.
async fn call(port: u16, tls: Option<&TlsSettings>, signer: Signer) -> Result<(), Status> {
    let scheme = if tls.is_some() { "https" } else { "http" };
    let endpoint = Endpoint::from_shared(format!("{scheme}://localhost:{port}")).expect("a URI");
    let endpoint = match tls {
        Some(tls) => endpoint.tls_config(tls.client().expect("settings")).expect("TLS"),
        None => endpoint,
    };
    let channel = endpoint.connect().await.map_err(|error| Status::unknown(error.to_string()))?;
    let request = HealthCheckRequest::default();
    HealthClient::with_interceptor(channel, signer).check(request).await.map(drop)
}

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new([]).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    CertifiedIssuer::self_signed(params, key).expect("an authority")
}

/// An authority, and one certificate that it signed.
fn certificates(folder: &Path, name: &str) -> TlsSettings {
    signed(&authority(), folder, name, &["localhost"])
}

/// The files of a certificate for these names.
fn signed(authority: &Authority, folder: &Path, name: &str, names: &[&str]) -> TlsSettings {
    let key = KeyPair::generate().expect("a key");
    let names = names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    let params = CertificateParams::new(names).expect("parameters");
    let cert = params.signed_by(&key, authority).expect("a certificate");
    let file = |kind: &str, text: String| {
        let path = folder.join(format!("{name}-{kind}.pem"));
        fs::write(&path, text).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("permissions");
        Some(path)
    };
    TlsSettings {
        cert: file("cert", cert.pem()),
        key: file("key", key.serialize_pem()),
        ca: file("ca", authority.pem()),
        allow: Vec::new(),
    }
}

#[tokio::test]
async fn mutual_tls_lets_in_those_of_the_same_authority() {
    let folder = tempfile::tempdir().expect("a folder");
    let ours = certificates(folder.path(), "ours");
    let theirs = certificates(folder.path(), "theirs");
    let anonymous = TlsSettings { ca: ours.ca.clone(), ..TlsSettings::default() };
    let impostor = TlsSettings { ca: ours.ca.clone(), ..theirs.clone() };
    let one_way = TlsSettings { ca: None, ..ours.clone() };
    let cases = [
        ("the same authority", &ours, Some(&ours), true),
        ("no certificate", &ours, Some(&anonymous), false),
        ("a stranger's certificate", &ours, Some(&impostor), false),
        ("plain text", &ours, None, false),
        ("a server that is not ours", &theirs, Some(&anonymous), false),
        ("a server that asks for no certificate", &one_way, Some(&anonymous), true),
    ];
    for (name, server, client, expected) in cases {
        let (port, _server) = serve(Some(server), None).await;
        let got = call(port, client, Signer::new(None, wall_clock)).await;
        assert_eq!(got.is_ok(), expected, "{name}: {got:?}");
    }
}

#[tokio::test]
async fn a_shared_key_lets_in_those_who_have_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let key = |letter: &str| {
        let path: PathBuf = folder.path().join(letter);
        fs::write(&path, letter.repeat(32)).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("permissions");
        SharedKey::read(&path).expect("a key")
    };
    let (port, server) = serve(None, Some(key("a"))).await;
    let cases = [
        (Some(key("a")), None, "the key"),
        (None, Some(Code::Unauthenticated), "no key"),
        (Some(key("b")), Some(Code::Unauthenticated), "another key"),
        (Some(key("a")), None, "the key again"),
    ];
    for (key, expected, name) in cases {
        let got = call(port, None, Signer::new(key, wall_clock)).await;
        assert_eq!(got.as_ref().err().map(Status::code), expected, "{name}: {got:?}");
    }
    let counts = DenialCounts { missing: 1, wrong_key: 1, ..DenialCounts::default() };
    assert_eq!(server.inner.status().refusals, Some(counts));
}

/// P-26: an authority may have signed more certificates than those of one training.
#[tokio::test]
async fn of_an_authority_those_with_an_allowed_name_come_in() {
    let (folder, authority) = (tempfile::tempdir().expect("a folder"), authority());
    let of = |name: &str, names: &[&str]| signed(&authority, folder.path(), name, names);
    let server = of("server", &["localhost"]);
    let worker = of("worker", &["worker.train.example", "10.0.0.7"]);
    let other = of("other", &["other.example", "10.0.0.8"]);
    let check = async |allow: &[&str], client: &TlsSettings, expected: bool| {
        let allow: Vec<_> = allow.iter().map(|&name| name.to_owned()).collect();
        let (port, _server) = serve(Some(&TlsSettings { allow, ..server.clone() }), None).await;
        let got = call(port, Some(client), Signer::new(None, wall_clock)).await;
        match got {
            Ok(()) => assert!(expected, "it was let in"),
            Err(status) => {
                assert!(!expected, "{status:?}");
                assert_eq!(status.code(), Code::PermissionDenied, "{status:?}");
                assert!(status.message().contains("a name that --tls-allow has"), "{status:?}");
            }
        }
    };
    check(&[], &other, true).await;
    check(&["worker.train.example"], &worker, true).await;
    check(&["worker.train.example"], &other, false).await;
    check(&["none.example", "10.0.0.7"], &worker, true).await;
    check(&["train.example", "10.0.0.9"], &worker, false).await;
    let error = |allow: &str, ca| {
        let settings = TlsSettings { allow: vec![allow.to_owned()], ca, ..server.clone() };
        settings.server().expect_err("it makes no sense")
    };
    assert!(matches!(error("a name", server.ca.clone()), TlsError::Name { .. }));
    assert!(matches!(error("a.example", None), TlsError::Missing { option: "--tls-ca", .. }));
}

/// P-26: certificates of a day are renewed while training runs.
#[tokio::test]
async fn certificates_are_read_again_when_they_change() {
    let folder = tempfile::tempdir().expect("a folder");
    let before = certificates(folder.path(), "before");
    let copy = |from: &TlsSettings, name: &str| {
        let file = |from: &Option<PathBuf>, kind: &str| {
            let (path, aside) = (folder.path().join(format!("{name}-{kind}.pem")), "aside");
            let aside = folder.path().join(aside);
            fs::copy(from.as_ref().expect("a file"), &aside).expect("a copy");
            fs::rename(aside, &path).expect("it is put in place");
            Some(path)
        };
        let (cert, key) = (file(&from.cert, "cert"), file(&from.key, "key"));
        TlsSettings { cert, key, ca: file(&from.ca, "ca"), allow: Vec::new() }
    };
    let (ours, theirs) = (copy(&before, "ours"), copy(&before, "theirs"));
    let (port, _server) = serve(Some(&ours), None).await;
    let signer = || Signer::new(None, wall_clock);
    let address = vec![format!("localhost:{port}")];
    let connector = Connector::tcp(address, signer(), Some(theirs.clone()));
    cluster::status(&connector, 0).await.expect("the same authority");
    call(port, Some(&theirs), signer()).await.expect("the same authority");
    let after = certificates(folder.path(), "after");
    // A file that cannot be used changes nothing.
    fs::write(ours.cert.as_ref().expect("a file"), "half of it").expect("it is written");
    call(port, Some(&theirs), signer()).await.expect("the earlier ones stay");
    copy(&after, "ours");
    call(port, Some(&theirs), signer()).await.expect_err("of the earlier authority");
    copy(&after, "theirs");
    call(port, Some(&theirs), signer()).await.expect("the new authority");
    cluster::status(&connector, 0).await.expect("a process reads them again as well");
}
