//! Who has heard of the end.

use std::sync::Arc;

use sync_replicas::ReplicaId;

use super::Ended;
use crate::server::offline::leader;
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
