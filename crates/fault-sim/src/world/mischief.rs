//! What is done to processes: killed, paused, sent away, suspected; and the server crashed.

use std::time::Duration;

use super::{Phase, World};
use crate::client::State;
use crate::happenings::Happening;
use crate::message::Request;
use crate::stage::Event;

/// How long somebody stays away, on average.
const ABSENCE: Duration = Duration::from_millis(350);

#[derive(Clone, Copy, Debug)]
enum Mischief {
    Kill,
    Pause,
    Leave,
    Crash,
    Suspect,
}

impl World {
    pub(super) fn mischief(&mut self) {
        if self.phase != Phase::Safety {
            return;
        }
        let faults = self.stage.mix.faults;
        let weights = [
            (Mischief::Kill, faults.kill),
            (Mischief::Pause, faults.pause),
            (Mischief::Leave, faults.leave),
            (Mischief::Crash, faults.crash),
            (Mischief::Suspect, faults.suspect),
        ];
        let all: f64 = weights.iter().map(|(_, weight)| weight).sum();
        if all > 0.0 {
            let mut drawn = self.stage.dice.up_to(all);
            let chosen = weights.iter().find(|(_, weight)| {
                drawn -= weight;
                drawn < 0.0
            });
            let replica = self.stage.dice.between(0, self.clients.len() as u64 - 1) as usize;
            match chosen.map(|(mischief, _)| *mischief) {
                Some(Mischief::Crash) => self.crash(),
                Some(mischief) if self.clients[replica].is_live() => match mischief {
                    Mischief::Kill => self.kill(replica),
                    Mischief::Pause => self.pause(replica),
                    Mischief::Leave => self.send_away(replica),
                    _ => self.suspect(replica),
                },
                _ => {}
            }
        }
        let next = self.stage.dice.exponential(faults.every);
        self.stage.agenda.after(next, Event::Mischief);
    }

    fn kill(&mut self, replica: usize) {
        let happening = self.moment_of_death(replica);
        self.stage.happened(happening);
        let ticket = self.clients[replica].die();
        if let Some(ticket) =
            ticket.filter(|_| self.stage.dice.chance(self.stage.mix.faults.noticed))
        {
            self.stage.happened(Happening::Noticed);
            self.stage.send_request(replica, &Request::Dead { ticket });
        }
        self.come_back(replica, Happening::Restarted);
    }

    /// What it was at: each moment is a crash point of its own.
    fn moment_of_death(&self, replica: usize) -> Happening {
        let (client, server) = (&self.clients[replica], self.server.as_ref());
        let sequence = client.sequence();
        match (&client.state, client.ticket) {
            (State::Asking, Some(_))
                if server.is_some_and(|server| server.has_granted(replica, sequence)) =>
            {
                Happening::KilledGranted
            }
            (State::Asking, _) => Happening::KilledWaiting,
            (State::Computing(_), _) => Happening::KilledComputing,
            (State::Pushing(..), Some(ticket))
                if server.is_some_and(|server| server.has_done(replica, ticket, sequence)) =>
            {
                Happening::KilledUnanswered
            }
            (State::Pushing(..), _) => Happening::KilledPushing,
            (State::GivingUp { .. }, _) => Happening::KilledGivingUp,
            _ => Happening::KilledJoining,
        }
    }

    /// Most come back, sooner or later.
    fn come_back(&mut self, replica: usize, happening: Happening) {
        if self.stage.dice.chance(0.85) {
            self.stage.happened(happening);
            let absence = self.stage.dice.exponential(ABSENCE);
            self.stage.agenda.after(absence, Event::Restart { replica });
        }
    }

    /// Longer than a lease, if there is one.
    fn pause(&mut self, replica: usize) {
        if std::mem::replace(&mut self.clients[replica].paused, true) {
            return;
        }
        self.stage.happened(Happening::Paused);
        let lease = self.stage.mix.config.settings().lease.unwrap_or(ABSENCE);
        let pause = lease + self.stage.dice.exponential(ABSENCE);
        self.stage.agenda.after(pause, Event::Resume { replica });
    }

    fn send_away(&mut self, replica: usize) {
        if self.clients[replica].paused || self.clients[replica].ticket.is_none() {
            return;
        }
        self.stage.happened(Happening::LeftInPeace);
        self.clients[replica].leave(&mut self.stage);
        let absence = self.stage.dice.exponential(ABSENCE * 2);
        self.stage.agenda.after(absence, Event::Restart { replica });
    }

    /// Whoever watches the replica takes it for dead, wrongly.
    fn suspect(&mut self, replica: usize) {
        if let Some(ticket) = self.clients[replica].ticket {
            self.stage.happened(Happening::Suspected);
            self.stage.send_request(replica, &Request::Dead { ticket });
        }
    }

    fn crash(&mut self) {
        let Some(server) = self.server.take() else { return };
        self.stage.happened(Happening::Crashed);
        if self.saving {
            self.stage.happened(Happening::CrashedWhileSaving);
        }
        if server.is_updating() {
            self.stage.happened(Happening::CrashedInUpdate);
        }
        let saved = self.disk.as_ref().map(|saved| saved.global_step);
        if saved.is_some_and(|step| step < server.engine.global_step()) {
            self.stage.happened(Happening::StepsLost);
        }
        let absence = self.stage.dice.exponential(ABSENCE);
        self.stage.agenda.after(absence, Event::ServerRestart);
    }
}
