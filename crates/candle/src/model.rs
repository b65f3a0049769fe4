//! A module and its loss as a model: set the values, run forward and backward, collect gradients.
//!
//! Knows no replicas and no steps; the trainer does. Invariant: what a module was given is what it
//! computes with. Its values are set before each pass, and nothing of an earlier one is left.

use std::fmt;
use std::marker::PhantomData;
use std::path::Path;
use std::sync::PoisonError;

use candle_core::{DType, Device, Tensor, Var};
use candle_nn::{VarBuilder, VarMap};
use sync_replicas::{BoxError, Computed, Gradient, Gradients, Keys, Model, Variables, Work};

use crate::copies::{self, Float};
use crate::embedding::recorded;
use crate::initial::Store;
use crate::modules::{Built, Modules};
use crate::{CandleError, Examples, Pass, gradients};

type Build<M> = Box<dyn Fn(VarBuilder<'static>) -> candle_core::Result<M> + Send + Sync>;
type Loss<M, B> = Box<dyn Fn(&M, &B, &Pass) -> candle_core::Result<Tensor> + Send + Sync>;
type KeysOf<B> = Box<dyn Fn(&B) -> Keys + Send + Sync>;

/// A model whose gradients candle computes: a module `M`, and the loss of a batch `B`, trained in
/// numbers `T`.
///
/// One value serves all replicas: each thread that computes has a module of its own, which is built
/// once and then given the values of each step.
///
/// Its variables have the names that the module asks its `VarBuilder` for, sorted. A variable that
/// a loss does not use has no gradient. Replicas share what the optimizer updates and
/// nothing else, so batch normalisation that sets its running statistics is refused.
pub struct CandleModel<M, B, T = f32> {
    settings: Settings<M, B>,
    modules: Modules,
    _number: PhantomData<fn() -> T>,
}

struct Settings<M, B> {
    build: Build<M>,
    loss: Loss<M, B>,
    keys: Option<KeysOf<B>>,
    device: Device,
    dtype: Option<DType>,
    seed: u64,
}

impl<M, B, T> fmt::Debug for CandleModel<M, B, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CandleModel")
            .field("device", &self.settings.device)
            .field("dtype", &self.settings.dtype)
            .field("seed", &self.settings.seed)
            .finish_non_exhaustive()
    }
}

impl<M: 'static, B> CandleModel<M, B, f32> {
    /// A model of the module that `build` makes. `loss` gives the mean loss of a batch, a scalar;
    /// the [`Pass`] is for those that look whether they are late, or use rows of tables.
    ///
    /// `build` is called once for each thread that computes, and must ask for the same variables
    /// every time.
    pub fn new(
        build: impl Fn(VarBuilder<'static>) -> candle_core::Result<M> + Send + Sync + 'static,
        loss: impl Fn(&M, &B, &Pass) -> candle_core::Result<Tensor> + Send + Sync + 'static,
    ) -> Self {
        let (build, loss) = (Box::new(build), Box::new(loss));
        let settings =
            Settings { build, loss, keys: None, device: Device::Cpu, dtype: None, seed: 0 };
        Self { settings, modules: Modules::new(), _number: PhantomData }
    }

    /// The same, trained in double precision.
    #[must_use]
    pub fn in_f64(self) -> CandleModel<M, B, f64> {
        let Self { settings, modules, _number: _ } = self;
        CandleModel { settings, modules, _number: PhantomData }
    }
}

