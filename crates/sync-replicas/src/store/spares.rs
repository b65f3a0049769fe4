//! Arrays of variables that newer ones have replaced, kept to be written again.
//!
//! A reader may still hold one: it is written only once none does, as its reference count tells.
//! Invariant: an array given out has no other holder, and few are kept.

use std::sync::Arc;

use ndarray::ArrayD;

use crate::Scalar;

/// Replaced arrays, by variable, the oldest first.
#[derive(Debug)]
pub struct SpareArrays<T> {
    arrays: Vec<Vec<Arc<ArrayD<T>>>>,
    /// Of one variable.
    most: usize,
}

impl<T: Scalar> SpareArrays<T> {
    /// None yet; later at most `most` of each variable.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { arrays: Vec::new(), most }
    }

    /// An array like this one, with any numbers in it.
    pub fn take(&mut self, variable: usize, like: &ArrayD<T>) -> ArrayD<T> {
        let arrays = self.of(variable);
        let free = arrays.iter_mut().position(|array| Arc::get_mut(array).is_some());
        let free = free.and_then(|free| Arc::into_inner(arrays.remove(free)));
        free.unwrap_or_else(|| ArrayD::zeros(like.raw_dim()))
    }

    /// Keeps an array that was replaced, for when its readers have released it.
    pub fn keep(&mut self, variable: usize, array: Arc<ArrayD<T>>) {
        let most = self.most;
        let arrays = self.of(variable);
        arrays.push(array);
        if arrays.len() > most {
            arrays.remove(0);
        }
    }

    fn of(&mut self, variable: usize) -> &mut Vec<Arc<ArrayD<T>>> {
        if self.arrays.len() <= variable {
            self.arrays.resize_with(variable + 1, Vec::new);
        }
        &mut self.arrays[variable]
    }
}
