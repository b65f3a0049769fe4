//! Requests from outside to a process of a cluster, most often by a signal.
//!
//! Handles no signals itself. Invariant: a request is never forgotten, whenever it comes.

use std::sync::Arc;

use tokio::sync::watch;

/// Requests to this process; from any thread, at any time, even before `fit` begins. Clones share
/// the requests.
#[derive(Clone, Debug, Default)]
pub struct ProcessHandle(Arc<watch::Sender<Requests>>);

/// All requests so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Requests {
    /// That this process leaves.
    pub(crate) leave: bool,
    /// That training ends everywhere.
    pub(crate) end: bool,
    /// That a checkpoint is written: how often.
    pub(crate) saves: u64,
    /// That the end waits for no absent process.
    pub(crate) expect_no_returns: bool,
}

impl ProcessHandle {
    /// For a process that can be told to end before it knows its place: requests wait for
    /// [`Cluster::with_handle`](crate::Cluster::with_handle).
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends this process's part, and not the training: it is expected to be started again. A worker
    /// leaves, and the others go on. A parameter server leaves once the cluster has written a
    /// checkpoint, and the others wait for it as for one that was lost.
    // P-5
    pub fn leave(&self) {
        self.0.send_modify(|requests| requests.leave = true);
    }

    /// Has training end everywhere, with a checkpoint; parameter servers act on it.
    pub fn end_training(&self) {
        self.0.send_modify(|requests| requests.end = true);
    }

    /// Has a checkpoint written while training goes on; heard by parameter server 0, which writes
    /// them.
    pub fn save(&self) {
        self.0.send_modify(|requests| requests.saves += 1);
    }

    /// Says that no process which is away is started again, so that the end need not wait for it;
    /// heard by parameter server 0. For what looks after all processes: nobody else knows.
    pub fn expect_no_returns(&self) {
        self.0.send_modify(|requests| requests.expect_no_returns = true);
    }

    /// Waits for the request that this process end its part: for a part that the cluster does not
    /// play, such as an evaluator's.
    pub async fn leave_requested(&self) {
        // Fails only when the sender is gone, which this holds.
        let _ = self.0.subscribe().wait_for(|requests| requests.leave).await;
    }

    /// Whether that was requested.
    pub(crate) fn is_leave_requested(&self) -> bool {
        self.0.borrow().leave
    }

    /// All requests, as they come.
    pub(crate) fn requests(&self) -> watch::Receiver<Requests> {
        self.0.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::ProcessHandle;
    use crate::Cluster;
    use crate::spec::Node;

    #[test]
    fn a_request_is_heard_whenever_it_comes() {
        type Request = fn(&ProcessHandle);
        #[track_caller]
        fn check(before: &[Request], after: &[Request], expected: bool) {
            let stop = ProcessHandle::new();
            before.iter().for_each(|request| request(&stop));
            let place = Node::from_flags("a:1", "b:1", "ps", 0).expect("it makes sense");
            let cluster = Cluster::new(place).with_handle(stop.clone());
            after.iter().for_each(|request| request(&stop));
            let stop = cluster.process_handle();
            let heard = pin!(stop.leave_requested()).poll(&mut Context::from_waker(Waker::noop()));
            assert_eq!(heard.is_ready(), expected);
        }
        let (leave, end, save): (Request, Request, Request) =
            (ProcessHandle::leave, ProcessHandle::end_training, ProcessHandle::save);
        check(&[], &[], false);
        check(&[leave], &[], true);
        check(&[], &[leave], true);
        check(&[leave], &[leave], true);
        check(&[save], &[end], false);
    }
}
