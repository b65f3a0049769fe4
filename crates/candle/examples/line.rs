//! The program of the guide: four replicas in threads, of which one is slow.

#![allow(clippy::print_stdout, reason = "a program tells its result")]

use std::time::Duration;

use candle_core::{Device, Module, Tensor};
use candle_nn::{linear, loss};
use optim::Adam;
use sync_replicas::{Hooks, ReplicaId, SyncReplicas};
use sync_replicas_candle::{Batches, CandleModel};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let x = Tensor::arange(0_f32, 64.0, &Device::Cpu)?.reshape((64, 1))?.affine(1.0 / 64.0, 0.0)?;
    let y = x.affine(3.0, 1.0)?;
    let model = CandleModel::new(
        |vb| linear(1, 1, vb.pp("line")),
        |net, (x, y): &(Tensor, Tensor), pass| {
            if pass.replica() == ReplicaId::new(3) {
                pass.pause(Duration::from_secs(1))?; // the others do not wait for it
            }
            loss::mse(&net.forward(x)?, y)
        },
    );
    let trainer = SyncReplicas::new(Adam::new(0.1))
        .replicas_to_aggregate(3)
        .total_num_replicas(4)
        .build(model.variables()?)?;
    let data = Batches::new((x.clone(), y.clone()), 16)?;
    let report = trainer.fit(&model, |_replica| data.clone(), Hooks::new().stop_at_step(300))?;

    let variables = &trainer.snapshot().variables;
    let net = model.module(variables)?; // a module of candle, with the trained values
    let error = loss::mse(&net.forward(&x)?, &y)?.to_scalar::<f32>()?;
    println!("{} updates in {:.1?}\nerror {error:.6}", report.updates, report.elapsed);
    model.var_map(variables)?.save(std::env::temp_dir().join("line.safetensors"))?;
    Ok(())
}
