//! A small convolutional network reads handwritten digits, and what it has learned is saved as
//! safetensors and loaded again.

#![allow(clippy::print_stdout, reason = "a program tells its result")]

#[path = "common/digits.rs"]
mod digits;

use std::error::Error;

use candle_core::{Module, Result, Tensor};
use candle_nn::{Conv2d, Conv2dConfig, Linear, VarBuilder, conv2d, linear, loss};
use optim::Adam;
use sync_replicas::{Hooks, SyncReplicas};
use sync_replicas_candle::{Batches, CandleModel};

struct Net {
    first: Conv2d,
    second: Conv2d,
    out: Linear,
}

impl Net {
    fn new(vb: &VarBuilder<'_>) -> Result<Self> {
        let config = Conv2dConfig { padding: 1, ..Conv2dConfig::default() };
        Ok(Self {
            first: conv2d(1, 16, 3, config, vb.pp("first"))?,
            second: conv2d(16, 32, 3, config, vb.pp("second"))?,
            out: linear(32 * 2 * 2, 10, vb.pp("out"))?,
        })
    }
}

impl Module for Net {
    fn forward(&self, images: &Tensor) -> Result<Tensor> {
        let images = images.reshape(((), 1, 8, 8))?;
        let images = self.first.forward(&images)?.relu()?.max_pool2d(2)?;
        let images = self.second.forward(&images)?.relu()?.max_pool2d(2)?;
        self.out.forward(&images.flatten_from(1)?)
    }
}

fn main() -> std::result::Result<(), Box<dyn Error>> {
    let (train, test) = digits::read()?;
    let data = Batches::new(train, 32)?;
    let model = CandleModel::new(
        |vb| Net::new(&vb),
        |net, (images, digits): &(Tensor, Tensor), pass| {
            pass.check()?;
            loss::cross_entropy(&net.forward(images)?, digits)
        },
    );
    let trainer = SyncReplicas::new(Adam::new(0.005))
        .replicas_to_aggregate(3)
        .total_num_replicas(4)
        .build(model.variables()?)?;
    trainer.fit(&model, |_replica| data.clone(), Hooks::new().stop_at_step(300))?;

    let file = std::env::temp_dir().join(format!("digits-{}.safetensors", std::process::id()));
    model.var_map(&trainer.snapshot().variables)?.save(&file)?;
    let loaded = model.load(&file);
    std::fs::remove_file(&file)?;
    println!("test accuracy {:.4}", digits::accuracy(&model.module(&loaded?)?, &test)?);
    Ok(())
}
