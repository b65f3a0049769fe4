//! A module with its variables: given the values of a step, and looked at after its pass.
//!
//! Knows no loss. Invariant: values are set only where all of them fit.

use candle_core::Var;
use sync_replicas::{BoxError, Gradient, Gradients, Variables};

use crate::copies;
use crate::error::{CandleError, Mismatch};
use crate::float::Float;

/// A module with its variables, by name and so sorted.
pub(crate) struct Built<M> {
    pub(crate) module: M,
    pub(crate) variables: Vec<(String, Var)>,
}

impl<M> Built<M> {
    /// Gives the module its values.
    pub(crate) fn set<T: Float>(&self, values: &Variables<T>) -> Result<(), CandleError> {
        self.check(values)?;
        for (name, var) in &self.variables {
            copies::set(var, values.get(name)?)?;
        }
        Ok(())
    }

    /// Whether the module has these variables, and no others.
    pub(crate) fn check<T: Float>(&self, values: &Variables<T>) -> Result<(), CandleError> {
        self.mismatch(values).map_or(Ok(()), |mismatch| Err(CandleError::Variables { mismatch }))
    }

    fn mismatch<T: Float>(&self, values: &Variables<T>) -> Option<Mismatch> {
        for (name, var) in &self.variables {
            let Some(index) = values.index_of(name).filter(|&it| it < values.len()) else {
                return Some(Mismatch::Missing { name: name.clone() });
            };
            let (expected, got) = (var.dims(), values.arrays()[index].shape());
            if got != expected {
                let (expected, got) = (expected.to_vec(), got.to_vec());
                return Some(Mismatch::Shape { name: name.clone(), expected, got });
            }
        }
        if self.variables.len() == values.len() {
            return None;
        }
        let is_known = |name: &str| self.variables.iter().any(|(it, _)| it == name);
        let unknown = values.names().find(|name| !is_known(name));
        unknown.map(|name| Mismatch::Unknown { name: name.to_owned() })
    }

    /// Looks for variables that the forward pass has set: they have no gradient, and other values
    /// than they were given.
    pub(crate) fn refuse_set_in_pass<T: Float>(
        &self,
        values: &Variables<T>,
        gradients: &Gradients<T>,
    ) -> Result<(), BoxError> {
        for ((name, var), (_, gradient)) in self.variables.iter().zip(gradients.iter()) {
            if matches!(gradient, Gradient::Missing) && !copies::is_equal(var, values.get(name)?)? {
                return Err(CandleError::SetInPass { name: name.clone() }.into());
            }
        }
        Ok(())
    }
}
