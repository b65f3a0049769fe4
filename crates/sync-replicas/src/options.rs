//! What a description chooses between; see the methods of [`SyncReplicas`](crate::SyncReplicas).

pub use accum_core::{SparseMean, SparseMerge};
pub use engine::{
    FailingBatch, InitialTokens, NonFinite, StepTimeout, SummationOrder, TokenPolicy,
};
