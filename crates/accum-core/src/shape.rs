//! A shape that may be partly unknown.
//!
//! It describes, it holds no data. Invariant: an unknown rank fits everything; a known rank fits
//! only shapes with that many dimensions.

use std::fmt;

/// A shape whose rank, or single dimensions, may be unknown.
///
/// ```
/// use accum_core::PartialShape;
///
/// let shape = PartialShape::of([None, Some(2)]);
/// assert!(shape.is_compatible(&[7, 2]));
/// assert!(!shape.is_compatible(&[7, 3]));
/// assert_eq!(shape.to_string(), "[?,2]");
/// assert_eq!(PartialShape::from([3, 2]).to_string(), "[3,2]");
/// assert!(PartialShape::unknown().is_compatible(&[]));
/// ```
// R-1
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PartialShape(Option<Vec<Option<usize>>>);

impl PartialShape {
    /// A wholly unknown shape, even in its number of dimensions.
    pub const fn unknown() -> Self {
        Self(None)
    }

    /// A shape of known rank; `None` stands for an unknown dimension.
    pub fn of(dims: impl IntoIterator<Item = Option<usize>>) -> Self {
        Self(Some(dims.into_iter().collect()))
    }

    /// The dimensions, each known or not; `None` when not even their number is known.
    pub fn dims(&self) -> Option<&[Option<usize>]> {
        self.0.as_deref()
    }

    /// The number of dimensions, when known.
    pub fn rank(&self) -> Option<usize> {
        self.dims().map(<[_]>::len)
    }

    /// The size of dimension `axis`, when the rank is known, has that dimension, and its size is
    /// known.
    pub fn dim(&self, axis: usize) -> Option<usize> {
        self.dims().and_then(|dims| dims.get(axis).copied().flatten())
    }

    /// Whether an array of this `shape` fits.
    pub fn is_compatible(&self, shape: &[usize]) -> bool {
        self.dims().is_none_or(|dims| {
            dims.len() == shape.len()
                && dims.iter().zip(shape).all(|(dim, got)| dim.is_none_or(|dim| dim == *got))
        })
    }
}

impl<const N: usize> From<[usize; N]> for PartialShape {
    fn from(dims: [usize; N]) -> Self {
        Self::from(&dims[..])
    }
}

impl From<&[usize]> for PartialShape {
    fn from(dims: &[usize]) -> Self {
        Self::of(dims.iter().copied().map(Some))
    }
}

impl From<Vec<usize>> for PartialShape {
    fn from(dims: Vec<usize>) -> Self {
        Self::of(dims.into_iter().map(Some))
    }
}

impl fmt::Display for PartialShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(dims) = self.dims() else { return f.write_str("[..]") };
        f.write_str("[")?;
        for (axis, dim) in dims.iter().enumerate() {
            if axis > 0 {
                f.write_str(",")?;
            }
            match dim {
                Some(dim) => write!(f, "{dim}")?,
                None => f.write_str("?")?,
            }
        }
        f.write_str("]")
    }
}
