//! What is done to processes: killed, paused, sent away, replaced; and servers crashed.

use std::time::Duration;

use cluster::driver::client::protocol::Departure;

use super::{Phase, World};
use crate::happenings::Happening;
use crate::process::State;
use crate::stage::{Event, ToServer};

/// How long a process stays away, on average.
const ABSENCE: Duration = Duration::from_millis(350);

/// How long a connection may be silent before it is closed.
const SILENCE: Duration = Duration::from_secs(2);

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
            let replica = self.stage.dice.between(0, self.newest.len() as u64 - 1) as usize;
            let process = self.newest[replica].filter(|&it| self.processes[it].is_live());
            match (chosen.map(|(mischief, _)| *mischief), process) {
                (Some(Mischief::Crash), _) => self.crash(),
                (Some(Mischief::Kill), Some(process)) => self.kill(process),
                (Some(Mischief::Pause), Some(process)) => self.pause(process),
                (Some(Mischief::Leave), Some(process)) => self.send_away(process),
                (Some(Mischief::Suspect), Some(_)) => self.replace(replica),
                _ => {}
            }
        }
        let next = self.stage.dice.exponential(faults.every);
        self.stage.events.after(next, Event::Mischief);
    }

    fn kill(&mut self, process: usize) {
        let happening = self.moment_of_death(process);
        self.stage.happened(happening);
        self.processes[process].die();
        let noticed = self.stage.dice.chance(self.stage.mix.faults.noticed);
        for line in self.stage.network.lines(|line| line.process == process) {
            if noticed {
                self.stage.break_off(line);
            } else {
                self.stage.network.close(line);
                // Its server finds out when nothing answers.
                self.stage.events.after(SILENCE, Event::ToServer(line, ToServer::Closed));
            }
        }
        if noticed {
            self.stage.happened(Happening::Noticed);
        }
        self.come_back(self.processes[process].replica, Happening::Restarted);
    }

    /// What it was doing: each moment is a separate crash point.
    fn moment_of_death(&self, process: usize) -> Happening {
        let process = &self.processes[process];
        let id = process.replica as u64;
        let holds_token = self.servers.leader.as_ref().is_some_and(|leader| {
            leader.coordinator.status(self.stage.now()).waiting_for.iter().any(|it| it.0 == id)
        });
        let decided = |by| self.stage.witnesses.is_decided(by);
        match &process.state {
            State::Waiting if !process.is_member() => Happening::KilledJoining,
            State::Waiting if process.is_giving_up() => Happening::KilledGivingUp,
            State::Waiting if holds_token => Happening::KilledGranted,
            State::Computing(_) => Happening::KilledComputing,
            State::Pushing if process.pushing.is_some_and(decided) => Happening::KilledUnanswered,
            State::Pushing => Happening::KilledPushing,
            _ => Happening::KilledWaiting,
        }
    }

    /// Most come back, sooner or later.
    fn come_back(&mut self, replica: usize, happening: Happening) {
        if self.stage.dice.chance(0.85) {
            self.stage.happened(happening);
            let absence = self.stage.dice.exponential(ABSENCE);
            self.stage.events.after(absence, Event::Restart { replica });
        }
    }

    /// Longer than a lease, if there is one.
    fn pause(&mut self, process: usize) {
        if std::mem::replace(&mut self.processes[process].paused, true) {
            return;
        }
        self.stage.happened(Happening::Paused);
        let lease = self.stage.mix.config.settings().lease.unwrap_or(ABSENCE);
        let pause = lease + self.stage.dice.exponential(ABSENCE);
        self.stage.events.after(pause, Event::Resume { process });
    }

    fn send_away(&mut self, process: usize) {
        if self.processes[process].paused || self.processes[process].state == State::Done {
            return;
        }
        self.stage.happened(Happening::LeftInPeace);
        // Where all have left for good training ends, so another must stay.
        let others = self.present().filter(|it| it.stays()).count() > 1;
        let for_good = others && self.stage.dice.chance(0.3);
        let departure = if for_good { Departure::Done } else { Departure::ForNow };
        self.processes[process].leave(departure, &mut self.stage);
        let replica = self.processes[process].replica;
        let absence = self.stage.dice.exponential(ABSENCE * 2);
        self.stage.events.after(absence, Event::Restart { replica });
    }

    /// The watcher of the replica takes it for dead, wrongly, and starts another process; perhaps
    /// since it is cut off, and its connections break.
    fn replace(&mut self, replica: usize) {
        let Some(earlier) = self.newest[replica].filter(|&it| self.processes[it].is_member())
        else {
            return;
        };
        self.stage.happened(Happening::Suspected);
        if self.stage.dice.chance(0.5) {
            for line in self.stage.network.lines(|line| line.process == earlier) {
                self.stage.break_off(line);
            }
        }
        self.start(replica);
    }

    /// The watcher that has started a second process of a replica ends the first.
    pub(super) fn end_earlier(&mut self) {
        for index in 0..self.processes.len() {
            let process = &self.processes[index];
            if process.is_live() && self.newest[process.replica] != Some(index) {
                self.processes[index].die();
                for line in self.stage.network.lines(|line| line.process == index) {
                    self.stage.break_off(line);
                }
            }
        }
    }

    fn crash(&mut self) {
        let server = self.stage.dice.between(0, self.stage.mix.servers as u64 - 1) as usize;
        let leader = self.servers.leader.as_ref();
        let saving = leader.is_some_and(|leader| leader.gathering.is_some());
        let updating = leader.is_some_and(|leader| leader.updating > 0);
        let step = leader.map(|leader| leader.coordinator.global_step());
        if !self.servers.crash(server, &mut self.stage) {
            return;
        }
        self.stage.happened(Happening::Crashed);
        if saving {
            self.stage.happened(Happening::CrashedWhileSaving);
        }
        if updating {
            self.stage.happened(Happening::CrashedInUpdate);
        }
        if step.is_some_and(|step| step > self.servers.saved_step()) {
            self.stage.happened(Happening::StepsLost);
        }
        let absence = self.stage.dice.exponential(ABSENCE);
        self.stage.events.after(absence, Event::ServerRestart { server });
    }
}
