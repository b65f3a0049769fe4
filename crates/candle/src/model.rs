//! A module and its loss as a model: set the values, run forward and backward, collect gradients.
//!
//! Knows no replicas and no steps; the trainer does. Invariant: the variables of a module are set
//! before each pass, and nothing of an earlier one is left in them.

use std::fmt;
use std::marker::PhantomData;
use std::path::Path;
use std::sync::PoisonError;

use candle_core::{DType, Device, Tensor};
use candle_nn::{VarBuilder, VarMap};
use ndarray::ArrayD;
use sync_replicas::{BoxError, Computed, Keys, Model, Variables, Work};

use crate::built::Built;
use crate::embedding::recorded;
use crate::error::{CandleError, Mismatch};
use crate::float::{self, Float};
use crate::gradients::{Kinds, Left};
use crate::modules::Modules;
use crate::store::{Store, Values};
use crate::{Examples, Pass, copies};

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
/// nothing else, so batch normalisation that sets its running statistics is refused. A module keeps
/// its variables and computes with them in the loss: what its function computes from them while it
/// is built stays what it was.
pub struct CandleModel<M, B, T = f32> {
    settings: Settings<M, B>,
    modules: Modules,
    kinds: Kinds,
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
        Self { settings, modules: Modules::new(), kinds: Kinds::default(), _number: PhantomData }
    }

    /// The same, trained in double precision.
    #[must_use]
    pub fn in_f64(self) -> CandleModel<M, B, f64> {
        let Self { settings, kinds, .. } = self;
        CandleModel { settings, modules: Modules::new(), kinds, _number: PhantomData }
    }
}

