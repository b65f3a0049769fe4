//! Reused gradient buffers: requested in a step, pushed, and free again once applied.
//!
//! Decides nothing about gradients. Invariant: a buffer is either here or with one owner, a
//! variable has no more free ones than could be in use, and none before the first request.

use std::sync::OnceLock;

use accum_core::BufferPool;
use ndarray::{ArrayD, ArrayViewD};

use crate::store::{Layout, lent};
use crate::{Gradient, Scalar, VariableError, Variables};

/// Bytes of the smallest gradient that is kept: a smaller one costs less to allocate than the lock
/// around those that are free.
const SMALLEST: usize = 4096;

/// The free buffers of every variable.
#[derive(Debug)]
pub struct GradientBuffers<T: Scalar> {
    layout: Layout,
    /// Made when the first buffer is asked for: gradients in a caller's own arrays are not pooled.
    pools: Vec<OnceLock<BufferPool<T>>>,
    max_free: usize,
}

impl<T: Scalar> GradientBuffers<T> {
    /// None yet; later at most `max_free` for each of the variables.
    #[must_use]
    pub fn new(variables: &Variables<T>, max_free: usize) -> Self {
        let layout = variables.layout().clone();
        let pools = (0..layout.len()).map(|_| OnceLock::new()).collect();
        Self { layout, pools, max_free }
    }

    /// How many variables there are.
    pub(crate) fn len(&self) -> usize {
        self.pools.len()
    }

    /// An array of the variable's shape, holding whatever an earlier step left in it.
    pub(crate) fn get(&self, name: &str) -> Result<ArrayD<T>, VariableError> {
        let Some(index) = self.layout.index_of(name) else {
            return Err(VariableError::Unknown {
                name: name.to_owned(),
                known: self.layout.known(),
            });
        };
        let Some(shape) = self.layout.shape(index) else {
            return Err(VariableError::Table { name: name.to_owned() });
        };
        if shape.iter().product::<usize>() * size_of::<T>() < SMALLEST {
            return Ok(ArrayD::zeros(shape));
        }
        let pool = self.pools[index].get_or_init(|| BufferPool::new(self.max_free));
        Ok(pool.lend(shape).into_array())
    }

    /// A copy of a gradient, in such an array; in a new one when it does not fit.
    pub(crate) fn filled(&self, name: &str, gradient: ArrayViewD<'_, T>) -> ArrayD<T> {
        match self.get(name) {
            Ok(mut buffer) if buffer.shape() == gradient.shape() => {
                buffer.assign(&gradient);
                buffer
            }
            _ => gradient.into_owned(),
        }
    }

    /// Where a variable's gradients return to once they are applied, if a buffer was requested.
    pub(crate) fn pool(&self, index: usize) -> Option<&BufferPool<T>> {
        self.pools[index].get()
    }

    /// Takes back unused arrays, by variable. They may be of any shape: a refused gradient also
    /// comes back.
    pub fn take_back(&self, gradients: impl IntoIterator<Item = (usize, Gradient<T>)>) {
        for (index, gradient) in gradients {
            if let Gradient::Dense(array) = gradient
                && Some(array.shape()) == self.layout.shape(index)
            {
                drop(lent(array, self.pool(index)));
            }
        }
    }

    /// How many of a variable's buffers are unused.
    #[cfg(test)]
    pub(crate) fn free(&self, index: usize) -> usize {
        self.pools[index].get().map_or(0, BufferPool::free)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array1;

    use super::*;

    const MANY: usize = SMALLEST / size_of::<f32>();

    fn buffers() -> GradientBuffers<f32> {
        let variables = Variables::new().with("w", Array1::<f32>::zeros(MANY)).expect("one name");
        GradientBuffers::new(&variables, 2)
    }

    #[test]
    fn no_more_are_kept_than_can_be_in_use_and_none_that_nobody_asked_for() {
        let buffers = buffers();
        let pushed = |length| [(0, Gradient::Dense(ArrayD::zeros([length].as_slice())))];
        buffers.take_back(pushed(MANY));
        assert_eq!(buffers.free(0), 0, "nobody asked for any");
        drop(buffers.get("w"));
        for (length, free) in [(3, 0), (MANY, 1), (MANY, 2), (MANY, 2)] {
            buffers.take_back(pushed(length));
            assert_eq!(buffers.free(0), free);
        }
    }

    #[test]
    fn another_layout_is_not_lent_on() {
        let variables = Variables::<f32>::new().with("m", ndarray::Array2::zeros((2, MANY)));
        let buffers = GradientBuffers::new(&variables.expect("one name"), 2);
        drop(buffers.get("m"));
        let transposed = ndarray::Array2::<f32>::zeros((MANY, 2)).reversed_axes().into_dyn();
        buffers.take_back([(0, Gradient::Dense(transposed))]);
        assert_eq!(buffers.free(0), 0);
    }
}
