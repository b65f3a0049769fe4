//! A script of calls, of which some block: futures polled by hand, without thread or clock.
//!
//! Knows nothing of what is called. Invariant: a call is polled when it is made and after each
//! later operation, so that a call that an operation releases is seen to end with it, not later.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use crate::compare::{Check, Tolerance, equal};
use crate::trace::{Completion, Operation, Outcome};
use crate::{Failure, Place};

/// The calls that wait for something, by their id.
#[derive(Default)]
pub(super) struct Blocked {
    calls: BTreeMap<i64, Pin<Box<dyn Future<Output = Outcome>>>>,
}

impl Blocked {
    /// Makes a call; keeps it when it blocks.
    pub(super) fn begin(
        &mut self,
        id: i64,
        call: impl Future<Output = Outcome> + 'static,
    ) -> Result<Outcome, String> {
        if self.calls.contains_key(&id) {
            return Err(format!("call {id} is blocked, and another one has its id"));
        }
        let mut call = Box::pin(call);
        Ok(match call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(outcome) => outcome,
            Poll::Pending => {
                self.calls.insert(id, call);
                Outcome::Pending
            }
        })
    }

    /// The calls that have ended meanwhile.
    fn ended(&mut self) -> BTreeMap<i64, Outcome> {
        let mut ended = BTreeMap::new();
        self.calls.retain(|&id, call| {
            match call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(outcome) => ended.insert(id, outcome).is_some(),
                Poll::Pending => true,
            }
        });
        ended
    }
}

/// Makes every call with `perform`, and compares what it did and which calls it released.
pub(super) fn run<C>(
    operations: &[Operation<C>],
    still_pending: &[i64],
    tolerance: Tolerance,
    mut perform: impl FnMut(&C, &mut Blocked) -> Result<Outcome, String>,
) -> Result<(), Failure> {
    let mut blocked = Blocked::default();
    for (number, operation) in operations.iter().enumerate() {
        let mut step = || {
            let outcome = perform(&operation.call, &mut blocked)?;
            tolerance.outcome(&outcome, &operation.expect)?;
            completions(tolerance, blocked.ended(), &operation.completes)
        };
        step().map_err(|difference| Failure::at(number, &operation.name, difference))?;
    }
    let mut expected = still_pending.to_vec();
    expected.sort_unstable();
    equal("the list of blocked calls", blocked.calls.into_keys().collect(), expected)
        .map_err(|difference| Failure::new(Place::End, difference))
}

fn completions(
    tolerance: Tolerance,
    mut ended: BTreeMap<i64, Outcome>,
    expected: &[Completion],
) -> Check {
    for Completion { id, outcome } in expected {
        let got = ended.remove(id).ok_or_else(|| format!("call {id} did not complete"))?;
        tolerance
            .outcome(&got, outcome)
            .map_err(|difference| format!("call {id}: {difference}"))?;
    }
    match ended.pop_first() {
        None => Ok(()),
        Some((id, outcome)) => Err(format!("call {id} completed unexpectedly: {outcome}")),
    }
}
