//! Exponential moving averages of chosen variables.
//!
//! It owns the averages and is lent the variables; the caller decides when to apply it. Invariant:
//! a call that fails has changed nothing.

use indexmap::IndexMap;
use ndarray::{ArrayD, ArrayViewD, Zip};

use crate::hyper::Checks;
use crate::state::{Reader, is_countable};
use crate::{HyperParameterError, Real, RestoreError, StateMap, StateValue};

/// A moving average cannot be added or applied. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MovingAverageError {
    /// This variable already has an average.
    #[error("variable {name:?} has a moving average already")]
    Duplicate {
        /// The variable's name.
        name: String,
    },
    /// This variable has no average.
    #[error("variable {name:?} has no moving average; add it first")]
    Unknown {
        /// The variable's name.
        name: String,
    },
    /// The shape has more elements than can be counted.
    #[error("an average of shape {shape:?} has more elements than memory can hold")]
    TooLarge {
        /// The given shape.
        shape: Vec<usize>,
    },
    /// The variable's shape differs from its average's.
    #[error("the average of {name:?} has shape {expected:?}, but shape {actual:?} was given")]
    Shape {
        /// The variable's name.
        name: String,
        /// The shape of the average.
        expected: Vec<usize>,
        /// The given shape.
        actual: Vec<usize>,
    },
}

/// Exponential moving averages of the variables that were added.
///
/// *s ← s − (1 − d)(s − x)*, with *d* = `decay`, or min(`decay`, *(1 + k) / (10 + k)*) when the
/// number *k* of updates is given, so that the first averages are not too slow.
///
/// # Examples
/// ```
/// use ndarray::array;
/// use optim::ExponentialMovingAverage;
///
/// let mut averages = ExponentialMovingAverage::<f64>::new(0.9)?;
/// averages.add("w", array![1.0].into_dyn().view())?;
/// averages.apply("w", array![2.0].into_dyn().view(), None)?;
/// assert!((averages.average("w").expect("it was added")[0] - 1.1).abs() < 1e-12);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
// R-16
#[derive(Debug, Clone)]
pub struct ExponentialMovingAverage<T> {
    decay: f64,
    zero_debias: bool,
    averages: IndexMap<String, Average<T>>,
}

#[derive(Debug, Clone)]
struct Average<T> {
    values: ArrayD<T>,
    /// The product of all decays so far: the weight that the initial zero still has. Only for an
    /// average that divides out its start.
    zero_weight: Option<f64>,
}

impl<T: Real> ExponentialMovingAverage<T> {
    /// Averages with this decay, of no variables yet.
    ///
    /// # Errors
    /// `decay` is not in [0, 1], or rounds to 1 in `T` without being 1.
    pub fn new(decay: f64) -> Result<Self, HyperParameterError> {
        Checks::<T>::of("moving average").fraction("decay", decay)?;
        Ok(Self { decay, zero_debias: false, averages: IndexMap::new() })
    }

    /// Whether averages added with [`add_zeros`](Self::add_zeros) from now on are divided by the
    /// weight that is not the starting zero's: after *t* updates by *1 − dᵗ*.
    ///
    /// An average that starts at its variable's value has no such bias, and is left alone.
    #[must_use]
    pub fn zero_debias(mut self, zero_debias: bool) -> Self {
        self.zero_debias = zero_debias;
        self
    }

    /// Adds the average of a variable, starting at the variable's value.
    ///
    /// # Errors
    /// The variable was added before.
    pub fn add(
        &mut self,
        name: impl Into<String>,
        variable: ArrayViewD<'_, T>,
    ) -> Result<(), MovingAverageError> {
        self.insert(name.into(), variable.to_owned(), None)
    }

    /// Adds the average of a value that has none yet, such as a loss, starting at zero.
    ///
    /// # Errors
    /// The value was added before, or the shape has too many elements.
    pub fn add_zeros(
        &mut self,
        name: impl Into<String>,
        shape: &[usize],
    ) -> Result<(), MovingAverageError> {
        if !is_countable::<T>(shape) {
            return Err(MovingAverageError::TooLarge { shape: shape.to_vec() });
        }
        let zero_weight = self.zero_debias.then_some(1.0);
        self.insert(name.into(), ArrayD::zeros(shape), zero_weight)
    }

