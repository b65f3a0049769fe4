//! A coordinator that is driven by lines of text, and answers in lines of text.
//!
//! A line is what one message over the network would be. After each the engine's own invariants
//! are checked, so a table needs to say only what it is about.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use cluster::driver::coordinator::{
    Actions, Answer, Commit, Contribution, Coordinator, CoordinatorSettings, Decision, GiveUp,
    GivenUp, ShardCommand, Ticket, Times, receipt,
};
use cluster::driver::index::{ServerIndex, VariableIndex};
use cluster::driver::place::Caller;
use sync_replicas::driver::{Generation, LocalStep};
use sync_replicas::engine::{Outcome, Positions, Settings, StopReason, SummationOrder};
use sync_replicas::record::Span;
use sync_replicas::{GlobalStep, ReplicaId};

pub(super) struct Rig {
    settings: CoordinatorSettings,
    pub(super) coordinator: Coordinator,
    now: Duration,
    /// By replica: who is connected.
    connected: HashMap<u64, Caller>,
    /// By replica: what it was welcomed with, first to last.
    tickets: HashMap<u64, Vec<Ticket>>,
    shards: usize,
    /// What each shard has ever held whole.
    held: BTreeSet<(usize, Ticket, Contribution)>,
    /// By replica and shard: the newest receipt, of whatever life and piece of work.
    receipts: HashMap<(u64, usize), u64>,
    /// How the next piece of work went.
    pub(super) times: Times,
    /// All that was recorded.
    pub(super) spans: Vec<Span>,
}

const SECRET: u64 = 7;

impl Rig {
    /// Of `aggregate` of `total` replicas over `shards`, one variable, with a lease of 5 s.
    pub(super) fn new(aggregate: usize, total: usize, shards: usize) -> Self {
        Self::ordered(SummationOrder::Arrival, (aggregate, total, shards))
    }

    /// The same, summed in this order.
    pub(super) fn ordered(
        order: SummationOrder,
        (aggregate, total, shards): (usize, usize, usize),
    ) -> Self {
        Self::of(
            Settings { order, total_num_replicas: Some(total), ..Settings::new(aggregate) },
            shards,
        )
    }

    /// The same by these settings.
    pub(super) fn of(settings: Settings, shards: usize) -> Self {
        let config = Settings { lease: Some(Duration::from_secs(5)), ..settings };
        let config = config.check().expect("good settings");
        let settings =
            CoordinatorSettings { shards, secret: SECRET, ..CoordinatorSettings::new(config) };
        let coordinator = started(&settings);
        let (now, held, receipts) = (Duration::ZERO, BTreeSet::new(), HashMap::new());
        let (connected, tickets) = (HashMap::new(), HashMap::new());
        let (times, spans) = (Times::default(), Vec::new());
        Self {
            settings,
            coordinator,
            now,
            connected,
            tickets,
            shards,
            held,
            receipts,
            times,
            spans,
        }
    }

    /// Begins anew with another setting, before anybody has come.
    fn set(&mut self, change: impl FnOnce(&mut CoordinatorSettings)) {
        assert!(self.tickets.is_empty(), "a setting stands in the first line");
        change(&mut self.settings);
        self.coordinator = started(&self.settings);
    }

    /// The ticket of a replica's life number `life`, from 0.
    fn ticket(&self, replica: u64, life: Option<usize>) -> Ticket {
        let lives = self.tickets.get(&replica).map_or(&[][..], Vec::as_slice);
        let ticket = life.map_or_else(|| lives.last(), |life| lives.get(life));
        ticket.copied().unwrap_or_default()
    }

    /// How many lives the replica of a line has had: which of them a message of its newest names.
    pub(super) fn lives(&self, line: &str) -> usize {
        let who = line.split_whitespace().nth(1).unwrap_or("0");
        let (who, life) = who.split_once('/').unwrap_or((who, ""));
        let lives = who.parse().ok().and_then(|who: u64| self.tickets.get(&who));
        life.parse().unwrap_or_else(|_| lives.map_or(0, Vec::len).saturating_sub(1))
    }

    /// A shard holds a contribution, and gives its replica a receipt.
    fn stage(&mut self, shard: usize, ticket: Ticket, (replica, sequence): (u64, u64)) {
        let (id, incarnation) = (ReplicaId::new(replica), ticket.incarnation);
        let contribution = Contribution { replica: id, incarnation, sequence };
        let receipt = receipt(SECRET, ServerIndex::new(shard), ticket.generation, contribution);
        self.held.insert((shard, ticket, contribution));
        self.receipts.insert((replica, shard), receipt);
    }

