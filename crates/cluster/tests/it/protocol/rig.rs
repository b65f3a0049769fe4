//! A replica's protocol that is driven by lines of text, and acts in lines of text.
//!
//! A line is what one event is: a wish of the replica, time that goes by, or a message. As over
//! sockets, what comes while the replica computes waits until it wishes for something, save for
//! what the message means for its work.

use std::task::Poll;
use std::time::Duration;

use cluster::driver::client::protocol::{
    Action, ConnectError, ConnectionId, Departure, Ended, ProtocolSettings, PushReport,
    ReplicaProtocol, Reply, Request, Version, Work,
};
use cluster::driver::client::{PushError, WaitError};
use cluster::driver::coordinator::{GivenUp, Refusal, Ticket, Times};
use cluster::driver::index::VariableIndex;
use sync_replicas::driver::{Generation, Incarnation, LocalStep};
use sync_replicas::engine::{Grant, Outcome};
use sync_replicas::{GlobalStep, ReplicaId};

/// What the replica waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Step,
    Rows,
    Push,
    Leave,
    LastValues,
    Record,
}

pub(super) struct Rig {
    protocol: ReplicaProtocol,
    now: Duration,
    /// By server.
    connections: Vec<Option<ConnectionId>>,
    wish: Option<Wish>,
    grant: Option<Grant>,
    /// The replica's life, for messages that do not name one.
    ticket: Option<Ticket>,
    /// What came while it computed.
    waiting: Vec<String>,
    /// By server: the version of its variables that is here.
    held: Vec<Option<Version>>,
    pieces: u64,
}

impl Rig {
    /// Of replica 0 with so many servers, which may be out of reach for 10 s.
    pub(super) fn new(servers: usize) -> Self {
        let protocol = ReplicaProtocol::new(ProtocolSettings {
            replica: ReplicaId::new(0),
            process: 0,
            addresses: (0..servers).map(|server| format!("ps{server}")).collect(),
            reconnect_timeout: Duration::from_secs(10),
            tell_superseded: true,
            follows: false,
            all_bits: false,
        });
        Self {
            protocol,
            now: Duration::ZERO,
            connections: vec![None; servers],
            wish: None,
            grant: None,
            ticket: None,
            waiting: Vec::new(),
            held: vec![None; servers],
            pieces: 0,
        }
    }

