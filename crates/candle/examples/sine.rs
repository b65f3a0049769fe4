//! A network in candle that learns the sine: in threads, or as workers of `sync-replicas launch`.

#![allow(clippy::print_stdout, reason = "a program tells its result")]

use std::error::Error;

use candle_core::{Device, Module, Tensor};
use candle_nn::{Activation, linear, loss, seq};
use cluster::{Cluster, OnCluster};
use optim::Adam;
use sync_replicas::{Hooks, SyncReplicas};
use sync_replicas_candle::{Batches, CandleModel};

fn main() -> Result<(), Box<dyn Error>> {
    let x = Tensor::arange(-128_f32, 128.0, &Device::Cpu)?.affine(3.0 / 128.0, 0.0)?;
    let x = x.reshape((256, 1))?;
    let data = Batches::new((x.clone(), x.sin()?), 32)?;
    let model = CandleModel::new(
        |vb| {
            let hidden = linear(1, 32, vb.pp("hidden"))?;
            Ok(seq().add(hidden).add(Activation::Silu).add(linear(32, 1, vb.pp("out"))?))
        },
        |net, (x, y): &(Tensor, Tensor), _pass| loss::mse(&net.forward(x)?, y),
    );
    let (variables, hooks) = (model.variables()?, Hooks::new().stop_at_step(1_000));
    let training = SyncReplicas::new(Adam::new(0.03));

    let trained = if let Some(cluster) = Cluster::from_env(1)? {
        let (a, n) = (cluster.replicas_to_aggregate(), cluster.total_num_replicas());
        let training = training.replicas_to_aggregate(a).total_num_replicas(n).on(&cluster);
        training.build(variables)?.fit(&model, |_replica| data.clone(), hooks)?.variables
    } else {
        let trainer = training.replicas_to_aggregate(3).total_num_replicas(4).build(variables)?;
        trainer.fit(&model, |_replica| data.clone(), hooks)?;
        Some(trainer.snapshot().variables.clone())
    };
    if let Some(variables) = trained {
        let error = (model.module(&variables)?.forward(&x)? - x.sin()?)?.abs()?.mean_all()?;
        println!("mean error {:.4}", error.to_scalar::<f32>()?);
    }
    Ok(())
}
