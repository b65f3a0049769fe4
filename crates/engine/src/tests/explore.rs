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
//! any number of steps. The walk of leases with variables that are each admitted for themselves
//! takes as long as all others together, and is cut short unless it is asked for 60 events.
//!
//! With the other tests only the smallest walk of each preset ends; the rest are cut short there,
//! and go all the way by the command.

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
    /// The front door's defaults: all variables of a push are admitted together, in one lane.
    FrontDoor,
    /// The same, with leases too, but each variable admitted for itself.
    FrontDoorPerVariable,
    /// TensorFlow's rules, each variable admitted for itself.
    Reference,
}

/// Replicas, A, variables.
type Size = (usize, usize, usize);

fn settings_of(preset: Preset, (replicas, aggregate, _): Size) -> Settings {
    // A deadline only ends waits, and each asks again; a token that is taken back since its
    // replica worked for too long is one whose lease has ended.
    let step_timeout = StepTimeout::Never;
    let plain = Settings { step_deadline: None, step_timeout, ..settings(aggregate, replicas) };
    match preset {
        Preset::FrontDoor => plain,
        Preset::FrontDoorPerVariable => Settings { admission: Admission::PerVariable, ..plain },
        Preset::Reference => plain.reference(),
    }
}

/// How many events the longest walk has; set by the command alone.
fn asked() -> Option<u32> {
    let text = std::env::var("EXPLORE_STEPS").ok()?;
    Some(text.parse().expect("EXPLORE_STEPS is a number of events"))
}

/// Explores one configuration, or its beginning where the command did not ask for all.
#[track_caller]
fn check_long(preset: Preset, size: Size, must: &[Sometimes]) {
    match asked() {
        Some(_) => check(preset, size, must),
        None => drop(walk(Some(BRIEF), preset, size)),
    }
}

/// Explores one configuration; what must happen somewhere in it does, and the rest does not.
#[track_caller]
fn check(preset: Preset, size: Size, must: &[Sometimes]) {
    let found = walk(None, preset, size);
    let hangs_are_lawful = preset == Preset::Reference && must.contains(&Hang);
    check_found(&found, must, hangs_are_lawful);
}

#[track_caller]
fn check_found(found: &Found, must: &[Sometimes], may_hang: bool) {
    for &sometimes in must {
        assert!(found.hits.has(sometimes), "{sometimes:?} never happened: {found}");
    }
    assert_eq!(found.hits.has(Hang), may_hang, "{found}");
}

#[track_caller]
fn walk(bound: Option<u32>, preset: Preset, size: Size) -> Found {
    let found = explore(World::new(settings_of(preset, size), size.2), bound);
    println!("explored {preset:?} {size:?} {found}");
    found
}

/// Events of the longest history in a walk that is cut short.
const BRIEF: u32 = 12;

/// What a bad network and a stop do to any of them.
const NETWORK: [Sometimes; 5] = [StaleDrop, Repeated, LateGrant, EarlierLife, StoppedInUpdate];
/// What leases and told replicas do.
const FRONT_DOOR: [Sometimes; 6] =
    [LeaseEnded, LeaverReturned, AbsentReplaced, Discarded, GivenUp, Unleased];

#[test]
fn the_front_door_with_two_of_two() {
    check(Preset::FrontDoor, (2, 2, 1), &[&NETWORK[..], &FRONT_DOOR].concat());
}

#[test]
fn the_front_door_with_a_backup() {
    check_long(Preset::FrontDoor, (3, 2, 1), &[&NETWORK[..], &FRONT_DOOR, &[BackupDrop]].concat());
}

#[test]
fn the_front_door_with_two_batches_a_step() {
    check_long(Preset::FrontDoor, (2, 4, 1), &[&NETWORK[..], &FRONT_DOOR].concat());
}

#[test]
fn the_front_door_has_one_lane_for_any_number_of_variables() {
    let lanes = |variables| {
        World::new(settings_of(Preset::FrontDoor, (3, 2, variables)), variables).engine.num_lanes()
    };
    assert_eq!((lanes(1), lanes(2)), (1, 1));
    println!("explored FrontDoor (3, 2, 2) is FrontDoor (3, 2, 1): one lane for both variables");
}

#[test]
fn the_front_door_with_two_variables_each_admitted_for_itself() {
    let found = walk(Some(asked().unwrap_or(BRIEF)), Preset::FrontDoorPerVariable, (3, 2, 2));
    if asked().is_some() {
        check_found(&found, &[&NETWORK[..], &FRONT_DOOR, &[BackupDrop, Partly]].concat(), false);
    }
}

#[test]
fn the_reference_with_two_of_two() {
    check(Preset::Reference, (2, 2, 1), &[&NETWORK[..], &[TokenLost, Hang]].concat());
}

#[test]
fn the_reference_with_a_backup() {
    check_long(Preset::Reference, (3, 2, 1), &[&NETWORK[..], &[TokenLost, BackupDrop]].concat());
}

#[test]
fn the_reference_with_a_backup_and_two_variables() {
    // One death takes two tokens: half a push, and the token that came for it.
    let must = [&NETWORK[..], &[TokenLost, BackupDrop, Partly, Hang]].concat();
    check_long(Preset::Reference, (3, 2, 2), &must);
}

#[test]
fn the_reference_with_two_batches_a_step() {
    check_long(Preset::Reference, (2, 4, 1), &[&NETWORK[..], &[TokenLost, Hang]].concat());
}