    /// Does one line: a verb, then a server (`0`, `0/1.2` about that life, or `0#3` over its
    /// connection 3), then the verb's own words. What came of it.
    pub(super) fn run(&mut self, line: &str) -> Vec<String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let mut said = Vec::new();
        let mut actions = Vec::new();
        if self.begin(words[0], &mut actions, &mut said) {
            self.poll(actions, &mut said);
            if self.wish.is_some() && !self.waiting.is_empty() {
                let mut actions = Vec::new();
                for line in std::mem::take(&mut self.waiting) {
                    self.happen(&line.split_whitespace().collect::<Vec<_>>(), &mut actions);
                }
                self.poll(actions, &mut said);
            }
        } else if words[0] == "wait" {
            self.pass(Duration::from_millis(number(words[1])), &mut said);
        } else if self.wish.is_none() {
            let (about, reply) = self.reply(&words).map_or((None, None), |(a, r)| (a, Some(r)));
            let signal = reply.and_then(|reply| self.protocol.signal(about, &reply));
            said.extend(signal.map(|signal| format!("{signal:?}").to_lowercase()));
            self.waiting.push(line.to_owned());
        } else {
            self.happen(&words, &mut actions);
            self.poll(actions, &mut said);
        }
        said
    }

    /// Begins what the replica wishes for; false if this is no wish.
    fn begin(&mut self, verb: &str, actions: &mut Vec<Action>, said: &mut Vec<String>) -> bool {
        let (protocol, now) = (&mut self.protocol, self.now);
        let work = Work { times: Times::default(), ended: now };
        let grant = self.grant.clone();
        let granted = || grant.expect("it was granted");
        let wish = match verb {
            "step" => Some(Wish::Step),
            "push" => {
                let variables = vec![VariableIndex::new(0)];
                let report = PushReport { variables, loss: Some(1.0), examples: 1 };
                match protocol.push(&granted(), report, work, now, actions) {
                    Ok(()) => Some(Wish::Push),
                    Err(error) => {
                        said.push(push_error(&error));
                        None
                    }
                }
            }
            "look" | "look_at_last" => {
                let version = self.held[0].expect("it has variables");
                let servers = self.held.len();
                let wanted = (0..servers).map(|server| verb == "look" || server + 1 == servers);
                protocol.look_up(version, wanted, actions);
                Some(Wish::Rows)
            }
            // Of a push that was begun, once more.
            "hear" => Some(Wish::Push),
            "skip" => {
                protocol.skip(&granted(), work, now, actions).expect("it is of this life");
                None
            }
            "give_up" => {
                protocol.give_up(work, now, actions);
                None
            }
            "leave" | "fail" | "leave_for_now" => {
                let departure = match verb {
                    "leave" => Departure::Done,
                    "fail" => Departure::Failed("why".to_owned()),
                    _ => Departure::ForNow,
                };
                protocol.leave(departure, now);
                Some(Wish::Leave)
            }
            "last_values" | "all_bits" => {
                if verb == "all_bits" {
                    protocol.want_all_bits();
                    self.held.fill(None);
                }
                protocol.fetch_last_values(now);
                Some(Wish::LastValues)
            }
            "record" => {
                protocol.fetch_record(now);
                Some(Wish::Record)
            }
            _ => return false,
        };
        self.wish = wish;
        true
    }

    /// Time goes by, with a poll whenever the protocol asks for one.
    fn pass(&mut self, time: Duration, said: &mut Vec<String>) {
        let until = self.now + time;
        while let Some(wake) = self.protocol.next_call().filter(|it| *it <= until) {
            if self.wish.is_none() {
                break;
            }
            assert!(wake > self.now, "polled again and again at {wake:?}");
            self.now = wake;
            self.poll(Vec::new(), said);
        }
        self.now = until;
    }

    /// What is no wish: something comes over a connection, or one is there, or is not.
    fn happen(&mut self, words: &[&str], actions: &mut Vec<Action>) {
        let (server, now) = (server(words), self.now);
        let current = self.connections[server];
        let named = words[1].split_once('#').map(|(_, named)| number(named));
        let present = current.map_or(0, |id| id.number);
        let id = ConnectionId { server, number: named.unwrap_or(present) };
        let why = || "why".to_owned();
        let protocol = &mut self.protocol;
        match words[0] {
            "connected" => protocol.connected(id),
            "failed" => protocol.failed(id, ConnectError::Retry(why()), now),
            "held" => protocol.failed(id, ConnectError::Later(why()), now),
            "replaced" => protocol.failed(id, ConnectError::Replaced(why()), now),
            "shut" => protocol.failed(id, ConnectError::Permanent(why()), now),
            "lost" => protocol.lost(id, actions),
            "rows" => protocol.rows_came(server, number(words[2])),
            "writing" | "values" => {
                self.pieces += 1;
                self.held[server] = words.get(2).map(|it| version(it));
            }
            _ => {
                let (about, reply) =
                    self.reply(words).unwrap_or_else(|| panic!("no verb: {words:?}"));
                self.protocol.receive(id, about, reply, now, actions);
            }
        }
    }

    /// The message of a line, and the life that it is about.
    fn reply(&self, words: &[&str]) -> Option<(Option<Ticket>, Reply)> {
        let named = words.get(1).and_then(|it| it.split_once('/')).map(|(_, life)| ticket(life));
        let about = named.or(self.ticket);
        let sequence = words.get(2).and_then(|word| word.parse().ok()).unwrap_or(0);
        let step = || words.iter().find_map(|it| it.strip_prefix('@')).map_or(0, number) as i64;
        let pushed = |outcome| Reply::Pushed { sequence, outcome };
        let why = || "why".to_owned();
        let refused = |rejoin| Reply::Refused(Refusal { sequence, reason: why(), rejoin });
        let global_step = GlobalStep::new(step());
        let ended = |failed| Reply::Ended(Ended { reason: why(), failed, global_step });
        Some(match words[0] {
            "welcome" => {
                let ticket = words.get(2).filter(|it| it.contains('.')).map(|it| ticket(it));
                let bounded = words.contains(&"bounded");
                (None, Reply::Welcome { ticket, global_step, bounded, run: None })
            }
            "granted" => {
                let local_step = LocalStep::new(step());
                (about, Reply::Granted { sequence, local_step, share: None, number: 0 })
            }
            "room" => (about, Reply::Room { sequence }),
            "staged" => {
                let receipt = words.get(3).map_or(0, |it| number(it));
                (about, Reply::Staged { sequence, receipt })
            }
            "accepted" => (about, pushed(Outcome::Accepted { count: 1 })),
            "stale" => {
                let local_step = LocalStep::new(step());
                (about, pushed(Outcome::Stale { local_step, global_step }))
            }
            "gave_up" => (about, Reply::GaveUp { sequence }),
            "gone" => (None, Reply::Gone { number: sequence }),
            "superseded" => (about, Reply::Superseded { sequence }),
            "overdue" => (about, Reply::Overdue(why())),
            "left" => (about, Reply::Left),
            "refused" => (about, refused(false)),
            "join_again" => (about.filter(|_| named.is_some()), refused(true)),
            "shut_out" => (None, refused(false)),
            "ended" => (None, ended(false)),
            "broke_off" => (None, ended(true)),
            _ => return None,
        })
    }

    /// Polls for what the replica wishes for, and does what the protocol wants done.
    fn poll(&mut self, mut actions: Vec<Action>, said: &mut Vec<String>) {
        let (protocol, now) = (&mut self.protocol, self.now);
        // As over sockets: said again whenever anything has come.
        for (server, version) in self.held.iter().enumerate() {
            protocol.hold(server, *version, self.pieces);
        }
        let polled = match self.wish {
            None => Poll::Pending,
            Some(Wish::Step) => protocol.poll_step(now, &mut actions).map(|it| match it {
                Ok(Some(grant)) => {
                    let step = grant.local_step.get();
                    self.grant = Some(grant);
                    format!("compute @{step}")
                }
                Ok(None) => "training has ended".to_owned(),
                Err(error) => wait_error(&error),
            }),
            Some(Wish::Rows) => protocol.poll_lookup(now, &mut actions).map(|it| match it {
                Ok(true) => "has rows".to_owned(),
                Ok(false) => "they are gone".to_owned(),
                Err(error) => wait_error(&error),
            }),
            Some(Wish::Push) => protocol.poll_push(now, &mut actions).map(|it| match it {
                Ok(Outcome::Accepted { .. }) => "accepted".to_owned(),
                Ok(Outcome::Stale { .. }) => "stale".to_owned(),
                Ok(other) => format!("{other:?}"),
                Err(error) => push_error(&error),
            }),
            Some(Wish::Leave) => {
                protocol.poll_leave(now, &mut actions).map(|()| "has left".to_owned())
            }
            Some(Wish::LastValues) => protocol
                .poll_last_values(now, &mut actions)
                .map(|had| if had { "has them" } else { "has them not" }.to_owned()),
            Some(Wish::Record) => protocol
                .poll_record(now, &mut actions)
                .map(|it| it.map_or("no record", |_| "a record").to_owned()),
        };
        for action in &actions {
            self.carry_out(action, said);
        }
        if let Poll::Ready(end) = polled {
            said.push(end);
            self.wish = None;
        }
        self.ticket = self.protocol.member().map(|it| it.ticket).or(self.ticket);
    }

    fn carry_out(&mut self, action: &Action, said: &mut Vec<String>) {
        match action {
            Action::Connect(id, hello) => {
                self.connections[id.server] = Some(*id);
                let known = hello.ticket.map_or(String::new(), |it| format!(" as {}", life(it)));
                said.push(format!("{} hello {}{known}", id.server, hello.connection));
            }
            Action::Disconnect(server) => {
                self.connections[*server] = None;
                said.push(format!("{server} closed"));
            }
            Action::Send(server, requests) => {
                said.extend(requests.iter().map(|it| format!("{server} {}", request(it))));
            }
            Action::Begin(step) => said.push(format!("begin @{}", step.get())),
            Action::Initialize => said.push("initial values".to_owned()),
            Action::Supersede => said.push("superseded".to_owned()),
        }
    }
}

