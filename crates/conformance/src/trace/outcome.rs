//! What a call did, as it is written down and as a replay sees it.

use std::fmt;

use serde::Deserialize;

use super::Tensor;

/// What a call did; the last one is never recorded.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "Written")]
pub(crate) enum Outcome {
    /// It succeeded, without a value.
    Done,
    /// It is blocked.
    Pending,
    /// It failed.
    Failed(ErrorClass),
    /// It gave a number: a count, a size, a token.
    Number(i64),
    /// It gave a yes or no.
    Flag(bool),
    /// It gave a batch of tokens.
    Tokens(Vec<i64>),
    /// It gave a dense gradient.
    Tensor(Tensor),
    /// It gave a sparse gradient.
    Slices(Slices),
    /// It failed in a way for which the original has no class.
    Unheard(String),
}

/// A kind of error, under the original's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) enum ErrorClass {
    InvalidArgument,
    OutOfRange,
    Cancelled,
    Aborted,
}

/// A sparse gradient that was taken.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Slices {
    pub(crate) indices: Vec<i64>,
    pub(crate) value: Tensor,
    pub(crate) dense_shape: Vec<i64>,
}

#[derive(Deserialize)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "an outcome must be one of {ok: true}, {pending: true}, {error: InvalidArgument, \
                 OutOfRange, Cancelled or Aborted}, {value: number, yes or no, or tensor}, \
                 {values: numbers}, {indices, value, dense_shape}"
)]
enum Written {
    Done { ok: bool },
    Pending { pending: bool },
    Failed { error: ErrorClass },
    Value { value: Value },
    Values { values: Vec<i64> },
    Slices { indices: Vec<i64>, value: Tensor, dense_shape: Vec<i64> },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Value {
    Number(i64),
    Flag(bool),
    Tensor(Tensor),
}

impl TryFrom<Written> for Outcome {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        Ok(match written {
            Written::Done { ok: true } => Self::Done,
            Written::Pending { pending: true } => Self::Pending,
            Written::Done { .. } | Written::Pending { .. } => {
                return Err("`ok` and `pending` are true or not there");
            }
            Written::Failed { error } => Self::Failed(error),
            Written::Value { value: Value::Number(number) } => Self::Number(number),
            Written::Value { value: Value::Flag(flag) } => Self::Flag(flag),
            Written::Value { value: Value::Tensor(tensor) } => Self::Tensor(tensor),
            Written::Values { values } => Self::Tokens(values),
            Written::Slices { indices, value, dense_shape } => {
                Self::Slices(Slices { indices, value, dense_shape })
            }
        })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("success"),
            Self::Pending => f.write_str("still blocked"),
            Self::Failed(class) => write!(f, "the error {class:?}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Tokens(tokens) => write!(f, "{tokens:?}"),
            Self::Tensor(Tensor(value)) => write!(f, "a tensor of shape {:?}", value.shape()),
            Self::Slices(slices) => write!(f, "rows {:?}", slices.indices),
            Self::Unheard(error) => write!(f, "an error without a class ({error})"),
        }
    }
}
