//! A module and its loss as a model: set the values, run forward and backward, collect gradients.
//!
//! Knows no replicas and no steps; the trainer does. Invariant: what a module was given is what it
//! computes with. Its values are set before each pass, and nothing of an earlier one is left.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use burn::module::Module;
use burn::tensor::kind::Autodiff;
use burn::tensor::{Device, Tensor};
use sync_replicas::{BoxError, Computed, Gradient, Gradients, Model, Variables, Work};

use crate::BurnError;
use crate::walk::{self, Float};

type Build<M> = Box<dyn Fn(&Device) -> M + Send + Sync>;
type Loss<M, B, T> = Box<dyn Fn(&M, &B, &Work<'_, T>) -> Tensor<1> + Send + Sync>;

/// Held while modules are built and drawn: a backend has one generator for all threads.
static DRAWING: Mutex<()> = Mutex::new(());

/// A model whose gradients burn computes: a module `M`, and the loss of a batch `B`, trained in
/// numbers `T`.
///
/// One value serves all replicas: each pass has a module to itself, which was built once and is
/// given the values of the step.
///
/// Its variables are the module's parameters of floats, named by the fields that lead to them, and
/// sorted. One that a loss does not use has no gradient. Replicas share what the optimizer
/// updates and nothing else, so batch normalisation that sets its running statistics is refused.
pub struct BurnModel<M, B, T: Float = f32> {
    device: Device,
    build: Build<M>,
    loss: Loss<M, B, T>,
    seed: u64,
    /// Modules that no pass has. One whose pass failed or panicked does not come back.
    idle: Mutex<Vec<M>>,
}

impl<M, B, T: Float> fmt::Debug for BurnModel<M, B, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BurnModel")
            .field("device", &self.device)
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}

impl<M: Module, B> BurnModel<M, B, f32> {
    /// A model of the module that `build` makes on `device`. `loss` gives the mean loss of a batch;
    /// where [`Work::is_superseded`] holds it may return anything, which is dropped.
    ///
    /// `build` is called once for each module that computes at the same time, and must make the
    /// same parameters every time. Where it loads a file, its values are the first ones.
    // P-13
    pub fn new(
        device: &Device,
        build: impl Fn(&Device) -> M + Send + Sync + 'static,
        loss: impl Fn(&M, &B, &Work<'_, f32>) -> Tensor<1> + Send + Sync + 'static,
    ) -> Self {
        Self::of(device, Box::new(build), Box::new(loss))
    }
}

impl<M: Module, B> BurnModel<M, B, f64> {
    /// The same as [`new`](BurnModel::new), trained in double precision: parameters of `f32` are
    /// widened, and batches must be of `f64`.
    pub fn in_f64(
        device: &Device,
        build: impl Fn(&Device) -> M + Send + Sync + 'static,
        loss: impl Fn(&M, &B, &Work<'_, f64>) -> Tensor<1> + Send + Sync + 'static,
    ) -> Self {
        Self::of(device, Box::new(build), Box::new(loss))
    }
}

impl<M: Module, B, T: Float> BurnModel<M, B, T> {
    fn of(device: &Device, build: Build<M>, loss: Loss<M, B, T>) -> Self {
        let device = device.clone().autodiff();
        Self { device, build, loss, seed: 0, idle: Mutex::default() }
    }

    /// Other first values than those of seed 0.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The variables of the module with their first values, which the seed decides: the same in
    /// every process and at every run. The device's generator is seeded meanwhile, and left with a
    /// seed that nobody knows, so that no two processes drop the same units.
    ///
    /// # Errors
    /// [`BurnError`] when the module cannot be trained.
    pub fn variables(&self) -> Result<Variables<T>, BurnError> {
        let _drawing = drawing();
        self.device.seed(self.seed);
        let module = (self.build)(&self.device);
        let arrays = walk::values(&module, Some((self.seed, &self.device)));
        self.device.seed(RandomState::new().hash_one(self.seed));
        let arrays = arrays?;
        if arrays.is_empty() {
            return Err(BurnError::NoVariables);
        }
        let with = |all: Variables<T>, (name, array)| all.with(name, array);
        Ok(arrays.into_iter().try_fold(Variables::new(), with)?)
    }

