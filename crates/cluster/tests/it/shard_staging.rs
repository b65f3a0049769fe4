//! Staging: what is announced comes whole, or not at all.

use cluster::NumberFormat;
use cluster::driver::index::VariableIndex;
use cluster::driver::placement::Placement;
use cluster::driver::shard::{Section, Shard, ShardSettings, StageError};
use ndarray::arr1;
use optim::{OptimizerState, Sgd};
use sync_replicas::driver::Generation;
use sync_replicas::store::GradientKind;

use crate::support::{array, contribution, receive};

/// A vector of three, a table of 4 x 2 rows, and a scalar, of `f32`.
fn shard(wire: NumberFormat) -> Shard<f32> {
    let shapes = [("b", vec![3]), ("table", vec![4, 2]), ("s", vec![])];
    let placement = Placement::new(&shapes, 4, 1);
    let initial = shapes.iter().map(|(_, shape)| array(shape, 1)).collect();
    let optimizer = OptimizerState::new(Sgd::new(1.0)).expect("a good rate");
    let settings = ShardSettings { wire, ..Default::default() };
    let mut shard = Shard::new(placement.parts(0), initial, optimizer, settings).expect("it fits");
    shard.begin_generation(Generation::new(1), 0.into());
    shard
}

fn dense(part: usize) -> Section {
    Section { part, kind: GradientKind::Dense, rows: 0 }
}

fn sparse(part: usize, rows: u64) -> Section {
    Section { part, kind: GradientKind::Sparse, rows }
}

#[track_caller]
fn refuse_begin(sections: &[Section], expected: &str) {
    let mut shard = shard(NumberFormat::Native);
    let error = shard.begin(contribution(0, 1), sections).expect_err("it does not fit");
    assert!(error.to_string().contains(expected), "{error}");
    assert_eq!(shard.staged_bytes(), 0);
    assert!(!shard.is_staged(contribution(0, 1)));
}

#[test]
fn announcements_that_do_not_fit_are_refused_before_anything_is_allocated() {
    refuse_begin(&[dense(3)], "part 3; this shard has 3 parts");
    refuse_begin(&[dense(1), dense(0)], "part 0, after one for part 1");
    refuse_begin(&[dense(1), dense(1)], "part 1, after one for part 1");
    refuse_begin(&[sparse(1, u64::MAX)], "bytes, expected at most");
    refuse_begin(&[sparse(1, 1 << 60)], "bytes, expected at most");
    refuse_begin(&[sparse(2, 1)], "part `s` does not fit");
    // P-27: a row has 16 bytes, and 64 MiB are the most.
    let most = 64_u64 << 20;
    refuse_begin(
        &[dense(0), sparse(1, most / 16)],
        "with 67108876 bytes, expected at most 67108864",
    );
    let mut shard = shard(NumberFormat::Native);
    assert_eq!(shard.begin(contribution(0, 1), &[sparse(1, most / 16)]), Ok(false));
}

/// A sender's word alone makes no room: only what a part itself would take.
#[test]
fn a_claim_of_many_rows_takes_no_memory_until_they_come() {
    let mut shard = shard(NumberFormat::Native);
    shard.begin(contribution(0, 1), &[sparse(1, 1 << 21)]).expect("it could be");
    assert!(shard.staged_bytes() <= 4 * 8 + 8 * 4, "{}", shard.staged_bytes());
}

#[track_caller]
fn refuse_data(sections: &[Section], section: usize, bytes: &[u8], expected: &str) {
    let mut shard = shard(NumberFormat::Native);
    let id = contribution(0, 1);
    assert_eq!(shard.begin(id, sections), Ok(false));
    let error = receive(&shard, id, section, bytes).expect_err("it does not fit");
    let mut text = error.to_string();
    if let Some(source) = std::error::Error::source(&error) {
        text = format!("{text}: {source}");
    }
    assert!(text.contains(expected), "{text}");
    let gone = receive(&shard, id, 0, &[]);
    assert_eq!(gone, Err(StageError::Unknown { contribution: id }), "it is still staged");
}

#[test]
fn data_that_do_not_fit_end_the_contribution() {
    let row = |index: i64| [&index.to_le_bytes()[..], &[0; 8]].concat();
    refuse_data(&[dense(0)], 1, &[0; 4], "has 1 sections; there is no section 1");
    refuse_data(&[dense(0)], 0, &[0; 16], "16 bytes came for part `b`; 12 were still expected");
    refuse_data(&[dense(0)], 0, &[0; 6], "send whole elements of 4 bytes");
    refuse_data(&[sparse(1, 2)], 0, &[0; 12], "send whole elements of 8 bytes");
    refuse_data(&[sparse(1, 1)], 0, &row(-1), "index -1 at position 0 is not one of the 4 rows");
    refuse_data(&[sparse(1, 1)], 0, &row(4), "index 4 at position 0 is not one of the 4 rows");
    refuse_data(&[sparse(1, 0), dense(2)], 0, &[0; 8], "0 were still expected");
}

