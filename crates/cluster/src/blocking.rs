//! Blocking work, beside tasks that must not wait for it.

/// Runs blocking work without holding up other tasks, if the runtime has other threads.
pub(crate) fn blocking<R>(run: impl FnOnce() -> R) -> R {
    let several = tokio::runtime::Handle::try_current()
        .is_ok_and(|it| it.runtime_flavor() == tokio::runtime::RuntimeFlavor::MultiThread);
    if several { tokio::task::block_in_place(run) } else { run() }
}
