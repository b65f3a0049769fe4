//! The names of a hook's calls, for errors.

use std::fmt;

/// Which of a hook's calls an error came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HookCall {
    /// [`Hook::begin`](crate::Hook::begin).
    Begin,
    /// [`Hook::after_create_session`](crate::Hook::after_create_session).
    AfterCreateSession,
    /// [`Hook::before_run`](crate::Hook::before_run).
    BeforeRun,
    /// [`Hook::after_run`](crate::Hook::after_run).
    AfterRun,
    /// [`Hook::end`](crate::Hook::end).
    End,
}

impl fmt::Display for HookCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Begin => "begin",
            Self::AfterCreateSession => "after_create_session",
            Self::BeforeRun => "before_run",
            Self::AfterRun => "after_run",
            Self::End => "end",
        })
    }
}
