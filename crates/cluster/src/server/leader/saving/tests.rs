//! Saves that are overtaken: by a later one, and by a later life.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sync_replicas::GlobalStep;
use sync_replicas::checkpoint::{self, Checkpoints};
use sync_replicas::driver::Generation;
use sync_replicas::engine::StopReason;

use crate::index::ServerIndex;
use crate::server::Server;
use crate::server::offline::{begin, begin_served, leader, link_to};
use crate::test_util::server_that_saves;

fn server(index: usize, servers: usize, folder: &Path) -> Arc<Server<f32>> {
    let checkpoints = Checkpoints { folder: folder.to_owned(), steps: 1000, keep: 2 };
    server_that_saves(index, servers, Some(checkpoints))
}

/// The numbers of the orders to save that are open, to the second and the third server.
fn orders(server: &Server<f32>) -> [u64; 2] {
    [1, 2].map(|other| {
        let orders = link_to(server, ServerIndex::new(other)).orders();
        orders.last().expect("it was asked").number
    })
}

/// P-11: a state that an earlier save asked for is not part of the next one.
#[tokio::test]
async fn a_state_for_an_earlier_save_is_no_part_of_the_next() {
    let folder = tempfile::tempdir().expect("a folder");
    let servers: Vec<_> = (0..3).map(|index| server(index, 3, folder.path())).collect();
    servers.iter().for_each(|server| begin_served(server));
    let leader = leader(&servers[0]);
    leader.with(|leader| leader.begin_save());
    let first = orders(&servers[0]);
    // The second server's state was lost with a connection, and the third one's is on its way.
    leader.with(|leader| leader.save_again(ServerIndex::new(1), first[0]));
    let second = orders(&servers[0]);
    let state = |server: usize| servers[server].own.shard().state();
    let mut early = state(2);
    early.global_step = GlobalStep::new(7);
    for (server, order, state) in
        [(2, first[1], early), (1, second[0], state(1)), (2, second[1], state(2))]
    {
        assert!(checkpoint::latest(folder.path()).expect("a folder").is_none(), "{server} {order}");
        leader.with(|leader| leader.state_came(ServerIndex::new(server), order, state));
        tokio::task::yield_now().await;
    }
    leader.with(|leader| {
        assert_eq!(leader.saving.written, 1);
        assert!(leader.saving.is_done());
    });
}

/// P-9: a later life begins with what an earlier one has on its way to the disk.
#[tokio::test]
async fn a_write_of_an_earlier_life_is_waited_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = server(0, 1, folder.path());
    begin(&server).await;
    let leader = leader(&server);
    std::fs::remove_dir_all(folder.path()).expect("it is there");
    // Gathered, and its task has not run.
    leader.with(|leader| leader.begin_save());
    assert!(leader.with(|leader| leader.saving.is_written()));
    begin(&server).await;
    leader.with(|leader| {
        assert_eq!(leader.saving.written, 2, "none was forgotten");
        let saving = &leader.saving;
        assert!(saving.is_done() && !saving.is_wanted(), "nothing is saved once more");
    });
}

/// Nothing can be written into a folder where a file is in its place.
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
        let server = server(0, 1, &path);
        begin(&server).await;
        block(&path);
        // There is something new to save.
        leader(&server).with(|leader| leader.saving.on_disk = None);
        server.stop(StopReason::Requested("enough".to_owned()));
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(!server.own.is_over(), "it is not told before it is saved");
        let status = server.status();
        assert!(status.failed_checkpoints >= 2 && status.checkpoint_error.is_some(), "{status:?}");
        if room {
            std::fs::remove_file(&path).expect("it is there");
        }
        tokio::time::sleep(Duration::from_secs(100)).await;
        let ended = server.own.over.borrow().clone().expect("it is over");
        assert_eq!(ended.failed, !room, "{}", ended.reason);
        assert_eq!(ended.reason.contains("no last checkpoint was written"), !room);
        assert_eq!(server.status().checkpoint_error.is_none(), room);
    }
}

/// P-26: a process that has claimed a generation says so, even before it has begun it: another may
/// have claimed a later one.
#[tokio::test]
async fn a_generation_that_is_claimed_is_the_newest() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = server(0, 1, folder.path());
    let leader = leader(&server);
    let newest = || leader.with(|leader| leader.newest_generation());
    assert_eq!(newest(), Generation::default());
    leader.with(|leader| leader.saving.claimed = Some(Generation::new(7)));
    assert_eq!(newest(), Generation::new(7));
    begin(&server).await;
    assert_eq!(newest(), leader.with(|leader| leader.coordinator.generation()));
}
