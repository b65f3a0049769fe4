//! Fits the coefficients of a cubic to points of a sine, with Adam, a schedule, clipping and a
//! moving average: `cargo run -p optim --example fit_a_curve`.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use ndarray::{Array1, Array2, ArrayD};
use optim::{Adam, ExponentialMovingAverage, OptimizerState, Schedule, clip_by_global_norm};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let x = Array1::linspace(-1.5, 1.5, 61);
    let target = x.mapv(f64::sin);
    let powers = Array2::from_shape_fn((x.len(), 4), |(i, k)| x[i].powi(k as i32));

    let schedule: Schedule = "warm-up:steps=20,then=cosine:initial=0.1,steps=600".parse()?;
    let mut optimizer = OptimizerState::<f64>::new(Adam::new(schedule))?;
    let mut averages = ExponentialMovingAverage::<f64>::new(0.99)?;
    let mut w: ArrayD<f64> = ArrayD::zeros(vec![4]);
    optimizer.add_variable("w", w.shape())?;
    averages.add("w", w.view())?;

    for step in 0..=600_u64 {
        let coefficients = w.view().into_shape_with_order(4)?;
        let error = powers.dot(&coefficients) - &target;
        let mut gradient = (powers.t().dot(&error) * (2.0 / x.len() as f64)).into_dyn();
        let norm = clip_by_global_norm(&mut [gradient.view_mut()], 1.0)?;
        if step % 100 == 0 {
            let loss = error.mapv(|e| e * e).sum() / x.len() as f64;
            let rate = optimizer.learning_rate();
            println!("step {step:3}  loss {loss:.6}  gradient norm {norm:.4}  rate {rate:.4}");
        }
        optimizer.apply_dense("w", w.view_mut(), &gradient)?;
        optimizer.finish_step();
        averages.apply("w", w.view(), Some(step))?;
    }
    println!("sin x = {:.3} x {:+.3} x^3, nearly", w[1], w[3]);
    println!("averaged coefficients: {:.3}", averages.average("w").ok_or("w was added")?);
    Ok(())
}
