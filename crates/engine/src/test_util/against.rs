//! The engine run beside the model: every answer and every effect must be the same.
//!
//! No thread, no clock. Invariant: after each event the engine's own check of its state passes, and
//! a second engine that was told the same has had the same effects (S-8).

use std::collections::BTreeSet;
use std::time::Duration;

use accum_core::{GlobalStep, LocalStep};
use proptest_state_machine::StateMachineTest;

use super::{EngineModel, Event, Histories, Sent, Setup};
use crate::{
    Effect, Engine, Generation, Incarnation, JoinError, Membership, Push, Refused, ReplicaId,
    StopReason,
};

/// The test of the engine, for
/// [`prop_state_machine!`](proptest_state_machine::prop_state_machine).
#[derive(Debug)]
pub struct EngineTest;

/// An engine in the middle of a history, its twin and its model.
#[derive(Debug)]
pub struct Run {
    engine: Engine,
    twin: Engine,
    model: EngineModel,
}

impl StateMachineTest for EngineTest {
    type SystemUnderTest = Run;
    type Reference = Histories;

    fn init_test(setup: &Setup) -> Run {
        Run::new(setup)
    }

    fn apply(mut run: Run, _: &Setup, event: Event) -> Run {
        run.event(&event);
        run
    }

    fn teardown(run: Run, _: Setup) {
        run.finish();
    }
}

