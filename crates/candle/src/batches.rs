//! Tensors as batches, found by number: any replica can compute any batch, so runs can be repeated
//! and resumed (P-14).

use candle_core::Tensor;
use sync_replicas::{BatchSampler, BatchSource};

use crate::CandleError;

/// How many examples a batch has, for reports.
pub trait Examples {
    /// The number of examples.
    fn examples(&self) -> usize;
}

/// The first dimension; one for a scalar.
impl Examples for Tensor {
    fn examples(&self) -> usize {
        self.dims().first().copied().unwrap_or(1)
    }
}

/// Those of its first part, such as the inputs of `(inputs, targets)`.
impl<A: Examples, B> Examples for (A, B) {
    fn examples(&self) -> usize {
        self.0.examples()
    }
}

/// Those of its first part.
impl<A: Examples, B, C> Examples for (A, B, C) {
    fn examples(&self) -> usize {
        self.0.examples()
    }
}

/// Shuffled batches of inputs and targets that are held in memory.
///
/// Each epoch has an order of its own, which the seed decides. A clone shares the tensors, so each
/// replica is given one.
///
/// # Examples
/// ```
/// use candle_core::{Device, Tensor};
/// use sync_replicas::BatchSource;
/// use sync_replicas_candle::Batches;
///
/// let x = Tensor::arange(0_f32, 10.0, &Device::Cpu)?;
/// let mut batches = Batches::new((x.clone(), x.sqr()?), 4)?.seed(7);
/// let (x, y) = batches.batch(1_000_000).expect("there is no last one");
/// assert_eq!(x.sqr()?.to_vec1::<f32>()?, y.to_vec1::<f32>()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Batches {
    data: (Tensor, Tensor),
    sampler: BatchSampler,
}

impl Batches {
    /// Batches of `size` examples, which are the first dimension of both tensors. Examples that
    /// fill no batch sit their epoch out.
    ///
    /// # Errors
    /// [`CandleError::Lengths`], [`CandleError::Batches`]; candle's, when it cannot take rows of
    /// these tensors.
    pub fn new(data: (Tensor, Tensor), size: usize) -> Result<Self, CandleError> {
        let (examples, targets) = (data.0.examples(), data.1.examples());
        if examples != targets {
            return Err(CandleError::Lengths { got: vec![examples, targets] });
        }
        let sampler = BatchSampler::new(examples, size, 0)?;
        // What they were computed from is not trained through them.
        let data = (data.0.detach().contiguous()?, data.1.detach().contiguous()?);
        let batches = Self { data, sampler };
        batches.clone().take(0)?;
        Ok(batches)
    }

    /// Another order than that of seed 0.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { sampler: self.sampler.with_seed(seed), ..self }
    }

    fn take(&mut self, number: u64) -> candle_core::Result<(Tensor, Tensor)> {
        let rows: Vec<i64> = self.sampler.rows(number).into_iter().map(|row| row as i64).collect();
        let of = |tensor: &Tensor| {
            tensor.index_select(&Tensor::new(rows.as_slice(), tensor.device())?, 0)
        };
        Ok((of(&self.data.0)?, of(&self.data.1)?))
    }
}

impl BatchSource for Batches {
    type Batch = (Tensor, Tensor);

    /// # Panics
    /// When a device fails; the replica then leaves, and says why.
    fn batch(&mut self, number: u64) -> Option<Self::Batch> {
        let taken = self.take(number);
        Some(taken.unwrap_or_else(|error| panic!("batch {number} could not be taken: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;

    fn tensor(examples: usize) -> Tensor {
        Tensor::arange(0_u32, examples as u32, &Device::Cpu).expect("a small tensor")
    }

    #[test]
    fn an_epoch_has_each_example_at_most_once_and_inputs_stay_with_their_targets() {
        for (examples, size, seed) in [(10, 4, 0), (10, 4, 1), (7, 7, 3), (5, 1, 9)] {
            let batches = Batches::new((tensor(examples), tensor(examples)), size);
            let mut batches = batches.expect("it fits").seed(seed);
            let mut seen = Vec::new();
            for number in 0..(examples / size) as u64 {
                let (x, y) = batches.batch(number).expect("there is no last one");
                let (x, y) = (x.to_vec1::<u32>(), y.to_vec1::<u32>());
                assert_eq!(x.as_ref().ok(), y.as_ref().ok());
                seen.extend(x.expect("a vector"));
            }
            let count = seen.len();
            seen.sort_unstable();
            seen.dedup();
            assert_eq!((seen.len(), count), (count, examples / size * size));
        }
    }

    #[test]
    fn a_batch_is_a_function_of_the_seed_and_its_number() {
        let batch = |seed, number| {
            let batches = Batches::new((tensor(50), tensor(50)), 8).expect("it fits");
            let (x, _) = batches.seed(seed).batch(number).expect("there is no last one");
            x.to_vec1::<u32>().expect("a vector")
        };
        assert_eq!(batch(1, 1000), batch(1, 1000));
        assert_ne!(batch(1, 1000), batch(2, 1000));
        assert_ne!(batch(1, 0), batch(1, 6), "another epoch, another order");
    }

    /// Else each backward pass would go through what the data was computed from.
    #[test]
    fn a_batch_has_no_graph_of_its_data() {
        let of = candle_core::Var::from_tensor(&tensor(6).to_dtype(DType::F32).expect("floats"));
        let x = of.expect("a variable").sqr().expect("as many");
        let transposed = Tensor::stack(&[&x, &x], 0).and_then(|it| it.t()).expect("6 x 2");
        let mut batches = Batches::new((x, transposed), 2).expect("it fits");
        let (x, y) = batches.batch(0).expect("there is no last one");
        assert!(!x.track_op() && !y.track_op());
    }

    #[test]
    fn data_that_makes_no_batch_is_refused() {
        #[track_caller]
        fn check(lengths: (usize, usize), size: usize, expected: &str) {
            let made = Batches::new((tensor(lengths.0), tensor(lengths.1)), size);
            assert_eq!(made.expect_err("it makes none").to_string(), expected);
        }
        check((4, 5), 2, "expected as many examples in each tensor, got [4, 5]");
        check((4, 4), 0, "expected batches of 1 to 4 examples (all that there are), got 0");
        check((4, 4), 5, "expected batches of 1 to 4 examples (all that there are), got 5");
        check((0, 0), 1, "expected batches of 1 to 0 examples (all that there are), got 1");
    }

    #[test]
    fn examples_are_the_first_dimension_of_the_first_part() {
        let scalar = Tensor::new(1_f32, &Device::Cpu).expect("a scalar");
        assert_eq!(scalar.examples(), 1);
        assert_eq!((tensor(3), tensor(5)).examples(), 3);
        assert_eq!((tensor(3), tensor(5), "any").examples(), 3);
    }
}
