//! A network with one hidden layer reads handwritten digits. Of five replicas one is slow, and the
//! others do not wait for it.
//!
//! With `sync-replicas launch -- digits` it is the workers of a cluster.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program tells its result")]

#[path = "common/digits.rs"]
mod digits;

use std::error::Error;
use std::time::Duration;

use candle_core::Tensor;
use candle_nn::{Activation, linear, loss, seq};
use cluster::{Cluster, OnCluster};
use optim::Adam;
use sync_replicas::{Hooks, ReplicaId, SyncReplicas};
use sync_replicas_candle::{Batches, CandleModel};

const SLOW: ReplicaId = ReplicaId::new(4);

fn main() -> Result<(), Box<dyn Error>> {
    let (train, test) = digits::read()?;
    let data = Batches::new(train, 32)?;
    let model = CandleModel::new(
        |vb| {
            let hidden = linear(64, 64, vb.pp("hidden"))?;
            Ok(seq().add(hidden).add(Activation::Relu).add(linear(64, 10, vb.pp("out"))?))
        },
        |net, (images, digits): &(Tensor, Tensor), pass| {
            if pass.replica() == SLOW {
                pass.pause(Duration::from_millis(20))?;
            }
            loss::cross_entropy(&candle_core::Module::forward(net, images)?, digits)
        },
    );
    let (variables, hooks) = (model.variables()?, Hooks::new().stop_at_step(600));
    let training = SyncReplicas::new(Adam::new(0.01));

    let trained = if let Some(cluster) = Cluster::from_env(1)? {
        let (a, n) = (cluster.replicas_to_aggregate(), cluster.total_num_replicas());
        let training = training.replicas_to_aggregate(a).total_num_replicas(n).on(&cluster);
        training.build(variables)?.fit(&model, |_replica| data.clone(), hooks)?.variables
    } else {
        let trainer = training.replicas_to_aggregate(4).total_num_replicas(5).build(variables)?;
        let report = trainer.fit(&model, |_replica| data.clone(), hooks)?;
        for it in &report.replicas {
            eprintln!("{}: {} batches, {} used", it.replica, it.batches, it.tally.accepted);
        }
        Some(trainer.snapshot().variables.clone())
    };
    // Only the chief of a cluster has them.
    if let Some(variables) = trained {
        let accuracy = digits::accuracy(&model.module(&variables)?, &test)?;
        println!("test accuracy {accuracy:.4}");
    }
    Ok(())
}
