//! Every prefix and every flipped bit of every message, heard by the real server, coordinator or
//! replica: an error that is counted, or another message that makes sense. Whoever else trains does
//! not notice.

use std::collections::BTreeSet;

use cluster::test_util::{Ear, Example, Heard, connection, examples, hear, read};

/// What came of all bytes that were made from one message.
#[derive(Debug, Default)]
struct Tally {
    broken: usize,
    nonsense: usize,
    harmless: usize,
}

/// Bytes that came over one connection.
#[track_caller]
fn check(example: &Example, what: &str, bytes: &[u8], tally: &mut Tally) {
    let (ear, expected) = (example.ear, read(example.ear, bytes));
    let name = || format!("{} ({ear:?}), {what}", example.name);
    let Heard { bad_messages, changed, others } = hear(ear, bytes);
    assert_eq!(others, Ok(()), "{}", name());
    assert!(!changed || expected.may_change, "{} changed what it does not name", name());
    let counts =
        matches!(ear, Ear::Coordinator | Ear::Undefined | Ear::Server | Ear::Answers | Ear::Orders);
    if counts && expected.broken {
        assert_eq!(bad_messages, 1, "{} is counted", name());
    }
    assert!(bad_messages <= 1, "{} ends the connection", name());
    match (expected.broken, bad_messages) {
        (true, _) => tally.broken += 1,
        (false, 1) => tally.nonsense += 1,
        _ => tally.harmless += 1,
    }
}

/// All that one message can become.
fn check_all(example: &Example, tally: &mut Tally) {
    let before = connection(&example.before);
    let whole = [before.clone(), connection(&[&example.message])].concat();
    for length in before.len()..whole.len() {
        check(example, &format!("ends after {length} bytes"), &whole[..length], tally);
    }
    for length in 0..example.message.len() {
        let cut = connection(&[&example.message[..length]]);
        let what = format!("has its first {length} bytes");
        check(example, &what, &[&before[..], &cut].concat(), tally);
    }
    for bit in 8 * before.len()..8 * whole.len() {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        check(example, &format!("has bit {bit} flipped"), &flipped, tally);
    }
}

/// What the flipped bits are of makes sense as it is.
#[test]
fn every_example_makes_sense() {
    for example in examples() {
        let bytes = [connection(&example.before), connection(&[&example.message])].concat();
        let Heard { bad_messages, changed, others } = hear(example.ear, &bytes);
        assert_eq!((bad_messages, others), (0, Ok(())), "{} ({:?})", example.name, example.ear);
        let changes = ["Commit", "ControlRequest, stop", "Apply", "BeginGeneration", "Applied"];
        if changes.contains(&example.name) {
            assert!(changed, "{} does nothing", example.name);
        }
    }
}

#[test]
fn every_message_has_an_example() {
    let protocol = include_str!("../../proto/cluster.proto");
    let lines = protocol.lines().filter_map(|line| line.strip_prefix("message "));
    let mut names: BTreeSet<_> = lines.filter_map(|line| line.split(' ').next()).collect();
    let examples = examples();
    for example in &examples {
        names.remove(example.name.split(',').next().unwrap_or_default());
    }
    // Those that are part of others, those that are others' frame, and what nobody reads.
    for name in ["Ticket", "Section", "Outcome", "Stale", "Lanes", "Totals", "Contribution"]
        .into_iter()
        .chain(["Decision", "Item", "Times", "Activity", "UpdateMade", "Span"])
        .chain(["UpdateSpan", "Saved", "Failure", "Cursor", "RecordRequest", "Usage"])
        .chain(["ToServer", "ToReplica", "Order", "StatusRequest", "ControlReply"])
    {
        assert!(names.remove(name), "{name} has an example");
    }
    assert!(names.is_empty(), "without an example: {names:?}");
}

/// P-15 among others: nothing that is cut or flipped counts, stops or unsettles anybody else.
#[allow(clippy::print_stdout, reason = "a test shows it when it fails")]
fn check_ears(ears: &[Ear]) {
    let mut tally = Tally::default();
    let examples = examples();
    let chosen = examples.iter().filter(|example| ears.contains(&example.ear));
    chosen.for_each(|example| check_all(example, &mut tally));
    println!("{ears:?}: {tally:?}");
    assert!(tally.broken > 0 && tally.harmless > 0, "{tally:?}");
}

#[test]
fn replicas_messages_cut_and_flipped() {
    check_ears(&[Ear::Coordinator, Ear::Server, Ear::Undefined]);
}

#[test]
fn servers_messages_cut_and_flipped() {
    check_ears(&[Ear::Answers, Ear::Orders, Ear::FirstServer, Ear::SecondServer]);
}

#[test]
fn calls_cut_and_flipped() {
    check_ears(&[Ear::Control, Ear::Status]);
}

/// Answers count for the order that is under way, and for no other.
#[test]
fn answers_to_other_orders() {
    let examples = examples();
    let of = |name: &str| {
        let mut found = examples.iter().filter(|it| it.ear == Ear::Answers);
        found.find(|it| it.name == name).expect("there is one").message.clone()
    };
    let (done, applied) = (of("Done"), of("Applied"));
    let cases: [(&[&Vec<u8>], bool, u64); 5] = [
        (&[&done, &applied], true, 0),
        (&[&applied], false, 1),
        (&[&done, &done, &applied], true, 0),
        (&[&done, &applied, &applied], true, 0),
        (&[&done, &of("Scalars, of a server")], false, 1),
    ];
    for (messages, changed, bad_messages) in cases {
        let heard = hear(Ear::Answers, &connection(messages));
        assert_eq!(heard, Heard { bad_messages, changed, others: Ok(()) }, "{messages:?}");
    }
}

/// whoever says that another gradient came than did fixes nothing for the others.
#[test]
fn a_commit_of_other_variables() {
    let examples = examples();
    let commit = examples.iter().find(|it| it.name == "Commit").expect("there is one");
    // Of the same contribution; of the variables 0 and 1, and of 0 to 2.
    let named = |variables: &[u8]| {
        let head = [0x0a, 4, 8, 1, 16, 1, 16, 1, 0x22, variables.len() as u8];
        let length = head.len() + variables.len();
        [&[0x2a, length as u8][..], &head, variables].concat()
    };
    for (variables, changed) in [(&[0, 1][..], false), (&[0, 1, 2], true)] {
        let messages = [&commit.before[..], &[named(variables)]].concat();
        let heard = hear(Ear::Coordinator, &connection(&messages));
        assert_eq!(heard, Heard { bad_messages: 0, changed, others: Ok(()) }, "{variables:?}");
    }
}
