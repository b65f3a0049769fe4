//! What a model adds to candle's own forward and backward pass: setting the variables, and copying
//! the gradients. `cargo xtask bench candle` builds and starts it.

#![allow(clippy::print_stderr, reason = "a tool for a terminal")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use benches::{Bound, Measure, Row, Target, Unit, Work};
use candle_core::{DType, Device, Module, Tensor};
use candle_nn::{Activation, Sequential, VarBuilder, VarMap, linear, loss, seq};
use sync_replicas::driver::{CancellationSource, GradientBuffers, LocalStep};
use sync_replicas::{self as sync, GlobalStep, Model, ReplicaId, Variables};
use sync_replicas_candle::CandleModel;

type Batch = (Tensor, Tensor);

const EXAMPLES: usize = 64;

/// Inputs, units of the hidden layer, outputs: with about so many parameters.
const SMALL: [usize; 3] = [100, 90, 10];
const LARGE: [usize; 3] = [1_000, 5_000, 1_000];

const fn row(
    name: &'static str,
    sizes: [fn() -> Box<dyn Work>; 2],
    wanted: &'static [Target],
) -> Row {
    let [work, bound] = sizes;
    Row {
        name,
        unit: Unit::PerSecond,
        measure: Measure::Timed { amount: 1.0, work },
        bound: Some(Bound { name: "candle alone", amount: 1.0, work: bound }),
        targets: wanted,
    }
}

static ROWS: [Row; 2] = [
    row("candle/1e4", [|| Box::new(Adapted::new(SMALL)), || Box::new(Alone::new(SMALL))], &[]),
    row(
        "candle/1e7",
        [|| Box::new(Adapted::new(LARGE)), || Box::new(Alone::new(LARGE))],
        // A tenth more time.
        &[Target::RatioAtLeast(1.0 / 1.1)],
    ),
];

fn net(
    [inputs, hidden, outputs]: [usize; 3],
    vb: &VarBuilder<'_>,
) -> candle_core::Result<Sequential> {
    let first = linear(inputs, hidden, vb.pp("hidden"))?;
    Ok(seq().add(first).add(Activation::Relu).add(linear(hidden, outputs, vb.pp("out"))?))
}

fn mean_loss(net: &Sequential, (x, y): &Batch) -> candle_core::Result<Tensor> {
    loss::mse(&net.forward(x)?, y)
}

fn batch([inputs, _, outputs]: [usize; 3]) -> candle_core::Result<Batch> {
    let of = |width| Tensor::rand(-1_f32, 1.0, (EXAMPLES, width), &Device::Cpu);
    Ok((of(inputs)?, of(outputs)?))
}

/// A model's gradients, which then come back as an update gives them back.
struct Adapted {
    model: CandleModel<Sequential, Batch>,
    variables: Variables<f32>,
    buffers: GradientBuffers<f32>,
    source: CancellationSource,
    batch: Batch,
}

impl Adapted {
    fn new(sizes: [usize; 3]) -> Self {
        let model = CandleModel::new(
            move |vb| net(sizes, &vb),
            |net, batch: &Batch, _| mean_loss(net, batch),
        );
        let variables = model.variables().expect("the module is built");
        let buffers = GradientBuffers::new(&variables, 2);
        let source = CancellationSource::new(GlobalStep::new(0));
        Self { model, variables, buffers, source, batch: batch(sizes).expect("a batch is drawn") }
    }

    fn step(&self) {
        let (step, superseded) = (GlobalStep::new(0), self.source.next(LocalStep::new(0), false));
        let work = sync::Work::new(ReplicaId::new(0), step, 0, &superseded, &self.buffers);
        let computed = self.model.gradients(&self.variables, &self.batch, &work);
        let gradients = computed.expect("it computes").expect("it is not late").gradients;
        self.buffers.take_back(gradients.into_iter().map(|(_, gradient)| gradient).enumerate());
    }
}

impl Work for Adapted {
    fn run(&mut self, times: u64) -> Duration {
        let begun = Instant::now();
        (0..times).for_each(|_| self.step());
        begun.elapsed()
    }
}

/// The same passes by candle alone.
struct Alone {
    net: Sequential,
    batch: Batch,
}

impl Alone {
    fn new(sizes: [usize; 3]) -> Self {
        let map = VarMap::new();
        let vb = VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu);
        let (net, batch) = (net(sizes, &vb), batch(sizes));
        Self { net: net.expect("the module is built"), batch: batch.expect("a batch is drawn") }
    }
}

impl Work for Alone {
    fn run(&mut self, times: u64) -> Duration {
        let begun = Instant::now();
        for _ in 0..times {
            let loss = mean_loss(&self.net, &self.batch).expect("it computes");
            loss.to_scalar::<f32>().expect("it is one number");
            loss.backward().expect("it has gradients");
        }
        begun.elapsed()
    }
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let out = words.iter().skip_while(|word| *word != "--out").nth(1);
    // Without a folder cargo only looks whether it starts.
    let Some(out) = out.map(PathBuf::from) else { return ExitCode::SUCCESS };
    let quick = words.iter().any(|word| word == "--quick");
    match benches::report(Some("candle"), quick, &out, &ROWS) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}: {error}", out.display());
            ExitCode::FAILURE
        }
    }
}
