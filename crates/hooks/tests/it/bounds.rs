//! What the types promise to the compiler.

use hooks::{Coordinator, MonitoredSession, Readiness, SessionError, StepWatch};

use crate::support::Scripted;

/// Another thread may drive the session, and errors may cross threads.
#[test]
fn what_moves_between_threads() {
    fn send<T: Send>() {}
    fn shared<T: Send + Sync + Clone + 'static>() {}
    send::<MonitoredSession<'_, Scripted>>();
    shared::<Coordinator>();
    shared::<Readiness>();
    shared::<StepWatch>();
    shared::<SessionError>();
}

#[cfg(feature = "serde")]
#[test]
fn reports_are_plain_data() {
    fn plain<T: serde::Serialize + for<'a> serde::Deserialize<'a>>() {}
    plain::<hooks::StepReport>();
    plain::<hooks::Rate>();
}
