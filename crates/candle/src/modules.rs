//! The modules of a model: one for each thread that computes, built once and then given other
//! values.
//!
//! Candle's modules need not be `Send` (`Sequential` is not), so each stays in the thread that
//! built it. In `fit` that is one a replica. Invariant: a module is lent to one computation at a
//! time, no lock is held meanwhile, and one whose computation failed or panicked is built anew.

use std::any::Any;
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use crate::built::Built;

thread_local! {
    static KEPT: RefCell<HashMap<u64, Kept>> = RefCell::default();
}

struct Kept {
    module: Box<dyn Any>,
    /// Whether the model is still there.
    model: Weak<u64>,
}

/// A model's own number, under which threads keep its modules. A thread lets go of those of a model
/// that is gone when it keeps another's, or ends.
#[derive(Debug)]
pub(crate) struct Modules(Arc<u64>);

impl Modules {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(Arc::new(NEXT.fetch_add(1, Ordering::Relaxed)))
    }

    /// This thread's module, or a new one.
    pub(crate) fn take<M: 'static, E>(
        &self,
        build: impl FnOnce() -> Result<Built<M>, E>,
    ) -> Result<Built<M>, E> {
        let kept = KEPT.with_borrow_mut(|kept| kept.remove(&self.0));
        match kept.and_then(|it| it.module.downcast().ok()) {
            Some(module) => Ok(*module),
            None => build(),
        }
    }

    /// Keeps it for the next time.
    pub(crate) fn put<M: 'static>(&self, built: Built<M>) {
        let kept = Kept { module: Box::new(built), model: Arc::downgrade(&self.0) };
        let gone = KEPT.with_borrow_mut(|all| {
            let is_gone = |_: &u64, it: &mut Kept| it.model.strong_count() == 0;
            let mut gone: Vec<Kept> = all.extract_if(is_gone).map(|(_, it)| it).collect();
            gone.extend(all.insert(*self.0, kept));
            gone
        });
        // Outside the borrow: what a module does when it is dropped is its own business.
        drop(gone);
    }
}
