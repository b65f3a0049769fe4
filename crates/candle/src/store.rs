//! Where a module's variables are kept while it is built, with given values or first ones.
//!
//! Invariant: a name has one variable. Once the module is built it gives out no other, which nobody
//! would train.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::{DType, Device, Error, Result, Shape, Tensor, Var};
use candle_nn::Init;
use candle_nn::var_builder::SimpleBackend;

use crate::initial;

/// The variables of a module that is being built, by name and so sorted.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    values: Arc<Values>,
    taken: Arc<Mutex<Taken>>,
}

/// What the variables are while the module is built.
#[derive(Debug)]
pub(crate) enum Values {
    /// Drawn.
    Seed(u64),
    /// These; zeros under another name, which is refused later.
    Given(HashMap<String, Tensor>),
}

#[derive(Debug, Default)]
struct Taken {
    variables: BTreeMap<String, Var>,
    built: bool,
}

impl Store {
    pub(crate) fn new(values: Values) -> Self {
        Self { values: Arc::new(values), taken: Arc::default() }
    }

    /// What was taken from it, sorted by name; the module is built.
    pub(crate) fn close(&self) -> Vec<(String, Var)> {
        let mut taken = self.lock();
        taken.built = true;
        taken.variables.iter().map(|(name, var)| (name.clone(), var.clone())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        // No code of others runs while it is held.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn first_value(
        &self,
        name: &str,
        shape: &Shape,
        init: Init,
        (dtype, device): (DType, &Device),
    ) -> Result<Var> {
        let value = match &*self.values {
            Values::Given(given) => match given.get(name).filter(|it| it.shape() == shape) {
                Some(value) => value.clone(),
                None => return Var::zeros(shape, dtype, device),
            },
            Values::Seed(seed) => {
                let numbers = initial::drawn(*seed, name, shape, init);
                Tensor::from_vec(numbers, shape, &Device::Cpu)?
            }
        };
        // Of an integer there are no first values that train; its kind is refused later.
        Var::from_tensor(&value.to_dtype(dtype)?.to_device(device)?)
    }
}

impl SimpleBackend for Store {
    fn get(
        &self,
        shape: Shape,
        name: &str,
        init: Init,
        dtype: DType,
        device: &Device,
    ) -> Result<Tensor> {
        let mut taken = self.lock();
        if let Some(known) = taken.variables.get(name) {
            if known.shape() != &shape {
                let msg = format!("variable `{name}` is taken from the VarBuilder twice");
                let (expected, got) = (known.shape().clone(), shape);
                return Err(Error::UnexpectedShape { msg, expected, got });
            }
            return Ok(known.as_tensor().clone());
        }
        if taken.built {
            return Err(Error::Msg(format!(
                "variable `{name}` is taken from the VarBuilder after the module was built, so \
                 nobody would train it: take all in the function that builds the module"
            )));
        }
        let var = self.first_value(name, &shape, init, (dtype, device))?;
        let tensor = var.as_tensor().clone();
        taken.variables.insert(name.to_owned(), var);
        Ok(tensor)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> Result<Tensor> {
        match self.lock().variables.get(name) {
            Some(known) => Ok(known.as_tensor().clone()),
            None => Err(Error::CannotFindTensor { path: name.to_owned() }),
        }
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.lock().variables.contains_key(name)
    }
}
