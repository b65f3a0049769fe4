//! Tables of calls on one queue, polled by hand: no thread, no runtime, no sleep.
//!
//! A line is `name: call => name result; ...`. After each call exactly the named calls must have
//! ended, and exactly those that had waited must have been woken.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake};

use token_queue::{CloseError, DequeueError, EnqueueError, Token, TokenQueue};

pub struct WakeCount(AtomicUsize);

impl WakeCount {
    pub fn new() -> Arc<Self> {
        Arc::new(Self(AtomicUsize::new(0)))
    }

    pub fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for WakeCount {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

pub type Call<T> = Pin<Box<dyn Future<Output = T> + Send>>;

pub fn poll<T>(call: &mut Call<T>, wakes: &Arc<WakeCount>) -> Poll<T> {
    let waker = Arc::clone(wakes).into();
    call.as_mut().poll(&mut Context::from_waker(&waker))
}

struct Waiting {
    name: String,
    call: Call<String>,
    wakes: Arc<WakeCount>,
}

/// Runs `script`; a `capacity` of 0 means unbounded.
#[track_caller]
pub fn check(capacity: usize, script: &str) {
    let queue = match capacity {
        0 => TokenQueue::unbounded(),
        _ => TokenQueue::bounded(capacity).expect("a capacity of at least 1"),
    };
    let mut waiting: Vec<Waiting> = Vec::new();
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (call, expected) = line.split_once("=>").unwrap_or((line, ""));
        let seen = match call.split_once(':') {
            Some((name, call)) => begin(&queue, name, call, &mut waiting),
            None => at_once(&queue, call, &mut waiting),
        };
        let mut seen: Vec<String> = seen.into_iter().collect();
        seen.extend(collect(&mut waiting));
        seen.sort();
        let mut expected: Vec<_> = expected.split(';').map(str::trim).collect();
        expected.retain(|result| !result.is_empty());
        expected.sort_unstable();
        assert_eq!(seen, expected, "after `{line}`");
    }
}

/// Starts a call that can wait and polls it once; its result if it did not wait.
fn begin(queue: &TokenQueue, name: &str, call: &str, waiting: &mut Vec<Waiting>) -> Option<String> {
    let (words, queue) = (numbers(call), queue.clone());
    let n = words.first().map_or(0, |&n| usize::try_from(n).expect("a count is not negative"));
    let mut call: Call<String> = match call.split_whitespace().next() {
        Some("put") if words.len() == 1 => {
            Box::pin(async move { put(queue.enqueue(Token::new(words[0])).await) })
        }
        Some("put") => {
            Box::pin(async move { put(queue.enqueue_all(words.into_iter().map(Token::new)).await) })
        }
        Some("take") => {
            Box::pin(async move { took(queue.dequeue().await.map(|token| vec![token])) })
        }
        Some("many") => Box::pin(async move { took(queue.dequeue_many(n).await) }),
        Some("upto") => Box::pin(async move { took(queue.dequeue_up_to(n).await) }),
        Some("close") => Box::pin(async move {
            match queue.close().await {
                Ok(()) => "ok".to_owned(),
                Err(CloseError::AlreadyClosed) => "already closed".to_owned(),
                Err(other) => panic!("an error without a word here: {other}"),
            }
        }),
        other => panic!("no call is named {other:?}"),
    };
    let wakes = WakeCount::new();
    if let Poll::Ready(result) = poll(&mut call, &wakes) {
        assert_eq!(wakes.get(), 0, "{name} did not wait, and was woken");
        return Some(format!("{name} {result}"));
    }
    waiting.push(Waiting { name: name.to_owned(), call, wakes });
    None
}

/// Does what cannot wait: reading, dropping a call, closing at once, putting back.
fn at_once(queue: &TokenQueue, call: &str, waiting: &mut Vec<Waiting>) -> Option<String> {
    let words = numbers(call);
    match *call.split_whitespace().collect::<Vec<_>>() {
        ["size"] => return Some(queue.size().to_string()),
        ["closed?"] => return Some(queue.is_closed().to_string()),
        ["close", "now"] => queue.close_cancelling_pending_enqueues(),
        ["back", _] => queue.put_back(Token::new(words[0])),
        ["drop", name] => waiting.retain(|call| call.name != name),
        _ => panic!("no call is named {call:?}"),
    }
    None
}

/// The results of the calls that an operation ended; the woken are those and no others.
fn collect(waiting: &mut Vec<Waiting>) -> Vec<String> {
    let mut ended = Vec::new();
    waiting.retain_mut(|Waiting { name, call, wakes }| {
        let woken = wakes.get();
        match poll(call, wakes) {
            Poll::Ready(result) => {
                assert_eq!(woken, 1, "{name} ended: one wake");
                ended.push(format!("{name} {result}"));
                false
            }
            Poll::Pending => {
                assert_eq!(woken, 0, "{name} still waits: no wake");
                true
            }
        }
    });
    ended
}

fn numbers(call: &str) -> Vec<i64> {
    call.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

fn steps(tokens: impl IntoIterator<Item = Token>) -> String {
    let steps: Vec<_> = tokens.into_iter().map(|token| token.to_string()).collect();
    steps.join(" ")
}

fn put(result: Result<(), EnqueueError>) -> String {
    match result {
        Ok(()) => "ok".to_owned(),
        Err(EnqueueError::Closed { not_enqueued, .. }) => {
            format!("closed, rest {}", steps(not_enqueued.iter()))
        }
        Err(other) => panic!("an error without a word here: {other}"),
    }
}

fn took(result: Result<Vec<Token>, DequeueError>) -> String {
    match result {
        Ok(tokens) => format!("got {}", steps(tokens)).trim_end().to_owned(),
        Err(DequeueError::Closed { requested, available, .. }) => {
            format!("closed, {available} of {requested}")
        }
        Err(other) => panic!("an error without a word here: {other}"),
    }
}
