//! A large update in parts has the bits of one in one.

use ndarray::{Array1, ArrayD, Axis, Slice};
use optim::{
    Adagrad, Adam, AdamW, DenseGradient, Ftrl, Mean, Momentum, Optimizer, OptimizerState, RmsProp,
    Sgd,
};

/// Enough for several parts, and no multiple of a tile.
const LARGE: usize = (3 << 18) + 345;

fn numbers(seed: usize) -> Array1<f32> {
    Array1::from_shape_fn(LARGE, |at| (at * 7 + seed) as f32 % 1013.0 / 509.0 - 1.0)
}

fn on_two_threads(first: &mut (dyn FnMut() + Send), second: &mut (dyn FnMut() + Send)) {
    std::thread::scope(|scope| {
        scope.spawn(first);
        second();
    });
}

/// Two steps of it, so that slots matter: the variable and all slots, one after the other.
fn after_two_steps(
    optimizer: Box<dyn Optimizer<f32>>,
    ways: usize,
    gradient: &dyn DenseGradient<f32>,
    standard_layout: bool,
) -> Vec<ArrayD<f32>> {
    let state = OptimizerState::new(optimizer).expect("good parameters");
    let mut state = state.side_by_side(ways, on_two_threads);
    state.add_variable("w", &[LARGE]).expect("a new name");
    let mut memory = Array1::zeros(if standard_layout { LARGE } else { 2 * LARGE });
    let step = if standard_layout { 1 } else { 2 };
    let mut w = memory.slice_axis_mut(Axis(0), Slice::new(0, None, step)).into_dyn();
    w.assign(&numbers(3));
    for _ in 0..2 {
        state.apply_dense("w", w.view_mut(), gradient).expect("it fits");
        state.finish_step();
    }
    let slots = state.slot_names().filter_map(|slot| state.slot("w", slot));
    std::iter::once(w.to_owned()).chain(slots.map(|slot| slot.to_owned())).collect()
}

#[track_caller]
fn check(optimizer: fn() -> Box<dyn Optimizer<f32>>) {
    let gradient = numbers(5);
    let mean = Mean { sum: gradient.view(), divisor: 3.0 };
    let gradients: [&dyn DenseGradient<f32>; 2] = [&gradient, &mean];
    for gradient in gradients {
        let in_one = after_two_steps(optimizer(), 1, gradient, true);
        for (ways, standard_layout) in [(64, true), (2, false)] {
            let in_parts = after_two_steps(optimizer(), ways, gradient, standard_layout);
            assert!(in_parts == in_one, "{} in {ways} parts", optimizer().name());
        }
    }
}

#[test]
fn parts_cannot_be_seen_in_the_result() {
    // R-14, P-14
    check(|| Box::new(Sgd::new(0.1)));
    check(|| Box::new(Momentum::new(0.1, 0.9).nesterov(true)));
    check(|| Box::new(Adam::new(0.1)));
    check(|| Box::new(AdamW::new(0.1)));
    check(|| Box::new(Adagrad::new(0.1)));
    check(|| Box::new(RmsProp::new(0.1)));
    check(|| Box::new(Ftrl::new(0.1)));
}
