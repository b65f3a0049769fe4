//! Replicas' protocols and a coordinator in one thread and in virtual time, over connections that
//! break: whatever breaks, training goes on to its last step, and what counts does so once.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::task::Poll;
use std::time::Duration;

use cluster::client::protocol::{
    Action, ConnectionId, Departure, Ended, Hello, ProtocolSettings, PushReport, ReplicaProtocol,
    Reply, Request, Version, Work,
};
use cluster::coordinator::{
    Contribution, Coordinator, Decision, GiveUp, ShardCommand, Ticket, receipt,
};
use cluster::index::ServerIndex;
use sync_replicas::driver::Generation;
use sync_replicas::engine::{Grant, Outcome, Settings, StopReason};
use sync_replicas::{GlobalStep, ReplicaId};

const REPLICAS: usize = 3;
const SERVERS: usize = 2;
const SECRET: u64 = 7;
const LAST: i64 = 12;
/// It is told of every step.
const FOLLOWER: usize = 0;
/// From then on nothing breaks, where anything does.
const MENDED: Duration = Duration::from_secs(20);
const BOUND: Duration = Duration::from_secs(80);

/// What happens, at its time, at a replica.
enum Event {
    Hello(ConnectionId, Hello),
    Request(ConnectionId, Request),
    Reply(ConnectionId, Option<Ticket>, Reply),
    Connected(ConnectionId),
    Values(ConnectionId, Version),
    Lost(ConnectionId),
    Computed,
    Poll,
    Beat,
}

struct Replica {
    protocol: ReplicaProtocol,
    grant: Option<Grant>,
    /// What it waits for: a step, or what becomes of a push; neither while it computes.
    pushes: Option<bool>,
    held: [Option<Version>; SERVERS],
    /// By server, as the server has it: its connection, and the pull that waits there.
    served: [Option<(u64, Option<Option<Version>>)>; SERVERS],
    /// What came while it computed.
    inbox: Vec<Event>,
    accepted: usize,
    /// The steps that it was told of.
    made: Vec<i64>,
    ended: bool,
}

struct World {
    coordinator: Coordinator,
    replicas: Vec<Replica>,
    now: Duration,
    agenda: BTreeMap<(Duration, u64), (usize, Event)>,
    scheduled: u64,
    /// By connection and direction: when its last message comes.
    newest: BTreeMap<(usize, u64, bool), Duration>,
    held: HashSet<(usize, Generation, Contribution)>,
    admitted: BTreeSet<String>,
    ended: Option<Ended>,
    random: u64,
    bounded: bool,
    mended: Duration,
}

impl World {
    fn new(seed: u64, mended: Duration) -> Self {
        let settings = Settings {
            total_num_replicas: Some(REPLICAS),
            lease: Some(Duration::from_secs(3)),
            ..Settings::new(2)
        };
        let (config, generation) = (settings.check().expect("good settings"), Generation::new(1));
        let mut coordinator =
            Coordinator::new(config, 1, SERVERS, GlobalStep::default(), generation);
        coordinator.set_secret(SECRET);
        coordinator.set_batch(1 + seed as usize % 4);
        coordinator.set_last_step(LAST);
        coordinator.start().expect("it starts");
        let replicas = (0..REPLICAS as u64).map(|replica| Replica {
            protocol: ReplicaProtocol::new(ProtocolSettings {
                replica: ReplicaId::new(replica),
                process: 0,
                addresses: vec![String::new(); SERVERS],
                reconnect_timeout: BOUND,
                tell_superseded: true,
                follows: replica == FOLLOWER as u64,
                all_bits: false,
            }),
            grant: None,
            pushes: Some(false),
            held: [None; SERVERS],
            served: [None; SERVERS],
            inbox: Vec::new(),
            accepted: 0,
            made: Vec::new(),
            ended: false,
        });
        let mut world = Self {
            coordinator,
            replicas: replicas.collect(),
            now: Duration::ZERO,
            agenda: BTreeMap::new(),
            scheduled: 0,
            newest: BTreeMap::new(),
            held: HashSet::new(),
            admitted: BTreeSet::new(),
            ended: None,
            random: seed,
            bounded: seed.is_multiple_of(3),
            mended,
        };
        for replica in 0..REPLICAS {
            world.after(1, replica, Event::Poll);
            world.after(1, replica, Event::Beat);
        }
        world
    }

