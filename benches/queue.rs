//! Tokens through the queue: the table's rows, and a step's tokens in one operation.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use token_queue::{Token, TokenQueue};

mod rows;

fn table(criterion: &mut Criterion) {
    rows::bench(criterion, &["token/"]);
}

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

criterion_group!(benches, table, one_thread);
criterion_main!(benches);
