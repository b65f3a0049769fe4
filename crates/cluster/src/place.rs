//! Which process may take a replica's place at a server: one at a time (P-26).
//!
//! No clock orders two processes. The coordinator knows which of them came later, since it let both
//! in, and other servers know it from the ticket of each. A number that a process chooses says only
//! whether it is the same process as before, so that no process can bar another with a large one.

use std::cmp::Ordering;

use sync_replicas::ReplicaId;
use sync_replicas::driver::Generation;

use crate::command::Ticket;

/// A process at the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Drawn for one life of it.
    pub process: u64,
    /// Counts the connections of that life.
    pub connection: u64,
    /// The ticket with which the coordinator let it in.
    pub ticket: Option<Ticket>,
}

/// Why a process does not get a replica's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotAdmitted {
    /// It was sent before the open connection.
    #[error("this connection of {0} is open already, or a later one is")]
    Old(ReplicaId),
    /// Another process has it, for now.
    #[error(
        "another process has the place of {0} and is connected; the place is free once its \
         connection is closed or its lease ends"
    )]
    Held(ReplicaId),
    /// Another process has it, and came later.
    #[error("another process has taken the place of {0}; end one of the two if both run")]
    Replaced(ReplicaId),
    /// It has not joined here.
    #[error("expected a ticket of {expected}, got {}", shown(.got))]
    Ticket {
        /// The server's generation.
        expected: Generation,
        /// The caller's generation.
        got: Option<Generation>,
    },
}

fn shown(generation: &Option<Generation>) -> String {
    generation.map_or_else(|| "none".to_owned(), |it| format!("one of {it}"))
}

impl Caller {
    /// Whether it may take a replica's place from whoever is connected, at a server of this
    /// generation other than the coordinator's; of `None` where training is over, and everybody may
    /// come for the last variables.
    ///
    /// # Errors
    /// [`NotAdmitted`].
    pub fn takes_place(
        &self,
        replica: ReplicaId,
        connected: Option<&Self>,
        generation: Option<Generation>,
    ) -> Result<(), NotAdmitted> {
        let got = self.ticket.map(|ticket| ticket.generation);
        if let Some(expected) = generation.filter(|&expected| got != Some(expected)) {
            return Err(NotAdmitted::Ticket { expected, got });
        }
        self.comes_after(replica, connected)?;
        let other = connected.filter(|it| it.process != self.process);
        match other.map(|it| it.ticket.cmp(&self.ticket)) {
            None | Some(Ordering::Less) => Ok(()),
            Some(Ordering::Greater) if generation.is_some() => Err(NotAdmitted::Replaced(replica)),
            Some(_) => Err(NotAdmitted::Held(replica)),
        }
    }

    /// Whether no later connection of the same process is there.
    pub(crate) fn comes_after(
        &self,
        replica: ReplicaId,
        connected: Option<&Self>,
    ) -> Result<(), NotAdmitted> {
        let same = connected.filter(|it| it.process == self.process);
        match same.is_some_and(|it| it.connection >= self.connection) {
            true => Err(NotAdmitted::Old(replica)),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use sync_replicas::driver::Incarnation;

    use super::*;

    /// The answer of a server of generation 5 that does not coordinate, to process 1.
    #[test]
    fn tickets_order_the_processes_of_a_replica() {
        const R: ReplicaId = ReplicaId::new(0);
        let caller = |process, connection, ticket: Option<(u64, u64)>| {
            let ticket = ticket.map(|(generation, incarnation)| Ticket {
                generation: Generation::new(generation),
                incarnation: Incarnation::new(incarnation),
            });
            Caller { process, connection, ticket }
        };
        let check = |connected: Option<Caller>, ticket, over: bool, expected| {
            let generation = (!over).then(|| Generation::new(5));
            let got = caller(1, 7, ticket).takes_place(R, connected.as_ref(), generation);
            assert_eq!(got.err(), expected, "{connected:?}, {ticket:?}, {over}");
        };
        let ticket = |got: Option<u64>| {
            let (expected, got) = (Generation::new(5), got.map(Generation::new));
            Some(NotAdmitted::Ticket { expected, got })
        };
        check(None, Some((5, 1)), false, None);
        check(None, None, false, ticket(None));
        check(None, Some((4, 9)), false, ticket(Some(4)));
        check(None, Some((u64::MAX, 9)), false, ticket(Some(u64::MAX)));
        // Its own earlier connections.
        check(Some(caller(1, 6, Some((5, 1)))), Some((5, 1)), false, None);
        check(Some(caller(1, 7, Some((5, 1)))), Some((5, 1)), false, Some(NotAdmitted::Old(R)));
        check(Some(caller(1, 9, Some((4, 1)))), Some((5, 1)), false, Some(NotAdmitted::Old(R)));
        // Another process, however large its numbers.
        check(Some(caller(u64::MAX, u64::MAX, Some((5, 1)))), Some((5, 2)), false, None);
        check(Some(caller(u64::MAX, u64::MAX, Some((4, 9)))), Some((5, 1)), false, None);
        let same = Some(caller(2, 1, Some((5, 1))));
        check(same, Some((5, 1)), false, Some(NotAdmitted::Held(R)));
        let later = Some(caller(0, 1, Some((5, 2))));
        check(later, Some((5, 1)), false, Some(NotAdmitted::Replaced(R)));
        // After the end, for the last variables.
        check(None, None, true, None);
        check(later, None, true, Some(NotAdmitted::Held(R)));
    }
}
