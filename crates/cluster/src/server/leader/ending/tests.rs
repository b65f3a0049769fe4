//! Who has heard of the end.

use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::task::{Context, Waker};
use std::time::Duration;

use sync_replicas::ReplicaId;
use sync_replicas::engine::StopReason;
use tokio::time::Instant;

use super::{Ended, GRACE, Release};
use crate::place::Caller;
use crate::server::offline::{ServedLink, begin, begin_served, leader};
use crate::test_util::coordinator::Other;
use crate::test_util::server_of;

/// P-1: a replica that hears of the end and closes while it is still being noted has heard of it.
#[test]
fn a_quick_replica_is_not_waited_for() {
    let server = server_of(0, 1);
    let shared = leader(&server);
    let (closing, replica) = (Arc::clone(shared), ReplicaId::new(1));
    let closes = shared.with(|leader| {
        let closes = std::thread::spawn(move || closing.with(|it| it.has_heard(replica)));
        // It is told, and closes.
        (0..1000).for_each(|_| std::thread::yield_now());
        leader.own.end(Ended { reason: "enough".to_owned(), failed: false, global_step: 0 });
        closes
    });
    closes.join().expect("no panic");
    assert!(shared.with(|leader| leader.heard.contains(&replica)));
}

/// P-1: a worker that has not come yet, or left for now, may come to hear of the end, unless what
/// looks after all processes says that none does.
#[tokio::test(start_paused = true)]
async fn the_end_is_held_for_who_may_come_back() {
    #[track_caller]
    fn check(joined: bool, expects_nobody: bool, held: Duration, expected: bool) {
        assert_eq!(held > GRACE / 2, expected, "{joined} {expects_nobody}: {held:?}");
    }
    for (joined, expects_nobody, expected) in
        [(false, false, true), (true, false, true), (true, true, false), (false, true, false)]
    {
        let server = server_of(0, 1);
        begin(&server).await;
        leader(&server).with(|leader| {
            if joined {
                let caller = Caller { process: 1, connection: 1, ticket: None };
                let hello = leader.coordinator().hello(ReplicaId::new(1), &caller);
                let ticket = hello.expect("it is welcome");
                leader.coordinator().leave_for_now(ReplicaId::new(1), ticket);
            }
            leader.stop(StopReason::Requested("enough".to_owned()));
        });
        if expects_nobody {
            server.expect_no_returns();
        }
        let ended = Instant::now();
        server.until_all_have_heard().await;
        check(joined, expects_nobody, ended.elapsed(), expected);
    }
}

/// P-1: the last step is the one that the variables have; no process waits for a later one.
#[tokio::test]
async fn an_update_under_way_is_the_last_step() {
    let (server, served) = (server_of(0, 2), server_of(1, 2));
    begin_served(&served);
    let link = ServedLink::begin(&server, served).await;
    Other::begun(&server, 2).await.commit().await.expect("it counts");
    server.stop(StopReason::Requested("enough".to_owned()));
    assert!(!server.own.is_over(), "the other server has not made its part");
    link.answer_all(&server).await;
    let ended = server.own.over.borrow().clone();
    assert_eq!(ended.map(|it| it.global_step), Some(1));
}

/// A server that waits to end with the training is told once more that it may leave, when its link
/// is lost; it holds up no other process.
#[tokio::test]
async fn who_may_leave_is_told_twice() {
    let server = server_of(0, 1);
    begin(&server).await;
    let mut leaving = pin!(server.leave());
    server.own.end(Ended { reason: "enough".to_owned(), failed: false, global_step: 0 });
    for _ in 0..2 {
        let polled = leaving.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending(), "it ends with the training");
        let own = Arc::clone(&server.own);
        let (done, is_done) = channel();
        std::thread::spawn(move || {
            own.release(Release::Saved);
            done.send(())
        });
        is_done.recv_timeout(GRACE).expect("it holds up nobody");
    }
}
