//! Wishes to a process of a cluster, which may come before there is anything that hears them.

use std::sync::{Arc, Mutex, PoisonError};

use cluster::StopHandle;

/// Clones are the same wishes.
#[derive(Clone, Default)]
pub struct Ending(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    wishes: Vec<Wish>,
    part: Option<StopHandle>,
}

/// What somebody wishes of a process of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// That it leaves; training goes on.
    Leave,
    /// That training ends everywhere.
    EndTraining,
    /// That a checkpoint is written.
    Save,
    /// That the end is held for no process that is away.
    ExpectNobody,
}

impl Ending {
    /// Somebody wishes for this.
    pub fn wish(&self, wish: Wish) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &state.part {
            Some(part) => wish.tell(part),
            None => state.wishes.push(wish),
        }
    }

    /// The part that hears of wishes, at once of those that came before.
    pub fn attach(&self, part: StopHandle) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for wish in state.wishes.drain(..) {
            wish.tell(&part);
        }
        state.part = Some(part);
    }
}

impl Wish {
    fn tell(self, part: &StopHandle) {
        match self {
            Self::Leave => part.stop(),
            Self::EndTraining => part.end_training(),
            Self::Save => part.save(),
            Self::ExpectNobody => part.expect_nobody(),
        }
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
        fn check(before: Option<Wish>, after: Option<Wish>, expected: bool) {
            let place = Node::from_flags("a:1", "b:1", "ps", 0).expect("it makes sense");
            let (stop, ending) = (Cluster::new(place).stop_handle(), Ending::default());
            before.into_iter().for_each(|wish| ending.wish(wish));
            ending.attach(stop.clone());
            after.into_iter().for_each(|wish| ending.wish(wish));
            let heard = pin!(stop.wished()).poll(&mut Context::from_waker(Waker::noop()));
            assert_eq!(heard.is_ready(), expected, "{before:?} {after:?}");
        }
        check(None, None, false);
        check(Some(Wish::Leave), None, true);
        check(None, Some(Wish::Leave), true);
        check(Some(Wish::Leave), Some(Wish::Leave), true);
        check(Some(Wish::Save), Some(Wish::EndTraining), false);
    }
}
