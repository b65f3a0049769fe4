//! Examples in the forms that models read: dense pixels, sparse features, labels.
//!
//! Its invariant: row `i` of each form is the same image.

use ndarray::{Array2, Axis};
use sprs::CsMat;

/// Pixels of an image: 8 rows of 8.
pub const PIXELS: usize = 64;
/// Digits to tell apart.
pub const CLASSES: usize = 10;
/// How dark a pixel can be: 1 to this many, and 0 for paper.
pub(super) const INTENSITIES: usize = 16;
/// All (pixel, intensity) pairs.
pub const FEATURES: usize = PIXELS * INTENSITIES;

/// One image: its pixels, row by row, and the digit it shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Each 0 (paper) to 16 (ink).
    pub pixels: [u8; PIXELS],
    /// 0 to 9.
    pub digit: u8,
}

/// *n* images.
#[derive(Clone, Debug)]
pub struct Examples {
    pixels: Array2<f32>,
    features: CsMat<f32>,
    labels: Vec<usize>,
}

impl Examples {
    /// Scales pixels to 0..=1 and lists the features of each row.
    #[must_use]
    pub fn new(rows: &[Row]) -> Self {
        let scale = INTENSITIES as f32;
        Self {
            pixels: Array2::from_shape_fn((rows.len(), PIXELS), |(row, pixel)| {
                f32::from(rows[row].pixels[pixel]) / scale
            }),
            features: features(rows),
            labels: rows.iter().map(|row| usize::from(row.digit)).collect(),
        }
    }

    /// The number of images.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Every row's number.
    #[must_use]
    pub fn all(&self) -> Vec<usize> {
        (0..self.len()).collect()
    }

    /// The pixels of some images, 0 to 1: *rows* x 64.
    #[must_use]
    pub fn pixels(&self, rows: &[usize]) -> Array2<f32> {
        self.pixels.select(Axis(0), rows)
    }

    /// The digits of some images.
    #[must_use]
    pub fn labels(&self, rows: &[usize]) -> Vec<usize> {
        rows.iter().map(|&row| self.labels[row]).collect()
    }

    /// The features of some images, a CSR matrix of *rows* x 1024.
    ///
    /// An image is the set of pairs (pixel, intensity) that it reaches: a pixel of intensity 3 has
    /// the features (pixel, 1), (pixel, 2) and (pixel, 3), so that neighbours in darkness share
    /// what is learned. Each has the weight 1/16.
    #[must_use]
    pub fn features(&self, rows: &[usize]) -> CsMat<f32> {
        let mut starts = vec![0];
        let (mut indices, mut data) = (Vec::new(), Vec::new());
        for &row in rows {
            if let Some(features) = self.features.outer_view(row) {
                indices.extend_from_slice(features.indices());
                data.extend_from_slice(features.data());
            }
            starts.push(indices.len());
        }
        CsMat::new((rows.len(), FEATURES), starts, indices, data)
    }
}

fn features(rows: &[Row]) -> CsMat<f32> {
    let mut starts = vec![0];
    let mut indices = Vec::new();
    for row in rows {
        for (pixel, &intensity) in row.pixels.iter().enumerate() {
            let first = pixel * INTENSITIES;
            indices.extend(first..first + usize::from(intensity));
        }
        starts.push(indices.len());
    }
    let weights = vec![1.0 / INTENSITIES as f32; indices.len()];
    CsMat::new((rows.len(), FEATURES), starts, indices, weights)
}
