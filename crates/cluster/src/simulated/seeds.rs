//! The seeds, each played in its own process: a seed's result then depends on nothing played before
//! it, and a failed one can be looked at again.
//!
//! With `tokio_unstable`, as in `cargo xtask sim --cluster`, everything is drawn from the seed;
//! otherwise about one seed in a hundred occasionally plays differently.

use std::ops::Range;
use std::process::Command;
use std::sync::Mutex;
use std::thread;

use super::faults::Draw;
use super::program::Plan;
use super::{play, play_plan};

/// A few, for an ordinary run of the tests.
const SEEDS: Range<u64> = 0..4;
/// Chooses others, as A..B; a single one is played in this very process, and reported.
const VARIABLE: &str = "SYNC_REPLICAS_CLUSTER_SEEDS";
/// The test below, by its full name.
const TEST: &str = "simulated::seeds::whole_clusters_live_through_faults";

fn chosen() -> Range<u64> {
    let Ok(given) = std::env::var(VARIABLE) else { return SEEDS };
    let range = given
        .split_once("..")
        .and_then(|(from, to)| Some(from.trim().parse().ok()?..to.trim().parse().ok()?));
    range.unwrap_or_else(|| panic!("{VARIABLE} is {given:?}; expected A..B"))
}

/// The output of a process that plays this seed, and whether it passed.
fn play_apart(seed: u64) -> (String, bool) {
    let program = std::env::current_exe().expect("this program has a name");
    let played = Command::new(program)
        .args([TEST, "--exact", "--nocapture"])
        .env(VARIABLE, format!("{seed}..{}", seed + 1))
        .output()
        .expect("it can be started again");
    let said = String::from_utf8_lossy(&played.stdout);
    // The last line has how long it took.
    let lines = said.lines().filter(|line| !line.starts_with("test result"));
    (lines.map(|line| format!("{line}\n")).collect(), played.status.success())
}

/// Calls `run` for every seed, on all cores.
fn for_each(seeds: Range<u64>, run: impl Fn(u64) + Sync) {
    let next = Mutex::new(seeds);
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(seed) = { next.lock().expect("nobody panics with it").next() } {
                    run(seed);
                }
            });
        }
    });
}

/// P-1 to P-15 over the network, among faults and after them.
#[test]
fn whole_clusters_live_through_faults() {
    let seeds = chosen();
    if seeds.end - seeds.start == 1 {
        let (trace, result) = play(seeds.start);
        println!("{trace}");
        return result.expect("it passes");
    }
    let failed = Mutex::new(Vec::new());
    for_each(seeds.clone(), |seed| {
        let (said, passed) = play_apart(seed);
        if !passed {
            let this = format!("{seed}..{}", seed + 1);
            println!("{said}\nseed {seed} failed; cargo xtask sim --cluster --seeds {this}");
            failed.lock().expect("nobody panics with it").push(seed);
        }
    });
    let failed = failed.into_inner().expect("nobody panics with it");
    assert!(failed.is_empty(), "{} of {seeds:?} failed: {failed:?}", failed.len());
}

/// P-22: a hundred workers among faults, and room for few of what they send.
#[test]
#[ignore = "it takes minutes; it runs every night"]
fn a_hundred_workers_live_through_faults() {
    let plan = Plan {
        ps: 4,
        workers: 100,
        aggregate: 96,
        last_step: 20,
        staging: Some(10),
        servers_have_program: true,
    };
    let (trace, result) = play_plan(0, plan, &mut Draw::new(0));
    println!("{trace}");
    result.expect("it passes");
}

#[cfg(tokio_unstable)]
#[test]
fn a_seed_gives_the_same_trace_twice() {
    for_each(80..82, |seed| {
        let (first, second) = (play_apart(seed), play_apart(seed));
        let differ = first.0.lines().zip(second.0.lines()).find(|(one, other)| one != other);
        assert!(first == second, "seed {seed}: {differ:?}");
        assert!(first.0.contains("generation, step"), "it tells what happened: {}", first.0);
    });
}