impl<M: 'static, B, T: Float> CandleModel<M, B, T> {
    /// Where modules compute; the CPU when not given. Arrays are copied there and gradients back.
    #[must_use]
    pub fn device(mut self, device: Device) -> Self {
        self.settings.device = device;
        self
    }

    /// What modules compute in; what is trained when not given. With half precision the values are
    /// rounded to it for each step, the gradients widened, and sums, updates and checkpoints stay
    /// what is trained.
    #[must_use]
    pub fn dtype(mut self, dtype: DType) -> Self {
        self.settings.dtype = Some(dtype);
        self
    }

    /// Other first values than those of seed 0.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.settings.seed = seed;
        self
    }

    /// The keys of a batch, whose rows of tables the loss then finds by [`Pass::rows`] (P-17). The
    /// tables are added to the variables: `model.variables()?.with_table(table)?`.
    #[must_use]
    pub fn keys(mut self, keys: impl Fn(&B) -> Keys + Send + Sync + 'static) -> Self {
        self.settings.keys = Some(Box::new(keys));
        self
    }

    /// The variables of the module with their first values, which the seed decides: the same in
    /// every process and at every run.
    ///
    /// # Errors
    /// [`CandleError`] when the module cannot be built or trained.
    pub fn variables(&self) -> Result<Variables<T>, CandleError> {
        arrays(&self.built(Some(self.settings.seed))?.variables)
    }

    /// A module with these values, to evaluate or to predict with.
    ///
    /// # Errors
    /// [`CandleError::Variables`] when they are another model's.
    pub fn module(&self, variables: &Variables<T>) -> Result<M, CandleError> {
        let built = self.built(None)?;
        set(&built.variables, variables)?;
        Ok(built.module)
    }

    /// These values as a `VarMap`, which candle's own code goes on with; `save` writes it as
    /// safetensors.
    ///
    /// # Errors
    /// [`CandleError::Variables`] when they are another model's.
    pub fn var_map(&self, variables: &Variables<T>) -> Result<VarMap, CandleError> {
        let built = self.built(None)?;
        set(&built.variables, variables)?;
        let map = VarMap::new();
        map.data().lock().unwrap_or_else(PoisonError::into_inner).extend(built.variables);
        Ok(map)
    }

    /// The variables with the values of a safetensors file, as [`VarMap::save`] writes it.
    ///
    /// # Errors
    /// [`CandleError::File`] when it cannot be read, or is another model's.
    pub fn load(&self, path: impl AsRef<Path>) -> Result<Variables<T>, CandleError> {
        let path = path.as_ref();
        let refused = |reason: String| CandleError::File { path: path.to_owned(), reason };
        let built = self.built(None)?;
        let tensors = candle_core::safetensors::load(path, &self.settings.device)
            .map_err(|error| refused(error.to_string()))?;
        for (name, var) in &built.variables {
            let Some(tensor) = tensors.get(name) else {
                return Err(refused(format!("expected a tensor `{name}`, and there is none")));
            };
            let (expected, got) = (var.dims(), tensor.dims());
            if expected != got {
                let shapes = format!("expected the shape {expected:?}, got {got:?}");
                return Err(refused(format!("tensor `{name}`: {shapes}")));
            }
            var.set(&tensor.to_dtype(var.dtype())?)?;
        }
        if let Some(name) =
            tensors.keys().find(|name| !built.variables.iter().any(|(it, _)| it == *name))
        {
            return Err(refused(format!("tensor `{name}` is no variable of this model")));
        }
        arrays(&built.variables)
    }

    fn built(&self, seed: Option<u64>) -> Result<Built<M>, CandleError> {
        let store = Store::new(seed);
        let dtype = self.settings.dtype.unwrap_or(T::TYPE);
        let device = &self.settings.device;
        let vb = VarBuilder::from_backend(Box::new(store.clone()), dtype, device.clone());
        let module = (self.settings.build)(vb)?;
        let variables = store.variables();
        if variables.is_empty() && self.settings.keys.is_none() {
            return Err(CandleError::NoVariables);
        }
        for (name, var) in &variables {
            if !copies::can_be::<T>(var.dtype()) {
                let (name, got, trained) = (name.clone(), var.dtype(), T::TYPE);
                return Err(CandleError::Number { name, got, trained });
            }
        }
        Ok(Built { module, variables })
    }

    /// Forward and backward; nothing when the work was given up.
    fn compute(
        &self,
        built: &Built<M>,
        batch: &B,
        pass: Pass,
        work: &Work<'_, T>,
    ) -> Result<Option<Computed<T>>, BoxError>
    where
        B: Examples,
    {
        let (loss, looked_up) = recorded(|| (self.settings.loss)(&built.module, batch, &pass));
        if pass.gave_up() {
            return Ok(None);
        }
        let loss = loss?;
        if work.is_superseded() {
            return Ok(None);
        }
        if loss.elem_count() != 1 {
            return Err(CandleError::Loss { got: loss.shape().clone() }.into());
        }
        let loss = loss.flatten_all()?.squeeze(0)?;
        let store = loss.backward()?;
        let loss = loss.to_dtype(DType::F64)?.to_scalar()?;
        let variables = &built.variables;
        let gradients = gradients::collect(variables, pass.into_rows(), looked_up, &store, work)?;
        Ok(Some(Computed { loss, examples: batch.examples() as u64, gradients }))
    }
}

