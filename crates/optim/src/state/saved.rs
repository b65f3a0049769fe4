//! Saved state: a map from names to values, the same for optimizers and moving averages.
//!
//! It says nothing about files. Invariant: numbers keep all their bits, whatever the variable's
//! type, so that a restored run continues bit-identically.

use indexmap::IndexMap;
use ndarray::{ArrayViewD, CowArray, IxDyn};

use super::RestoreError;
use crate::Real;

/// Everything to save, by name, in a fixed order.
//
pub type StateMap<'a, T> = IndexMap<String, StateValue<'a, T>>;

/// One entry of a [`StateMap`].
///
/// Through serde, a number that JSON cannot express is a text there, such as `"NaN"`, and reads
/// back. (With `serde_json`, its feature `float_roundtrip` keeps the last bit of all others.)
#[derive(Debug, Clone)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[cfg_attr(
    feature = "serde",
    serde(bound(serialize = "T: serde::Serialize", deserialize = "T: serde::Deserialize<'de>"))
)]
pub enum StateValue<'a, T: Real> {
    /// A slot or an average; borrowed when saved, owned or borrowed when restored.
    Tensor(
        #[cfg_attr(feature = "serde", serde(with = "super::numbers::tensor"))]
        CowArray<'a, T, IxDyn>,
    ),
    /// A number that belongs to no variable, such as `beta1_power`; always `f64`.
    Scalar(#[cfg_attr(feature = "serde", serde(with = "super::numbers::scalar"))] f64),
    /// A count, such as `step`.
    Counter(u64),
}

impl<T: Real> StateValue<'_, T> {
    /// What this is, for messages.
    fn kind(&self) -> &'static str {
        match self {
            Self::Tensor(_) => "a tensor",
            Self::Scalar(_) => "a number",
            Self::Counter(_) => "a count",
        }
    }

    /// The same value, borrowed from nothing.
    #[must_use]
    pub fn into_owned(self) -> StateValue<'static, T> {
        match self {
            Self::Tensor(tensor) => StateValue::Tensor(tensor.into_owned().into()),
            Self::Scalar(value) => StateValue::Scalar(value),
            Self::Counter(value) => StateValue::Counter(value),
        }
    }
}

// Written out, so that a borrowed value can be compared with an owned one.
impl<'b, T: Real> PartialEq<StateValue<'b, T>> for StateValue<'_, T> {
    fn eq(&self, other: &StateValue<'b, T>) -> bool {
        match (self, other) {
            (Self::Tensor(one), StateValue::Tensor(other)) => one == other,
            (Self::Scalar(one), StateValue::Scalar(other)) => one == other,
            (Self::Counter(one), StateValue::Counter(other)) => one == other,
            _ => false,
        }
    }
}

/// Reads a map whose entries must be exactly those requested.
pub(crate) struct Reader<'m, 'a, T: Real> {
    map: &'m StateMap<'a, T>,
}

impl<'m, 'a, T: Real> Reader<'m, 'a, T> {
    /// Refuses a map with an entry for which `known` is false.
    pub(crate) fn new(
        map: &'m StateMap<'a, T>,
        known: impl Fn(&str) -> bool,
    ) -> Result<Self, RestoreError> {
        match map.keys().find(|name| !known(name)) {
            Some(name) => Err(RestoreError::Unknown { name: name.clone() }),
            None => Ok(Self { map }),
        }
    }

    fn get(&self, name: &str) -> Result<&'m StateValue<'a, T>, RestoreError> {
        self.map.get(name).ok_or_else(|| RestoreError::Missing { name: name.to_owned() })
    }

    pub(crate) fn tensor(
        &self,
        name: &str,
        shape: &[usize],
    ) -> Result<ArrayViewD<'m, T>, RestoreError> {
        match self.get(name)? {
            StateValue::Tensor(tensor) if tensor.shape() == shape => Ok(tensor.view()),
            StateValue::Tensor(tensor) => Err(RestoreError::Shape {
                name: name.to_owned(),
                expected: shape.to_vec(),
                actual: tensor.shape().to_vec(),
            }),
            other => Err(wrong_kind(name, "a tensor", other)),
        }
    }

    /// A number from `least` to `most`.
    pub(crate) fn scalar(
        &self,
        name: &str,
        (least, most): (f64, f64),
    ) -> Result<f64, RestoreError> {
        match self.get(name)? {
            StateValue::Scalar(value) if (least..=most).contains(value) => Ok(*value),
            StateValue::Scalar(value) => Err(RestoreError::Value {
                name: name.to_owned(),
                expected: format!("from {least} to {most}"),
                actual: value.to_string(),
            }),
            other => Err(wrong_kind(name, "a number", other)),
        }
    }

    pub(crate) fn counter(&self, name: &str) -> Result<u64, RestoreError> {
        match self.get(name)? {
            StateValue::Counter(value) if i64::try_from(*value).is_ok() => Ok(*value),
            StateValue::Counter(value) => Err(RestoreError::Value {
                name: name.to_owned(),
                expected: format!("at most {}, the last step there is", i64::MAX),
                actual: value.to_string(),
            }),
            other => Err(wrong_kind(name, "a count", other)),
        }
    }
}

fn wrong_kind<T: Real>(
    name: &str,
    expected: &'static str,
    actual: &StateValue<'_, T>,
) -> RestoreError {
    RestoreError::Kind { name: name.to_owned(), expected, actual: actual.kind() }
}