    /// P-11: what is admitted is held by every shard.
    fn look(&self, line: &str, ticket: Ticket, actions: &Actions) {
        for decision in actions.commands.iter().flat_map(ShardCommand::decisions) {
            if let Decision::Admit { contribution, .. } = decision {
                let held = |shard| self.held.contains(&(shard, ticket, *contribution));
                assert!((0..self.shards).all(held), "{line}: {contribution} is not everywhere");
            }
        }
    }

    /// Does one line: a verb, then a replica (`0`, or `0/1` with its second life's ticket), then
    /// the verb's own words; a commit may say how many examples it has, and its loss. A `commit` is
    /// staged everywhere before, a `claim` comes with whatever receipts there are. What came of it.
    pub(super) fn run(&mut self, line: &str) -> Vec<String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (who, life) = match words.get(1).and_then(|it| it.split_once('/')) {
            Some((who, life)) => (who, Some(life.parse().expect("a life"))),
            None => (words.get(1).copied().unwrap_or("0"), None),
        };
        let replica: u64 = who.parse().expect("a replica");
        let number = |at: usize| -> u64 {
            words.get(at).map_or(0, |it| it.trim_start_matches('@').parse().expect("a number"))
        };
        let (id, ticket, now) = (ReplicaId::new(replica), self.ticket(replica, life), self.now);
        let mut said = Vec::new();
        if words[0] == "commit" {
            (0..self.shards).for_each(|shard| self.stage(shard, ticket, (replica, number(2))));
        }
        let coordinator = self.coordinator.at(now);
        match words[0] {
            "stage" => {
                let shard = number(3) as usize % self.shards;
                self.stage(shard, ticket, (replica, number(2)));
            }
            // Over this connection of process 1, or of the one that is named before a point.
            "hello" => {
                let known = life.map(|_| ticket);
                let (process, connection) = words[2].split_once('.').unwrap_or(("1", words[2]));
                let [process, connection] =
                    [process, connection].map(|it| it.parse().expect("a number"));
                let caller = Caller { process, connection, ticket: known };
                let connected = self.connected.get(&replica);
                if let Err(reason) = coordinator.admits(id, &caller, connected) {
                    return vec![format!("{replica} not admitted: {reason}")];
                }
                self.connected.insert(replica, caller);
                match coordinator.hello(id, &caller) {
                    Ok(ticket) => {
                        self.tickets.entry(replica).or_default().push(ticket);
                        let (generation, life) = (ticket.generation, ticket.incarnation);
                        said.push(format!("{replica} welcome {}.{}", generation.get(), life.get()));
                    }
                    Err(refusal) => said.push(format!("{replica} refused: {}", refusal.reason)),
                }
            }
            "commit" | "claim" => {
                let own = self.receipts.iter().filter(|((whose, _), _)| *whose == replica);
                let receipts = own.fold(0, |together, (_, one)| together ^ one);
                let examples = words.get(4).map_or(1, |it| it.parse().expect("a number"));
                let loss = words.get(5).map_or(1.0, |it| it.parse().expect("a loss"));
                let commit = commit(ticket, (number(2), number(3)), receipts, (loss, examples));
                let commit = Commit { times: self.times, ..commit };
                coordinator.commit(id, &commit);
            }
            "lost" => drop(self.connected.remove(&replica)),
            "ask" => coordinator.ask(id, ticket, number(2)),
            "give_up" | "skip" => {
                let (sequence, why) = (number(2), why(words[0]));
                let work = GiveUp { sequence, why, times: self.times };
                coordinator.give_up(id, ticket, work);
            }
            "leave" => coordinator.leave(id, ticket, None),
            "fail" => coordinator.leave(id, ticket, Some("why".into())),
            "leave_for_now" => coordinator.leave_for_now(id, ticket),
            "alive" => coordinator.alive(id, ticket),
            verb => self.happen(verb, [1, 2, 3].map(number)),
        }
        let actions = self.coordinator.take_actions();
        self.look(line, ticket, &actions);
        self.coordinator.engine().validate().unwrap_or_else(|broken| panic!("{line}: {broken}"));
        said.extend(written(&actions));
        self.spans.extend(actions.spans);
        said
    }

    /// What no replica says: time goes on, and the rest of the cluster does its part.
    fn happen(&mut self, verb: &str, numbers: [u64; 3]) {
        let coordinator = &mut self.coordinator;
        match verb {
            "took" => {
                let [waited, computed, sent] = numbers.map(Duration::from_secs);
                self.times = Times { waited, computed, sent, ..self.times };
            }
            "wait" => {
                self.now += Duration::from_secs(numbers[0]);
                coordinator.at(self.now).tick();
            }
            "applied" => (0..self.shards).for_each(|_| coordinator.applied(None)),
            "one_applied" => coordinator.applied(None),
            "restore" => {
                self.connected.clear();
                let after = Generation::new(numbers[1]);
                coordinator.restore(
                    GlobalStep::new(numbers[0] as i64),
                    after,
                    &Positions::default(),
                );
                coordinator.start().expect("it starts");
            }
            "batch" => self.set(|it| it.batch = numbers[0] as usize),
            "nan_guard" => self.set(|it| it.nan_guard = true),
            "not_finite" => coordinator.not_finite("w".to_owned()),
            "last_step" => self.set(|it| it.last_step = Some(numbers[0] as i64)),
            other => panic!("no verb: {other}"),
        }
    }
}

