//! Callers who cannot prove anything, over real sockets (P-27): whatever they do, a replica trains
//! meanwhile, another one comes in, and they hold little.

use std::io::ErrorKind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cluster::WaitError;
use cluster::security::{Signer, wall_clock};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::loopback::variables;
use crate::raw::{self, PATIENCE, PROCESS, Server, call, hello, key, step};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, bytes: &[u8]) -> Vec<u8> {
    let length = (bytes.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), bytes].concat()
}

/// The head of a call of `Train` without a key, as plain literals.
fn head() -> Vec<u8> {
    let field = |name: &str, value: &str| {
        let text = |text: &str| [&[text.len() as u8], text.as_bytes()].concat();
        [vec![0], text(name), text(value)].concat()
    };
    [
        field(":method", "POST"),
        field(":scheme", "http"),
        field(":path", "/sync_replicas.v2.Cluster/Train"),
        field(":authority", "server"),
        field("content-type", "application/grpc"),
    ]
    .concat()
}

/// Whether the other side has closed it: with an end, or a reset where it had not read all.
async fn is_closed(stream: &mut TcpStream) -> bool {
    let mut bytes = [0; 64];
    loop {
        match tokio::time::timeout(Duration::from_millis(1), stream.read(&mut bytes)).await {
            Err(_) => return false,
            Ok(Ok(0) | Err(_)) => return true,
            // The server's part of the handshake.
            Ok(Ok(_)) => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_connections_keep_nobody_out() {
    const STRANGERS: usize = 1100;
    // Both ends of each are here.
    let descriptors = rlimit::increase_nofile_limit(u64::MAX).expect("it can be asked");
    assert!(descriptors > 2 * STRANGERS as u64 + 100, "{descriptors} are not enough to try");
    let server = Server::start(Some(key("a"))).await;
    let mut client = server.client();
    step(&mut client).await;
    let mut strangers = Vec::new();
    for nth in 0..STRANGERS {
        let mut stranger = TcpStream::connect(server.address).await.expect("it listens");
        // Silent from the beginning, in the middle of the preface, or behind it.
        let said = [&b""[..], &PREFACE[..10], PREFACE][nth % 3];
        drop(stranger.write_all(said).await);
        strangers.push(stranger);
        if nth % 100 == 0 {
            step(&mut client).await;
        }
    }
    drop(client);
    // It is started again.
    let signer = Signer::new(server.key.clone(), wall_clock);
    let mut again = server.client_with(signer, PROCESS + 1, PATIENCE);
    tokio::time::timeout(PATIENCE, step(&mut again)).await.expect("it is let in");
    let mut open = 0;
    for stranger in &mut strangers {
        open += usize::from(!is_closed(stranger).await);
    }
    assert!(open <= 64, "{open} are open");
}

/// Calls as fast as it goes and reads nothing, until the server takes no more; how many bytes it
/// took, and how the connection ended, if it did.
async fn call_and_read_nothing(server: &Server) -> (usize, Option<ErrorKind>) {
    /// Without a word from the server, which is not busy.
    const STUCK: Duration = Duration::from_secs(3);
    let socket = TcpSocket::new_v4().expect("a socket");
    // The system takes in answers for a program that does not read.
    socket.set_recv_buffer_size(4096).expect("it is small");
    let mut stranger = socket.connect(server.address).await.expect("it listens");
    let settings = frame(4, 0, 0, &[]);
    stranger.write_all(&[PREFACE, &settings].concat()).await.expect("it is read");
    let (head, mut sent) = (head(), 0_usize);
    for burst in 0..3000 {
        let calls = (0..100).map(|nth| frame(1, 0b101, 1 + 2 * (100 * burst + nth), &head));
        let calls: Vec<u8> = calls.flatten().collect();
        match tokio::time::timeout(STUCK, stranger.write_all(&calls)).await {
            Ok(Ok(())) => sent += calls.len(),
            Ok(Err(error)) => return (sent, Some(error.kind())),
            Err(_) => return (sent, None),
        }
    }
    panic!("all {sent} bytes were taken in");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_that_nobody_reads_end_the_connection() {
    let server = Server::start(Some(key("a"))).await;
    let (sent, ended) = call_and_read_nothing(&server).await;
    let ended = ended.expect("it is closed");
    assert!(matches!(ended, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{ended:?}");
    // What the system takes in for a program that does not read; the program read 64 KiB of it.
    assert!(sent < 16 << 20, "{sent} bytes were taken in");
    let refusals = server.inner.status().refusals.expect("it asks for a key");
    // A call here has some 150 bytes.
    assert!((1..1000).contains(&refusals.missing), "{refusals:?}");
    step(&mut server.client()).await;
}

/// Whoever was let in takes little memory, either: the server reads no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_nobody_reads_are_few() {
    let server = Server::start(None).await;
    let (sent, _) = call_and_read_nothing(&server).await;
    assert!(sent < 32 << 20, "{sent} bytes were taken in");
    step(&mut server.client()).await;
}

/// A server that does not know the key gets nothing but the hello.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_the_key_gets_no_gradient() {
    let mut server = Server::start(None).await;
    server.key = Some(key("a"));
    let mut client = server.client();
    let error = match client.next_step().await {
        Err(error @ WaitError::Refused { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    };
    assert!(error.contains("expected a server that knows the shared key"), "{error}");
    let status = server.inner.status();
    assert_eq!((status.usage.received_bytes, status.staged_bytes), (0, 0), "{status:?}");
}

/// Each call's answers that nobody reads hold a piece of a snapshot.
#[tokio::test]
async fn few_calls_are_made_over_one_connection() {
    let server = Server::start(None).await;
    let mut stream = TcpStream::connect(server.address).await.expect("it listens");
    let hello = [PREFACE, &frame(4, 0, 0, &[])].concat();
    stream.write_all(&hello).await.expect("it is open");
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.expect("the server's settings");
    let mut settings = vec![0; usize::from(head[2])];
    stream.read_exact(&mut settings).await.expect("they follow");
    let most = settings.chunks_exact(6).find_map(|setting| setting.strip_prefix(&[0, 3]));
    assert_eq!((head[3], most), (4, Some(&[0, 0, 0, 4][..])), "{settings:?}");
}

/// A message of less than 16 KiB as a field of another.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let length = bytes.len();
    [&[number << 3 | 2, length as u8 | 0x80, (length >> 7) as u8], bytes].concat()
}

/// A replica sends whole contributions and commits none: two of them take memory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_never_committed_is_little() {
    let server = Server::start(None).await;
    let mut client = server.client();
    step(&mut client).await;
    let sizes: Vec<usize> = variables().iter().map(|(_, it)| 4 * it.len()).collect();
    let message = |kind: u8, bytes: &[u8]| {
        let message = field(kind, bytes);
        raw::frame(message.len() as u32, &message)
    };
    let mut body = hello(0, 1);
    for sequence in 1..100 {
        // Of the first life in the first generation; each part's gradient is dense.
        let ticket = field(1, &[8, 1, 16, 1]);
        let sections = (0..sizes.len()).flat_map(|part| field(3, &[8, part as u8, 16, 1]));
        let begin = [&ticket[..], &[16, sequence], &sections.collect::<Vec<_>>()].concat();
        body.extend(message(3, &begin));
        for (section, &size) in sizes.iter().enumerate() {
            let data = field(2, &vec![0; size]);
            body.extend(message(4, &[&[8, section as u8][..], &data].concat()));
        }
    }
    let answer = call(server.address, "Train", body, None).await.expect("it is welcome");
    let whole: usize = sizes.iter().sum();
    let status = || server.inner.status();
    let took = |bytes: usize| status().staged_bytes >= bytes;
    until(|| took(2 * whole)).await;
    // Its connection ends, and what came over it has been looked at.
    drop(answer);
    until(|| status().connected == 1).await;
    assert_eq!(status().staged_bytes, 2 * whole);
    step(&mut client).await;
}

async fn until(mut seen: impl FnMut() -> bool) {
    let all = async {
        while !seen() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, all).await.expect("it comes");
}

/// P-27: what a minute's wait would mend is tried again, and a worker whose clock is off does not
/// end for it at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_put_right_in_time_is_no_failure() {
    static BEHIND: AtomicU64 = AtomicU64::new(75_000);
    let server = Server::start(Some(key("a"))).await;
    let late = || wall_clock() - BEHIND.load(Ordering::Acquire);
    let mut client = server.client_of(Signer::new(server.key.clone(), late));
    let put_right = async {
        until(|| server.inner.status().refusals.is_some_and(|it| it.expired >= 2)).await;
        BEHIND.store(0, Ordering::Release);
    };
    tokio::join!(step(&mut client), put_right);
}
