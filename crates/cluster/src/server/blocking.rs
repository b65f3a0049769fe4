//! What blocks, beside what must not wait for it.

/// Runs what blocks without holding up other tasks, where the runtime has other threads.
pub(crate) fn blocking<R>(run: impl FnOnce() -> R) -> R {
    let several = tokio::runtime::Handle::try_current()
        .is_ok_and(|it| it.runtime_flavor() == tokio::runtime::RuntimeFlavor::MultiThread);
    if several { tokio::task::block_in_place(run) } else { run() }
}