#[test]
fn sections_come_in_any_order_and_in_pieces() {
    let mut shard = shard(NumberFormat::Native);
    let id = contribution(3, 9);
    let sections =
        [dense(0), sparse(1, 2), Section { part: 2, kind: GradientKind::Missing, rows: 0 }];
    assert_eq!(shard.begin(id, &sections), Ok(false));
    let indices: Vec<u8> = [3_i64, 0].iter().flat_map(|index| index.to_le_bytes()).collect();
    let mut values = Vec::new();
    NumberFormat::Native.put(&[1.0_f32, 2.0, 3.0, 4.0], &mut values);
    assert_eq!(receive(&shard, id, 1, &indices[..8]), Ok(false));
    assert_eq!(receive(&shard, id, 0, &values[..12]), Ok(false));
    assert_eq!(receive(&shard, id, 0, &[]), Ok(false));
    assert_eq!(receive(&shard, id, 1, &[&indices[8..], &values[..4]].concat()), Ok(false));
    assert!(!shard.is_staged(id));
    assert_eq!(receive(&shard, id, 1, &values[4..]), Ok(true));
    assert!(shard.is_staged(id));
    let before = shard.snapshot();
    shard.admit(id, 0, None).expect("it is staged");
    shard.apply(None, true, 1.into(), Generation::new(1)).expect("it fits");
    let after = shard.snapshot();
    let change = |part: usize| &*before.variables.arrays()[part] - &*after.variables.arrays()[part];
    let near = |got: ndarray::ArrayD<f32>, expected: &[f32]| {
        got.iter().zip(expected).all(|(got, expected)| (got - expected).abs() < 1e-6)
    };
    assert!(near(change(0), &[1.0, 2.0, 3.0]));
    assert!(near(change(1), &[3.0, 4.0, 0.0, 0.0, 0.0, 0.0, 1.0, 2.0]));
    assert_eq!(before.variables.arrays()[2], after.variables.arrays()[2]);
}

#[test]
fn what_carries_no_data_is_whole_at_once() {
    let mut shard = shard(NumberFormat::Native);
    assert_eq!(shard.begin(contribution(0, 1), &[sparse(1, 0)]), Ok(true));
    assert_eq!(shard.begin(contribution(1, 1), &[]), Ok(true));
    assert!(shard.is_staged(contribution(0, 1)) && shard.is_staged(contribution(1, 1)));
}

/// The coordinator's word on a whole contribution may come after the replica went on.
#[test]
fn a_later_contribution_replaces_what_is_not_whole_and_no_more() {
    let mut shard = shard(NumberFormat::Native);
    let [first, second, third] = [1, 2, 3].map(|sequence| contribution(0, sequence));
    shard.begin(first, &[dense(2)]).expect("it fits");
    assert_eq!(receive(&shard, first, 0, &[0; 4]), Ok(true));
    shard.begin(second, &[dense(2)]).expect("it fits");
    shard.begin(contribution(1, 1), &[dense(2)]).expect("another replica's own");
    shard.begin(third, &[dense(2)]).expect("it fits");
    let gone = receive(&shard, second, 0, &[0; 4]);
    assert_eq!(gone, Err(StageError::Unknown { contribution: second }));
    assert!(shard.is_staged(first));
    let older = shard.begin(second, &[dense(2)]);
    assert_eq!(older, Err(StageError::Older { staged: third, got: second }));
    // The same one again starts over.
    assert_eq!(shard.begin(third, &[dense(0)]), Ok(false));
    assert_eq!(receive(&shard, third, 0, &[0; 4]), Ok(false));
    shard.admit(first, 0, None).expect("it is still there");
    shard.discard(third);
    let late = shard.begin(third, &[dense(2)]);
    assert_eq!(late, Err(StageError::Decided { contribution: third }));
    assert_eq!(receive(&shard, contribution(1, 1), 0, &[0; 4]), Ok(true));
    shard.discard(contribution(1, 1));
    assert_eq!(shard.staged_bytes(), 0);
}

