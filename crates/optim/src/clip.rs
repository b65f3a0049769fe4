//! Clipping of a replica's gradients, before they are pushed.
//!
//! It works in place on mutable views of any layout: dense gradients, or the rows of sparse ones.
//! Invariant: a call that fails has changed nothing.

use ndarray::ArrayViewMutD;

use crate::Real;

/// Gradients cannot be clipped. Nothing was changed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ClipError {
    /// The range is empty, or not made of numbers.
    #[error("cannot clip to [{min}, {max}]; the first must not be above the second")]
    Range {
        /// The given lower end.
        min: f64,
        /// The given upper end.
        max: f64,
    },
    /// The norm to clip to is invalid.
    #[error("the norm to clip to must be finite and above zero, but {actual} was given")]
    MaxNorm {
        /// The given norm.
        actual: f64,
    },
    /// The gradients have an element that is not finite, so that scaling cannot help; or their norm
    /// is beyond the range of `f64`.
    #[error("the norm of the gradients is {norm}; look for a diverged loss or a division by zero")]
    NotFinite {
        /// NaN if there is one, otherwise infinity.
        norm: f64,
    },
}

/// Moves every element of a gradient into [`min`, `max`]: *gᵢ ← min(max(gᵢ, min), max)*.
///
/// NaN stays NaN.
///
/// # Errors
/// `min` is above `max`, or one of them is NaN.
///
/// # Examples
/// ```
/// use ndarray::array;
///
/// let mut gradient = array![-3.0, 0.5, 7.0].into_dyn();
/// optim::clip_by_value(gradient.view_mut(), -1.0, 1.0)?;
/// assert_eq!(gradient, array![-1.0, 0.5, 1.0].into_dyn());
/// # Ok::<(), optim::ClipError>(())
/// ```
// R-17
pub fn clip_by_value<T: Real>(
    mut gradient: ArrayViewMutD<'_, T>,
    min: f64,
    max: f64,
) -> Result<(), ClipError> {
    if min.is_nan() || max.is_nan() || min > max {
        return Err(ClipError::Range { min, max });
    }
    let (min, max) = (T::of(min), T::of(max));
    gradient.mapv_inplace(|element| num_traits::clamp(element, min, max));
    Ok(())
}

/// Scales one gradient so that its norm is at most `max_norm`, and returns its former norm: *g ← g
/// · max_norm / max(‖g‖₂, max_norm)*.
///
/// For a sparse gradient give its rows; rows of the same index count apart, as they stand.
///
/// # Errors
/// `max_norm` is not finite or not above zero; the gradient has an element that is not finite.
///
/// # Examples
/// ```
/// use ndarray::array;
///
/// let mut gradient = array![3.0, 4.0].into_dyn();
/// let norm = optim::clip_by_norm(gradient.view_mut(), 1.0)?;
/// assert_eq!(norm, 5.0);
/// assert!((gradient[0] - 0.6_f64).abs() < 1e-12);
/// # Ok::<(), optim::ClipError>(())
/// ```
// R-17
pub fn clip_by_norm<T: Real>(
    gradient: ArrayViewMutD<'_, T>,
    max_norm: f64,
) -> Result<f64, ClipError> {
    clip_by_global_norm(&mut [gradient], max_norm)
}

/// Scales all gradients of a step by one factor, so that their common norm is at most `max_norm`,
/// and returns their former norm: *‖g‖ = √Σ ‖gᵢ‖₂²*.
///
/// For a sparse gradient give its rows; rows of the same index count apart, as they stand. The norm
/// is summed in `f64`, in the order of the gradients.
///
/// # Errors
/// `max_norm` is not finite or not above zero; a gradient has an element that is not finite.
///
/// # Examples
/// ```
/// use ndarray::array;
///
/// let mut dense = array![3.0_f32].into_dyn();
/// let mut rows = array![[0.0_f32, 4.0]].into_dyn();
/// let norm = optim::clip_by_global_norm(&mut [dense.view_mut(), rows.view_mut()], 2.5)?;
/// assert_eq!(norm, 5.0);
/// assert_eq!((dense[0], rows[[0, 1]]), (1.5, 2.0));
/// # Ok::<(), optim::ClipError>(())
/// ```
// R-17
pub fn clip_by_global_norm<T: Real>(
    gradients: &mut [ArrayViewMutD<'_, T>],
    max_norm: f64,
) -> Result<f64, ClipError> {
    if !(max_norm > 0.0 && max_norm.is_finite()) {
        return Err(ClipError::MaxNorm { actual: max_norm });
    }
    let norm = global_norm(gradients);
    if !norm.is_finite() {
        return Err(ClipError::NotFinite { norm });
    }
    if norm > max_norm {
        // In f64, since a tiny factor could be zero in the gradient's type.
        let factor = max_norm / norm;
        for gradient in gradients {
            if factor.is_normal() {
                gradient.mapv_inplace(|element| T::of(element.wide() * factor));
            } else {
                // So tiny that it lost digits, or all of them.
                gradient.mapv_inplace(|element| T::of(element.wide() / norm * max_norm));
            }
        }
    }
    Ok(norm)
}

/// The root of the sum of squares, even where the squares alone leave the range of `f64`.
fn global_norm<T: Real>(gradients: &[ArrayViewMutD<'_, T>]) -> f64 {
    let elements = || gradients.iter().flatten().map(|element| element.wide().abs());
    let squares: f64 = elements().map(|element| element * element).sum();
    if squares.is_normal() || squares.is_nan() {
        return squares.sqrt();
    }
    let largest = elements().fold(0.0, f64::max);
    if largest == 0.0 || largest.is_infinite() {
        return largest;
    }
    let scaled = |element: f64| (element / largest) * (element / largest);
    largest * elements().map(scaled).sum::<f64>().sqrt()
}
