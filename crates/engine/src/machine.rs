//! The machine itself: one method an event, one effect list for the answers.
//!
//! The rules behind the events are in the files beside this one: admission, closing, tokens,
//! shares. Its invariants are in `validate.rs`.

use std::collections::VecDeque;
use std::time::Duration;

use accum_core::{GlobalStep, LocalStep};
use token_queue::{Token, Tokens};

use crate::batches::Batches;
use crate::config::{Admission, Config, InitialTokens, Membership, StartError, SummationOrder};
use crate::effect::{Decision, Effect, JoinError, Outcome, Push, Refused, StopReason};
use crate::lane::Lane;
use crate::leases::Leases;
use crate::ledger::TokenLedger;
use crate::members::{Member, Members};
use crate::shares::Shares;
use crate::{Generation, Incarnation, ReplicaId};

/// The synchronous step as a state machine.
///
/// Every event takes the time since some fixed origin, which must not go backwards, if it matters,
/// and a list to which its effects are appended.
// P-2 to P-14
#[derive(Clone, Debug)]
pub struct Engine {
    pub(crate) config: Config,
    pub(crate) generation: Generation,
    pub(crate) global_step: GlobalStep,
    pub(crate) lanes: Vec<Lane>,
    pub(crate) tokens: Tokens,
    pub(crate) line: VecDeque<ReplicaId>,
    pub(crate) members: Members,
    pub(crate) shares: Option<Shares>,
    pub(crate) batches: Batches,
    /// A step and the number of its first batch (replica order only).
    pub(crate) origin: (GlobalStep, u64),
    pub(crate) ledger: TokenLedger,
    pub(crate) chief_started: bool,
    /// Steps since the generation began.
    pub(crate) advances: u64,
    pub(crate) started: Duration,
    pub(crate) step_began: Duration,
    /// The step is past its deadline, and replicas, not the chief, are late.
    pub(crate) overdue: bool,
    pub(crate) stopped: Option<StopReason>,
    pub(crate) hooks: Option<AtHooks>,
    pub(crate) leases: Leases,
}

/// The chief is calling hooks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AtHooks {
    /// The replica whose thread it is on.
    pub(crate) replica: Option<ReplicaId>,
    pub(crate) since: Duration,
}

impl Engine {
    /// An engine before its chief has started: replicas may join and push, no step closes yet.
    ///
    /// `variables` is the number of variables with a gradient: with per-variable admission each
    /// has a lane, else there is one lane for all. All lanes begin at `global_step`.
    #[must_use]
    pub fn new(
        config: Config,
        variables: usize,
        global_step: GlobalStep,
        generation: Generation,
    ) -> Self {
        let lanes = match config.settings().admission {
            Admission::Together => 1,
            Admission::PerVariable => variables.max(1),
        };
        let (aggregate, total) = (config.replicas_to_aggregate(), config.total_num_replicas());
        let shares = (config.settings().order == SummationOrder::Replica)
            .then(|| Shares::new(aggregate, total));
        Self {
            generation,
            global_step,
            lanes: vec![Lane::at(global_step); lanes],
            tokens: Tokens::new(),
            line: VecDeque::new(),
            members: Members::new(total),
            shares,
            batches: Batches::new(total),
            // Below 0 too, no number comes twice.
            origin: (global_step.min(GlobalStep::default()), 0),
            ledger: TokenLedger::default(),
            chief_started: false,
            advances: 0,
            started: Duration::ZERO,
            step_began: Duration::ZERO,
            overdue: false,
            stopped: None,
            hooks: None,
            leases: Leases::default(),
            config,
        }
    }

    /// Says how many variables have a gradient. With all-or-nothing admission there is one lane
    /// whatever the number. Once something was pushed, lanes are only added: one added while an
    /// update is under way has a part in the next step.
    pub fn set_lanes(&mut self, variables: usize) {
        if self.config.settings().admission == Admission::Together {
            return;
        }
        if self.lanes.iter().all(Lane::is_untouched) {
            self.lanes = vec![Lane::at(self.global_step); variables.max(1)];
            return;
        }
        let added = match self.is_updating() {
            true => Lane::applied_at(self.open_step()),
            false => Lane::at(self.global_step),
        };
        self.lanes.resize(variables.max(self.lanes.len()), added);
    }

