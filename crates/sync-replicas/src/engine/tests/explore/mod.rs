//! Every state that the engine can get into, for a few replicas, a crash and a bad network.
//!
//! `world` is one state and what can happen in it, `laws` what must hold when something happened,
//! `key` what makes two states the same, `search` the breadth-first walk and the question whether
//! training can go on from everywhere. `cargo xtask explore` shows the numbers.
//!
//! A state is the real [`Engine`], what each replica does, and the messages between them. A message
//! that was sent may arrive at once, late, after later ones, again and again, or never; that it is
//! lost and sent again is the same as that it arrives late. Ages count, not step
//! numbers, so that the states are finitely many and the walk ends by itself: what holds, holds for
//! any number of steps.

mod key;
mod laws;
mod search;
mod sometimes;
mod world;

use super::*;
use search::{Found, explore};
use sometimes::Sometimes::{self, *};
use world::World;

/// Under which rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Preset {
    /// The front door's defaults.
    FrontDoor,
    /// The described system's rules, each variable admitted for itself.
    Reference,
}

/// Replicas, A, variables.
type Size = (usize, usize, usize);

fn settings_of(preset: Preset, (replicas, aggregate, _): Size) -> Settings {
    // A deadline only ends waits, and each asks again.
    let plain = Settings { step_deadline: None, ..settings(aggregate, replicas) };
    match preset {
        Preset::FrontDoor => plain,
        Preset::Reference => plain.reference(),
    }
}

/// Explores one configuration; what must happen somewhere in it does, and the rest does not.
#[track_caller]
fn check(preset: Preset, size: Size, must: &[Sometimes]) {
    let found: Found = explore(World::new(settings_of(preset, size), size.2));
    println!("explored {preset:?} {size:?} {found}");
    for &sometimes in must {
        assert!(found.hits.has(sometimes), "{sometimes:?} never happened: {found}");
    }
    let hangs_are_lawful = preset == Preset::Reference && must.contains(&Hang);
    assert_eq!(found.hits.has(Hang), hangs_are_lawful, "{found}");
}

/// What a bad network does to any of them.
const NETWORK: [Sometimes; 4] = [StaleDrop, Repeated, LateGrant, EarlierLife];
/// What leases and told replicas do.
const FRONT_DOOR: [Sometimes; 6] =
    [LeaseEnded, LeaverReturned, AbsentReplaced, Discarded, GivenUp, Unleased];

#[test]
fn the_front_door_with_two_of_two() {
    check(Preset::FrontDoor, (2, 2, 1), &[&NETWORK[..], &FRONT_DOOR].concat());
}

#[test]
fn the_front_door_with_a_backup() {
    check(Preset::FrontDoor, (3, 2, 1), &[&NETWORK[..], &FRONT_DOOR, &[BackupDrop]].concat());
}

#[test]
fn the_front_door_with_two_batches_a_step() {
    check(Preset::FrontDoor, (2, 4, 1), &[&NETWORK[..], &FRONT_DOOR].concat());
}

#[test]
fn the_reference_with_two_of_two() {
    check(Preset::Reference, (2, 2, 1), &[&NETWORK[..], &[TokenLost, Hang]].concat());
}

#[test]
fn the_reference_with_a_backup() {
    check(Preset::Reference, (3, 2, 1), &[&NETWORK[..], &[TokenLost, BackupDrop]].concat());
}

#[test]
fn the_reference_with_a_backup_and_two_variables() {
    // One death takes two tokens: half a push, and the token that came for it.
    let must = [&NETWORK[..], &[TokenLost, BackupDrop, Partly, Hang]].concat();
    check(Preset::Reference, (3, 2, 2), &must);
}

#[test]
fn the_reference_with_two_batches_a_step() {
    check(Preset::Reference, (2, 4, 1), &[&NETWORK[..], &[TokenLost, Hang]].concat());
}