    /// A number below a limit (SplitMix64).
    fn below(&mut self, limit: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }

    fn after(&mut self, millis: u64, replica: usize, event: Event) {
        self.at(self.now + Duration::from_millis(millis), replica, event);
    }

    fn at(&mut self, time: Duration, replica: usize, event: Event) {
        self.scheduled += 1;
        self.agenda.insert((time, self.scheduled), (replica, event));
    }

    /// Over a connection, after what was sent before; or both sides lose it.
    fn send(&mut self, replica: usize, id: ConnectionId, up: bool, event: Event) {
        if self.now < self.mended && self.below(25) == 0 {
            self.break_off(replica, id);
            return;
        }
        let time = self.now + Duration::from_millis(1 + self.below(40));
        let newest = self.newest.entry((replica, id.number, up)).or_default();
        *newest = time.max(*newest);
        let time = *newest;
        self.at(time, replica, event);
    }

    fn break_off(&mut self, replica: usize, id: ConnectionId) {
        let served = &mut self.replicas[replica].served[id.server];
        if served.is_some_and(|(number, _)| number == id.number) {
            *served = None;
        }
        self.after(1, replica, Event::Lost(id));
    }

    /// To a replica, over its connection to a server, if the server has one.
    fn tell(&mut self, replica: usize, server: usize, about: Option<Ticket>, reply: Reply) {
        if let Some((number, _)) = self.replicas[replica].served[server] {
            let id = ConnectionId { server, number };
            self.send(replica, id, false, Event::Reply(id, about, reply));
        }
    }

    /// Plays to the end of training.
    fn play(&mut self, seed: u64) {
        while self.replicas.iter().any(|replica| !replica.ended) {
            let ((time, _), (replica, event)) = self.agenda.pop_first().expect("it goes on");
            let waits = self.replicas.iter().find(|replica| !replica.ended);
            let waits = waits.map(|replica| &replica.protocol);
            assert!(time < BOUND, "{seed}: training did not end: {waits:#?}");
            self.now = time;
            self.happen(replica, event);
        }
        let told: usize = self.replicas.iter().map(|it| it.accepted).sum();
        assert!(told <= self.admitted.len(), "{told} were told to count");
        assert_eq!(self.coordinator.global_step().get(), LAST);
    }

    fn happen(&mut self, replica: usize, event: Event) {
        let (id, now) = (ReplicaId::new(replica as u64), self.now);
        self.coordinator.at(now);
        match event {
            Event::Hello(connection, hello) => {
                self.replicas[replica].served[connection.server] = Some((connection.number, None));
                self.send(replica, connection, false, Event::Connected(connection));
                let mut ticket = None;
                if connection.server == 0 {
                    ticket = self.coordinator.hello(id, &hello.caller()).ok();
                }
                let global_step = self.coordinator.global_step();
                let bounded = self.bounded;
                let welcome = Reply::Welcome { ticket, global_step, bounded, run: None };
                self.tell(replica, connection.server, None, welcome);
                if let Some(ended) = self.ended.clone() {
                    self.tell(replica, connection.server, None, Reply::Ended(ended));
                }
            }
            Event::Request(connection, request) => {
                let served = self.replicas[replica].served[connection.server];
                if served.is_some_and(|(number, _)| number == connection.number) {
                    self.serve(replica, connection.server, request);
                }
            }
            Event::Beat => {
                if let Some(member) = self.replicas[replica].protocol.member()
                    && self.replicas[replica].served[0].is_some()
                {
                    self.coordinator.alive(id, member.ticket);
                }
                self.coordinator.tick();
                self.after(500, replica, Event::Beat);
            }
            event => {
                self.replicas[replica].inbox.push(event);
                self.poll(replica);
            }
        }
        self.act();
    }