impl<M: 'static, B: Examples, T: Float> Model<T> for CandleModel<M, B, T> {
    type Batch = B;

    fn keys(&self, batch: &B) -> Keys {
        self.settings.keys.as_ref().map_or_else(Keys::new, |keys| keys(batch))
    }

    fn gradients(
        &self,
        variables: &Variables<T>,
        batch: &B,
        work: &Work<'_, T>,
    ) -> Result<Option<Computed<T>>, BoxError> {
        let built = self.modules.take(|| self.built(None))?;
        set(&built.variables, variables)?;
        let dtype = self.settings.dtype.unwrap_or(T::TYPE);
        let pass = Pass::new(work, self.keys(batch), (dtype, &self.settings.device))?;
        let computed = self.compute(&built, batch, pass, work)?;
        if let Some(Computed { gradients, .. }) = &computed {
            refuse_set_in_pass(&built.variables, variables, gradients)?;
        }
        self.modules.put(built);
        Ok(computed)
    }
}

/// Variables as arrays that can be trained.
fn arrays<T: Float>(variables: &[(String, Var)]) -> Result<Variables<T>, CandleError> {
    let mut arrays = Variables::new();
    for (name, var) in variables {
        arrays = arrays.with(name.clone(), copies::array::<T>(var)?)?;
    }
    Ok(arrays)
}

/// Gives a module its values.
fn set<T: Float>(module: &[(String, Var)], values: &Variables<T>) -> Result<(), CandleError> {
    let differ = |difference| Err(CandleError::Variables { difference });
    for (name, var) in module {
        let Some(index) = values.index_of(name).filter(|&it| it < values.len()) else {
            return differ(format!("the module has a variable `{name}`, which is not trained"));
        };
        let array = &values.arrays()[index];
        if array.shape() != var.dims() {
            let (expected, got) = (var.dims(), array.shape());
            return differ(format!(
                "`{name}` has shape {expected:?} in the module and {got:?} in the training"
            ));
        }
        copies::set(var, array)?;
    }
    if module.len() != values.len() {
        let unknown = values.names().find(|name| !module.iter().any(|(it, _)| it == name));
        let unknown = unknown.unwrap_or_default();
        return differ(format!("`{unknown}` is trained, and the module has no such variable"));
    }
    Ok(())
}

/// Looks for variables that the forward pass has set: they have no gradient, and other values than
/// they were given.
fn refuse_set_in_pass<T: Float>(
    module: &[(String, Var)],
    values: &Variables<T>,
    gradients: &Gradients<T>,
) -> Result<(), BoxError> {
    for ((name, var), (_, gradient)) in module.iter().zip(gradients.iter()) {
        if matches!(gradient, Gradient::Missing) && !copies::is_equal(var, values.get(name)?)? {
            return Err(CandleError::SetInPass { name: name.clone() }.into());
        }
    }
    Ok(())
}