/// P-15: what is whole may have been accepted when it comes again over another connection.
#[test]
fn what_is_whole_stays_when_it_comes_again_and_until_it_is_decided() {
    let mut shard = shard(NumberFormat::Native);
    let [first, second] = [1, 2].map(|sequence| contribution(0, sequence));
    shard.begin(first, &[dense(2)]).expect("it fits");
    assert_eq!(receive(&shard, first, 0, &[0; 4]), Ok(true));
    assert_eq!(shard.begin(first, &[dense(2)]), Ok(true));
    assert!(shard.is_staged(first) && !shard.is_decided(first));
    shard.admit(first, 0, None).expect("it is staged");
    assert!(shard.is_decided(first) && !shard.is_decided(second));
    assert_eq!(shard.begin(first, &[dense(2)]), Err(StageError::Decided { contribution: first }));
    assert_eq!(shard.begin(second, &[dense(2)]), Ok(false));
    // Another life counts its contributions anew.
    shard.begin_generation(Generation::new(2), 0.into());
    assert!(!shard.is_decided(first));
    assert_eq!(shard.begin(first, &[dense(2)]), Ok(false));
}

#[test]
fn a_kind_other_than_at_first_is_refused_at_the_announcement() {
    let mut shard = shard(NumberFormat::Native);
    shard.begin(contribution(0, 1), &[dense(2)]).expect("it fits");
    receive(&shard, contribution(0, 1), 0, &[0; 4]).expect("it fits");
    shard.admit(contribution(0, 1), 0, None).expect("it is staged");
    let error = shard.begin(contribution(1, 1), &[dense(0), dense(2)]).expect_err("another kind");
    let expected = "part `b` has a dense gradient; it had no gradient in the first contribution";
    assert_eq!(error.to_string(), expected);
}

/// what is committed is what was sent.
#[test]
fn a_commit_names_what_is_staged() {
    let mut shard = shard(NumberFormat::Native);
    let [first, second] = [contribution(0, 1), contribution(1, 1)];
    assert_eq!(shard.vet(first, &[0].map(VariableIndex::new)), Ok(false), "nothing is staged");
    shard.begin(first, &[dense(0), sparse(1, 0)]).expect("it fits");
    assert_eq!(shard.vet(first, &[0, 1].map(VariableIndex::new)), Ok(false), "it is not whole");
    assert_eq!(receive(&shard, first, 0, &[0; 12]), Ok(true));
    let cases: [(&[usize], &str); 5] = [
        (&[0], "a gradient of `table` came, and it was not committed"),
        (&[1], "a gradient of `b` came, and it was not committed"),
        (&[0, 1, 2], "a gradient of `s` did not come, and it was committed"),
        (&[], "a gradient of `b` came"),
        (&[0, 1, 9], ""),
    ];
    for (variables, expected) in cases {
        let variables: Vec<_> = variables.iter().map(|&it| VariableIndex::new(it)).collect();
        let got = shard.vet(first, &variables);
        // Variables of other servers are theirs to look at.
        let error = got.as_ref().err().map(ToString::to_string).unwrap_or_default();
        assert!(error.contains(expected) && got.is_ok() == expected.is_empty(), "{got:?}");
    }
    shard.begin(second, &[sparse(1, 0)]).expect("kinds are not fixed yet");
    shard.admit(first, 0, None).expect("it is staged");
    let error = shard
        .vet(second, &[1].map(VariableIndex::new))
        .expect_err("the first one had another gradient");
    assert!(error.to_string().contains("in the first contribution"), "{error}");
}

#[test]
fn bf16_rounds_once_and_is_for_f32_alone() {
    let numbers = [1.0_f32, -2.5, 0.1];
    let mut bytes = Vec::new();
    NumberFormat::Bf16.put(&numbers, &mut bytes);
    assert_eq!(bytes.len(), 6);
    let mut got: Vec<f32> = Vec::new();
    NumberFormat::Bf16.take(&bytes, &mut got);
    assert_eq!(got, [1.0, -2.5, 0.100_097_656]);
    let mut all: Vec<f64> = Vec::new();
    NumberFormat::Native.take(&f64::NAN.to_le_bytes(), &mut all);
    assert_eq!(all[0].to_bits(), f64::NAN.to_bits());
    let placement = Placement::new(&[("b", vec![3])], 8, 1);
    let settings = ShardSettings { wire: NumberFormat::Bf16, ..Default::default() };
    let optimizer = OptimizerState::new(Sgd::new(1.0)).expect("a good rate");
    let initial = vec![arr1(&[0.0_f64; 3]).into_dyn()];
    let error = Shard::new(placement.parts(0), initial, optimizer, settings).expect_err("f64");
    assert!(error.to_string().contains("elements of 8 bytes"), "{error}");
}
