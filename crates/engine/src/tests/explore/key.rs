//! When two states are the same: everything that decides what can follow, and no more.
//!
//! Steps count as ages, since a step that is over is over for ever; times, tallies and the numbers
//! of batches and contributions decide nothing. The key is exact, not a hash.

use super::world::{Phase, Replica, World};
use super::*;

pub(super) fn key(world: &World) -> Box<[u8]> {
    let engine = &world.engine;
    let now = engine.global_step().get();
    let age = |step: i64| u8::from(step < now);
    let mut key = Vec::with_capacity(64);
    for (number, lane) in engine.lanes.iter().enumerate() {
        let fresh = lane.is_fresh(LocalStep::from(engine.global_step()));
        let round = u8::from(lane.is_taken()) + 2 * u8::from(lane.is_applied());
        let due = world.due.iter().position(|&due| due == number).map_or(0, |at| at as u8 + 1);
        key.extend([lane.count() as u8, u8::from(fresh), round, due]);
    }
    key.push(engine.tokens.len() as u8);
    key.extend(engine.tokens.iter().map(|token| age(token.step())));
    let all_begun = engine.members.iter().all(|(_, member)| member.begun);
    // Only the first step makes up for those who never come.
    key.push(u8::from(!all_begun && engine.advances == 0));
    key.extend([u8::from(world.may_crash), u8::from(world.has_leases())]);
    if !world.has_leases() {
        key.extend([world.of_step as u8, world.lost as u8]);
    }
    // Replicas are alike: it does not matter which is in which state.
    let mut replicas: Vec<Vec<u8>> = world.replicas.iter().map(|it| part(world, it)).collect();
    replicas.sort();
    key.extend(replicas.concat());
    key.into_boxed_slice()
}

/// One replica, as the engine sees it and as it is.
fn part(world: &World, replica: &Replica) -> Vec<u8> {
    let engine = &world.engine;
    let now = engine.global_step().get();
    let age = |step: i64| u8::from(step < now);
    let member = engine.members.get(replica.id).expect("it is one of them");
    let flags = [member.begun, member.live, member.waiting, member.working];
    let flags = flags.iter().fold(0, |bits, &flag| bits * 2 + u8::from(flag));
    let held = member.held.map_or(2, |held| age(held.token.step()));
    let told = age(member.local_step.get()) + 2 * u8::from(member.last.is_some());
    let place = engine.line.iter().position(|&waiting| waiting == replica.id);
    let place = place.map_or(0, |place| place as u8 + 1);
    let phase = match replica.phase {
        Phase::Away => 0,
        Phase::Waits => 1,
        Phase::Works(step) => 2 + age(step.get()),
        Phase::Dead => 4,
    };
    let mut part = vec![flags, held, told, place, phase, replica.grants.len() as u8];
    part.extend(replica.grants.iter().map(|(_, step)| age(step.get())));
    part.push(replica.pushes.len() as u8);
    let pushes = replica.pushes.iter();
    part.extend(pushes.map(|it| 2 * u8::from(it.lanes.is_some()) + age(it.local_step.get())));
    part.push(u8::from(replica.arrived.is_some()) + 2 * u8::from(replica.earlier.is_some()));
    part
}