fn server(words: &[&str]) -> usize {
    words[1].split(['/', '#']).next().map_or(0, number) as usize
}

fn number(word: &str) -> u64 {
    word.parse().unwrap_or_else(|_| panic!("no number: {word}"))
}

/// `1.2` is the second life of a replica in generation 1.
fn ticket(word: &str) -> Ticket {
    let (generation, incarnation) = word.split_once('.').expect("a life");
    Ticket {
        generation: Generation::new(number(generation)),
        incarnation: Incarnation::new(number(incarnation)),
    }
}

fn life(ticket: Ticket) -> String {
    format!("{}.{}", ticket.generation.get(), ticket.incarnation.get())
}

/// `1@2` is step 2 of generation 1.
fn version(word: &str) -> Version {
    let (generation, step) = word.split_once('@').expect("a version");
    (Generation::new(number(generation)), GlobalStep::new(number(step) as i64))
}

fn request(request: &Request) -> String {
    match request {
        Request::Pull { full: true, .. } => "pull all bits".to_owned(),
        Request::Pull { after: None, .. } => "pull".to_owned(),
        Request::Pull { after: Some((generation, step)), .. } => {
            format!("pull after {}@{}", generation.get(), step.get())
        }
        Request::Gradients { sequence, .. } => format!("gradients {sequence}"),
        Request::Lookup { number, version: (generation, step) } => {
            format!("lookup {number} of {}@{}", generation.get(), step.get())
        }
        Request::Commit(it) => format!("commit {} of {}", it.sequence, it.receipts),
        Request::Ask { sequence, .. } => format!("ask {sequence}"),
        Request::GiveUp { sequence, why, .. } => match why {
            GivenUp::Begun => format!("give_up {sequence}"),
            GivenUp::NotBegun => format!("decline {sequence}"),
            GivenUp::NotFinite => format!("skip {sequence}"),
        },
        Request::Leave { departure, .. } => match departure {
            Departure::Done => "leave".to_owned(),
            Departure::Failed(reason) => format!("fail: {reason}"),
            Departure::ForNow => "leave_for_now".to_owned(),
        },
        Request::Recall => "recall".to_owned(),
    }
}

fn wait_error(error: &WaitError) -> String {
    match error {
        WaitError::Unreachable { server, seconds, .. } => {
            format!("{server} is unreachable for {seconds} s")
        }
        WaitError::NotLetIn { seconds, .. } => format!("is not let in for {seconds} s"),
        WaitError::Replaced { .. } => "replaced".to_owned(),
        WaitError::Refused { .. } => "refused".to_owned(),
        WaitError::Overdue { .. } => "overdue".to_owned(),
        _ => "training failed".to_owned(),
    }
}

fn push_error(error: &PushError) -> String {
    match error {
        PushError::Refused { .. } => "push refused".to_owned(),
        PushError::Lost { .. } => "push lost".to_owned(),
        PushError::Ended => "training has ended".to_owned(),
        PushError::Wait(error) => wait_error(error),
        other => format!("{other:?}"),
    }
}
