//! Replicas' protocols and a coordinator in one thread and in virtual time, over connections that
//! break: whatever breaks, training goes on to its last step, and what counts does so once.

mod servers;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::task::Poll;
use std::time::Duration;

use cluster::driver::client::protocol::{
    Action, ConnectionId, Ended, Hello, ProtocolSettings, PushReport, ReplicaProtocol, Reply,
    Request, Version, Work,
};
use cluster::driver::coordinator::{Contribution, Coordinator, CoordinatorSettings, Ticket, Times};
use cluster::driver::index::VariableIndex;
use sync_replicas::ReplicaId;
use sync_replicas::driver::Generation;
use sync_replicas::engine::{Grant, Outcome, Settings};

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
    /// All that a server has of a lookup, as it was at this version.
    Rows(ConnectionId, u64, Version),
    Lost(ConnectionId),
    Computed,
    Poll,
    Beat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    Step,
    Rows,
    Push,
}

struct Replica {
    protocol: ReplicaProtocol,
    grant: Option<Grant>,
    /// What it waits for; nothing while it computes.
    waits: Option<Wait>,
    /// The version whose rows it looks up.
    looks: Version,
    held: [Option<Version>; SERVERS],
    /// By server, as the server has it: its connection, and the pull that waits there.
    served: [Option<(u64, Option<Option<Version>>)>; SERVERS],
    /// What came while it computed.
    inbox: Vec<Event>,
    accepted: usize,
    /// How often rows were gone.
    late: usize,
    /// The steps that it was told of.
    made: Vec<i64>,
    ended: bool,
}

impl Replica {
    /// What came while it waited or computed.
    fn take_inbox(&mut self, now: Duration, actions: &mut Vec<Action>) {
        for event in std::mem::take(&mut self.inbox) {
            match event {
                Event::Connected(id) => self.protocol.connected(id),
                Event::Lost(id) => self.protocol.lost(id, actions),
                Event::Values(id, version) if self.protocol.is_current(id) => {
                    self.held[id.server] = Some(version);
                    self.protocol.hold(id.server, Some(version), 0);
                }
                Event::Rows(id, number, version) if self.protocol.is_current(id) => {
                    // P-17: rows are of the step that is computed.
                    let own = self.protocol.lookup_number() == Some(number);
                    assert!(!own || version == self.looks, "rows of another step");
                    self.protocol.rows_came(id.server, number);
                }
                Event::Reply(id, about, reply) => {
                    if let Reply::Advanced(made) = &reply {
                        self.made.push(made.global_step.get());
                    }
                    self.protocol.receive(id, about, reply, now, actions);
                }
                _ => {}
            }
        }
    }
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
        let settings = CoordinatorSettings {
            shards: SERVERS,
            secret: SECRET,
            batch: 1 + seed as usize % 4,
            last_step: Some(LAST),
            ..CoordinatorSettings::new(config)
        };
        let mut coordinator = Coordinator::new(settings, generation);
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
            waits: Some(Wait::Step),
            looks: Version::default(),
            held: [None; SERVERS],
            served: [None; SERVERS],
            inbox: Vec::new(),
            accepted: 0,
            late: 0,
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

    /// A replica goes on, unless it computes.
    fn poll(&mut self, index: usize) {
        let (replica, now) = (&mut self.replicas[index], self.now);
        let mut actions = Vec::new();
        let work = Work { times: Times::default(), ended: now };
        if replica.waits.is_none() {
            let Some(Event::Computed) = replica.inbox.last() else { return };
            let grant = replica.grant.take().expect("it was granted");
            let report =
                PushReport { variables: vec![VariableIndex::new(0)], loss: Some(1.0), examples: 1 };
            let pushed = replica.protocol.push(&grant, report, work, now, &mut actions);
            replica.waits = Some(if pushed.is_ok() { Wait::Push } else { Wait::Step });
        }
        replica.take_inbox(now, &mut actions);
        let mut compute = false;
        while let Some(wait) = replica.waits {
            let protocol = &mut replica.protocol;
            match wait {
                Wait::Push => {
                    let Poll::Ready(end) = protocol.poll_push(now, &mut actions) else { break };
                    replica.accepted += usize::from(matches!(end, Ok(Outcome::Accepted { .. })));
                    replica.waits = Some(Wait::Step);
                }
                Wait::Step => {
                    let Poll::Ready(end) = protocol.poll_step(now, &mut actions) else { break };
                    replica.grant = end.expect("servers are in reach");
                    replica.ended = replica.grant.is_none();
                    replica.waits = (!replica.ended).then_some(Wait::Rows);
                    if let Some(version) = replica.held[0].filter(|_| !replica.ended) {
                        replica.looks = version;
                        protocol.look_up(version, [true; SERVERS], &mut actions);
                    }
                }
                Wait::Rows => {
                    let Poll::Ready(end) = protocol.poll_lookup(now, &mut actions) else { break };
                    compute = end.expect("servers are in reach");
                    replica.waits = (!compute).then_some(Wait::Step);
                    if !compute {
                        replica.late += 1;
                        replica.grant = None;
                        protocol.give_up(work, now, &mut actions);
                    }
                }
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
    let mut late = 0;
    for seed in 0..100 {
        let mut world = World::new(seed, MENDED);
        world.play(seed);
        late += world.replicas.iter().map(|it| it.late).sum::<usize>();
    }
    assert!(late > 100, "rows were gone {late} times: nothing was late");
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