fn started(settings: &CoordinatorSettings) -> Coordinator {
    let mut coordinator = Coordinator::new(settings.clone(), Generation::new(1));
    coordinator.start().expect("it starts");
    coordinator.take_actions();
    coordinator
}

fn why(verb: &str) -> GivenUp {
    if verb == "skip" { GivenUp::NotFinite } else { GivenUp::Begun }
}

fn commit(
    ticket: Ticket,
    (sequence, local_step): (u64, u64),
    receipts: u64,
    (loss, examples): (f64, u64),
) -> Commit {
    let local_step = LocalStep::new(local_step as i64);
    let variables = vec![VariableIndex::new(0)];
    let (loss, times) = (Some(loss), Times::default());
    Commit { ticket, sequence, local_step, variables, loss, receipts, examples, times }
}

fn decided(decision: &Decision) -> String {
    match decision {
        Decision::Admit { contribution, .. } => {
            format!("admit {}.{}", contribution.replica.get(), contribution.sequence)
        }
        Decision::Discard(it) if it.sequence == u64::MAX => {
            format!("discard {}.*", it.replica.get())
        }
        Decision::Discard(it) => format!("discard {}.{}", it.replica.get(), it.sequence),
    }
}

fn written(actions: &Actions) -> Vec<String> {
    let orders = actions.commands.iter().flat_map(|order| {
        let decisions = order.decisions().iter().map(decided);
        let apply = match order {
            ShardCommand::Apply { global_step, .. } => {
                Some(format!("apply @{}", global_step.get()))
            }
            ShardCommand::Decide(_) => None,
        };
        decisions.chain(apply).collect::<Vec<_>>()
    });
    let answers = actions.answers.iter().map(|(replica, _, answer)| {
        let what = match answer {
            Answer::Granted { sequence, grant } => {
                format!("granted {sequence} @{}", grant.local_step.get())
            }
            Answer::Pushed { sequence, outcome } => match outcome {
                Outcome::Accepted { .. } => format!("accepted {sequence}"),
                Outcome::Stale { .. } => format!("stale {sequence}"),
                other => format!("{other:?} {sequence}"),
            },
            Answer::GaveUp { sequence } => format!("gave up {sequence}"),
            Answer::Superseded { sequence } => format!("superseded {sequence}"),
            Answer::Overdue(_) => "overdue".to_owned(),
            Answer::Left => "left".to_owned(),
            Answer::Refused(it) if it.rejoin => "join again".to_owned(),
            Answer::Refused(it) => format!("refused {}", it.sequence),
        };
        format!("{} {what}", replica.get())
    });
    let in_vain = actions.in_vain.iter().map(|replica| format!("{} in vain", replica.get()));
    let made = actions.made.iter().map(|made| format!("made @{}", made.global_step.get()));
    let made = made.chain(in_vain);
    let ended = actions.ended.iter().map(|reason| match reason {
        StopReason::Failed(reason) => format!("failed: {reason}"),
        StopReason::Requested(reason) => format!("ended: {reason}"),
    });
    orders.chain(answers).chain(made).chain(ended).collect()
}