    /// The chief starts: puts the initial tokens, and from now on steps close.
    ///
    /// # Errors
    /// [`StartError::TooFewTokens`]; nothing has started then.
    //
    pub fn start_chief(
        &mut self,
        initial: InitialTokens,
        now: Duration,
        effects: &mut Vec<Effect>,
    ) -> Result<usize, StartError> {
        let count = self.config.initial_tokens(initial)?;
        self.put_tokens(count);
        self.chief_started = true;
        (self.started, self.step_began, self.overdue) = (now, now, false);
        self.close_lanes(effects);
        self.serve_line(now, effects);
        Ok(count)
    }

    /// A replica comes.
    ///
    /// In its first life it may begin at once: it holds a token of the current step, which is
    /// TensorFlow's first step without a token, made leasable. When it comes back, its old
    /// token has long been given to others, so it waits in line for one (P-9); the `reference`
    /// preset lets it begin at once again.
    ///
    /// # Errors
    /// [`JoinError`]; nothing changed.
    pub fn join(
        &mut self,
        replica: ReplicaId,
        now: Duration,
        effects: &mut Vec<Effect>,
    ) -> Result<Incarnation, JoinError> {
        if self.stopped.is_some() {
            return Err(JoinError::Ended);
        }
        let unknown = self.config.settings().membership == Membership::Unknown;
        let (member, first) = self.members.join(replica)?;
        let incarnation = member.incarnation;
        member.local_step = LocalStep::from(self.global_step);
        let has_own = first || unknown;
        if has_own && !self.awaits_chief() {
            self.ledger.issued += 1;
            self.hand_over(replica, Token::new(self.global_step.get()), now, effects);
        } else {
            self.put_tokens(usize::from(has_own));
            self.enter_line(replica);
            self.serve_line(now, effects);
        }
        Ok(incarnation)
    }

