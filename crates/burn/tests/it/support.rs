//! One pass of a model without a trainer.

use burn::module::Module;
use burn::tensor::{Device, Shape, Tensor, TensorData};
use sync_replicas::driver::{CancellationSource, GradientBuffers, LocalStep};
use sync_replicas::{
    BoxError, Computed, GlobalStep, Gradient, Gradients, Model, ReplicaId, Variables, Work,
};
use sync_replicas_burn::{Batch, BurnModel, Float};

/// What a pass computes of a batch.
pub fn pass<M: Module, B: Batch, T: Float>(
    model: &BurnModel<M, B, T>,
    variables: &Variables<T>,
    batch: &B,
) -> Result<Option<Computed<T>>, BoxError> {
    pass_with(model, variables, batch, &CancellationSource::new(GlobalStep::new(0)))
}

/// The same with somebody who may say that it is late.
pub fn pass_with<M: Module, B: Batch, T: Float>(
    model: &BurnModel<M, B, T>,
    variables: &Variables<T>,
    batch: &B,
    source: &CancellationSource,
) -> Result<Option<Computed<T>>, BoxError> {
    let buffers = GradientBuffers::new(variables, 1);
    let step = source.step();
    let superseded = source.next(LocalStep::new(step.get()), true);
    let work = Work::new(ReplicaId::new(0), step, 0, &superseded, &buffers);
    model.gradients(variables, batch, &work)
}

/// A pass that is computed to its end.
pub fn computed<M: Module, B: Batch, T: Float>(
    model: &BurnModel<M, B, T>,
    variables: &Variables<T>,
    batch: &B,
) -> Computed<T> {
    pass(model, variables, batch).expect("it computes").expect("it is not late")
}

pub fn gradient<'a, T>(gradients: &'a Gradients<T>, name: &str) -> &'a Gradient<T> {
    let mut all = gradients.iter();
    all.find(|(it, _)| *it == name).expect("each variable is named").1
}

/// Numbers that look random, in -1 to 1.
pub fn noise<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    let count = shape.iter().product::<usize>();
    let numbers: Vec<f32> = (0..count).map(|it| ((it * 7919 + 31) as f32).sin()).collect();
    Tensor::from_data(TensorData::new(numbers, Shape::from(shape)), &Device::flex())
}
