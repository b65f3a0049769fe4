//! Two coordinators of one training, or two processes of one replica (P-26): the one that came
//! first is turned away once the other has its place, ends, and tells nobody.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;

use cluster::ClusterError;
use cluster::ServeError;
use cluster::WaitError;
use cluster::exit::Exit;
use cluster::security::{Signer, wall_clock};
use http_body::{Body as _, Frame};
use tokio::net::TcpListener;
use tonic::body::Body;

use crate::raw::{
    self, Attack, PATIENCE, PROCESS, RUN, Server, agreed, frame, run_field, said_first, step,
};

/// A coordinator's hello, of another life than all here, in this generation.
fn hello(life: u8, generation: u8) -> Vec<u8> {
    hello_of(life, generation, RUN)
}

/// The same of another run.
fn hello_of(life: u8, generation: u8, run: &str) -> Vec<u8> {
    let numbers = vec![0x10, life, 0x18, generation];
    said_first([agreed(1), numbers, run_field(4, run)].concat())
}

async fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    (listener, address)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_obeys_the_highest_generation() {
    let (listener, _) = listener().await;
    let (server, _served) = Server::start_as((1, 2), None, listener, (Vec::new(), PATIENCE));
    let refused = "10 expected a coordinator of generation";
    for (life, generation, expected) in [
        (77, 2, "0 "),
        (78, 1, refused),
        (78, 0, "0 "),
        (78, 2, "0 "),
        (79, 5, "0 "),
        (78, 4, refused),
    ] {
        let attack = Attack::Call("Serve", hello(life, generation), None);
        let got = tokio::time::timeout(PATIENCE, attack.make(server.address)).await;
        let got = got.expect("it answers").unwrap_or_default();
        assert!(got.starts_with(expected), "{life}, {generation}: {got:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_coordinator_that_was_replaced_ends_and_tells_nobody() {
    let ((first, a), (second, b)) = (listener().await, listener().await);
    let addresses = vec![a, b];
    let (follower, served) = Server::start_as((1, 2), None, second, (Vec::new(), PATIENCE));
    let (leader, ended) = Server::start_as((0, 2), None, first, (addresses, PATIENCE));
    serving(&leader, true).await;
    // What has taken its place at another address comes, and goes again.
    let other = Attack::Call("Serve", hello(77, 9), None);
    let got = tokio::time::timeout(PATIENCE, other.make(follower.address)).await;
    assert_eq!(got.expect("it answers").as_deref(), Some("0 "));
    let ended = tokio::time::timeout(PATIENCE, ended).await.expect("it ends");
    match ended.expect("it does not panic") {
        Err(ServeError::Replaced { reason }) => {
            assert!(reason.contains("generation 9 or later, got one of generation 1"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    assert!(!served.is_finished(), "it was told");
}

/// P-28: a coordinator does not wait for ever for a server that is gone for good, nor says that it
/// serves meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_gone_for_good_is_given_up() {
    let (first, a) = listener().await;
    // All of a process goes with its runtime.
    let process = tokio::runtime::Runtime::new().expect("a runtime");
    let follower = process.spawn(async {
        let (second, b) = listener().await;
        (Server::start_as((1, 2), None, second, (Vec::new(), PATIENCE)), b)
    });
    let (_follower, b) = follower.await.expect("it starts");
    let patience = Duration::from_secs(1);
    let (leader, ended) = Server::start_as((0, 2), None, first, (vec![a, b], patience));
    serving(&leader, true).await;
    assert_eq!(up(&leader), [true, true]);
    process.shutdown_background();
    serving(&leader, false).await;
    assert_eq!(up(&leader), [true, false]);
    let ended = tokio::time::timeout(PATIENCE, ended).await.expect("it ends");
    let error = ended.expect("it does not panic").expect_err("it failed");
    assert!(matches!(error, ServeError::Abandoned { seconds: 1.0 }), "{error:?}");
}

/// Which servers the first one calls up.
fn up(leader: &Server) -> Vec<bool> {
    leader.inner.status().servers.iter().map(|it| it.up).collect()
}

async fn serving(leader: &Server, expected: bool) {
    let serving = async {
        while leader.inner.status().serving != Some(expected) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, serving).await.expect("it comes");
}

/// What a process is told that says hello for replica 2.
async fn told(server: &Server, process: u64, ticket: Option<(u8, u8)>) -> String {
    told_of(server, "Train", raw::hello_of(2, process, 1, ticket)).await
}

/// One process at a time has a replica's place: a second one waits, however large its number, and
/// gives up after its patience; training goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_is_held_while_its_process_is_there() {
    let server = Server::start(None).await;
    let mut client = server.client();
    step(&mut client).await;
    for process in [0, PROCESS + 1, u64::MAX] {
        let got = told(&server, process, None).await;
        assert!(got.starts_with("14 another process has the place of replica 2"), "{got}");
    }
    let patience = Duration::from_millis(100);
    let mut twin = server.client_with(Signer::new(None, wall_clock), 7, patience);
    match tokio::time::timeout(PATIENCE, twin.next_step()).await.expect("it gives up") {
        Err(error @ WaitError::NotLetIn { .. }) => {
            assert_eq!(ClusterError::from(error).exit(), Exit::Restart);
        }
        other => panic!("{other:?}"),
    }
    step(&mut client).await;
}

/// A process that is started again gets the place as soon as the earlier one's connection is
/// closed; the earlier one, should it come again, is told, and ends with status 3.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_was_replaced_is_told() {
    let server = Server::start(None).await;
    let mut first = server.client();
    step(&mut first).await;
    first.close().await;
    let mut second = server.client_with(Signer::new(None, wall_clock), 0, PATIENCE);
    step(&mut second).await;
    let mut first = server.client();
    match tokio::time::timeout(PATIENCE, first.next_step()).await.expect("it is told") {
        Err(error @ WaitError::Replaced { .. }) => {
            assert!(error.to_string().starts_with("another process has taken the place"));
            assert_eq!(ClusterError::from(error).exit(), Exit::Replaced);
        }
        other => panic!("{other:?}"),
    }
    step(&mut second).await;
}

/// Servers that do not coordinate let in who has a ticket of their generation, and the later of
/// two.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_servers_go_by_the_ticket() {
    let ((first, a), (second, b)) = (listener().await, listener().await);
    let addresses = vec![a, b];
    let (follower, _served) = Server::start_as((1, 2), None, second, (Vec::new(), PATIENCE));
    let got = told(&follower, 5, Some((1, 1))).await;
    assert!(got.starts_with("14 expected a ticket of generation 0"), "{got}");
    let (leader, _ended) = Server::start_as((0, 2), None, first, (addresses.clone(), PATIENCE));
    serving(&leader, true).await;
    let mut client = leader.client_at(addresses);
    step(&mut client).await;
    let refused = "14 expected a ticket of generation 1, got";
    for (ticket, expected) in [
        (None, refused),
        (Some((0, 9)), refused),
        (Some((2, 1)), refused),
        (Some((1, 1)), "14 another process has the place of replica 2"),
        (Some((1, 0)), "10 another process has taken the place of replica 2"),
    ] {
        let got = told(&follower, 5, ticket).await;
        assert!(got.starts_with(expected), "{ticket:?}: {got}");
        step(&mut client).await;
    }
}

/// P-26: a message of a kind that is not known is refused in words, not passed over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_message_is_refused() {
    let server = Server::start(None).await;
    serving(&server, true).await;
    // Field 99 of a later version's message.
    for (connection, unknown) in (1..).zip([frame(0, b""), frame(3, &[0x9a, 0x06, 0])]) {
        let body = [raw::hello(0, connection), unknown].concat();
        let call = raw::call(server.address, "Train", body, None).await.expect("it answers");
        let (mut body, mut heard) = (call.into_body(), Vec::new());
        while let Some(frame) = next(&mut body).await {
            heard.extend(frame.into_data().unwrap_or_default());
        }
        let words = "expected a message of a kind that is known";
        assert!(String::from_utf8_lossy(&heard).contains(words), "{heard:?}");
    }
    assert_eq!(server.inner.status().bad_messages, 2);
}

async fn next(body: &mut Body) -> Option<Frame<Bytes>> {
    let frame = std::future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context));
    tokio::time::timeout(PATIENCE, frame).await.expect("it ends")?.ok()
}

