//! Who comes in over a real connection: a health service behind TLS and a shared key.
//!
//! Certificates are made anew for each test, so none can run out.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cluster::security::{
    AdmissionLayer, Guard, RefusalCounts, SharedKey, Signer, TlsSettings, wall_clock,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Endpoint, Server};
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

/// Serves until the runtime of the test ends; the port.
async fn serve(tls: Option<&TlsSettings>, guard: Option<Arc<Guard>>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let mut server = Server::builder();
    if let Some(tls) = tls {
        server = server.tls_config(tls.server().expect("settings")).expect("TLS");
    }
    let (_reporter, health) = tonic_health::server::health_reporter();
    let server = server.layer(AdmissionLayer::new(guard, wall_clock));
    tokio::spawn(server.serve_with_incoming(health, TcpListenerStream::new(listener)));
    port
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

/// An authority, and one certificate that it signed.
fn certificates(folder: &Path, name: &str) -> TlsSettings {
    let mut params = CertificateParams::new([]).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let authority = CertifiedIssuer::self_signed(params, key).expect("an authority");
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(["localhost".to_owned()]).expect("parameters");
    let cert = params.signed_by(&key, &authority).expect("a certificate");
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
        let port = serve(Some(server), None).await;
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
    let guard = Arc::new(Guard::new(key("a")));
    let port = serve(None, Some(Arc::clone(&guard))).await;
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
    let counts = RefusalCounts { missing: 1, wrong_key: 1, ..RefusalCounts::default() };
    assert_eq!(guard.refusals(), counts);
}
