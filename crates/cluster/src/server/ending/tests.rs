//! Who has heard of the end.

use std::sync::Arc;

use sync_replicas::ReplicaId;

use super::super::node::lock;
use super::Ended;
use crate::test_util::node;

/// P-1: a replica that hears of the end and closes while it is still being noted has heard of it.
#[test]
fn a_quick_replica_is_not_waited_for() {
    let node = node(0, 1);
    let hub = node.hub.as_ref().expect("it coordinates");
    let held = lock(hub);
    let closing = Arc::clone(&node);
    let replica = ReplicaId::new(1);
    let closes = std::thread::spawn(move || closing.has_heard(replica));
    // It is told, and closes.
    (0..1000).for_each(|_| std::thread::yield_now());
    let ended = Ended { reason: "enough".to_owned(), failed: false, global_step: 0 };
    node.over.send_replace(Some(ended));
    drop(held);
    closes.join().expect("no panic");
    assert!(lock(hub).heard.contains(&replica));
}