const ANOTHER: &str = "ffffffffffffffffffffffffffffffff";

/// Two trainings of one program, with an address of the one among those of the other: nobody
/// takes part in both, and the one that was there goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_of_one_run_serves_no_other() {
    let ((first, a), (second, b), (third, c)) =
        (listener().await, listener().await, listener().await);
    let addresses = vec![a, b.clone()];
    let (follower, served) = Server::start_as((1, 2), None, second, (Vec::new(), PATIENCE));
    let (leader, _ended) = Server::start_as((0, 2), None, first, (addresses.clone(), PATIENCE));
    serving(&leader, true).await;
    let mut client = leader.client_at(addresses);
    step(&mut client).await;
    // A replica.
    let words = format!("9 this replica has trained in run {ANOTHER}, and parameter server");
    for server in [&leader, &follower] {
        let numbers = vec![0x08, 1];
        let hello = said_first([numbers, run_field(5, ANOTHER), agreed(6)].concat());
        let got = told_of(server, "Train", hello).await;
        assert!(got.starts_with(&words) && got.contains(RUN), "{got}");
    }
    // A coordinator, whichever generation it is in.
    let words =
        format!("9 parameter server 1 has served run {RUN}, and this coordinator is of run");
    for generation in [0, 9] {
        let got = told_of(&follower, "Serve", hello_of(77, generation, ANOTHER)).await;
        assert!(got.starts_with(&words) && got.contains(ANOTHER), "{got}");
    }
    let other = (vec![c, b], Duration::from_secs(1));
    let (_other, ended) = Server::start_in(ANOTHER, (0, 2), None, third, other);
    let ended = tokio::time::timeout(PATIENCE, ended).await.expect("it ends");
    match ended.expect("it does not panic") {
        Err(error @ ServeError::Refused { .. }) => {
            assert!(error.to_string().contains(&words[2..]), "{error}");
            assert_eq!(ClusterError::from(error).exit(), Exit::Failed);
        }
        other => panic!("{other:?}"),
    }
    step(&mut client).await;
    assert!(!served.is_finished(), "it was told");
}

/// A server that has made no update can serve any run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_an_update_serves_any_run() {
    let (listener, _) = listener().await;
    let (server, _served) = Server::start_as((1, 2), None, listener, (Vec::new(), PATIENCE));
    for run in [RUN, ANOTHER] {
        let order = [0x50, 1, 0x42, 2, 0x08, 1];
        let body = [hello_of(78, 0, run), frame(6, &order)].concat();
        assert_eq!(told_of(&server, "Serve", body).await, "0 ", "{run}");
    }
}

async fn told_of(server: &Server, method: &'static str, body: Vec<u8>) -> String {
    let attack = Attack::Call(method, body, None);
    let got = tokio::time::timeout(PATIENCE, attack.make(server.address)).await;
    got.expect("it answers").unwrap_or_default()
}
