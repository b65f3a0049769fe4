//! A shard sums the same in whatever batches the coordinator's decisions come (P-14, P-22).

use cluster::driver::coordinator::{Decision, ShardCommand};
use cluster::driver::index::VariableIndex;
use cluster::driver::placement::Placement;
use cluster::driver::shard::ShardSettings;
use sync_replicas::engine::Admission;

use crate::support::{contribution, gradients, optimizers, shapes, shards, stage, variables};

/// Draws numbers below a limit (SplitMix64).
fn dice(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut state = seed;
    move |limit| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

/// The decisions of a step on as many contributions: most count, for all variables or for some.
fn decisions(
    replicas: u64,
    step: u64,
    some: bool,
    mut below: impl FnMut(u64) -> u64,
) -> Vec<Decision> {
    let decide = |replica| {
        let contribution = contribution(replica, step);
        match below(5) {
            0 if replica > 0 => Decision::Discard(contribution),
            1 if some && replica > 0 => Decision::Admit {
                contribution,
                key: below(100),
                variables: Some([0, 2].map(VariableIndex::new).into()),
            },
            _ => Decision::Admit { contribution, key: below(100), variables: None },
        }
    };
    (0..replicas).map(decide).collect()
}

/// The hash of the variables after some steps, whose decisions `cut` has leave in batches: of so
/// many that are left, how many go now, none for what goes with the update.
fn run(seed: u64, mut cut: impl FnMut(usize) -> usize) -> Vec<String> {
    let mut below = dice(seed);
    let ordered = below(2) == 0;
    let admission = [Admission::Together, Admission::PerVariable][below(2) as usize];
    let some = admission == Admission::PerVariable;
    let (initial, replicas) = (variables(), 2 + below(7));
    let placement = Placement::new(&shapes(&initial), 4, 2);
    let settings = ShardSettings { ordered, admission, ..Default::default() };
    let mut shards = shards(&placement, &initial, || optimizers().remove(0), &settings);
    for step in 1..=3 {
        let mut left = decisions(replicas, step, some, &mut below);
        for shard in &mut shards {
            for replica in 0..replicas {
                stage(shard, contribution(replica, step), &gradients(step * 10 + replica), 24);
            }
        }
        let mut commands = Vec::new();
        while let Some(now) = Some(cut(left.len())).filter(|now| *now > 0) {
            commands.push(ShardCommand::Decide(left.drain(..now).collect()));
        }
        let lanes = if some { initial.len() - 1 } else { 1 };
        for lane in 0..lanes {
            commands.push(ShardCommand::Apply {
                decided: std::mem::take(&mut left),
                variable: some.then_some(VariableIndex::new(lane)),
                global_step: (step as i64).into(),
                last: lane + 1 == lanes,
            });
        }
        for shard in &mut shards {
            for command in &commands {
                shard.carry_out(command).expect("it is staged");
            }
            assert_eq!(shard.staged_bytes(), 0, "{seed}: something was left");
        }
    }
    shards.iter().map(|shard| shard.snapshot().variables.sha256()).collect()
}

#[test]
fn any_cut_of_the_decisions_gives_the_same_bits() {
    for seed in 0..60 {
        let one_by_one = run(seed, |left| left.min(1));
        assert_eq!(run(seed, |_| 0), one_by_one, "{seed}: all with the update");
        let mut below = dice(!seed);
        let cut = |left: usize| below(left as u64 + 1) as usize;
        assert_eq!(run(seed, cut), one_by_one, "{seed}: cut anyhow");
    }
}
