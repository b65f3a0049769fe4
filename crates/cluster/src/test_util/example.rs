//! A valid message of every kind, and what goes before it on its connection.

mod between_servers;

use prost::Message as _;

use super::{
    CONNECTION, Ear, LAST_STEP, OTHER, PROCESS, SENDER, agreement, placement, run, server_of,
    table, undefined,
};
use crate::placement::Part;
use crate::proto::control_request::Action;
use crate::proto::to_replica::Message as Said;
use crate::proto::to_server::Message;
use crate::proto::{self, ControlRequest, ToReplica, ToServer};
use between_servers::{answers, orders};
pub(super) use between_servers::{coordinator_hello, others};

/// One message, by its name in the protocol.
#[derive(Clone, Debug)]
pub struct Example {
    /// Its name; of a message in several forms, with what is special about this one.
    pub name: &'static str,
    /// Who hears it.
    pub ear: Ear,
    /// What is said first over the connection.
    pub before: Vec<Vec<u8>>,
    /// The message.
    pub message: Vec<u8>,
}

/// Valid messages of every kind.
#[must_use]
pub fn examples() -> Vec<Example> {
    [to_servers(), controls(), to_replicas(), orders(), answers(), replies()].concat()
}

pub(super) fn ticket() -> Option<proto::Ticket> {
    Some(proto::Ticket { generation: 1, incarnation: 1 })
}

/// The hello of a replica.
pub(super) fn hello(replica: u64, (process, connection): (u64, u64)) -> Message {
    let (ticket, run, agreement) = (ticket(), run().to_string(), agreement().items());
    let (follows, last_step, nan_guard) = (true, Some(LAST_STEP), true);
    Message::Hello(proto::Hello {
        replica,
        process,
        connection,
        ticket,
        run,
        agreement,
        follows,
        last_step,
        nan_guard,
    })
}

/// The same of a process that has joined no life yet.
pub(super) fn ticketless(mut first: Message) -> Message {
    if let Message::Hello(hello) = &mut first {
        hello.ticket = None;
    }
    first
}

/// The hello of the replica that goes on beside the sender.
pub(super) fn other_hello() -> ToServer {
    ToServer { message: Some(hello(OTHER, (PROCESS, CONNECTION))) }
}

/// A contribution to these parts: ones everywhere, and in the table in its rows 1 and 0.
pub(super) fn contribution(parts: &[Part]) -> Vec<Message> {
    let mut sections = Vec::new();
    let mut chunks = Vec::new();
    for (number, part) in parts.iter().enumerate() {
        let sparse = part.variable_name() == "t";
        let (kind, rows) = if sparse { (proto::Kind::Sparse, 2) } else { (proto::Kind::Dense, 0) };
        sections.push(proto::Section { part: number as u32, kind: kind.into(), rows });
        let mut data = Vec::new();
        let mut elements = part.elements();
        if sparse {
            [1_i64, 0].iter().for_each(|row| data.extend(row.to_le_bytes()));
            elements = 2 * part.width();
        }
        (0..elements).for_each(|_| data.extend(1.0_f32.to_le_bytes()));
        chunks.push(Message::Chunk(proto::Chunk { section: number as u32, data: data.into() }));
    }
    let begin = Message::Begin(proto::Begin { ticket: ticket(), sequence: 1, sections });
    [vec![begin], chunks].concat()
}

fn times() -> Option<proto::Times> {
    Some(proto::Times {
        waited: 0.5,
        computed: 0.25,
        sent: 0.125,
        looked_up: 0.0625,
        gradient_bytes: 30,
        variable_bytes: 20,
        row_bytes: 10,
    })
}

/// The rows of some keys of a server's own.
fn lookup(index: usize, servers: usize) -> Message {
    let own = (-9_i64..9).filter(|key| table().owner(*key, servers) == index);
    let keys: Vec<i64> = own.collect();
    Message::Lookup(proto::Lookup {
        number: 1,
        generation: 1,
        global_step: 0,
        table: 0,
        tag: 0,
        ages: keys.iter().flat_map(|key| (key.unsigned_abs() as u32 % 2).to_le_bytes()).collect(),
        keys: keys.iter().flat_map(|key| key.to_le_bytes()).collect(),
    })
}

/// The commit, with the other servers' receipts.
pub(super) fn commit(receipts: u64) -> Message {
    Message::Commit(proto::Commit {
        ticket: ticket(),
        sequence: 1,
        local_step: 0,
        variables: vec![0, 1, 2],
        loss: Some(0.5),
        examples: 3,
        receipts,
        times: times(),
    })
}

