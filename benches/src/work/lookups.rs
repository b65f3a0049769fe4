//! Lookups by themselves: a replica that holds one step and looks rows up in it, over and over.
//!
//! Invariant: no two lookups in a row have a key in common, so that all rows travel.

use cluster::OnCluster;
use sync_replicas::{Computed, Hooks, Keys};

use super::cluster::{described, placed};
use super::process::{done, next_number};
use super::trained::BATCH;

/// A child: a worker of its own loop.
pub(super) fn take_part(words: &[&str]) {
    let (cluster, trained) = placed("worker", words);
    let trainer = described(&cluster).on(&cluster).build(trained.variables()).expect("it fits");
    let mut replica = trainer.replica(Hooks::new()).expect("it has a place");
    let mut step = || replica.next_step().expect("it goes on").expect("it never ends");
    let batches: Vec<Vec<i64>> = trained.batches().take(trained.rows() / BATCH).collect();
    // Every row is updated once, so that all have values.
    for batch in &batches {
        let step = step();
        let gradients = trained.gradients(batch, &step.work()).expect("they fit");
        step.push(Computed { loss: 0.0, examples: 1, gradients }).expect("it is heard of");
    }
    let step = step();
    let keys: Vec<Keys> = batches.iter().map(|batch| trained.keys(batch)).collect();
    let mut next = keys.iter().cycle();
    loop {
        for keys in next.by_ref().take(next_number() as usize) {
            step.lookup_all(keys).expect("its step is open");
        }
        done();
    }
}
