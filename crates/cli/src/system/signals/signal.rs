//! The signals that mean something to the program.

/// The signals that mean something here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    Interrupt,
    #[cfg_attr(not(unix), allow(dead_code, reason = "these systems do not send it"))]
    HangUp,
    #[cfg_attr(not(unix), allow(dead_code, reason = "these systems do not send it"))]
    Terminate,
    #[cfg_attr(not(unix), allow(dead_code, reason = "these systems do not send it"))]
    User,
}