    /// What a server does with a request.
    fn serve(&mut self, replica: usize, server: usize, request: Request) {
        let id = ReplicaId::new(replica as u64);
        let of = |ticket: Ticket, sequence| Contribution {
            replica: id,
            incarnation: ticket.incarnation,
            sequence,
        };
        match request {
            Request::Pull { after, .. } => {
                if let Some((_, pull)) = &mut self.replicas[replica].served[server] {
                    assert_eq!(pull.replace(after), None, "two pulls at once");
                }
                self.answer_pulls();
            }
            Request::Gradients { ticket, sequence } => {
                let (contribution, generation) = (of(ticket, sequence), ticket.generation);
                self.held.insert((server, generation, contribution));
                let receipt = receipt(SECRET, ServerIndex::new(server), generation, contribution);
                let staged = Reply::Staged { sequence, receipt };
                let reply = if server > 0 { staged } else { Reply::Room { sequence } };
                self.tell(replica, server, Some(ticket), reply);
            }
            Request::Commit(mut commit) => {
                let (contribution, generation) =
                    (of(commit.ticket, commit.sequence), commit.ticket.generation);
                assert!(self.held.contains(&(0, generation, contribution)), "it is not held");
                commit.receipts ^= receipt(SECRET, ServerIndex::LEADER, generation, contribution);
                self.coordinator.commit(id, &commit);
            }
            Request::Ask { ticket, sequence } => self.coordinator.ask(id, ticket, sequence),
            Request::GiveUp { ticket, sequence, why, times } => {
                let work = GiveUp { sequence, why, times: times.unwrap_or_default() };
                self.coordinator.give_up(id, ticket, work);
            }
            Request::Leave { ticket, departure } => match departure {
                Departure::ForNow => self.coordinator.leave_for_now(id, ticket),
                _ => self.coordinator.leave(id, ticket, None),
            },
            Request::Recall => {}
        }
    }

    /// Carries the coordinator's decisions out: every server at once.
    fn act(&mut self) {
        let actions = self.coordinator.take_actions();
        let mut applied = false;
        for command in &actions.commands {
            for decision in command.decisions() {
                if let Decision::Admit { contribution, .. } = decision {
                    let generation = self.coordinator.generation();
                    let held = |server| self.held.contains(&(server, generation, *contribution));
                    assert!((0..SERVERS).all(held), "{contribution} is not everywhere");
                    let new = self.admitted.insert(contribution.to_string());
                    assert!(new, "{contribution} counts twice");
                }
            }
            applied |= matches!(command, ShardCommand::Apply { .. });
        }
        for (replica, ticket, answer) in actions.answers {
            self.tell(replica.get() as usize, 0, Some(ticket), answer.into());
        }
        let global_step = self.coordinator.global_step();
        let ended = actions.ended.map(|reason| match reason {
            StopReason::Requested(reason) => Ended { reason, failed: false, global_step },
            StopReason::Failed(reason) => Ended { reason, failed: true, global_step },
        });
        self.ended = ended.clone().or(self.ended.take());
        let ended = ended.map(Reply::Ended);
        let in_vain = actions.in_vain.iter().map(|it| it.get() as usize);
        let told: BTreeSet<_> = in_vain.chain([FOLLOWER]).collect();
        for made in &actions.made {
            told.iter().for_each(|&it| self.tell(it, 0, None, Reply::Advanced(*made)));
        }
        let all = (0..REPLICAS).flat_map(|to| (0..SERVERS).map(move |server| (to, server)));
        for (replica, server) in all {
            ended.iter().for_each(|it| self.tell(replica, server, None, it.clone()));
        }
        if applied {
            for _ in 0..SERVERS {
                self.coordinator.at(self.now).applied(None);
            }
            self.act();
            self.answer_pulls();
        }
    }