fn to_server(name: &'static str, ear: Ear, before: &[Message], message: &Message) -> Example {
    let bytes = |it: &Message| ToServer { message: Some(it.clone()) }.encode_to_vec();
    Example { name, ear, before: before.iter().map(bytes).collect(), message: bytes(message) }
}

fn to_servers() -> Vec<Example> {
    let first = hello(SENDER, (5, 5));
    let new = ticketless(first.clone());
    let mut examples = Vec::new();
    for (ear, index, servers) in [(Ear::Coordinator, 0, 1), (Ear::Server, 1, 2)] {
        let pushed = contribution(placement(servers).parts(index));
        examples.push(to_server("Hello", ear, &[], &first));
        for (at, message) in pushed.iter().enumerate() {
            let before = [&[first.clone()][..], &pushed[..at]].concat();
            let name = if at == 0 { "Begin" } else { "Chunk" };
            examples.push(to_server(name, ear, &before, message));
        }
        let pull = Message::Pull(proto::Pull { generation: 1, after: 0, full: false });
        examples.push(to_server("Pull", ear, std::slice::from_ref(&first), &pull));
        examples.push(to_server(
            "Lookup",
            ear,
            std::slice::from_ref(&first),
            &lookup(index, servers),
        ));
        if ear == Ear::Coordinator {
            examples.push(to_server("Hello, of a new process", ear, &[], &new));
            let whole = [&[first.clone()][..], &pushed].concat();
            examples.push(to_server("Commit", ear, &whole, &commit(0)));
        }
    }
    let (ticket, sequence) = (ticket(), 1);
    let times = times();
    let leave = proto::Leave { ticket, reason: "its data".to_owned(), for_now: false };
    let give_up = proto::GiveUp { ticket, sequence, begun: true, not_finite: false, times };
    let others = [
        ("Ask", Message::Ask(proto::Ask { ticket, sequence })),
        ("GiveUp", Message::GiveUp(give_up)),
        ("GiveUp, not finite", Message::GiveUp(proto::GiveUp { not_finite: true, ..give_up })),
        ("Alive", Message::Alive(proto::Alive { ticket })),
        ("Recall", Message::Recall(proto::Recall {})),
        ("Leave", Message::Leave(leave.clone())),
        ("Leave, for now", Message::Leave(proto::Leave { for_now: true, ..leave })),
    ];
    let first = [first];
    for (name, message) in &others {
        examples.push(to_server(name, Ear::Coordinator, &first, message));
    }
    let values = [vec![ticketless(hello(0, (5, 5)))], undefined::pieces()].concat();
    for at in 1..values.len() {
        examples.push(to_server("InitialValues", Ear::Undefined, &values[..at], &values[at]));
    }
    examples
}

fn controls() -> Vec<Example> {
    let control = |name, action| {
        let message = ControlRequest { action: Some(action) }.encode_to_vec();
        Example { name, ear: Ear::Control, before: Vec::new(), message }
    };
    vec![
        control("ControlRequest, stop", Action::Stop("enough".to_owned())),
        control("ControlRequest, save", Action::Save(true)),
    ]
}

/// What a server says of itself.
fn replies() -> Vec<Example> {
    let json = serde_json::to_string(&server_of(0, 2).status()).expect("it is plain data");
    let message = proto::StatusReply { json }.encode_to_vec();
    vec![Example { name: "StatusReply", ear: Ear::Status, before: Vec::new(), message }]
}

