//! What the coordinator orders of another server, and what that answers.

use prost::Message as _;

use super::{Example, ended};
use crate::proto::done::Done as Answer;
use crate::proto::order::Order as Orders;
use crate::proto::{self, Done, Order};
use crate::server::offline::{begin_served, restoring, saved};
use crate::test_util::{Ear, OTHER, SENDER, agreement, run, server_of};

/// A coordinator's hello to another server.
pub(in super::super) fn coordinator_hello(life: u64) -> Order {
    let (agreement, run) = (agreement().items(), run().to_string());
    let hello = proto::ServeHello { agreement, life, generation: 0, run };
    Order { number: 0, order: Some(Orders::Hello(hello)) }
}

/// The other replica's contribution.
pub(in super::super) fn others() -> proto::Contribution {
    proto::Contribution { replica: OTHER, incarnation: 1, sequence: 1 }
}

pub(super) fn orders() -> Vec<Example> {
    let served = server_of(1, 2);
    begin_served(&served);
    let admit = proto::Decision {
        contribution: Some(proto::Contribution { replica: SENDER, incarnation: 1, sequence: 9 }),
        counts: true,
        key: 3,
        variables: vec![0, 2],
        some: true,
    };
    let discard = proto::Decision { contribution: Some(others()), ..proto::Decision::default() };
    let decided = vec![discard.clone()];
    let apply = proto::Apply { variable: None, global_step: 1, last: true, decided };
    let first = [
        ("Decisions", Orders::Decide(proto::Decisions { decided: vec![admit, discard.clone()] })),
        ("Apply", Orders::Apply(apply)),
        ("SaveState", Orders::Save(proto::SaveState::default())),
        ("Ended", Orders::End(ended())),
        ("LetGo", Orders::LetGo(proto::LetGo { unsaved: "why".to_owned() })),
    ];
    let numbered = |number: usize, order: &Orders| {
        Order { number: number as u64, order: Some(order.clone()) }.encode_to_vec()
    };
    let hello = coordinator_hello(3).encode_to_vec();
    let ear = Ear::Orders;
    let mut examples =
        vec![Example { name: "ServeHello", ear, before: Vec::new(), message: hello.clone() }];
    for (name, order) in &first {
        let before = vec![hello.clone()];
        examples.push(Example { name, ear, before, message: numbered(1, order) });
    }
    let state = restoring(&served, 2, 6);
    for (at, order) in state.iter().enumerate() {
        let name = match order {
            Orders::Restore(_) => "Tensor",
            Orders::RestoreScalars(_) => "Scalars",
            _ => "BeginGeneration",
        };
        let earlier = state[..at].iter().enumerate().map(|(at, order)| numbered(at + 1, order));
        let before = [hello.clone()].into_iter().chain(earlier).collect();
        examples.push(Example { name, ear, before, message: numbered(at + 1, order) });
    }
    examples
}

/// What another server answers to the orders that follow the first generation's beginning, which
/// was order 1: to admit, to apply and to save.
pub(super) fn answers() -> Vec<Example> {
    let other = server_of(1, 2);
    begin_served(&other);
    let usage = proto::Usage { memory_bytes: 9, received_bytes: 8 };
    let applied =
        Answer::Applied(proto::Applied { variable: None, seconds: 0.25, usage: Some(usage) });
    let mut done = vec![(2, None), (3, Some(applied))];
    done.extend(saved(&other).into_iter().map(|it| (4, Some(it))));
    let encoded = |(number, done): &(u64, Option<Answer>)| {
        Done { number: *number, done: done.clone() }.encode_to_vec()
    };
    let (ear, mut examples) = (Ear::Answers, Vec::new());
    for (at, answer) in done.iter().enumerate() {
        let name = match answer.1 {
            None => "Done",
            Some(Answer::Applied(_)) => "Applied",
            Some(Answer::Saved(_)) => "Tensor, of a server",
            _ => "Scalars, of a server",
        };
        let before = done[..at].iter().map(encoded).collect();
        examples.push(Example { name, ear, before, message: encoded(answer) });
    }
    let welcome = Answer::Welcome(proto::ServeWelcome { life: 7, done: 1, ended: None });
    for (name, number, answer) in [
        ("ServeWelcome", 0, welcome),
        ("Failed", 2, Answer::Failed("why".to_owned())),
        ("NotFinite", 2, Answer::NotFinite("why".to_owned())),
        ("Begun", 1, Answer::Begun(true)),
        ("Leaving", 0, Answer::Leaving(true)),
        ("RowsWritten", 0, Answer::Rows(written("[]", ""))),
        ("RowsWritten, not", 0, Answer::Rows(written("", "why"))),
    ] {
        let message = encoded(&(number, Some(answer)));
        examples.push(Example { name, ear, before: Vec::new(), message });
    }
    examples
}

/// Of a checkpoint that nobody writes.
fn written(tables: &str, failed: &str) -> proto::RowsWritten {
    let (aside, tables) = (".checkpoint-1.new".to_owned(), tables.as_bytes().to_vec().into());
    proto::RowsWritten { aside, tables, failed: failed.to_owned() }
}
