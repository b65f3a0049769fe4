//! First values drawn from a seed, where candle's own differ at every run.
//!
//! Knows candle's ways to initialise, and not where values go. Invariant: they depend on the seed
//! and on the variable's name, shape and initialisation alone, so they are the same in every
//! process and whatever else the module has (P-14).

use candle_core::Shape;
use candle_nn::Init;
use candle_nn::init::NormalOrUniform;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sync_replicas::hash_text;

/// The first values of one variable, in order.
pub(crate) fn drawn(seed: u64, name: &str, shape: &Shape, init: Init) -> Vec<f64> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(hash_text(name).cast_unsigned());
    let count = shape.elem_count();
    match init {
        Init::Const(value) => vec![value; count],
        Init::Uniform { lo, up } => uniform(&mut random, count, lo, up),
        Init::Randn { mean, stdev } => normal(&mut random, count, mean, stdev),
        Init::Kaiming { dist, fan, non_linearity } => {
            let stdev = non_linearity.gain() / (fan.for_shape(shape) as f64).sqrt();
            match dist {
                NormalOrUniform::Uniform => {
                    let bound = 3_f64.sqrt() * stdev;
                    uniform(&mut random, count, -bound, bound)
                }
                NormalOrUniform::Normal => normal(&mut random, count, 0.0, stdev),
            }
        }
    }
}

fn uniform(random: &mut ChaCha8Rng, count: usize, low: f64, high: f64) -> Vec<f64> {
    (0..count).map(|_| low + (high - low) * random.random::<f64>()).collect()
}

/// By Box and Muller (1958), with functions that give the same bits everywhere.
fn normal(random: &mut ChaCha8Rng, count: usize, mean: f64, stdev: f64) -> Vec<f64> {
    let one = |_| {
        // 1 less a number below 1 is never 0.
        let radius = (-2.0 * libm::log(1.0 - random.random::<f64>())).sqrt();
        let angle = std::f64::consts::TAU * random.random::<f64>();
        mean + stdev * radius * libm::cos(angle)
    };
    (0..count).map(one).collect()
}
