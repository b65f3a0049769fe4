//! A network with one hidden layer, written in burn, reads handwritten digits. Of five replicas one
//! is slow, and the others do not wait for it.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program tells its result")]

use std::error::Error;
use std::time::Duration;

use burn::module::Module;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Int, Tensor, TensorData, activation};
use optim::Adam;
use sync_replicas::{BatchSampler, BatchSource, Hooks, ReplicaId, SyncReplicas};
use sync_replicas_burn::BurnModel;
use tabular::data::{Choices, Content, Dataset, Examples, TestRows};

const SLOW: ReplicaId = ReplicaId::new(4);

/// Images, n x 64 numbers in 0 to 1, and which digit each is.
type Digits = (Tensor<2>, Tensor<1, Int>);

#[derive(Module, Debug)]
struct Net {
    hidden: Linear,
    out: Linear,
}

impl Net {
    fn new(device: &Device) -> Self {
        let linear = |from, to| LinearConfig::new(from, to).init(device);
        Self { hidden: linear(64, 64), out: linear(64, 10) }
    }

    fn forward(&self, images: Tensor<2>) -> Tensor<2> {
        self.out.forward(activation::relu(self.hidden.forward(images)))
    }
}

/// Batches of the training rows, shuffled and found by number.
#[derive(Clone)]
struct Shuffled(Digits, BatchSampler);

impl BatchSource for Shuffled {
    type Batch = Digits;

    fn batch(&mut self, number: u64) -> Option<Digits> {
        let Self((images, digits), order) = self;
        let rows: Vec<i64> = order.rows(number).into_iter().map(|row| row as i64).collect();
        let rows = Tensor::<1, Int>::from_ints(rows.as_slice(), &images.device());
        Some((images.clone().select(0, rows.clone()), digits.clone().select(0, rows)))
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let device = Device::flex();
    let content = Content::of_bytes(tabular::DIGITS, "the digits")?;
    let choices = Choices { target: "digit".to_owned(), ..Choices::default() };
    let file = Dataset::new(content, &choices, TestRows::OfTheFile)?;
    let train = tensors(&file.train.reader()?.examples(0..file.train.len())?, &device);
    let (images, digits) = tensors(&file.test.reader()?.examples(0..file.test.len())?, &device);
    let data = Shuffled(train, BatchSampler::new(file.train.len(), 32, 0)?);

    let model = BurnModel::new(&device, Net::new, |net, (images, digits): &Digits, work| {
        if work.replica == SLOW {
            let _ = work.pause(Duration::from_millis(20));
        }
        let loss = CrossEntropyLossConfig::new().init(&images.device());
        loss.forward(net.forward(images.clone()), digits.clone())
    });
    let trainer = SyncReplicas::new(Adam::new(0.01))
        .replicas_to_aggregate(4)
        .total_num_replicas(5)
        .build(model.variables()?)?;
    let report = trainer.fit(&model, |_replica| data.clone(), Hooks::new().stop_at_step(600))?;
    for it in &report.replicas {
        eprintln!("{}: {} batches, {} used", it.replica, it.batches, it.tally.accepted);
    }

    let net = model.module(&trainer.snapshot().variables)?;
    let read = net.forward(images).argmax(1).flatten::<1>(0, 1);
    let right: i64 = read.equal(digits).int().sum().try_into_scalar()?;
    println!("test accuracy {:.4}", right as f64 / file.test.len() as f64);
    Ok(())
}

fn tensors(examples: &Examples, device: &Device) -> Digits {
    let numbers: Vec<f32> = examples.numbers().iter().copied().collect();
    let digits: Vec<i64> = examples.targets().iter().map(|&digit| digit as i64).collect();
    let images = Tensor::from_data(TensorData::new(numbers, [examples.len(), 64]), device);
    (images, Tensor::from_ints(digits.as_slice(), device))
}
