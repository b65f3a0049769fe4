//! One state: the engine, the replicas, the messages between them; and what can happen in it.
//!
//! What must hold after each is in `laws`. Invariant: every lease that runs ends one lease from
//! now, since every replica but the silent one has just been heard of.

use super::sometimes::{Hits, Sometimes::*};
use super::*;

/// What went wrong, in words.
pub(super) type Broken = String;

#[derive(Clone)]
pub(super) struct World {
    pub(super) engine: Engine,
    pub(super) now: Duration,
    pub(super) replicas: Vec<Replica>,
    /// Lanes that were closed and are not applied yet: the chief's work.
    pub(super) due: Vec<usize>,
    /// The plain rule beside the engine: each lane's step and what it holds.
    pub(super) lanes: Vec<(i64, u64)>,
    pub(super) may_crash: bool,
    /// Messages of a kind that are under way from or to one replica; an older one is lost.
    pub(super) under_way: usize,
    /// Tokens that were ever put, by the rules of the start, of joining and of steps.
    pub(super) issued: u64,
    /// Of this step's tokens: how many there were, and how many were lost with leavers.
    pub(super) of_step: u64,
    pub(super) lost: u64,
}

#[derive(Clone)]
pub(super) struct Replica {
    pub(super) id: ReplicaId,
    pub(super) incarnation: Incarnation,
    pub(super) sequence: u64,
    pub(super) phase: Phase,
    /// Grants under way: the number of the batch, and the step to claim.
    pub(super) grants: Vec<(u64, LocalStep)>,
    pub(super) pushes: Vec<Push>,
    /// The last push that arrived in this life; it may arrive again.
    pub(super) arrived: Option<Push>,
    /// A push of an earlier life, which may still arrive.
    pub(super) earlier: Option<Push>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    Away,
    /// It waits for a grant, perhaps with a push under way.
    Waits,
    Works(LocalStep),
    Dead,
}

/// What can happen; the number is a replica's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Join(usize),
    /// A grant arrives: the one at this place.
    Grant(usize, usize),
    Send(usize),
    /// A push arrives: the one at this place.
    Arrive(usize, usize),
    GiveUp(usize),
    Ask(usize),
    /// The chief has updated the lane at this place.
    Apply(usize),
    /// It is found out that a replica is dead.
    Notice(usize),
    /// A lease passes in which this replica was not heard of.
    Silence(usize),
    /// A lease passes in which every replica that has joined was heard of.
    Pass,
    Crash(usize),
    /// It dies between two variables: only the first one's gradient was sent.
    CrashHalfway(usize),
    Return(usize),
}

impl World {
    pub(super) fn new(settings: Settings, variables: usize) -> Self {
        let bench = Bench::new(settings);
        let config = bench.engine.config().clone();
        let mut engine = bench.engine;
        engine.set_lanes(variables);
        let total = config.total_num_replicas();
        let initial = engine.ledger().issued;
        let replicas = (0..total as u64).map(|number| Replica {
            id: id(number),
            incarnation: Incarnation::default(),
            sequence: 0,
            phase: Phase::Away,
            grants: Vec::new(),
            pushes: Vec::new(),
            arrived: None,
            earlier: None,
        });
        let mut world = Self {
            now: Duration::ZERO,
            replicas: replicas.collect(),
            due: Vec::new(),
            lanes: vec![(0, 0); engine.num_lanes()],
            may_crash: true,
            under_way: if total > 2 { 1 } else { 2 },
            issued: initial,
            of_step: initial,
            lost: 0,
            engine,
        };
        if !world.has_leases() {
            // Without leases no other makes up for a replica that never comes.
            for replica in 0..total {
                world.happen(Event::Join(replica), &mut Hits::default()).expect("all may join");
            }
        }
        world
    }

    pub(super) fn has_leases(&self) -> bool {
        self.engine.config().settings().lease.is_some()
    }