impl<M: 'static, B, T: Float> CandleModel<M, B, T> {
    /// Where modules compute; the CPU when not given. Arrays are copied there and gradients back.
    #[must_use]
    pub fn device(mut self, device: Device) -> Self {
        self.settings.device = device;
        self.modules = Modules::new();
        self
    }

    /// What modules compute in; what is trained when not given. With half precision the values are
    /// rounded to it for each step, the gradients widened, and sums, updates and checkpoints stay
    /// what is trained.
    //
    #[must_use]
    pub fn dtype(mut self, dtype: DType) -> Self {
        self.settings.dtype = Some(dtype);
        self.modules = Modules::new();
        self
    }

    /// Other first values than those of seed 0.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.settings.seed = seed;
        self
    }

    /// Sends zeros for a variable that a batch does not use, from the first batch on.
    ///
    /// For modules whose branches depend on the batch, or on the step: a variable that has no
    /// gradient in the first batch is trained without one, and may get none later. Zeros are
    /// gradients: an optimizer with momentum goes on moving the variable.
    #[must_use]
    pub fn zeros_for_unused(mut self) -> Self {
        self.kinds = Kinds::zeros_for_unused();
        self
    }

    /// The keys of a batch, whose rows of tables the loss then finds by [`Pass::rows`]. The tables
    /// are added to the variables: `model.variables()?.with_table(table)?`. It is called more than
    /// once for a batch, and gives the same keys each time.
    // P-17
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
        // What is trained is not rounded to what computes.
        let built = self.built(Values::Seed(self.settings.seed), T::TYPE)?;
        let mut arrays = Variables::new();
        for (name, var) in built.variables {
            arrays = arrays.with(name, copies::array::<T>(&var)?)?;
        }
        Ok(arrays)
    }

    /// A module with these values, to evaluate or to predict with.
    ///
    /// # Errors
    /// [`CandleError::Variables`] when they are another model's.
    pub fn module(&self, variables: &Variables<T>) -> Result<M, CandleError> {
        Ok(self.with_values(variables, self.compute_type())?.module)
    }

    /// These values as a `VarMap`, which candle's own code goes on with; `save` writes it as
    /// safetensors. They are what is trained, also where modules compute in half precision.
    ///
    /// # Errors
    /// [`CandleError::Variables`] when they are another model's.
    pub fn var_map(&self, variables: &Variables<T>) -> Result<VarMap, CandleError> {
        let built = self.with_values(variables, T::TYPE)?;
        let map = VarMap::new();
        map.data().lock().unwrap_or_else(PoisonError::into_inner).extend(built.variables);
        Ok(map)
    }

    /// The variables with the values of a safetensors file, as [`VarMap::save`] writes it.
    ///
    /// # Errors
    /// [`CandleError::File`] when it cannot be read, [`CandleError::OtherFile`] when it is another
    /// model's.
    pub fn load(&self, path: impl AsRef<Path>) -> Result<Variables<T>, CandleError> {
        let path = path.as_ref();
        let mut tensors = candle_core::safetensors::load(path, &Device::Cpu)
            .map_err(|source| CandleError::File { path: path.to_owned(), source })?;
        let other = |mismatch| CandleError::OtherFile { path: path.to_owned(), mismatch };
        let mut arrays = Variables::new();
        for (name, var) in self.built(Values::Seed(0), T::TYPE)?.variables {
            let Some(tensor) = tensors.remove(&name) else {
                return Err(other(Mismatch::Missing { name }));
            };
            if var.dims() != tensor.dims() {
                let (expected, got) = (var.dims().to_vec(), tensor.dims().to_vec());
                return Err(other(Mismatch::Shape { name, expected, got }));
            }
            if !tensor.dtype().is_float() {
                return Err(other(Mismatch::DType { name, got: tensor.dtype() }));
            }
            arrays = arrays.with(name, copies::array::<T>(&tensor)?)?;
        }
        match tensors.into_keys().min() {
            Some(name) => Err(other(Mismatch::Unknown { name })),
            None => Ok(arrays),
        }
    }

    /// What modules compute in.
    fn compute_type(&self) -> DType {
        self.settings.dtype.unwrap_or(T::TYPE)
    }

    fn built(&self, values: Values, dtype: DType) -> Result<Built<M>, CandleError> {
        let store = Store::new(values);
        let device = &self.settings.device;
        let vb = VarBuilder::from_backend(Box::new(store.clone()), dtype, device.clone());
        let module = (self.settings.build)(vb)?;
        let variables = store.close();
        if variables.is_empty() && self.settings.keys.is_none() {
            return Err(CandleError::NoVariables);
        }
        for (name, var) in &variables {
            if !float::can_be::<T>(var.dtype()) {
                let (name, got, trained) = (name.clone(), var.dtype(), T::TYPE);
                return Err(CandleError::DType { name, got, trained });
            }
        }
        Ok(Built { module, variables })
    }

    /// A module that is built with these values, so that also what it computes from them there is
    /// theirs.
    fn with_values(&self, values: &Variables<T>, dtype: DType) -> Result<Built<M>, CandleError> {
        let tensor = |(name, array): (&str, &ArrayD<T>)| {
            let numbers = copies::numbers_of(array);
            Ok((name.to_owned(), copies::tensor(&numbers, array.shape(), T::TYPE, &Device::Cpu)?))
        };
        let given = values.iter().map(tensor).collect::<candle_core::Result<_>>()?;
        let built = self.built(Values::Given(given), dtype)?;
        built.check(values)?;
        Ok(built)
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
        let ids = built.variables.iter().map(|(_, var)| var.id()).collect();
        let loss = || (self.settings.loss)(&built.module, batch, &pass);
        let (loss, looked_up) = recorded(ids, loss);
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
        let left = Left { store: &store, looked_up, tables: pass.into_rows() };
        let gradients = self.kinds.collect(&built.variables, left, work)?;
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
        if work.is_superseded() {
            return Ok(None);
        }
        let dtype = self.compute_type();
        let built = self.modules.take(|| self.with_values(variables, dtype))?;
        built.set(variables)?;
        let pass = Pass::new(work, self.keys(batch), (dtype, &self.settings.device))?;
        let computed = self.compute(&built, batch, pass, work)?;
        if let Some(Computed { gradients, .. }) = &computed {
            built.refuse_set_in_pass(variables, gradients)?;
        }
        self.modules.put(built);
        Ok(computed)
    }
}
