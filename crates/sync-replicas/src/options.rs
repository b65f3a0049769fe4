//! What a description chooses between; see the methods of [`SyncReplicas`](crate::SyncReplicas).

pub use accum_core::{SparseMean, SparseMerge};
pub use embedding_table::{EvictBy, Eviction, Initializer, RowAdmission};
pub use engine::{
    FailingBatch, InitialTokens, NonFinite, StepTimeout, SummationOrder, TokenPolicy,
};
