//! A small transformer learns to write the next character of Shakespeare's plays.
//!
//! Vaswani and others (2017), with normalisation before each part; nothing of it is tuned. The loss
//! that it prints is of text that it has not seen, in nats a character. `shakespeare 100` makes 100
//! updates and not the usual 1,000.

#![allow(clippy::print_stdout, reason = "a program tells its result")]

use std::error::Error;
use std::io::Read;
use std::sync::Arc;

use candle_core::{D, DType, Device, IndexOp, Module, Result, Tensor};
use candle_nn::{Embedding, Init, Linear, VarBuilder, embedding, linear, loss, ops};
use flate2::read::GzDecoder;
use optim::Adam;
use sync_replicas::{BatchSource, Hooks, SyncReplicas};
use sync_replicas_candle::{CandleModel, Pass};

const TEXT: &[u8] = include_bytes!("../data/shakespeare.txt.gz");

/// Characters that are looked back at; numbers for each; heads; layers; lines in a batch.
const CONTEXT: usize = 64;
const WIDTH: usize = 64;
const HEADS: usize = 4;
const LAYERS: usize = 2;
const LINES: usize = 16;

/// Made where no option says how many.
const UPDATES: i64 = 1_000;

/// Candle's own normalisation of a layer has no backward pass: what comes before it would learn
/// nothing. This one has.
struct Norm {
    weight: Tensor,
    bias: Tensor,
}

impl Norm {
    fn new(vb: &VarBuilder<'_>) -> Result<Self> {
        let weight = vb.get_with_hints(WIDTH, "weight", Init::Const(1.0))?;
        Ok(Self { weight, bias: vb.get(WIDTH, "bias")? })
    }
}

impl Module for Norm {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        ops::layer_norm_slow(x, &self.weight, &self.bias, 1e-5)
    }
}

/// What looks at the characters before, and a network for each.
struct Layer {
    norms: [Norm; 2],
    attention: [Linear; 2],
    network: [Linear; 2],
}

struct Transformer {
    characters: Embedding,
    places: Embedding,
    layers: Vec<Layer>,
    norm: Norm,
    out: Linear,
    /// Minus infinity where a character would see one that comes after it.
    mask: Tensor,
}

impl Layer {
    fn new(vb: &VarBuilder<'_>) -> Result<Self> {
        let norm = |name| Norm::new(&vb.pp(name));
        Ok(Self {
            norms: [norm("norm1")?, norm("norm2")?],
            attention: [
                linear(WIDTH, 3 * WIDTH, vb.pp("attention"))?,
                linear(WIDTH, WIDTH, vb.pp("project"))?,
            ],
            network: [
                linear(WIDTH, 4 * WIDTH, vb.pp("network1"))?,
                linear(4 * WIDTH, WIDTH, vb.pp("network2"))?,
            ],
        })
    }

    fn forward(&self, x: &Tensor, mask: &Tensor) -> Result<Tensor> {
        let (lines, length, _) = x.dims3()?;
        let heads = self.attention[0].forward(&self.norms[0].forward(x)?)?;
        let heads = heads.reshape((lines, length, 3, HEADS, WIDTH / HEADS))?;
        let part = |number| heads.i((.., .., number))?.transpose(1, 2)?.contiguous();
        let (query, key, value) = (part(0)?, part(1)?, part(2)?);
        let scale = ((WIDTH / HEADS) as f64).sqrt().recip();
        let scores = (query.matmul(&key.t()?.contiguous()?)? * scale)?.broadcast_add(mask)?;
        let seen = ops::softmax(&scores, D::Minus1)?.matmul(&value)?;
        let seen = seen.transpose(1, 2)?.reshape((lines, length, WIDTH))?;
        let x = (x + self.attention[1].forward(&seen)?)?;
        let hidden = self.network[0].forward(&self.norms[1].forward(&x)?)?.gelu()?;
        x + self.network[1].forward(&hidden)?
    }
}

