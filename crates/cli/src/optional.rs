//! Builder calls for optional values.

/// Calls `with` if there is a value; otherwise the builder keeps its default.
pub(crate) fn set<B, V>(builder: B, value: Option<V>, with: impl FnOnce(B, V) -> B) -> B {
    match value {
        Some(value) => with(builder, value),
        None => builder,
    }
}
