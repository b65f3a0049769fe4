//! How an accumulator sums and divides: plain choices, each with the default first.
//!
//! No choice changes which gradients are admitted; that rule has no options. Invariant: the
//! defaults keep TensorFlow's results except where those would be wrong (P-16).

/// What a take gives: the mean over the gradients held, or their sum.
//
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Reduction {
    /// Σ gᵢ / n over the n gradients actually held, not over the number asked for.
    #[default]
    Mean,
    /// Σ gᵢ.
    Sum,
}

/// When the gradients are added up, and in which order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Summation {
    /// At the push, in arrival order: the memory of one sum.
    ///
    /// Pushes that overlap in time have no order: a large gradient is added in chunks, and two of
    /// them may reach different chunks in different order.
    #[default]
    Eager,
    /// At the take, in arrival order: every gradient is kept, a push moves it in without arithmetic
    /// and, when it is owned, without a copy. The result has the same bits as [`Self::Eager`].
    Held,
    /// At the take, in order of the key each gradient came with, ties in arrival order: the same
    /// gradients give the same bits whatever order they arrived in.
    // P-14
    Ordered,
}

/// How `f16` and `bf16` gradients are added up; other types are unaffected.
//
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum HalfSum {
    /// In `f32`, rounded nowhere.
    #[default]
    Single,
    /// Rounded to the half type after every addition and after the division, as
    /// TensorFlow does: 2060 ones in `f16` have the mean 0.994.
    Reference,
}

/// What divides a row of a sparse mean.
//
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum SparseMean {
    /// By the number of gradients that had this row.
    #[default]
    PerRow,
    /// By the number of gradients, as if a missing row were zero.
    PerGradient,
}

/// How sparse gradients are checked and merged.
//
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum SparseMerge {
    /// Indices are checked for range, each gradient is sorted and its repeated rows summed.
    #[default]
    Canonical,
    /// TensorFlow's merge of two lists, which trusts that both are sorted and repeat nothing,
    /// without checking. For comparison only: other input gives odd results.
    Reference,
}

/// The meaning of a sparse gradient's row index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SparseIndex {
    /// The number of a row of an array: not negative, and below the number of rows where that is
    /// known.
    //
    #[default]
    Row,
    /// A key of a table: any number. For the canonical merge.
    Key,
}

/// Choices of a dense accumulator beside its shape and reduction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct DenseOptions {
    /// When and in which order gradients are added up.
    pub summation: Summation,
    /// How half precision is added up.
    pub half_sum: HalfSum,
}

impl DenseOptions {
    /// Exactly what TensorFlow does.
    // P-16
    pub const fn reference() -> Self {
        Self { summation: Summation::Eager, half_sum: HalfSum::Reference }
    }
}

/// Choices of a sparse accumulator beside its shape and reduction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SparseOptions {
    /// When and in which order gradients are added up.
    pub summation: Summation,
    /// How half precision is added up.
    pub half_sum: HalfSum,
    /// What divides a row of the mean.
    pub mean: SparseMean,
    /// How gradients are checked and merged.
    pub merge: SparseMerge,
    /// What their indices mean.
    pub index: SparseIndex,
}

impl SparseOptions {
    /// Exactly what TensorFlow does.
    // P-16
    pub const fn reference() -> Self {
        Self {
            summation: Summation::Eager,
            half_sum: HalfSum::Reference,
            mean: SparseMean::PerRow,
            merge: SparseMerge::Reference,
            index: SparseIndex::Row,
        }
    }
}
