//! Any bytes as a checkpoint (P-9, R-15): refused with a reason and nothing changed, or taken over
//! and trained from.
//!
//! Up to the first zero byte stands the manifest, after it the tensors. A checksum would refuse
//! nearly everything, so the same bytes are tried once as they are and once under right checksums.

use std::fs;

use ndarray::array;
use optim::Adam;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sync_replicas::{Gradients, ReplicaId, SyncReplicas, Trainer, Variables, checkpoint};

pub fn check(data: &[u8]) {
    let end = data.iter().position(|byte| *byte == 0).unwrap_or(data.len());
    let (manifest, tensors) = (&data[..end], data.get(end + 1..).unwrap_or_default());
    read(manifest, tensors);
    if let Some(manifest) = sealed(manifest, tensors) {
        read(&manifest, tensors);
    }
}

/// The same manifest with the checksums that make it whole.
fn sealed(manifest: &[u8], tensors: &[u8]) -> Option<Vec<u8>> {
    let mut manifest: Value = serde_json::from_slice(manifest).ok()?;
    let inner = match manifest.get_mut("manifest") {
        Some(inner) => inner.take(),
        None => manifest,
    };
    let mut inner = inner;
    let fields = inner.as_object_mut()?;
    fields.insert("tensors_sha256".into(), json!(sha256(tensors)));
    fields.insert("tensors_bytes".into(), json!(tensors.len()));
    if let Some(Value::Object(file)) = fields.get_mut("files").and_then(|it| it.get_mut(0)) {
        file.insert("sha256".into(), json!(sha256(tensors)));
        file.insert("bytes".into(), json!(tensors.len()));
    }
    let text = inner.to_string();
    let sum = sha256(text.as_bytes());
    Some(format!("{{\"sha256\":\"{sum}\",\"manifest\":{text}}}").into_bytes())
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn read(manifest: &[u8], tensors: &[u8]) {
    if let Err(error) = checkpoint::from_bytes::<f32>(manifest, tensors) {
        assert!(!error.to_string().is_empty());
    }
    match checkpoint::from_bytes::<f64>(manifest, tensors) {
        Ok(state) => restore(manifest, tensors, state.global_step.get()),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// What can be read fits this model or does not; if it does, a step can be made from there.
fn restore(manifest: &[u8], tensors: &[u8], step: i64) {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("manifest.json"), manifest).expect("it can be written");
    fs::write(folder.path().join("tensors.safetensors"), tensors).expect("it can be written");
    let trainer = trainer();
    let before = (trainer.snapshot(), trainer.totals());
    match trainer.restore(folder.path()) {
        Ok(restored) => {
            assert_eq!(restored.get(), step);
            assert!(trainer.snapshot().generation > before.0.generation);
            train(&trainer);
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            assert_eq!((trainer.snapshot(), trainer.totals()), before);
        }
    }
}

fn trainer() -> Trainer<f64> {
    let variables = Variables::new().with("w", array![1.0, 2.0]).expect("one name");
    let builder = SyncReplicas::new(Adam::new(0.1)).replicas_to_aggregate(1).moving_average(0.9);
    builder.build(variables).expect("it is valid")
}

fn train(trainer: &Trainer<f64>) {
    let before = trainer.snapshot().global_step.get();
    let mut replica = trainer.replica(ReplicaId::new(0)).expect("it is free");
    let step = replica.next_step().expect("nothing is overdue").expect("nothing has ended");
    step.push(Gradients::new().dense("w", array![0.5, -0.5])).expect("it fits");
    assert_eq!(trainer.snapshot().global_step.get(), before + 1);
}