    /// Everything that can happen now.
    pub(super) fn events(&self) -> Vec<Event> {
        let mut events: Vec<Event> = (0..self.due.len()).map(Event::Apply).collect();
        let leases = self.has_leases();
        for (number, replica) in self.replicas.iter().enumerate() {
            let member = self.engine.members.get(replica.id).expect("it is one of them");
            events.extend((0..replica.pushes.len()).map(|at| Event::Arrive(number, at)));
            let living = matches!(replica.phase, Phase::Waits | Phase::Works(_));
            match replica.phase {
                Phase::Away => events.push(Event::Join(number)),
                Phase::Waits => {
                    events.extend((0..replica.grants.len()).map(|at| Event::Grant(number, at)));
                    if replica.pushes.is_empty() && member.held.is_none() && !member.waiting {
                        events.push(Event::Ask(number));
                    }
                }
                Phase::Works(_) => {
                    if replica.pushes.len() < self.under_way {
                        events.push(Event::Send(number));
                    }
                    if self.is_told(replica) {
                        events.push(Event::GiveUp(number));
                    }
                    if self.may_crash && self.lanes.len() > 1 && replica.pushes.is_empty() {
                        events.push(Event::CrashHalfway(number));
                    }
                }
                Phase::Dead => {
                    events.push(Event::Return(number));
                    if member.live {
                        events.push(Event::Notice(number));
                    }
                }
            }
            if living && self.may_crash {
                events.push(Event::Crash(number));
            }
            if leases && member.held.is_some() {
                events.push(Event::Silence(number));
            }
        }
        if leases && self.engine.absence_ends().is_some() {
            events.push(Event::Pass);
        }
        events
    }

    /// Whether it belongs to the faults, which stop some time.
    pub(super) fn is_fault(&self, event: Event) -> bool {
        match event {
            Event::Crash(_) | Event::CrashHalfway(_) | Event::Return(_) => true,
            Event::Silence(replica) => self.replicas[replica].phase != Phase::Dead,
            _ => false,
        }
    }

    /// P-13: it works on the batch that the engine thinks it does, and the work cannot count.
    fn is_told(&self, replica: &Replica) -> bool {
        let told = self.engine.config().settings().tell_superseded;
        told && replica.pushes.is_empty()
            && replica.phase == Phase::Works(self.engine.local_step(replica.id).unwrap_or_default())
            && self.engine.is_superseded(replica.id)
    }

    /// One event, and the laws about it.
    pub(super) fn happen(&mut self, event: Event, hits: &mut Hits) -> Result<bool, Broken> {
        let before = self.engine.ledger();
        let step = self.engine.global_step();
        let mut effects = Vec::new();
        match event {
            Event::Join(number) => self.join(number, &mut effects)?,
            Event::Return(number) => {
                self.retire(number, hits);
                self.notice(number, hits, &mut effects);
                self.join(number, &mut effects)?;
            }
            Event::Notice(number) => self.notice(number, hits, &mut effects),
            Event::Grant(number, at) => {
                let replica = &mut self.replicas[number];
                let (_, step) = replica.grants[at];
                replica.grants.drain(..=at);
                hits.hit(LateGrant, at as u64);
                replica.phase = Phase::Works(step);
            }
            Event::Send(number) => self.send(number, None),
            Event::Arrive(number, at) => self.arrive(number, at, hits, &mut effects)?,
            Event::GiveUp(number) => {
                let Replica { id, incarnation, .. } = self.replicas[number];
                let done = self.engine.give_up(id, incarnation, self.now, &mut effects);
                done.map_err(|refused| refused.to_string())?;
                self.replicas[number].phase = Phase::Waits;
                hits.hit(GivenUp, 1);
            }
            Event::Ask(number) => {
                let Replica { id, incarnation, .. } = self.replicas[number];
                let done = self.engine.request(id, incarnation, self.now, &mut effects);
                done.map_err(|refused| refused.to_string())?;
            }
            Event::Apply(at) => {
                let lane = self.due.remove(at);
                self.engine.applied(lane, self.now, &mut effects);
            }
            Event::Silence(number) => self.pass(Some(number), hits, &mut effects),
            Event::Pass => self.pass(None, hits, &mut effects),
            Event::Crash(number) => self.crash(number, hits),
            Event::CrashHalfway(number) => {
                self.send(number, Some(vec![0]));
                self.crash(number, hits);
            }
        }
        self.follow(before, step, effects, hits)?;
        self.engine.validate()?;
        Ok(self.engine.global_step() > step)
    }

