//! What must really happen somewhere in a walk, so that the laws do not hold for want of cases.

/// An occurrence that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sometimes {
    /// A gradient of a step that is over came, and was dropped.
    StaleDrop,
    /// The same of a replica that still had its token: a backup that was too slow.
    BackupDrop,
    /// A push came once more, and changed nothing.
    Repeated,
    /// A grant came that its replica had used, passed over, or been given in an earlier life.
    LateGrant,
    /// A push of an earlier life came, and was refused.
    EarlierLife,
    /// A push was accepted although its token had gone to another replica.
    Unleased,
    /// A lease ended and its token went back.
    LeaseEnded,
    /// A leaver's token went back.
    LeaverReturned,
    /// The token of one that never joined was given to the others.
    AbsentReplaced,
    /// Leftover tokens were discarded.
    Discarded,
    /// A replica was told that its step is over, and gave up.
    GivenUp,
    /// Some variables took a push and others dropped it, or there was none for them.
    Partly,
    /// A token was lost with its holder.
    TokenLost,
    /// Training ended while an update was under way, which was still made.
    StoppedInUpdate,
    /// The step can no longer move.
    Hang,
}

/// How often each happened; the order is that of the enum.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Hits([u64; 15]);

impl Hits {
    pub(super) fn hit(&mut self, sometimes: Sometimes, times: u64) {
        self.0[sometimes as usize] += times;
    }

    pub(super) fn has(&self, sometimes: Sometimes) -> bool {
        self.0[sometimes as usize] > 0
    }

    pub(super) fn counts(&self) -> impl Iterator<Item = (Sometimes, u64)> + '_ {
        use Sometimes::*;
        let all = [
            StaleDrop,
            BackupDrop,
            Repeated,
            LateGrant,
            EarlierLife,
            Unleased,
            LeaseEnded,
            LeaverReturned,
            AbsentReplaced,
            Discarded,
            GivenUp,
            Partly,
            TokenLost,
            StoppedInUpdate,
            Hang,
        ];
        all.into_iter().map(|sometimes| (sometimes, self.0[sometimes as usize]))
    }
}
