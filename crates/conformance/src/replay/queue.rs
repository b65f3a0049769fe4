//! Replays of token queues.

use token_queue::{CloseError, DequeueError, EnqueueError, Token, TokenQueue};

use super::script::{self, Blocked};
use crate::Failure;
use crate::compare::Tolerance;
use crate::trace::{ErrorClass, Outcome, QueueCall, QueueTrace};

pub(super) fn replay(trace: &QueueTrace) -> Result<(), Failure> {
    let queue = match usize::try_from(trace.capacity) {
        Ok(capacity) => TokenQueue::bounded(capacity).map_err(Failure::start)?,
        Err(_) => TokenQueue::unbounded(),
    };
    let perform = |call: &QueueCall, blocked: &mut Blocked| perform(&queue, call, blocked);
    script::run(&trace.ops, &trace.still_pending, Tolerance::EXACT, perform)
}

fn perform(queue: &TokenQueue, call: &QueueCall, blocked: &mut Blocked) -> Result<Outcome, String> {
    let queue = queue.clone();
    match call {
        QueueCall::Enqueue { value, id } => {
            let token = Token::new(*value);
            blocked.begin(*id, async move { enqueued(queue.enqueue(token).await) })
        }
        QueueCall::EnqueueMany { values, id } => {
            let tokens: Vec<_> = values.iter().copied().map(Token::new).collect();
            blocked.begin(*id, async move { enqueued(queue.enqueue_all(tokens).await) })
        }
        QueueCall::Dequeue { id } => blocked.begin(*id, async move {
            queue.dequeue().await.map_or_else(not_dequeued, |token| Outcome::Number(token.step()))
        }),
        QueueCall::DequeueMany { n, id } => match usize::try_from(*n) {
            Ok(n) => blocked.begin(*id, async move { batch(queue.dequeue_many(n).await) }),
            Err(_) => Ok(NEGATIVE),
        },
        QueueCall::DequeueUpTo { n, id } => match usize::try_from(*n) {
            Ok(n) => blocked.begin(*id, async move { batch(queue.dequeue_up_to(n).await) }),
            Err(_) => Ok(NEGATIVE),
        },
        QueueCall::Size {} => Ok(Outcome::Number(i64::try_from(queue.size()).unwrap_or(i64::MAX))),
        QueueCall::IsClosed {} => Ok(Outcome::Flag(queue.is_closed())),
        QueueCall::Close { cancel_pending_enqueues: true, .. } => {
            queue.close_cancelling_pending_enqueues();
            Ok(Outcome::Done)
        }
        QueueCall::Close { cancel_pending_enqueues: false, id } => {
            blocked.begin(*id, async move { closed(queue.close().await) })
        }
    }
}

/// The original refuses a batch of less than nothing when it is asked for; here the type of the
/// argument does, before there is a call.
const NEGATIVE: Outcome = Outcome::Failed(ErrorClass::InvalidArgument);

fn enqueued(result: Result<(), EnqueueError>) -> Outcome {
    match result {
        Ok(()) => Outcome::Done,
        Err(EnqueueError::Closed { .. }) => Outcome::Failed(ErrorClass::Cancelled),
        Err(error) => Outcome::Unheard(error.to_string()),
    }
}

fn batch(result: Result<Vec<Token>, DequeueError>) -> Outcome {
    let steps = |tokens: Vec<Token>| tokens.into_iter().map(Token::step).collect();
    result.map_or_else(not_dequeued, |tokens| Outcome::Tokens(steps(tokens)))
}

fn not_dequeued(error: DequeueError) -> Outcome {
    match error {
        DequeueError::Closed { .. } => Outcome::Failed(ErrorClass::OutOfRange),
        error => Outcome::Unheard(error.to_string()),
    }
}

fn closed(result: Result<(), CloseError>) -> Outcome {
    match result {
        Ok(()) => Outcome::Done,
        Err(CloseError::AlreadyClosed) => Outcome::Failed(ErrorClass::Cancelled),
        Err(error) => Outcome::Unheard(error.to_string()),
    }
}
