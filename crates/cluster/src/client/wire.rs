//! The messages of the replica's protocol, to servers and from them, as they travel.

use sync_replicas::driver::{LocalStep, ServerDuties};
use sync_replicas::record::FailedSave;
use sync_replicas::{GlobalStep, Scalar, Variables};

use super::protocol::{Departure, Ended, Hello, Reply, Request};
use crate::Agreement;
use crate::coordinator::{Commit, GivenUp, Refusal, Ticket};
use crate::number_format::NumberFormat;
use crate::proto;
use crate::tensor::in_standard_layout;
use crate::wire::{WireError, outcome, reason, run, run_words};
use proto::to_replica::Message as ToReplica;
use proto::to_server::Message as ToServer;

/// The first message of a connection, from a program with this agreement and these duties for
/// servers.
pub(crate) fn hello(hello: Hello, agreement: &Agreement, duties: &ServerDuties) -> proto::Hello {
    proto::Hello {
        replica: hello.replica.get(),
        process: hello.process,
        connection: hello.connection,
        run: run_words(hello.run),
        agreement: agreement.items(),
        ticket: hello.ticket.map(Into::into),
        follows: hello.follows,
        last_step: duties.last_step,
        nan_guard: duties.nan_guard,
    }
}

/// Variables' values in pieces, in the order of the variables.
pub(crate) fn initial_values<T: Scalar>(
    values: &Variables<T>,
) -> impl Iterator<Item = ToServer> + Send + use<T> {
    let pieces = values.arrays().to_vec().into_iter().enumerate().flat_map(|(place, array)| {
        let whole = 0..array.len();
        let pieces = NumberFormat::Native.pieces(in_standard_layout(array), whole);
        pieces.map(move |(_, data)| proto::InitialValues {
            tensor: place as u32,
            data,
            last: false,
        })
    });
    let last = proto::InitialValues { last: true, ..Default::default() };
    pieces.chain([last]).map(ToServer::InitialValues)
}

/// A replica's message; `None` for gradients and lookups, which are many.
pub(crate) fn request(request: Request) -> Option<ToServer> {
    let some = |ticket: Ticket| Some(ticket.into());
    Some(match request {
        Request::Pull { after, full } => {
            let (generation, after) =
                after.map_or((0, -1), |(generation, step)| (generation.get(), step.get()));
            ToServer::Pull(proto::Pull { generation, after, full })
        }
        Request::Gradients { .. } | Request::Lookup { .. } => return None,
        Request::Commit(commit) => ToServer::Commit(commit.into()),
        Request::Ask { ticket, sequence } => {
            ToServer::Ask(proto::Ask { ticket: some(ticket), sequence })
        }
        Request::GiveUp { ticket, sequence, why, times } => ToServer::GiveUp(proto::GiveUp {
            ticket: some(ticket),
            sequence,
            begun: why != GivenUp::NotBegun,
            not_finite: why == GivenUp::NotFinite,
            times: times.map(Into::into),
        }),
        Request::Leave { ticket, departure } => {
            let for_now = departure == Departure::ForNow;
            let reason = match departure {
                Departure::Failed(reason) => reason,
                Departure::Done | Departure::ForNow => String::new(),
            };
            ToServer::Leave(proto::Leave { ticket: some(ticket), reason, for_now })
        }
        Request::Recall => ToServer::Recall(proto::Recall {}),
    })
}

impl From<Commit> for proto::Commit {
    fn from(commit: Commit) -> Self {
        Self {
            ticket: Some(commit.ticket.into()),
            sequence: commit.sequence,
            local_step: commit.local_step.get(),
            variables: commit.variables.into_iter().map(|it| it.get() as u64).collect(),
            loss: commit.loss,
            examples: commit.examples,
            receipts: commit.receipts,
            times: Some(commit.times.into()),
        }
    }
}

/// A server's message; `None` for values and rows.
pub(crate) fn reply(message: Option<ToReplica>) -> Result<Option<Reply>, WireError> {
    let message = message.ok_or_else(WireError::unknown)?;
    Ok(Some(match message {
        ToReplica::Welcome(it) => Reply::Welcome {
            ticket: it.ticket.map(Ticket::from),
            global_step: GlobalStep::new(it.global_step),
            bounded: it.bounded,
            run: run(&it.run)?,
        },
        ToReplica::Initialize(proto::Initialize {}) => Reply::Initialize,
        ToReplica::Granted(it) => Reply::Granted {
            sequence: it.sequence,
            local_step: LocalStep::new(it.local_step),
            share: it.share,
            number: it.number,
        },
        ToReplica::Room(it) => Reply::Room { sequence: it.sequence },
        ToReplica::Staged(it) => Reply::Staged { sequence: it.sequence, receipt: it.receipt },
        ToReplica::Pushed(it) => {
            Reply::Pushed { sequence: it.sequence, outcome: outcome(it.outcome)? }
        }
        ToReplica::GaveUp(it) => Reply::GaveUp { sequence: it.sequence },
        ToReplica::Superseded(it) => Reply::Superseded { sequence: it.sequence },
        ToReplica::Overdue(it) => Reply::Overdue(reason(it.reason)),
        ToReplica::Left(proto::Left {}) => Reply::Left,
        ToReplica::Refused(proto::Refused { sequence, reason: words, rejoin }) => {
            Reply::Refused(Refusal { sequence, reason: reason(words), rejoin })
        }
        ToReplica::Advanced(it) => Reply::Advanced(it.into()),
        ToReplica::Ended(it) => Reply::Ended(Ended {
            reason: reason(it.reason),
            failed: it.failed,
            global_step: GlobalStep::new(it.global_step),
        }),
        ToReplica::SaveFailed(it) => {
            Reply::SaveFailed(FailedSave { step: it.step, reason: reason(it.reason) })
        }
        ToReplica::Recorded(it) => Reply::Recorded(Box::new(it.into())),
        ToReplica::Gone(it) => Reply::Gone { number: it.number },
        ToReplica::Values(_) | ToReplica::Rows(_) => return Ok(None),
    }))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ndarray::array;

    use super::*;

    #[test]
    fn initial_values_laid_out_by_columns_go_in_the_order_of_their_indices() {
        let rows = array![[1.0_f32, 2.0, 3.0], [4.0, 5.0, 6.0]];
        let mut values = Variables::new().with("w", rows.clone()).expect("a new name");
        let columns = rows.t().as_standard_layout().into_owned().reversed_axes();
        assert!(!columns.is_standard_layout());
        values.replace(0, Arc::new(columns.into_dyn()));

        let sent: Vec<u8> = initial_values(&values)
            .flat_map(|message| match message {
                ToServer::InitialValues(piece) => piece.data.to_vec(),
                other => panic!("expected initial values, came {other:?}"),
            })
            .collect();
        let expected: Vec<u8> = rows.iter().flat_map(|number| number.to_le_bytes()).collect();
        assert_eq!(sent, expected);
    }
}
