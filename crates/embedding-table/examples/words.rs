//! A table of words, of which three have rows: `cargo run -p embedding-table --example words`.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use embedding_table::{EvictBy, Rows, Table, TableStore, hash_text};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let table = Table::new("words", 1).constant(0.0).evict_beyond(3, EvictBy::LastUse);
    let mut store = TableStore::<f64>::new(table, &[])?;
    let text = "the fast replicas do not wait for the slow replicas";
    for (step, word) in (1..).zip(text.split(' ')) {
        let rows = Rows { keys: &[hash_text(word)], counts: &[1], gradients: &[1.0] };
        store.apply(step, &rows, |row, gradient| row[0] += gradient[0])?;
        store.finish_step(step);
        println!("step {step:2}: {word:8} {} rows", store.len());
    }
    for word in ["the", "fast", "slow", "replicas"] {
        let value = store.lookup(&[hash_text(word)])[0];
        println!("{word:8} {value}, counted {} times", store.count(hash_text(word)));
    }
    Ok(())
}