impl Transformer {
    fn new(kinds: usize, vb: &VarBuilder<'_>) -> Result<Self> {
        let layers = (0..LAYERS).map(|layer| Layer::new(&vb.pp(format!("layer{layer}"))));
        let sees = |from: usize, to: usize| if to > from { f32::NEG_INFINITY } else { 0.0 };
        let mask = (0..CONTEXT * CONTEXT).map(|it| sees(it / CONTEXT, it % CONTEXT)).collect();
        Ok(Self {
            characters: embedding(kinds, WIDTH, vb.pp("characters"))?,
            places: embedding(CONTEXT, WIDTH, vb.pp("places"))?,
            layers: layers.collect::<Result<_>>()?,
            norm: Norm::new(&vb.pp("norm"))?,
            out: linear(WIDTH, kinds, vb.pp("out"))?,
            mask: Tensor::from_vec(mask, (CONTEXT, CONTEXT), vb.device())?,
        })
    }

    /// The mean of what each next character costs, in nats. Between the layers it looks whether
    /// the others have finished the step.
    fn loss(&self, lines: &Tensor, pass: Option<&Pass>) -> Result<Tensor> {
        let (x, next) = (lines.i((.., ..CONTEXT))?, lines.i((.., 1..))?);
        let places = Tensor::arange(0_u32, CONTEXT as u32, lines.device())?;
        let places = self.places.forward(&places)?;
        let mut x = self.characters.forward(&x.contiguous()?)?.broadcast_add(&places)?;
        for layer in &self.layers {
            pass.map_or(Ok(()), Pass::check)?;
            x = layer.forward(&x, &self.mask)?;
        }
        let scores = self.out.forward(&self.norm.forward(&x)?)?.flatten_to(1)?;
        loss::cross_entropy(&scores, &next.flatten_all()?)
    }
}

/// Lines from anywhere in a text, found by number.
#[derive(Clone)]
struct Lines(Arc<[u32]>);

impl BatchSource for Lines {
    type Batch = Tensor;

    fn batch(&mut self, number: u64) -> Option<Tensor> {
        let Self(text) = self;
        // A step that shares no factor with the places goes through all of them.
        let places = text.len() - CONTEXT;
        let place =
            |line: u64| (number * LINES as u64 + line).wrapping_mul(1_000_003) as usize % places;
        let lines = (0..LINES as u64).flat_map(|line| &text[place(line)..=place(line) + CONTEXT]);
        let lines: Vec<u32> = lines.copied().collect();
        Tensor::from_vec(lines, (LINES, CONTEXT + 1), &Device::Cpu).ok()
    }
}

/// The text as numbers of characters, nine tenths to learn from and a tenth to test with.
fn read() -> std::io::Result<(usize, Lines, Lines)> {
    let mut text = Vec::new();
    GzDecoder::new(TEXT).read_to_end(&mut text)?;
    let mut kinds = text.clone();
    kinds.sort_unstable();
    kinds.dedup();
    let number = |kind: &u8| kinds.partition_point(|it| it < kind) as u32;
    let text: Vec<u32> = text.iter().map(number).collect();
    let (train, test) = text.split_at(text.len() / 10 * 9);
    Ok((kinds.len(), Lines(train.into()), Lines(test.into())))
}

fn main() -> std::result::Result<(), Box<dyn Error>> {
    let updates = std::env::args().nth(1).map_or(Ok(UPDATES), |text| text.parse())?;
    let (kinds, train, mut test) = read()?;
    let model = CandleModel::new(
        move |vb| Transformer::new(kinds, &vb),
        |net, lines: &Tensor, pass| net.loss(lines, Some(pass)),
    );
    let trainer = SyncReplicas::new(Adam::new(3e-3))
        .replicas_to_aggregate(2)
        .total_num_replicas(3)
        .build(model.variables()?)?;
    trainer.fit(&model, |_replica| train.clone(), Hooks::new().stop_at_step(updates))?;

    let net = model.module(&trainer.snapshot().variables)?;
    let mut sum = 0.0;
    for number in 0..20 {
        let lines = test.batch(number).ok_or("the test has no last batch")?;
        sum += net.loss(&lines, None)?.to_dtype(DType::F64)?.to_scalar::<f64>()?;
    }
    println!("test loss {:.3}", sum / 20.0);
    Ok(())
}
