//! The reference model of the engine: lanes, membership and the step, in their plainest form.
//!
//! Tokens and the line are in `tokens`. Invariant: what an event must answer and which effects it
//! must have follows from the fields here and the shares that the engine gave out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use accum_core::{GlobalStep, LocalStep};

use super::Setup;
use crate::{
    Admission, Config, Effect, Expiry, InitialTokens, Membership, Outcome, SummationOrder, Tally,
    TokenPolicy,
};

/// What an engine is, as far as its answers show it.
#[derive(Clone, Debug)]
pub struct EngineModel {
    pub(super) config: Config,
    pub(super) step: i64,
    pub(super) lanes: Vec<Lane>,
    pub(super) members: Vec<Member>,
    pub(super) queue: VecDeque<i64>,
    pub(super) line: VecDeque<u64>,
    /// Shares of this step that are in.
    pub(super) contributed: BTreeSet<u64>,
    pub(super) started: Option<Duration>,
    pub(super) step_began: Duration,
    /// Whether its deadline has passed while replicas held it up.
    pub(super) overdue: bool,
    pub(super) advances: u64,
    pub(super) stopped: bool,
    /// Whether the chief calls hooks, and on whose thread.
    pub(super) hooks: Option<Option<u64>>,
    pub(super) hooks_since: Duration,
    /// Batches that were given out, but for those that their replica left behind.
    pub(super) given: BTreeSet<u64>,
    /// In replica order: batches that are in an update or left out, in this generation.
    pub(super) used: BTreeSet<u64>,
    /// The step whose batches are the first ones.
    pub(super) origin: i64,
    /// How many batches of each share were left out.
    pub(super) skipped: BTreeMap<u64, u64>,
    /// How long each contribution that counted took, from token to push, in this generation.
    pub(super) took: Vec<Duration>,
    /// Whether a member that broke the protocol has wasted a token of this step.
    pub(super) wasted: bool,
    pub(super) now: Duration,
    /// The effects that the present event must have, but for those that tell of superseded work.
    pub(super) effects: Vec<Want>,
}

/// One lane: the step that gradients must have, who contributed, and how far the round is.
#[derive(Clone, Debug)]
pub(super) struct Lane {
    pub(super) step: i64,
    /// Replica, which of its lives, number of the contribution. S-6: none appears twice.
    pub(super) held: Vec<(u64, u64, u64)>,
    pub(super) taken: bool,
    pub(super) applied: bool,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Member {
    pub(super) lives: u64,
    pub(super) live: bool,
    pub(super) begun: bool,
    pub(super) working: bool,
    /// When it got the token for that work.
    pub(super) began: Duration,
    pub(super) local_step: i64,
    /// The token held, and until when.
    pub(super) held: Option<(i64, Option<Duration>)>,
    pub(super) share: Option<u64>,
    /// The batch of that share.
    pub(super) number: u64,
    /// Batches in a row that were not finite.
    pub(super) row: u64,
    /// What it computes, where batches are no shares.
    pub(super) batch: Option<u64>,
    pub(super) sequence: u64,
    pub(super) last: Option<Outcome>,
    pub(super) tally: Tally,
}

/// An effect that must come.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Want {
    Grant { replica: u64, incarnation: u64, step: i64 },
    Close { lane: usize, count: u64 },
    Advanced(i64),
    TokenExpired(u64, Expiry),
    Overdue { step: i64, count: u64, needed: u64, missing: Vec<u64>, waiting: Vec<u64> },
    Ended,
}

impl EngineModel {
    pub(super) fn new(setup: &Setup, config: &Config) -> Self {
        let lanes = match setup.settings.admission {
            Admission::Together => 1,
            Admission::PerVariable => setup.variables,
        };
        let members = vec![Member::default(); config.total_num_replicas()];
        Self::at(config.clone(), setup.first_step, lanes, members)
    }

    fn at(config: Config, step: i64, lanes: usize, members: Vec<Member>) -> Self {
        let lane = Lane { step, held: Vec::new(), taken: false, applied: false };
        Self {
            config,
            step,
            lanes: vec![lane; lanes],
            members,
            queue: VecDeque::new(),
            line: VecDeque::new(),
            contributed: BTreeSet::new(),
            started: None,
            step_began: Duration::ZERO,
            overdue: false,
            advances: 0,
            stopped: false,
            hooks: None,
            hooks_since: Duration::ZERO,
            given: BTreeSet::new(),
            used: BTreeSet::new(),
            origin: step.min(0),
            skipped: BTreeMap::new(),
            took: Vec::new(),
            wasted: false,
            now: Duration::ZERO,
            effects: Vec::new(),
        }
    }