    fn answer_pulls(&mut self) {
        let version = (self.coordinator.generation(), self.coordinator.global_step());
        for replica in 0..REPLICAS {
            for server in 0..SERVERS {
                if let Some((number, pull)) = &mut self.replicas[replica].served[server]
                    && pull.is_some_and(|after| after.is_none_or(|after| after < version))
                {
                    *pull = None;
                    let id = ConnectionId { server, number: *number };
                    self.send(replica, id, false, Event::Values(id, version));
                }
            }
        }
    }

    /// A replica goes on, unless it computes.
    fn poll(&mut self, index: usize) {
        let (replica, now) = (&mut self.replicas[index], self.now);
        let mut actions = Vec::new();
        let work = Work { waited: Duration::ZERO, computed: Duration::ZERO, ended: now };
        if replica.pushes.is_none() {
            let Some(Event::Computed) = replica.inbox.last() else { return };
            let grant = replica.grant.take().expect("it was granted");
            let report = PushReport { variables: vec![0], loss: Some(1.0), examples: 1 };
            let pushed = replica.protocol.push(&grant, report, work, now, &mut actions);
            replica.pushes = Some(pushed.is_ok());
        }
        for event in std::mem::take(&mut replica.inbox) {
            match event {
                Event::Connected(id) => replica.protocol.connected(id),
                Event::Lost(id) => replica.protocol.lost(id, &mut actions),
                Event::Values(id, version) if replica.protocol.is_current(id) => {
                    replica.held[id.server] = Some(version);
                    replica.protocol.hold(id.server, Some(version), 0);
                }
                Event::Reply(id, about, reply) => {
                    if let Reply::Advanced(made) = &reply {
                        replica.made.push(made.global_step.get());
                    }
                    replica.protocol.receive(id, about, reply, now, &mut actions);
                }
                _ => {}
            }
        }
        let mut compute = false;
        while let Some(pushes) = replica.pushes {
            if pushes {
                let Poll::Ready(end) = replica.protocol.poll_push(now, &mut actions) else { break };
                replica.accepted += usize::from(matches!(end, Ok(Outcome::Accepted { .. })));
                replica.pushes = Some(false);
            } else {
                let Poll::Ready(end) = replica.protocol.poll_step(now, &mut actions) else { break };
                replica.grant = end.expect("servers are in reach");
                replica.ended = replica.grant.is_none();
                (replica.pushes, compute) = (None, !replica.ended);
            }
        }
        let wake = replica.protocol.next_call();
        if compute {
            let time = 10 + self.below(300);
            self.after(time, index, Event::Computed);
        } else if let Some(wake) = wake {
            self.at(wake.max(now), index, Event::Poll);
        }
        self.carry_out(index, actions);
    }

    fn carry_out(&mut self, index: usize, actions: Vec<Action>) {
        for action in actions {
            match action {
                // The servers here have the program.
                Action::Initialize => {}
                Action::Connect(id, hello) => {
                    self.send(index, id, true, Event::Hello(id, hello));
                }
                Action::Send(server, requests) => {
                    let served = self.replicas[index].served[server];
                    let Some((number, _)) = served else { continue };
                    let id = ConnectionId { server, number };
                    for request in requests {
                        self.send(index, id, true, Event::Request(id, request));
                    }
                }
                Action::Disconnect(server) => self.replicas[index].served[server] = None,
                Action::Begin(_) | Action::Supersede => {}
            }
        }
    }
}

/// P-11, P-15.
#[test]
fn what_counts_does_so_once() {
    for seed in 0..100 {
        World::new(seed, MENDED).play(seed);
    }
}

/// Each server tells of the end in its own time: what came before it is known all the same.
#[test]
fn where_nothing_breaks_all_is_heard_before_the_end() {
    for seed in 0..100 {
        let mut world = World::new(seed, Duration::ZERO);
        world.play(seed);
        let told: usize = world.replicas.iter().map(|it| it.accepted).sum();
        assert_eq!(told, world.admitted.len(), "{seed}: pushes whose end was heard");
        assert!((1..=LAST).eq(world.replicas[FOLLOWER].made.iter().copied()), "{seed}");
    }
}
