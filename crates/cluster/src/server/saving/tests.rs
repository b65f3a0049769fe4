//! Saves that are overtaken: by a later one, and by a later life.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sync_replicas::engine::StopReason;
use sync_replicas::{Checkpoints, GlobalStep, checkpoint};

use super::super::link::LinkHandle;
use super::super::node::{Node, lock};
use super::super::offline::{begin, begin_served};
use crate::test_util::node_that_saves;

fn node(index: usize, servers: usize, folder: &Path) -> Arc<Node<f32>> {
    let checkpoints = Checkpoints { folder: folder.to_owned(), steps: 1000, keep: 2 };
    node_that_saves(index, servers, Some(checkpoints))
}

/// The numbers of the orders to save that are open.
fn orders(node: &Node<f32>) -> Vec<u64> {
    let hub = lock(node.hub.as_ref().expect("it coordinates"));
    let last = hub.links.iter().map(|link| link.orders().last().map(|order| order.number));
    last.map(|number| number.expect("it was asked")).collect()
}

/// P-11: a state that an earlier save asked for is none of the next one.
#[tokio::test]
async fn a_state_for_an_earlier_save_is_no_part_of_the_next() {
    let folder = tempfile::tempdir().expect("a folder");
    let nodes: Vec<_> = (0..3).map(|index| node(index, 3, folder.path())).collect();
    nodes.iter().for_each(|node| begin_served(node));
    let node = &nodes[0];
    let hub = node.hub.as_ref().expect("it coordinates");
    lock(hub).links = vec![LinkHandle::new(), LinkHandle::new()];
    node.begin_save(&mut lock(hub));
    let first = orders(node);
    // The second server's state was lost with a connection, and the third one's is on its way.
    node.save_again(1, first[0]);
    let second = orders(node);
    let state = |server: usize| nodes[server].shard().state();
    let mut early = state(2);
    early.global_step = GlobalStep::new(7);
    for (server, order, state) in
        [(2, first[1], early), (1, second[0], state(1)), (2, second[1], state(2))]
    {
        assert!(checkpoint::latest(folder.path()).expect("a folder").is_none(), "{server} {order}");
        node.link_saved((server, order), state);
        tokio::task::yield_now().await;
    }
    assert_eq!(node.counters.checkpoints.load(Ordering::Relaxed), 1);
    assert!(lock(hub).saving.is_none());
}

/// P-9: a later life begins with what an earlier one has on its way to the disk.
#[tokio::test]
async fn a_write_of_an_earlier_life_is_waited_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = node(0, 1, folder.path());
    begin(&node).await;
    let hub = node.hub.as_ref().expect("it coordinates");
    std::fs::remove_dir_all(folder.path()).expect("it is there");
    // Gathered, and its task has not run.
    node.begin_save(&mut lock(hub));
    assert!(lock(hub).saving.is_some());
    begin(&node).await;
    assert_eq!(node.counters.checkpoints.load(Ordering::Relaxed), 2, "none was forgotten");
    let hub = lock(hub);
    assert!(hub.saving.is_none() && hub.saved == Some(hub.updates), "nothing is saved once more");
}

/// Nothing can be written into a folder in whose place a file is.
fn block(path: &Path) {
    std::fs::remove_dir_all(path).expect("it is there");
    std::fs::write(path, "").expect("it is writable");
}

/// P-24: what was trained last is saved as soon as there is room for it, or training has failed.
#[tokio::test(start_paused = true)]
async fn the_last_save_is_tried_again() {
    for room in [true, false] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("checkpoint");
        let node = node(0, 1, &path);
        begin(&node).await;
        block(&path);
        // There is something new to save.
        lock(node.hub.as_ref().expect("it coordinates")).saved = None;
        node.stop(StopReason::Requested("enough".to_owned()));
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(!node.is_over(), "it is not told before it is saved");
        let status = node.status();
        assert!(status.failed_checkpoints >= 2 && status.checkpoint_error.is_some(), "{status:?}");
        if room {
            std::fs::remove_file(&path).expect("it is there");
        }
        tokio::time::sleep(Duration::from_secs(100)).await;
        let ended = node.over.borrow().clone().expect("it is over");
        assert_eq!(ended.failed, !room, "{}", ended.reason);
        assert_eq!(ended.reason.contains("no last checkpoint was written"), !room);
        assert_eq!(node.status().checkpoint_error.is_none(), room);
    }
}