    fn insert(
        &mut self,
        name: String,
        values: ArrayD<T>,
        zero_weight: Option<f64>,
    ) -> Result<(), MovingAverageError> {
        if self.averages.contains_key(&name) {
            return Err(MovingAverageError::Duplicate { name });
        }
        self.averages.insert(name, Average { values, zero_weight });
        Ok(())
    }

    /// Moves the average of one variable towards its value.
    ///
    /// `variable` has the shape that the average was added with, and any layout.
    ///
    /// # Errors
    /// The variable was not added, or has another shape.
    pub fn apply(
        &mut self,
        name: &str,
        variable: ArrayViewD<'_, T>,
        num_updates: Option<u64>,
    ) -> Result<(), MovingAverageError> {
        let decay = self.decay_at(num_updates);
        let Some(average) = self.averages.get_mut(name) else {
            return Err(MovingAverageError::Unknown { name: name.to_owned() });
        };
        if average.values.shape() != variable.shape() {
            return Err(MovingAverageError::Shape {
                name: name.to_owned(),
                expected: average.values.shape().to_vec(),
                actual: variable.shape().to_vec(),
            });
        }
        let weight = T::of(average.next_weight(decay));
        if weight == T::one() {
            // Nothing is left of what was; in s - (s - x) a large one would leave its rounding.
            average.values.assign(&variable);
        } else {
            Zip::from(&mut average.values).and(&variable).for_each(|s, &x| *s -= weight * (*s - x));
        }
        Ok(())
    }

    /// The decay that an update with this number of updates before it has.
    #[must_use]
    pub fn decay_at(&self, num_updates: Option<u64>) -> f64 {
        let slow_start = |k: u64| (1.0 + k as f64) / (10.0 + k as f64);
        num_updates.map_or(self.decay, |k| self.decay.min(slow_start(k)))
    }

    /// The average of a variable; `None` if it was not added.
    #[must_use]
    pub fn average(&self, name: &str) -> Option<ArrayViewD<'_, T>> {
        self.averages.get(name).map(|average| average.values.view())
    }

    /// The names of the variables that have an average, in the order in which they were added.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.averages.keys().map(String::as_str)
    }

    /// Everything to save, by name: `variable/average`, and `variable/zero_weight` if a starting
    /// zero is divided out. Tensors are borrowed, not copied.
    // R-15
    #[must_use]
    pub fn state(&self) -> StateMap<'_, T> {
        let mut map = StateMap::new();
        for (name, average) in &self.averages {
            map.insert(values_key(name), StateValue::Tensor(average.values.view().into()));
            if let Some(weight) = average.zero_weight {
                map.insert(weight_key(name), StateValue::Scalar(weight));
            }
        }
        map
    }

    /// Replaces everything that [`state`](Self::state) lists, all or nothing.
    ///
    /// # Errors
    /// An entry that is missing, unknown, of another shape or kind, or a weight that is not in [0,
    /// 1].
    // R-15
    pub fn restore(&mut self, saved: &StateMap<'_, T>) -> Result<(), RestoreError> {
        let mine = self.state();
        let reader = Reader::new(saved, |name| mine.contains_key(name))?;
        let mut restored = Vec::with_capacity(self.averages.len());
        for (name, average) in &self.averages {
            let values = reader.tensor(&values_key(name), average.values.shape())?;
            let weight = average.zero_weight.map(|_| reader.scalar(&weight_key(name), (0.0, 1.0)));
            restored.push((values, weight.transpose()?));
        }
        for (average, (values, zero_weight)) in self.averages.values_mut().zip(restored) {
            average.values.assign(&values);
            average.zero_weight = zero_weight;
        }
        Ok(())
    }
}

impl<T> Average<T> {
    /// How far the average goes towards the variable in an update with this decay.
    ///
    /// With *b* the biased average and *P* the weight of its zero, *s = b / (1 − P)*. Substituting
    /// *b' = d b + (1 − d) x* and *P' = d P* gives *s' = s − (1 − d) / (1 − P') · (s − x)*, so that
    /// only the unbiased average is kept.
    fn next_weight(&mut self, decay: f64) -> f64 {
        let Some(zero_weight) = &mut self.zero_weight else { return 1.0 - decay };
        *zero_weight *= decay;
        // Only a decay of 1 leaves all the weight with the zero; then nothing moves.
        if *zero_weight == 1.0 { 0.0 } else { (1.0 - decay) / (1.0 - *zero_weight) }
    }
}

fn values_key(name: &str) -> String {
    format!("{name}/average")
}

fn weight_key(name: &str) -> String {
    format!("{name}/zero_weight")
}