    fn join(&mut self, number: usize, effects: &mut Vec<Effect>) -> Result<(), Broken> {
        let id = self.replicas[number].id;
        let unknown = self.engine.config().settings().membership == Membership::Unknown;
        let first = !self.engine.members.get(id).is_some_and(|member| member.begun);
        let joined = self.engine.join(id, self.now, effects).map_err(|error| error.to_string())?;
        if first || unknown {
            self.issued += 1;
            self.of_step += 1;
        }
        let replica = &mut self.replicas[number];
        (replica.incarnation, replica.sequence) = (joined, 0);
        replica.phase = Phase::Waits;
        Ok(())
    }

    fn send(&mut self, number: usize, lanes: Option<Vec<usize>>) {
        let generation = self.engine.generation();
        let replica = &mut self.replicas[number];
        let Phase::Works(local_step) = replica.phase else { return };
        replica.sequence += 1;
        replica.pushes.push(Push {
            replica: replica.id,
            incarnation: replica.incarnation,
            generation,
            sequence: replica.sequence,
            local_step,
            lanes,
        });
        replica.phase = Phase::Waits;
    }

    /// Its process is gone; what it had sent is not.
    fn crash(&mut self, number: usize, hits: &mut Hits) {
        let replica = &mut self.replicas[number];
        replica.phase = Phase::Dead;
        hits.hit(LateGrant, replica.grants.len() as u64);
        replica.grants.clear();
        self.may_crash = false;
    }

    /// Messages of a life that is over: the grants are lost, a push may still come.
    fn retire(&mut self, number: usize, hits: &mut Hits) {
        let replica = &mut self.replicas[number];
        hits.hit(LateGrant, replica.grants.len() as u64);
        replica.grants.clear();
        let last = replica.pushes.pop();
        replica.earlier = last.or(replica.arrived.take());
        replica.pushes.clear();
        replica.arrived = None;
    }

    fn notice(&mut self, number: usize, hits: &mut Hits, effects: &mut Vec<Effect>) {
        let Replica { id, incarnation, .. } = self.replicas[number];
        let held = self.engine.members.get(id).and_then(|member| member.held);
        let step = self.engine.global_step().get();
        let lost = held.is_some_and(|held| held.token.step() == step);
        if self.engine.leave(id, incarnation, self.now, effects) && held.is_some() {
            let leased = self.has_leases();
            hits.hit(if leased { LeaverReturned } else { TokenLost }, 1);
            self.lost += u64::from(lost && !leased);
        }
    }

    /// A lease passes; every replica is heard of, save the silent one and those that never came.
    fn pass(&mut self, silent: Option<usize>, hits: &mut Hits, effects: &mut Vec<Effect>) {
        let lease = self.engine.config().settings().lease.unwrap_or_default();
        self.now += lease;
        let absent = self.engine.members.iter().filter(|(_, member)| !member.begun).count() as u64;
        for (number, replica) in self.replicas.iter().enumerate() {
            if silent != Some(number) {
                // Refused where it is no member, which has no lease.
                drop(self.engine.renew(replica.id, replica.incarnation, self.now));
            }
        }
        if absent > 0 && self.engine.global_step().get() == 0 {
            self.issued += absent;
            self.of_step += absent;
            hits.hit(AbsentReplaced, absent);
        }
        self.engine.tick(self.now, effects);
        hits.hit(LeaseEnded, u64::from(silent.is_some()));
    }

    /// Keeps a grant that was sent, as one that is under way.
    pub(super) fn grant(&mut self, grant: &Grant) {
        let known = self.replicas.iter_mut().find(|replica| replica.id == grant.replica);
        let Some(replica) = known.filter(|replica| replica.phase != Phase::Dead) else { return };
        if replica.grants.len() == self.under_way {
            replica.grants.remove(0);
        }
        replica.grants.push((grant.number, grant.local_step));
    }
}
