//! A wish for the end of a process's part, which may come before there is anything to end.

use std::sync::{Arc, Mutex, PoisonError};

use cluster::StopHandle;

/// Clones are the same wish.
#[derive(Clone, Default)]
pub struct Ending(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    wished: bool,
    part: Option<StopHandle>,
}

impl Ending {
    /// Somebody wishes for it.
    pub fn wish(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.wished = true;
        if let Some(part) = &state.part {
            part.stop();
        }
    }

    /// The part that is ended, at once if that was wished for before.
    pub fn attach(&self, part: StopHandle) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.wished {
            part.stop();
        }
        state.part = Some(part);
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use cluster::Cluster;
    use cluster::spec::Node;

    use super::*;

    #[test]
    fn a_wish_is_heard_whenever_it_comes() {
        #[track_caller]
        fn check(before: bool, after: bool, expected: bool) {
            let place = Node::from_flags("a:1", "b:1", "ps", 0).expect("it makes sense");
            let (stop, ending) = (Cluster::new(place).stop_handle(), Ending::default());
            if before {
                ending.wish();
            }
            ending.attach(stop.clone());
            if after {
                ending.wish();
            }
            let heard = pin!(stop.wished()).poll(&mut Context::from_waker(Waker::noop()));
            assert_eq!(heard.is_ready(), expected, "{before} {after}");
        }
        check(false, false, false);
        check(true, false, true);
        check(false, true, true);
        check(true, true, true);
    }
}