    /// A restore: all is new but how often each replica has lived (P-9).
    pub(super) fn restore(&mut self, step: i64) {
        let lives = |old: &Member| Member { lives: old.lives, ..Member::default() };
        let members = self.members.iter().map(lives).collect();
        let (now, hooks, hooks_since) = (self.now, self.hooks, self.hooks_since);
        let new = Self::at(self.config.clone(), step, self.lanes.len(), members);
        let (origin, skipped) = (self.origin.min(step), std::mem::take(&mut self.skipped));
        *self = Self { now, hooks, hooks_since, origin, skipped, ..new };
    }

    /// the chief starts; with how many tokens.
    pub(super) fn start(&mut self) -> usize {
        let (needed, total) = (self.config.replicas_to_aggregate(), self.members.len());
        let initial = match self.config.settings().initial_tokens {
            InitialTokens::Exactly(given) => given,
            InitialTokens::Aggregate => needed,
            InitialTokens::Fewest => needed.saturating_sub(total),
        };
        self.queue.extend([self.step].repeat(initial));
        (self.started, self.step_began, self.overdue) = (Some(self.now), self.now, false);
        self.close_lanes();
        self.serve();
        initial
    }

    /// Lanes that come while something is held are added; those that come during an update have a
    /// part in the step after.
    pub(super) fn set_lanes(&mut self, count: usize) {
        if self.config.settings().admission == Admission::Together {
            return;
        }
        let updating = self.is_updating();
        let (step, applied) = if updating { (self.step + 1, true) } else { (self.step, false) };
        let lane = Lane { step, held: Vec::new(), taken: false, applied };
        let untouched = |lane: &Lane| !lane.taken && !lane.applied && lane.held.is_empty();
        if self.lanes.iter().all(untouched) {
            self.lanes.clear();
            self.lanes.resize(count.max(1), lane);
        } else if count > self.lanes.len() {
            // A replica that has pushed in this step has spent a token without a gradient for them.
            self.wasted |= !updating;
            self.lanes.resize(count, lane);
        }
    }

    /// All lanes are closed, and the step waits for the chief alone.
    pub(super) fn is_updating(&self) -> bool {
        self.lanes.iter().all(|lane| lane.taken || lane.applied)
    }

    pub(super) fn member(&self, replica: u64) -> Option<&Member> {
        self.members.get(usize::try_from(replica).ok()?)
    }

    pub(super) fn is_live(&self, replica: u64) -> bool {
        self.member(replica).is_some_and(|member| member.live)
    }

    pub(super) fn join(&mut self, replica: u64) {
        let unknown = self.config.settings().membership == Membership::Unknown;
        let step = self.step;
        let member = &mut self.members[replica as usize];
        let first = !std::mem::replace(&mut member.begun, true);
        member.lives += 1;
        (member.live, member.local_step, member.sequence, member.last) = (true, step, 0, None);
        if (first || unknown) && !self.awaits_chief() {
            self.hand_over(replica, step);
        } else {
            self.queue.extend((first || unknown).then_some(step));
            self.enter_line(replica);
            self.serve();
        }
    }

    pub(super) fn leave(&mut self, replica: u64) {
        let member = &mut self.members[replica as usize];
        (member.live, member.working, member.share) = (false, false, None);
        self.given.remove(&member.batch.take().unwrap_or(u64::MAX));
        self.line.retain(|&waiting| waiting != replica);
        if self.config.settings().membership == Membership::Unknown {
            self.members[replica as usize].held = None;
        } else {
            self.return_token(replica);
            self.serve();
        }
    }

    /// S-1, S-6: the fate of a new contribution that claims a step.
    pub(super) fn push(
        &mut self,
        replica: u64,
        sequence: u64,
        claims: i64,
        lanes: &[usize],
    ) -> Outcome {
        let member = &mut self.members[replica as usize];
        // Work for an earlier token, whose lease ended: this one is still to be used.
        let newer = member.held.is_some_and(|(token, _)| token > claims);
        let took = (member.working && !newer).then(|| self.now - member.began);
        (member.sequence, member.working, member.row) = (sequence, newer, 0);
        let share = member.share.take();
        let fresh = claims >= self.lanes[0].step;
        let duplicate = share.filter(|&share| fresh && !self.contribute(replica, share, claims));
        let outcome = match duplicate {
            Some(share) => Outcome::Duplicate { share },
            None => self.admit(replica, sequence, claims, lanes),
        };
        let member = &mut self.members[replica as usize];
        member.last = Some(outcome.clone());
        member.batch.take_if(|_| !newer);
        self.took.extend(took.filter(|_| outcome.is_accepted()));
        match outcome {
            Outcome::Accepted { .. } | Outcome::Partly { .. } => member.tally.accepted += 1,
            Outcome::Stale { .. } => member.tally.stale += 1,
            Outcome::Duplicate { .. } => member.tally.duplicates += 1,
            Outcome::NotFinite => panic!("nobody looks at gradients here"),
        }
        if duplicate.is_some() {
            self.return_token(replica);
        } else if !newer {
            self.members[replica as usize].held = None;
        }
        self.enter_line(replica);
        self.close_lanes();
        self.serve();
        outcome
    }