    /// A replica asks for a token, if it does not wait or hold one already.
    ///
    /// # Errors
    /// [`Refused`] when training has ended or it is no member.
    pub fn request(
        &mut self,
        replica: ReplicaId,
        incarnation: Incarnation,
        now: Duration,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refused> {
        self.running()?;
        let member = self.live(replica, incarnation)?;
        if member.held.is_none() {
            self.enter_line(replica);
            self.serve_line(now, effects);
        }
        Ok(())
    }

    /// Whether the sender of a push may push at all, fresh or stale.
    ///
    /// # Errors
    /// As [`Engine::push`].
    pub fn vet(&self, push: &Push) -> Result<(), Refused> {
        self.running()?;
        if push.generation != self.generation {
            return Err(Refused::Generation { expected: self.generation, got: push.generation });
        }
        if push.lanes.as_ref().is_some_and(Vec::is_empty) {
            return Err(Refused::Empty);
        }
        let lanes = self.lanes.len();
        if let Some(&lane) = push.lanes.iter().flatten().find(|&&lane| lane >= lanes) {
            return Err(Refused::Lane { lane, lanes });
        }
        let (replica, incarnation) = (push.replica, push.incarnation);
        match self.members.get(replica) {
            Some(member) if member.live && member.incarnation == incarnation => Ok(()),
            _ => Err(Refused::NotJoined { replica, incarnation }),
        }
    }

    /// A replica pushes its gradients, spends its token, and waits in line for the next.
    ///
    /// The [`Decision`] says whether they count. A push that completes a step answers
    /// [`Effect::Close`].
    ///
    /// # Errors
    /// [`Refused`]; nothing changed. Staleness is no error.
    //
    pub fn push(
        &mut self,
        push: &Push,
        now: Duration,
        effects: &mut Vec<Effect>,
    ) -> Result<Decision, Refused> {
        self.vet(push)?;
        let member = self.live(push.replica, push.incarnation)?;
        if let Some((sequence, outcome)) = &member.last
            && push.sequence <= *sequence
        {
            // P-15: the first answer stands, and its gradients are there already.
            return Ok(Decision { outcome: outcome.clone(), repeated: true });
        }
        let (outcome, step) = (self.admit(push, effects), self.global_step.get());
        let member = self.live(push.replica, push.incarnation)?;
        member.last = Some((push.sequence, outcome.clone()));
        member.not_finite_in_row = 0;
        let worked = member.working;
        member.working = member.held.is_some_and(|held| held.is_newer(push.local_step));
        match &outcome {
            // Work for an earlier token: the batch in hand is another.
            _ if member.working => {}
            outcome if outcome.is_accepted() => member.contribute(step),
            _ => member.batch = None,
        }
        let took = (worked && !member.working && outcome.is_accepted())
            .then(|| now.saturating_sub(member.began));
        match &outcome {
            Outcome::Accepted { .. } | Outcome::Partly { .. } => member.tally.accepted += 1,
            Outcome::Stale { .. } => member.tally.stale += 1,
            Outcome::Duplicate { .. } => member.tally.duplicates += 1,
            // Never from here: such a one is not pushed.
            Outcome::NotFinite => {}
        }
        if matches!(outcome, Outcome::Duplicate { .. }) {
            // It added nothing to the step, so its token still must.
            self.return_token(push.replica);
        } else if member.held.take_if(|held| !held.is_newer(push.local_step)).is_some() {
            self.ledger.spent += 1;
        }
        took.into_iter().for_each(|took| self.leases.came_back(took));
        self.enter_line(push.replica);
        self.close_lanes(effects);
        self.serve_line(now, effects);
        Ok(Decision { outcome, repeated: false })
    }

    /// A replica leaves, dies, or is found dead: its token goes to another. Says whether it was
    /// there.
    // P-2, P-5
    pub fn leave(
        &mut self,
        replica: ReplicaId,
        incarnation: Incarnation,
        now: Duration,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let Some(member) = self.members.live_mut(replica, incarnation) else { return false };
        member.live = false;
        member.working = false;
        // Its batch was not computed, or its gradient will never arrive.
        self.batches.give_again(member.batch.take());
        if std::mem::take(&mut member.waiting) {
            self.line.retain(|&waiting| waiting != replica);
        }
        self.drop_work(replica);
        if self.config.settings().membership == Membership::Unknown {
            // TensorFlow knows no leaving: the token is lost (P-16).
            if self.members.get_mut(replica).and_then(|member| member.held.take()).is_some() {
                self.ledger.lost += 1;
            }
        } else {
            self.return_token(replica);
            self.serve_line(now, effects);
        }
        true
    }

    /// The variables of a lane are updated. After the last lane the global step moves, then the
    /// tokens go out, even if training has ended meanwhile: an update that is made counts. Reports
    /// of lanes that were not closed are ignored.
    //
    pub fn applied(&mut self, lane: usize, now: Duration, effects: &mut Vec<Effect>) {
        if !self.lanes.get_mut(lane).is_some_and(Lane::finish) {
            return;
        }
        if self.lanes.iter().all(Lane::is_applied) {
            self.advance(now, effects);
        }
    }

    /// The variables of all closed lanes are updated: [`Engine::applied`] for each.
    pub fn updated(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        // Which ones, before the step moves: it may close lanes of the next step.
        let last = self.lanes.iter().rposition(Lane::is_taken);
        for lane in 0..last.map_or(0, |last| last + 1) {
            self.applied(lane, now, effects);
        }
    }

    /// Training ends, now: every wait ends with it. The first reason stands.
    // P-1, P-2
    pub fn stop(&mut self, reason: StopReason, effects: &mut Vec<Effect>) {
        if self.stopped.is_none() {
            self.stopped = Some(reason);
            effects.push(Effect::Ended);
        }
    }

    /// Sets the step of everything, for a restore: a new generation begins, whose ledger is empty,
    /// and every replica that had joined must join again. Batches that are in no update are given
    /// again, unless [`Engine::set_positions`] says otherwise. Its number is above the present one
    /// and above `after`, that of the state restored.
    // P-9
    pub fn restore(&mut self, global_step: GlobalStep, after: Generation, lanes: usize) {
        let next = self.generation.max(after).next();
        let (members, hooks) = (self.members.next_generation(), self.hooks.take());
        let positions = self.positions(self.global_step);
        let batches = Batches::at(&positions, self.config.total_num_replicas());
        let (origin, first) = self.origin;
        *self = Self::new(self.config.clone(), lanes, global_step, next);
        (self.batches, self.origin) = (batches, (origin.min(global_step), first));
        if let Some(shares) = &mut self.shares {
            shares.set_skipped(&positions.skipped);
        }
        // Hooks outlive the generation: it may be one of them that restores.
        (self.members, self.hooks) = (members, hooks);
    }

    pub(crate) fn running(&self) -> Result<(), Refused> {
        if self.stopped.is_some() { Err(Refused::Ended) } else { Ok(()) }
    }

    pub(crate) fn live(
        &mut self,
        replica: ReplicaId,
        incarnation: Incarnation,
    ) -> Result<&mut Member, Refused> {
        self.members
            .live_mut(replica, incarnation)
            .ok_or(Refused::NotJoined { replica, incarnation })
    }
}
