//! Bytes that no client of ours sends, over real connections to a server that trains: each is
//! refused and counted, and a replica that trains meanwhile ends with the same bits.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use cluster::ServerStatus;
use cluster::security::{SharedKey, Signer, wall_clock};
use http_body::{Body, Frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::transport::Endpoint;
use tower::{Service, ServiceExt};

pub(crate) use crate::served::{PATIENCE, PROCESS, RUN, Server, step};

/// That as a message's field of this number has it, an item after the other.
pub(crate) fn agreed(field: u8) -> Vec<u8> {
    let version = env!("CARGO_PKG_VERSION");
    let items =
        [("protocol", "sync_replicas.v2.Cluster"), ("version", version), ("program", "the same")];
    let text = |tag: u8, text: &str| [&[tag, text.len() as u8], text.as_bytes()].concat();
    let item = |(name, value)| [text(0x0a, name), text(0x12, value)].concat();
    items
        .into_iter()
        .map(item)
        .flat_map(|item| [&[field << 3 | 2, item.len() as u8][..], &item].concat())
        .collect()
}

/// The run of every server here, as a message's field of this number has it.
pub(crate) fn run_field(field: u8, run: &str) -> Vec<u8> {
    [&[field << 3 | 2, run.len() as u8][..], run.as_bytes()].concat()
}

/// A body of these bytes.
struct Bytewise(Option<Bytes>);

impl Body for Bytewise {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// What a caller does to the server.
#[derive(Clone)]
pub(crate) enum Attack {
    /// Writes these bytes to the socket, and goes.
    Socket(Vec<u8>),
    /// Calls a method with this body, and perhaps an authorization.
    Call(&'static str, Vec<u8>, Option<String>),
}

impl Attack {
    /// The status that the call is answered with; none if the connection was closed.
    pub(crate) async fn make(self, address: SocketAddr) -> Option<String> {
        match self {
            Self::Socket(bytes) => {
                let mut stream = TcpStream::connect(address).await.expect("it listens");
                drop(stream.write_all(&bytes).await);
                drop(stream.shutdown().await);
                // Until the server closes its side.
                drop(stream.read_to_end(&mut Vec::new()).await);
                None
            }
            Self::Call(method, body, authorization) => {
                let answer = call(address, method, body, authorization).await;
                let mut answer = answer?;
                let status = |headers: &http::HeaderMap| {
                    let status = headers.get("grpc-status")?.to_str().ok();
                    let message = headers.get("grpc-message").map(|it| it.as_bytes());
                    let message =
                        String::from_utf8_lossy(message.unwrap_or_default()).replace("%20", " ");
                    Some(format!("{} {message}", status.unwrap_or_default()))
                };
                if let Some(status) = status(answer.headers()) {
                    return Some(status);
                }
                let body = answer.body_mut();
                loop {
                    let frame =
                        std::future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context));
                    match frame.await?.ok()?.into_trailers() {
                        Ok(trailers) => return status(&trailers),
                        Err(_) => continue,
                    }
                }
            }
        }
    }
}

/// Calls a method over a connection of its own, with a body of these bytes.
pub(crate) async fn call(
    address: SocketAddr,
    method: &str,
    body: Vec<u8>,
    authorization: Option<String>,
) -> Option<http::Response<tonic::body::Body>> {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
    let mut channel = endpoint.connect().await.expect("it listens");
    let uri = format!("http://{address}/sync_replicas.v2.Cluster/{method}");
    let mut request = http::Request::post(uri).header("content-type", "application/grpc");
    if let Some(value) = authorization {
        request = request.header("authorization", value);
    }
    let body = Bytewise(Some(body.into()));
    let request = request.body(tonic::body::Body::new(body)).expect("a request");
    channel.ready().await.ok()?.call(request).await.ok()
}

/// A frame of these bytes, whose head says so many.
pub(crate) fn frame(length: u32, bytes: &[u8]) -> Vec<u8> {
    [&[0][..], &length.to_be_bytes(), bytes].concat()
}

/// A hello of this replica over this connection of [`PROCESS`].
pub(crate) fn hello(replica: u8, connection: u8) -> Vec<u8> {
    hello_of(replica, PROCESS, connection, None)
}

/// A hello with the right agreement, of this replica over this connection of a process, which may
/// have a ticket of a generation and an incarnation.
pub(crate) fn hello_of(
    replica: u8,
    process: u64,
    connection: u8,
    ticket: Option<(u8, u8)>,
) -> Vec<u8> {
    let who = [&[0x08, replica, 0x11][..], &process.to_le_bytes(), &[0x18, connection]].concat();
    let ticket = ticket.map(|(generation, life)| [0x22, 4, 0x08, generation, 0x10, life]);
    said_first([who, ticket.into_iter().flatten().collect(), agreed(6)].concat())
}

/// A frame with a hello of this content, to any server.
pub(crate) fn said_first(inner: Vec<u8>) -> Vec<u8> {
    // A length of two bytes.
    let (low, high) = (inner.len() as u8 | 0x80, (inner.len() >> 7) as u8);
    let message = [&[0x0a, low, high][..], &inner].concat();
    frame(message.len() as u32, &message)
}

/// The replica's values after some steps with attacks between them, and the server's status then.
async fn train(
    key: Option<SharedKey>,
    attacks: Vec<(Attack, &'static str)>,
) -> (String, ServerStatus) {
    const STEPS: usize = 20;
    let server = Server::start(key).await;
    let mut client = server.client();
    let mut attacks = attacks.into_iter();
    for _ in 0..STEPS {
        step(&mut client).await;
        for (attack, expected) in attacks.by_ref().take(2) {
            let got = tokio::time::timeout(PATIENCE, attack.make(server.address)).await;
            let got = got.unwrap_or_else(|_| panic!("no answer, expected {expected:?}"));
            let got = got.unwrap_or_default();
            assert!(got.contains(expected), "expected {expected:?}, got {got:?}");
        }
    }
    assert!(attacks.next().is_none(), "all were made");
    client.next_step().await.expect("it is served");
    (client.variables().sha256(), server.inner.status())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_else_notices_what_makes_no_sense() {
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    let large = 5 << 20;
    let socket = |bytes: &[u8]| (Attack::Socket(bytes.to_vec()), "");
    let call = |method, body: Vec<u8>, status| (Attack::Call(method, body, None), status);
    let examples = [&[0x2a, 13, 0x0a, 0, 0x30][..], &[0x80; 9], &[1]].concat();
    // Those that a server reads and counts.
    let bad = call;
    let attacks = vec![
        socket(b""),
        socket(b"\0\x01\x02\x03 garbage \xff\xff"),
        socket(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
        socket(&preface[..10]),
        socket(&[&preface[..], &[0xff; 64]].concat()),
        // A frame of 16 MB is announced, of a kind that there is not.
        socket(&[&preface[..], &[0xff, 0xff, 0xff, 0x77, 0, 0, 0, 0, 1]].concat()),
        call("Nothing", Vec::new(), "12"),
        bad("Train", Vec::new(), "3 the first message must be a hello"),
        bad("Train", frame(0, b""), "3 the first message must be a hello"),
        bad("Train", hello(0, 1)[..9].to_vec(), "13 "),
        bad("Train", frame(4, &[0xff; 4]), "13 "),
        bad("Train", frame(3, &[0xff; 9]), "13 "),
        bad("Train", frame(u32::MAX, b"x"), "11 "),
        bad("Train", frame(large, &vec![0; large as usize]), "11 "),
        bad("Train", [&[1][..], &hello(0, 1)[1..]].concat(), "12 expected no compression"),
        bad("Train", [&[9][..], &hello(0, 1)[1..]].concat(), "12 expected no compression"),
        call("Train", hello(3, 1), "9 replica 3"),
        call("Train", frame(6, &[0x0a, 4, 0x08, 0, 0x18, 1]), "9 this replica runs another"),
        // An old hello of the replica that trains, whose connection is a newer one.
        call("Train", hello(2, 0), "6 "),
        call("Train", hello(2, 1), "6 "),
        // A hello that is welcome, and garbage behind it.
        bad("Train", [hello(0, 1), frame(2, &[0xff; 2])].concat(), ""),
        bad("Train", [hello(0, 2), hello(0, 2)].concat(), ""),
        // What was recorded is large; a second one would wait for whoever does not read.
        bad("Train", [hello(0, 3), frame(2, &[0x52, 0]), frame(2, &[0x52, 0])].concat(), ""),
        // A commit of 2^63 examples.
        bad("Train", [hello(0, 4), frame(15, &examples)].concat(), ""),
        bad("Train", [hello(1, 1), frame(u32::MAX, b"")].concat(), ""),
        bad("Train", [hello(1, 2), frame(0, b"")].concat(), ""),
        call("Serve", frame(2, &[0xff; 2]), "9 "),
        bad("Control", frame(0, b""), "3 "),
        call("Control", frame(2, &[0xff; 2]), "13 "),
        call("Status", frame(2, &[0xff; 2]), "13 "),
        call("Record", frame(2, &[0xff; 2]), "13 "),
    ];
    let (expected, _) = train(None, Vec::new()).await;
    let (got, status) = train(None, attacks).await;
    assert_eq!(got, expected, "the other replica noticed");
    assert_eq!(status.bad_messages, 16, "{status:?}");
    assert_eq!(status.staged_bytes, 0, "{status:?}");
}

/// A key of one letter.
pub(crate) fn key(letter: &str) -> SharedKey {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(letter);
    std::fs::write(&path, letter.repeat(32)).expect("a file");
    let owner = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(&path, owner).expect("permissions");
    SharedKey::read(&path).expect("a key")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_has_no_key_is_refused_before_anything_is_read() {
    let path = "/sync_replicas.v2.Cluster/Train";
    let signed = |letter: &str| {
        let signer = Signer::new(Some(key(letter)), wall_clock);
        signer.authorization(path).expect("random bytes").expect("there is a key")
    };
    let good = signed("a");
    let call = |authorization: Option<String>, status| {
        // What would be refused as a message is not read at all.
        (Attack::Call("Train", frame(2, &[0xff; 2]), authorization), status)
    };
    let attacks = vec![
        call(None, "16 expected"),
        call(Some("v1.nothing".to_owned()), "16 "),
        call(Some(signed("b")), "16 "),
        call(Some(good.clone()), "13 "),
        call(Some(good.clone()), "14 "),
        call(Some(good[..good.len() - 1].to_owned()), "16 "),
    ];
    let (expected, _) = train(Some(key("a")), Vec::new()).await;
    let (got, status) = train(Some(key("a")), attacks).await;
    assert_eq!(got, expected, "the other replica noticed");
    assert_eq!(status.bad_messages, 1, "{status:?}");
    let refusals = status.refusals.expect("it asks for a key");
    let counts = (refusals.missing, refusals.malformed, refusals.wrong_key, refusals.replayed);
    assert_eq!(counts, (1, 2, 1, 1), "{refusals:?}");
}
