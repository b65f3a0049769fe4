//! Which moving averages a training keeps.

use optim::ExponentialMovingAverage;

use super::BuildError;
use crate::{Scalar, Variables};

/// Which moving averages to keep.
#[derive(Clone, Debug, Default)]
pub(crate) struct Averages {
    pub(crate) decay: Option<f64>,
    /// All variables when not given.
    pub(crate) names: Option<Vec<String>>,
}

impl Averages {
    pub(super) fn build<T: Scalar>(
        &self,
        variables: &Variables<T>,
    ) -> Result<Option<ExponentialMovingAverage<T>>, BuildError> {
        let Some(decay) = self.decay else { return Ok(None) };
        let mut averages = ExponentialMovingAverage::new(decay)?;
        let all = || variables.names().map(str::to_owned).collect();
        for name in self.names.clone().unwrap_or_else(all) {
            averages.add(name.as_str(), variables.get(&name)?.view())?;
        }
        Ok(Some(averages))
    }
}
