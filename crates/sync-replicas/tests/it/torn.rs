//! Torn checkpoints: whatever is left of two files, it reads as the old one, the new one, or a
//! clear error, and never as something else (P-9, R-15).
//!
//! Everything happens in memory, on `checkpoint::from_bytes`; what a folder makes of damage is in
//! `checkpoints`, and the order of writes that a power cut interrupts beside the code.

use std::fmt::Display;
use std::fs;

use ndarray::Array1;
use optim::Adam;
use sync_replicas::checkpoint::{self, CheckpointError, TrainingState};
use sync_replicas::{Gradients, ReplicaId, SyncReplicas, Trainer, Variables};

/// Enough for a body of several disk sectors.
const NUMBERS: usize = 60;

/// The bytes of a checkpoint, and what they say.
struct Saved {
    manifest: Vec<u8>,
    tensors: Vec<u8>,
    says: TrainingState<f64>,
}

/// Adam and moving averages: slots, powers, shadows.
fn trainer() -> Trainer<f64> {
    let w = Array1::from_shape_fn(NUMBERS, |k| (k as f64).sin());
    let variables = Variables::new().with("w", w).expect("one name");
    let builder = SyncReplicas::new(Adam::new(0.1)).replicas_to_aggregate(1).moving_average(0.9);
    builder.build(variables).expect("it is valid")
}

fn step(trainer: &Trainer<f64>) {
    let mut replica = trainer.replica(ReplicaId::new(0)).expect("it is free");
    let step = replica.next_step().expect("not overdue").expect("not ended");
    let gradient = Array1::from_shape_fn(NUMBERS, |k| (k as f64).cos());
    step.push(Gradients::new().dense("w", gradient)).expect("it fits");
}

fn save(trainer: &Trainer<f64>) -> Saved {
    let folder = tempfile::tempdir().expect("a folder");
    let place = trainer.save(folder.path(), 1).expect("it is written");
    let [manifest, tensors] = ["manifest.json", "tensors.safetensors"]
        .map(|name| fs::read(place.join(name)).expect("it is there"));
    let says = checkpoint::from_bytes(&manifest, &tensors).expect("it is good");
    assert!(same(&says, &trainer.training_state().expect("it is whole")));
    Saved { manifest, tensors, says }
}

/// The checkpoint of a step, and of the step after it.
fn old_and_new() -> [Saved; 2] {
    let trainer = trainer();
    step(&trainer);
    let old = save(&trainer);
    step(&trainer);
    let new = save(&trainer);
    assert!(!same(&old.says, &new.says));
    [old, new]
}

fn same(a: &TrainingState<f64>, b: &TrainingState<f64>) -> bool {
    (a.global_step, &a.variables, &a.optimizer, &a.optimizer_state)
        == (b.global_step, &b.variables, &b.optimizer, &b.optimizer_state)
        && (&a.averages, &a.positions, a.generation) == (&b.averages, &b.positions, b.generation)
}

/// Reads as `says`, or where nothing is said, as an error that names the file.
#[track_caller]
fn check(what: impl Display, manifest: &[u8], tensors: &[u8], says: Option<&TrainingState<f64>>) {
    match (checkpoint::from_bytes::<f64>(manifest, tensors), says) {
        (Ok(state), Some(says)) => assert!(same(&state, says), "{what}: {state:?}"),
        (Err(CheckpointError::Damaged { path, what: why }), None) => {
            let name = path.display().to_string();
            assert!(["manifest.json", "tensors.safetensors"].contains(&&*name), "{what}: {name}");
            assert!(!why.is_empty(), "{what}");
        }
        (got, _) => panic!("{what}: expected {says:?}, got {got:?}"),
    }
}

fn flipped(bytes: &[u8], place: usize, bit: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[place] ^= 1 << bit;
    bytes
}

#[test]
fn cut_at_every_byte() {
    // P-9
    let [_, new] = old_and_new();
    for length in 0..new.manifest.len() {
        check(format_args!("{length}"), &new.manifest[..length], &new.tensors, None);
    }
    for length in 0..new.tensors.len() {
        check(format_args!("{length}"), &new.manifest, &new.tensors[..length], None);
    }
    check("whole", &new.manifest, &new.tensors, Some(&new.says));
}

/// All of the manifest, of the tensors' own header, and one bit in every 64 bytes of the numbers.
#[test]
fn a_flipped_bit() {
    // P-9
    let [_, new] = old_and_new();
    for place in 0..new.manifest.len() {
        for bit in 0..8 {
            let manifest = flipped(&new.manifest, place, bit);
            check(format_args!("manifest {place} {bit}"), &manifest, &new.tensors, None);
        }
    }
    let (length, _) = new.tensors.split_first_chunk().expect("a length first");
    let header = 8 + u64::from_le_bytes(*length) as usize;
    for place in 0..header {
        for bit in 0..8 {
            let tensors = flipped(&new.tensors, place, bit);
            check(format_args!("header {place} {bit}"), &new.manifest, &tensors, None);
        }
    }
    assert!(new.tensors.len() >= header + 20 * 64, "too short a body");
    for (nth, place) in (header..new.tensors.len()).step_by(64).enumerate() {
        // Another byte and another bit each time, so that every kind of flip comes by.
        let place = (place + nth * 11 % 64).min(new.tensors.len() - 1);
        let tensors = flipped(&new.tensors, place, nth % 8);
        check(format_args!("body {place}"), &new.manifest, &tensors, None);
    }
}

/// The new file's beginning over the old file, as of a write that did not finish, or that a disk
/// did in another order.
#[test]
fn a_mixture_of_two() {
    // P-9
    let [old, new] = old_and_new();
    assert_eq!(old.tensors.len(), new.tensors.len());
    check("new numbers, old manifest", &old.manifest, &new.tensors, None);
    check("old numbers, new manifest", &new.manifest, &old.tensors, None);
    let mixed = |old: &[u8], new: &[u8], at: usize| [&new[..at], &old[at..]].concat();
    for at in 0..=new.tensors.len() {
        let tensors = mixed(&old.tensors, &new.tensors, at);
        for saved in [&old, &new] {
            let says = (tensors == saved.tensors).then_some(&saved.says);
            check(format_args!("tensors to {at}"), &saved.manifest, &tensors, says);
        }
    }
    for at in 0..=new.manifest.len().min(old.manifest.len()) {
        let manifest = mixed(&old.manifest, &new.manifest, at);
        for saved in [&old, &new] {
            let says = (manifest == saved.manifest).then_some(&saved.says);
            check(format_args!("manifest to {at}"), &manifest, &saved.tensors, says);
        }
    }
}