impl Run {
    /// An engine before anything happened.
    ///
    /// # Panics
    /// When the settings do not fit together.
    pub fn new(setup: &Setup) -> Self {
        let config = setup.settings.clone().check().unwrap_or_else(|error| panic!("{error}"));
        let model = EngineModel::new(setup, &config);
        let first = GlobalStep::new(setup.first_step);
        let engine = Engine::new(config, setup.variables, first, Generation::new(1));
        Self { twin: engine.clone(), engine, model }
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// One event for the engine, its twin and the model.
    ///
    /// # Panics
    /// Where they differ.
    pub fn event(&mut self, event: &Event) {
        match *event {
            Event::Start if self.model.started.is_none() => self.start(),
            Event::Start => {}
            Event::Join(replica) => self.join(replica),
            Event::Leave { replica, old } => self.leave(replica, old),
            Event::Push { replica, age, ref lanes, sent } => self.push(replica, age, lanes, sent),
            Event::GiveUp(replica) => {
                let incarnation = self.incarnation(replica);
                let got = self.both(|engine, now, out| {
                    engine.give_up(ReplicaId::new(replica), incarnation, now, out)
                });
                self.allowed(replica, got, |model| {
                    model.give_up(replica);
                });
            }
            Event::Skip(replica) => {
                let incarnation = self.incarnation(replica);
                let got = self.both(|engine, now, out| {
                    engine.skip(ReplicaId::new(replica), incarnation, now, out)
                });
                self.allowed(replica, got, |model| model.skip(replica));
            }
            Event::Decline(replica) => {
                let incarnation = self.incarnation(replica);
                let got = self.both(|engine, now, out| {
                    engine.decline(ReplicaId::new(replica), incarnation, now, out)
                });
                self.allowed(replica, got, |model| model.decline(replica));
            }
            Event::Request(replica) => {
                let incarnation = self.incarnation(replica);
                let got = self.both(|engine, now, out| {
                    engine.request(ReplicaId::new(replica), incarnation, now, out)
                });
                self.allowed(replica, got, |model| {
                    model.enter_line(replica);
                    model.serve();
                });
            }
            Event::Renew(replica) => self.renew(replica),
            Event::Apply(lane) => {
                let ((), effects) = self.both(|engine, now, out| engine.applied(lane, now, out));
                self.model.applied(lane);
                self.settle(&effects);
            }
            Event::Tick(seconds) => self.tick(Duration::from_secs(seconds)),
            Event::Hooks(replica) => {
                let id = replica.map(ReplicaId::new);
                let ((), effects) = self.both(|engine, now, _| engine.hooks_begin(id, now));
                self.model.hooks_begin(replica);
                self.settle(&effects);
            }
            Event::HooksEnd => {
                let ((), effects) = self.both(|engine, now, _| engine.hooks_end(now));
                self.model.hooks_end();
                self.settle(&effects);
            }
            Event::Lanes(count) => {
                let ((), effects) = self.both(|engine, _, _| engine.set_lanes(count));
                self.model.set_lanes(count);
                self.settle(&effects);
            }
            Event::Restore(by) => self.restore(by),
            Event::Stop => {
                let reason = || StopReason::Requested("enough".to_owned());
                let ((), effects) = self.both(|engine, _, out| engine.stop(reason(), out));
                self.model.stop();
                self.settle(&effects);
            }
        }
    }

    /// S-8: the same event for both engines has the same answer and effects.
    fn both<T: PartialEq + std::fmt::Debug>(
        &mut self,
        event: impl Fn(&mut Engine, Duration, &mut Vec<Effect>) -> T,
    ) -> (T, Vec<Effect>) {
        let (mut effects, mut again) = (Vec::new(), Vec::new());
        let answer = event(&mut self.engine, self.model.now, &mut effects);
        let second = event(&mut self.twin, self.model.now, &mut again);
        assert_eq!((&answer, &effects), (&second, &again), "the same twice");
        (answer, effects)
    }

    /// Effects, books and all that can be read are the model's.
    fn settle(&mut self, effects: &[Effect]) {
        self.model.settle(effects);
        let (engine, model) = (&self.engine, &self.model);
        engine.validate().unwrap_or_else(|broken| panic!("{broken}"));
        assert_eq!(engine.global_step().get(), model.step, "the global step");
        let held = model.members.iter().filter(|member| member.held.is_some()).count();
        assert_eq!(engine.num_tokens(), model.queue.len(), "tokens in the queue");
        assert_eq!(engine.ledger().outstanding(), (model.queue.len() + held) as u64, "S-4");
        assert!(engine.waiting().map(ReplicaId::get).eq(model.line.iter().copied()), "the line");
        model.check_views(engine);
    }

    fn incarnation(&self, replica: u64) -> Incarnation {
        Incarnation::new(self.model.member(replica).map_or(0, |member| member.lives))
    }

    /// An event of a member: refused when there is none or training has ended.
    fn allowed(
        &mut self,
        replica: u64,
        (got, effects): (Result<(), Refused>, Vec<Effect>),
        model: impl FnOnce(&mut EngineModel),
    ) {
        let incarnation = self.incarnation(replica);
        let replica = ReplicaId::new(replica);
        if self.model.stopped {
            assert_eq!(got, Err(Refused::Ended), "L-3");
        } else if self.model.is_live(replica.get()) {
            assert_eq!(got, Ok(()));
            model(&mut self.model);
        } else {
            assert_eq!(got, Err(Refused::NotJoined { replica, incarnation }));
        }
        self.settle(&effects);
    }

    fn start(&mut self) {
        let initial = self.engine.config().settings().initial_tokens;
        let (got, effects) = self.both(|engine, now, out| engine.start_chief(initial, now, out));
        assert_eq!(got, Ok(self.model.start()), "the initial tokens");
        self.settle(&effects);
    }

    fn join(&mut self, replica: u64) {
        let id = ReplicaId::new(replica);
        let (got, effects) = self.both(|engine, now, out| engine.join(id, now, out));
        let total = self.model.members.len();
        if self.model.stopped {
            assert_eq!(got, Err(JoinError::Ended));
        } else if self.model.member(replica).is_none() {
            assert_eq!(got, Err(JoinError::Unknown { replica: id, total }));
        } else if self.model.is_live(replica) {
            assert_eq!(got, Err(JoinError::Present { replica: id }));
        } else {
            self.model.join(replica);
            assert_eq!(got, Ok(self.incarnation(replica)));
        }
        self.settle(&effects);
    }

    fn leave(&mut self, replica: u64, old: bool) {
        let lives = self.incarnation(replica).get();
        let incarnation = Incarnation::new(if old { lives.wrapping_sub(1) } else { lives });
        let id = ReplicaId::new(replica);
        let (got, effects) = self.both(|engine, now, out| engine.leave(id, incarnation, now, out));
        let was_there = self.model.is_live(replica) && !old;
        assert_eq!(got, was_there, "whether it was there");
        if was_there {
            self.model.leave(replica);
        }
        self.settle(&effects);
    }

    fn push(&mut self, replica: u64, age: i64, lanes: &Option<Vec<usize>>, sent: Sent) {
        let member = self.model.member(replica).cloned().unwrap_or_default();
        let (generation, lives) = (self.engine.generation(), self.incarnation(replica).get());
        let push = Push {
            replica: ReplicaId::new(replica),
            incarnation: Incarnation::new(match sent {
                Sent::OldIncarnation => lives.wrapping_sub(1),
                _ => lives,
            }),
            generation: match sent {
                Sent::OldGeneration => Generation::new(generation.get() - 1),
                _ => generation,
            },
            sequence: member.sequence + u64::from(sent != Sent::Again),
            local_step: LocalStep::new(member.local_step.saturating_add(age)),
            lanes: lanes.clone(),
        };
        let vetted = self.engine.vet(&push);
        let (got, effects) = self.both(|engine, now, out| engine.push(&push, now, out));
        let count = self.model.lanes.len();
        let outside = lanes.iter().flatten().copied().find(|&lane| lane >= count);
        let (expected, got_generation) = (generation, push.generation);
        let (replica_id, incarnation) = (push.replica, push.incarnation);
        let refused = if self.model.stopped {
            Some(Refused::Ended)
        } else if sent == Sent::OldGeneration {
            Some(Refused::Generation { expected, got: got_generation })
        } else if lanes.as_ref().is_some_and(Vec::is_empty) {
            Some(Refused::Empty)
        } else if let Some(lane) = outside {
            Some(Refused::Lane { lane, lanes: count })
        } else if !member.live || sent == Sent::OldIncarnation {
            Some(Refused::NotJoined { replica: replica_id, incarnation })
        } else {
            None
        };
        assert_eq!(vetted, refused.clone().map_or(Ok(()), Err), "whether it may push at all");
        match (got, refused, member.last) {
            (got, Some(refused), _) => assert_eq!(got, Err(refused)),
            (Ok(decision), None, Some(last)) if sent == Sent::Again => {
                // S-6: the first answer stands, and nothing happens.
                assert_eq!((decision.outcome, decision.repeated), (last, true));
            }
            (Ok(decision), None, _) => {
                let mut all: Vec<usize> = lanes.clone().unwrap_or_else(|| (0..count).collect());
                let mut seen = BTreeSet::new();
                all.retain(|lane| seen.insert(*lane));
                let claims = push.local_step.get();
                // Such a push spends a token and may bring some lane no nearer to its step.
                self.model.wasted |= lanes.is_some() || age < 0;
                let expected = self.model.push(replica, push.sequence, claims, &all);
                assert_eq!((decision.outcome, decision.repeated), (expected, false));
            }
            (Err(error), None, _) => panic!("a member's push was refused: {error}"),
        }
        self.settle(&effects);
    }

    fn renew(&mut self, replica: u64) {
        let (id, incarnation) = (ReplicaId::new(replica), self.incarnation(replica));
        let (got, effects) = self.both(|engine, now, _| engine.renew(id, incarnation, now));
        let refused = Refused::NotJoined { replica: id, incarnation };
        assert_eq!(got, if self.model.is_live(replica) { Ok(()) } else { Err(refused) });
        let until = self.model.lease_from_now();
        if got.is_ok()
            && let Some((_, ends)) = &mut self.model.members[replica as usize].held
        {
            *ends = until;
        }
        self.settle(&effects);
    }

    fn tick(&mut self, by: Duration) {
        self.model.now += by;
        let (next, effects) = self.both(|engine, now, out| engine.tick(now, out));
        self.model.tick();
        assert_eq!(next, self.model.next_tick(), "when the next tick is due");
        self.settle(&effects);
    }

    fn restore(&mut self, by: i64) {
        let (before, variables) = (self.engine.generation(), self.engine.num_lanes());
        let step = self.model.step + by;
        let ((), effects) =
            self.both(|engine, _, _| engine.restore(GlobalStep::new(step), before, variables));
        assert!(self.engine.generation() > before, "a new generation");
        self.model.restore(step);
        self.settle(&effects);
        self.start();
    }

    /// Liveness: from here, the step goes on when all are well (L-1), and with leases while a
    /// single replica lives and the others hang (L-2). Where leavers' tokens are lost or a member
    /// has wasted one, there is no such promise, and after a stop nothing goes on.
    ///
    /// # Panics
    /// When it does not.
    pub fn finish(mut self) {
        let settings = self.engine.config().settings().clone();
        let lost = settings.membership == Membership::Unknown || self.model.wasted;
        if self.model.stopped || lost {
            return;
        }
        self.event(&Event::Start);
        self.event(&Event::HooksEnd);
        let total = self.model.members.len() as u64;
        let alone = settings.lease.filter(|_| self.model.step % 2 == 0);
        let who = if alone.is_some() { 0..1 } else { 0..total };
        let until = self.model.step + 3;
        for _ in 0..100 {
            if self.model.step >= until {
                return;
            }
            for replica in who.clone() {
                if !self.model.is_live(replica) {
                    self.event(&Event::Join(replica));
                }
                self.event(&Event::Request(replica));
                if self.model.members[replica as usize].held.is_some() {
                    let sent = Sent::New;
                    self.event(&Event::Push { replica, age: 0, lanes: None, sent });
                }
                (0..self.model.lanes.len()).for_each(|lane| self.event(&Event::Apply(lane)));
            }
            if let Some(lease) = alone {
                self.tick(lease);
            }
        }
        panic!("no progress in a hundred rounds of replicas {who:?}: {:#?}", self.engine);
    }
}