/// All that servers say to a replica that has begun to push its first contribution.
fn to_replicas() -> Vec<Example> {
    let outcome = |outcome| Some(proto::Outcome { outcome: Some(outcome) });
    let pushed = |it| Said::Pushed(proto::Pushed { sequence: 1, outcome: outcome(it) });
    use proto::outcome::Outcome;
    let totals = proto::Totals { batches: 5, examples: 9, accepted: 3, stale: 1, duplicates: 1 };
    let advanced = proto::Advanced {
        generation: 1,
        global_step: 1,
        loss: Some(0.25),
        gradients: 1,
        examples: 3,
        totals: Some(totals),
    };
    let values = |last| proto::Values {
        generation: 1,
        global_step: 1,
        part: 0,
        offset: 1,
        data: [1.5_f32, -2.0].iter().flat_map(|it| it.to_le_bytes()).collect(),
        last,
        full: false,
    };
    let refused = |sequence, rejoin| proto::Refused { sequence, reason: "why".to_owned(), rejoin };
    let stale = proto::Stale { local_step: 0, global_step: 1 };
    let welcome = |ticket, bounded| {
        let run = run().to_string();
        Said::Welcome(proto::Welcome { generation: 1, global_step: 0, ticket, bounded, run })
    };
    let granted = proto::Granted { sequence: 1, local_step: 0, share: Some(2), number: 4 };
    let messages = [
        ("Welcome", welcome(ticket(), false)),
        ("Welcome, without a ticket", welcome(None, true)),
        ("Initialize", Said::Initialize(proto::Initialize {})),
        ("Granted", Said::Granted(granted)),
        ("Pushed, accepted", pushed(Outcome::Accepted(1))),
        ("Pushed, stale", pushed(Outcome::Stale(stale))),
        ("Pushed, duplicate", pushed(Outcome::Duplicate(1))),
        ("Pushed, partly", pushed(Outcome::Partly(proto::Lanes { lanes: vec![0, 2] }))),
        ("Room", Said::Room(proto::Room { sequence: 1 })),
        ("Staged", Said::Staged(proto::Staged { sequence: 1, receipt: 1 })),
        ("GaveUp", Said::GaveUp(proto::GaveUp { sequence: 1 })),
        ("Superseded", Said::Superseded(proto::Superseded { sequence: 1 })),
        ("Advanced", Said::Advanced(advanced)),
        ("Refused", Said::Refused(refused(1, false))),
        ("Refused, join again", Said::Refused(refused(0, true))),
        ("Overdue", Said::Overdue(proto::Overdue { reason: "who".to_owned() })),
        ("Ended", Said::Ended(ended())),
        ("Values", Said::Values(values(false))),
        ("Values, the last", Said::Values(values(true))),
        ("Rows", Said::Rows(rows())),
        ("Gone", Said::Gone(proto::Gone { number: 1 })),
        ("Left", Said::Left(proto::Left {})),
        ("Recorded", Said::Recorded(recorded(totals))),
        ("SaveFailed", Said::SaveFailed(proto::SaveFailed { step: 1, reason: "why".to_owned() })),
    ];
    let ears = [Ear::FirstServer, Ear::SecondServer];
    let example = |ear, (name, said): &(&'static str, Said)| {
        let ticket = ticket().filter(|_| is_about_a_life(said));
        let message = ToReplica { ticket, message: Some(said.clone()) }.encode_to_vec();
        Example { name, ear, before: Vec::new(), message }
    };
    ears.iter().flat_map(|&ear| messages.iter().map(move |it| example(ear, it))).collect()
}

fn is_about_a_life(said: &Said) -> bool {
    !matches!(
        said,
        Said::Welcome(_)
            | Said::Advanced(_)
            | Said::Ended(_)
            | Said::Values(_)
            | Said::Rows(_)
            | Said::Gone(_)
            | Said::Recorded(_)
            | Said::SaveFailed(_)
    )
}

/// Of a lookup that nobody waits for.
fn rows() -> proto::Rows {
    let data = [0.5_f32, 1.5].iter().flat_map(|it| it.to_le_bytes()).collect();
    proto::Rows { number: 1, tag: 0, changes: vec![2, 1].into(), data }
}

fn recorded(totals: proto::Totals) -> proto::Recorded {
    let activity = proto::Activity { failure: Some("why".to_owned()), ..Default::default() };
    let update = proto::UpdateMade { step: 1, loss: Some(0.25), examples: 3, at: 0.5 };
    let span = proto::Span {
        replica: 1,
        step: 1,
        kind: 1,
        start: 0.25,
        end: 0.5,
        batch: Some(3),
        bytes: 40,
        staleness: 0,
    };
    proto::Recorded {
        totals: Some(totals),
        replicas: vec![proto::Activity::default(), activity],
        updates: vec![update],
        spans: vec![span],
        update_spans: vec![proto::UpdateSpan { server: 1, step: 1, start: 0.5, end: 0.75 }],
        saves: vec![proto::Saved { step: 1, at: 2.0, took: 0.5, bytes: 1000 }],
        failed_saves: vec![proto::SaveFailed { step: 2, reason: "no room".to_owned() }],
        failures: vec![proto::Failure { replica: 1, reason: "no data".to_owned() }],
        missed: 3,
        next: Some(proto::Cursor { updates: 1, spans: 4, ..proto::Cursor::default() }),
        seconds: 1.5,
        first_step: 0,
    }
}

fn ended() -> proto::Ended {
    proto::Ended { reason: "step 1".to_owned(), failed: false, global_step: 1 }
}
