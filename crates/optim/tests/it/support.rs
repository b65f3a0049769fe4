//! What several tests need: every optimizer by name, and running one over gradients.

use ndarray::{Array1, ArrayD, ArrayViewD};
use optim::{
    Adagrad, Adam, AdamW, Ftrl, LazyAdam, Momentum, Optimizer, OptimizerState, Real, RmsProp, Sgd,
    SparseGradient,
};

pub type Boxed<T> = Box<dyn Optimizer<T>>;

/// Every optimizer, with hyper-parameters that make all its terms count.
pub fn all<T: Real>() -> Vec<Boxed<T>> {
    let ftrl = Ftrl::new(0.5).l1(0.05).l2(0.1).l2_shrinkage(0.01);
    vec![
        Box::new(Sgd::new(0.1)),
        Box::new(Momentum::new(0.1, 0.9)),
        Box::new(Momentum::new(0.1, 0.9).nesterov(true)),
        Box::new(Adam::new(0.1).epsilon(0.1)),
        Box::new(LazyAdam::new(0.1).epsilon(0.1)),
        Box::new(AdamW::new(0.1).epsilon(0.1).weight_decay(0.2)),
        Box::new(Adagrad::new(0.1)),
        Box::new(RmsProp::new(0.1).momentum(0.5)),
        Box::new(RmsProp::new(0.1).momentum(0.5).epsilon(1e-3).centered(true)),
        Box::new(ftrl.clone()),
        Box::new(ftrl.learning_rate_power(-0.7)),
    ]
}

/// An optimizer at work on one variable called `w`.
pub fn at_work<T: Real>(optimizer: Boxed<T>, shape: &[usize]) -> OptimizerState<T> {
    let mut state = OptimizerState::new(optimizer).expect("valid hyper-parameters");
    state.add_variable("w", shape).expect("a new name");
    state
}

/// A column of rows with one element.
pub fn column<T: Real>(values: &[f64]) -> ArrayD<T> {
    let values: Array1<T> = values.iter().map(|&value| T::of(value)).collect();
    values.insert_axis(ndarray::Axis(1)).into_dyn()
}

/// One step with a dense gradient.
pub fn dense_step<T: Real>(
    state: &mut OptimizerState<T>,
    w: &mut ArrayD<T>,
    gradient: ArrayViewD<'_, T>,
) {
    state.apply_dense("w", w.view_mut(), &gradient).expect("the shapes fit");
    state.finish_step();
}

/// One step with a sparse gradient.
pub fn sparse_step<T: Real>(
    state: &mut OptimizerState<T>,
    w: &mut ArrayD<T>,
    indices: &[i64],
    rows: ArrayViewD<'_, T>,
) {
    let gradient = SparseGradient { indices, rows };
    state.apply_sparse("w", w.view_mut(), gradient).expect("the gradient fits");
    state.finish_step();
}

/// All bits of the variable and of everything that would be saved.
pub fn bits<T: Real>(state: &OptimizerState<T>, w: &ArrayD<T>) -> Vec<u64> {
    let slots = state.slot_names().map(|name| state.slot("w", name).expect("a declared slot"));
    let slots: Vec<u64> =
        slots.flat_map(|slot| slot.to_owned()).map(|x| x.wide().to_bits()).collect();
    w.iter().map(|x| x.wide().to_bits()).chain(slots).collect()
}

/// Fails unless the two are within `relative` of the expected or `absolute`.
#[track_caller]
pub fn close(what: &str, actual: f64, expected: f64, relative: f64, absolute: f64) {
    let error = (actual - expected).abs();
    let fine = error <= relative * expected.abs() || error <= absolute;
    assert!(fine, "{what}: {actual} is not {expected} within {relative} or {absolute}");
}