    fn admit(&mut self, replica: u64, sequence: u64, claims: i64, lanes: &[usize]) -> Outcome {
        let lives = self.members[replica as usize].lives;
        let mut accepted = Vec::new();
        for &at in lanes {
            let lane = &mut self.lanes[at];
            if claims >= lane.step {
                let contribution = (replica, lives, sequence);
                assert!(!lane.held.contains(&contribution), "S-6: {contribution:?} twice");
                lane.held.push(contribution);
                accepted.push(at);
            }
        }
        match (lanes.first(), accepted.last()) {
            (Some(&first), None) => Outcome::Stale {
                local_step: LocalStep::new(claims),
                global_step: GlobalStep::new(self.lanes[first].step),
            },
            (Some(_), Some(&last)) if accepted.len() == lanes.len() => {
                Outcome::Accepted { count: self.lanes[last].held.len() as u64 }
            }
            _ => Outcome::Partly { accepted },
        }
    }

    /// S-2: a lane closes with what it holds, as soon as that is A or more.
    pub(super) fn close_lanes(&mut self) {
        let needed = self.config.replicas_to_aggregate();
        if self.started.is_none() || self.stopped {
            return;
        }
        for (at, lane) in self.lanes.iter_mut().enumerate() {
            if !lane.taken && !lane.applied && lane.held.len() >= needed {
                let count = std::mem::take(&mut lane.held).len() as u64;
                (lane.step, lane.taken) = (lane.step + 1, true);
                self.effects.push(Want::Close { lane: at, count });
            }
        }
    }

    /// S-3: all lanes are updated, then the step moves, then its tokens go out.
    pub(super) fn applied(&mut self, at: usize) {
        let Some(lane) = self.lanes.get_mut(at).filter(|lane| lane.taken) else { return };
        (lane.taken, lane.applied) = (false, true);
        // An update that is made counts, also when training has ended meanwhile.
        if !self.lanes.iter().all(|lane| lane.applied) {
            return;
        }
        self.step += 1;
        self.advances += 1;
        self.wasted = false;
        (self.step_began, self.overdue) = (self.now, false);
        self.effects.push(Want::Advanced(self.step));
        self.contributed.clear();
        if self.config.settings().token_policy == TokenPolicy::DiscardLeftovers {
            self.queue.retain(|&token| token >= self.step);
        }
        self.queue.extend([self.step].repeat(self.config.tokens_per_step()));
        self.lanes.iter_mut().for_each(|lane| lane.applied = false);
        self.serve();
        self.close_lanes();
    }

    pub(super) fn stop(&mut self) {
        if !std::mem::replace(&mut self.stopped, true) {
            self.effects.push(Want::Ended);
        }
    }

    /// Compares an event's effects, and learns which share came with each grant.
    pub(super) fn settle(&mut self, effects: &[Effect]) {
        let wanted = std::mem::take(&mut self.effects);
        let got: Vec<Want> = effects.iter().filter_map(|effect| self.seen(effect)).collect();
        assert_eq!(got, wanted, "the effects");
        let order = self.config.settings().order;
        let mut shares = BTreeMap::<u64, u64>::new();
        for effect in effects {
            if let Effect::Grant(grant) = effect {
                let missing = self.contributed.len() < self.config.replicas_to_aggregate();
                let current = grant.local_step.get() == self.step;
                assert_eq!(
                    grant.share.is_some(),
                    order == SummationOrder::Replica && current && missing,
                    "a token of the present step has a share, as long as one is missing"
                );
                shares.extend(grant.share.map(|share| (grant.replica.get(), share)));
                self.numbered(grant);
            }
        }
        for share in shares.values() {
            assert!(!self.contributed.contains(share), "share {share} is in, and given out again");
        }
    }

    fn seen(&self, effect: &Effect) -> Option<Want> {
        let numbers = |ids: &[crate::ReplicaId]| ids.iter().map(|id| id.get()).collect();
        Some(match effect {
            Effect::Grant(grant) => Want::Grant {
                replica: grant.replica.get(),
                incarnation: grant.incarnation.get(),
                step: grant.local_step.get(),
            },
            Effect::Close { lane, count } => Want::Close { lane: *lane, count: *count },
            Effect::Advanced { global_step } => Want::Advanced(global_step.get()),
            Effect::TokenExpired { replica, cause } => Want::TokenExpired(replica.get(), *cause),
            Effect::Overdue(it) => Want::Overdue {
                step: it.global_step.get(),
                count: it.count,
                needed: it.needed,
                missing: numbers(&it.missing),
                waiting: numbers(&it.waiting),
            },
            Effect::Ended => Want::Ended,
            Effect::Superseded { replica } => {
                // P-13: only replicas whose work is superseded are told.
                let vain = self.member(replica.get()).is_some_and(|member| {
                    member.share.is_some_and(|share| self.is_in_vain(member, share))
                });
                assert!(vain, "{replica} is told to stop, but its work counts");
                return None;
            }
        })
    }
}
