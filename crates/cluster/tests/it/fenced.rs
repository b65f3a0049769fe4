//! Two coordinators of one training (P-26): the one of the lower generation is turned away, ends,
//! and tells nobody.

use std::time::Duration;

use cluster::server::ServeError;
use tokio::net::TcpListener;

use crate::raw::{Attack, FINGERPRINT, PATIENCE, Server, frame};

/// A coordinator's hello, of another life than all here, in this generation.
fn hello(life: u8, generation: u8) -> Vec<u8> {
    let fingerprint = [&[0x0a, FINGERPRINT.len() as u8][..], FINGERPRINT].concat();
    let inner = [&fingerprint[..], &[0x10, life, 0x18, generation]].concat();
    let order = [&[0x0a, inner.len() as u8][..], &inner].concat();
    frame(order.len() as u32, &order)
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
    process.shutdown_background();
    serving(&leader, false).await;
    let ended = tokio::time::timeout(PATIENCE, ended).await.expect("it ends");
    let error = ended.expect("it does not panic").expect_err("it failed");
    assert!(matches!(error, ServeError::Abandoned { seconds: 1.0 }), "{error:?}");
}

async fn serving(leader: &Server, expected: bool) {
    let serving = async {
        while leader.inner.status().serving != Some(expected) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, serving).await.expect("it comes");
}
