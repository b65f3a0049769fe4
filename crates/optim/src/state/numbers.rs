//! Numbers of a saved state through serde, including those that a text format cannot express.
//!
//! JSON has neither NaN nor infinities: written as they are they become `null`, which does not read
//! back. In formats for people they are the texts `"NaN"`, `"inf"` and `"-inf"`, and all other
//! numbers are numbers; formats for machines keep every bit.

use std::fmt;
use std::marker::PhantomData;

use ndarray::{ArrayD, CowArray, IxDyn};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Real;

#[derive(Clone, Copy)]
struct Number<T>(T);

impl<T: Real + Serialize> Serialize for Number<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.wide() {
            wide if wide.is_finite() => self.0.serialize(serializer),
            wide => serializer.collect_str(&wide),
        }
    }
}

impl<'de, T: Real> Deserialize<'de> for Number<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reading(PhantomData))
    }
}

struct Reading<T>(PhantomData<T>);

impl<T: Real> Visitor<'_> for Reading<T> {
    type Value = Number<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, or one of \"NaN\", \"inf\" and \"-inf\"")
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Number<T>, E> {
        Ok(Number(T::of(value)))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Number<T>, E> {
        self.visit_f64(value as f64)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Number<T>, E> {
        self.visit_f64(value as f64)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Number<T>, E> {
        match text {
            "NaN" => self.visit_f64(f64::NAN),
            "inf" => self.visit_f64(f64::INFINITY),
            "-inf" => self.visit_f64(f64::NEG_INFINITY),
            _ => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
        }
    }
}

/// A tensor of such numbers.
pub(super) mod tensor {
    use super::*;

    pub(in crate::state) fn serialize<T: Real + Serialize, S: Serializer>(
        tensor: &CowArray<'_, T, IxDyn>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            tensor.mapv(Number).serialize(serializer)
        } else {
            tensor.serialize(serializer)
        }
    }

    pub(in crate::state) fn deserialize<'de, 'a, T, D>(
        deserializer: D,
    ) -> Result<CowArray<'a, T, IxDyn>, D::Error>
    where
        T: Real + Deserialize<'de>,
        D: Deserializer<'de>,
    {
        if deserializer.is_human_readable() {
            let numbers = ArrayD::<Number<T>>::deserialize(deserializer)?;
            Ok(numbers.mapv(|number| number.0).into())
        } else {
            Ok(ArrayD::<T>::deserialize(deserializer)?.into())
        }
    }
}

/// One such number.
pub(super) mod scalar {
    use super::*;

    pub(in crate::state) fn serialize<S: Serializer>(
        number: &f64,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            Number(*number).serialize(serializer)
        } else {
            number.serialize(serializer)
        }
    }

    pub(in crate::state) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<f64, D::Error> {
        if deserializer.is_human_readable() {
            Ok(Number::<f64>::deserialize(deserializer)?.0)
        } else {
            f64::deserialize(deserializer)
        }
    }
}
