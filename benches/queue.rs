//! Tokens through the queue: alone, and there and back between two threads.

use std::thread;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use token_queue::{Token, TokenQueue};

fn one_thread(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("queue_one_thread");
    group.throughput(Throughput::Elements(64));
    let queue = TokenQueue::unbounded();
    group.bench_function("enqueue_many_64_dequeue_64", |bench| {
        bench.iter(|| {
            queue.try_enqueue_many(Token::new(1), 64).expect("it is open");
            (0..64).filter(|_| matches!(queue.try_dequeue(), Ok(Some(_)))).count()
        });
    });
    group.finish();
}

fn there_and_back(criterion: &mut Criterion) {
    let (there, back) = (TokenQueue::unbounded(), TokenQueue::unbounded());
    let (theirs, mine) = (there.clone(), back.clone());
    let echo = thread::spawn(move || {
        while let Ok(token) = theirs.blocking_dequeue() {
            if mine.try_enqueue(token).is_err() {
                break;
            }
        }
    });
    criterion.bench_function("queue_there_and_back", |bench| {
        bench.iter(|| {
            there.try_enqueue(Token::new(1)).expect("it is open");
            back.blocking_dequeue()
        });
    });
    there.blocking_close().expect("it was open");
    echo.join().expect("the echo ends when the queue closes");
}

criterion_group!(benches, one_thread, there_and_back);
criterion_main!(benches);