    /// A module with these values, to evaluate or to predict with, as [`Module::valid`] makes it;
    /// `save_file` writes it, and [`Module::train`] goes on with it in burn.
    ///
    /// # Errors
    /// [`BurnError::Variables`] when they are another model's.
    pub fn module(&self, variables: &Variables<T>) -> Result<M, BurnError> {
        Ok(self.built(variables)?.valid())
    }

    fn built(&self, variables: &Variables<T>) -> Result<M, BurnError> {
        let _drawing = drawing();
        walk::set((self.build)(&self.device), variables)
    }

    /// An idle module or a new one, with these values.
    fn taken(&self, variables: &Variables<T>) -> Result<M, BurnError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match idle {
            Some(module) => walk::set(module, variables),
            None => self.built(variables),
        }
    }
}

fn drawing() -> MutexGuard<'static, ()> {
    // It guards no data, so a panic of a `build` has broken none.
    DRAWING.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<M: Module, B: Batch, T: Float> Model<T> for BurnModel<M, B, T> {
    type Batch = B;

    fn gradients(
        &self,
        variables: &Variables<T>,
        batch: &B,
        work: &Work<'_, T>,
    ) -> Result<Option<Computed<T>>, BoxError> {
        let module = self.taken(variables)?;
        let loss = (self.loss)(&module, &batch.on(&self.device), work);
        let computed = if work.is_superseded() {
            None
        } else {
            let [got] = loss.dims();
            if got != 1 {
                return Err(BurnError::Loss { got }.into());
            }
            if !loss.is_tracked() {
                let known = variables.names().collect::<Vec<_>>().join(", ");
                return Err(BurnError::NoGradient { known }.into());
            }
            let gradients = walk::gradients(&module, &loss.backward(), work)?;
            refuse_set_in_pass(&module, variables, &gradients)?;
            let loss = loss.try_into_scalar()?;
            Some(Computed { loss, examples: batch.examples() as u64, gradients })
        };
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(module);
        Ok(computed)
    }
}

/// Looks for parameters that the forward pass has set: they have no gradient, and other values than
/// they were given.
fn refuse_set_in_pass<T: Float>(
    module: &impl Module,
    given: &Variables<T>,
    gradients: &Gradients<T>,
) -> Result<(), BoxError> {
    let mut missing = gradients.iter().filter(|(_, it)| matches!(it, Gradient::Missing)).peekable();
    if missing.peek().is_none() {
        return Ok(());
    }
    // It brings in what running statistics hold back until they are used.
    let now = walk::values::<T>(&module.valid(), None)?;
    for (name, _) in missing {
        // NaN differs from itself, and is no sign that it was set.
        let same = |(now, given): (&T, &T)| now == given || given.is_nan();
        let given = given.get(name)?;
        if !now.get(name).is_some_and(|now| now.iter().zip(given).all(same)) {
            return Err(BurnError::SetInPass { name: name.to_owned() }.into());
        }
    }
    Ok(())
}

/// The input of one step of one replica.
pub trait Batch {
    /// How many examples it has, for reports.
    fn examples(&self) -> usize;

    /// The same on a device, with its autodiff: by its input a layer sees whether it trains, so
    /// that dropout would do nothing to one without.
    #[must_use]
    fn on(&self, device: &Device) -> Self;
}

/// Examples are the first dimension.
impl<const D: usize, K: Autodiff> Batch for Tensor<D, K> {
    fn examples(&self) -> usize {
        self.dims().first().copied().unwrap_or(1)
    }

    fn on(&self, device: &Device) -> Self {
        self.clone().autodiff().to_device(device)
    }
}

/// Examples are those of the first part, such as the inputs of `(inputs, targets)`.
impl<X: Batch, Y: Batch> Batch for (X, Y) {
    fn examples(&self) -> usize {
        self.0.examples()
    }

    fn on(&self, device: &Device) -> Self {
        (self.0.on(device), self.1.on(device))
    }
}
