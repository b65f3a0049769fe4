//! Placement: every row once, evenly, and the same everywhere.

use std::collections::BTreeSet;

use cluster::driver::index::VariableIndex;
use cluster::driver::placement::{Placement, cut_dense, cut_sparse};
use ndarray::{ArrayD, Axis};
use proptest::prelude::*;
use sync_replicas::IndexedSlices;

use crate::support::array;

fn shape() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![
        Just(vec![]),
        Just(vec![0, 3]),
        (1_usize..40).prop_map(|n| vec![n]),
        (0_usize..60, 0_usize..6).prop_map(|(n, m)| vec![n, m]),
        (1_usize..9, 1_usize..4, 1_usize..4).prop_map(|(n, m, k)| vec![n, m, k]),
    ]
}

fn named(shapes: Vec<Vec<usize>>) -> Vec<(String, Vec<usize>)> {
    shapes.into_iter().enumerate().map(|(n, shape)| (format!("v{n}"), shape)).collect()
}

fn slices(shape: &[usize], seed: u64) -> IndexedSlices<f32> {
    let n = if shape[0] == 0 { 0 } else { 9 };
    let indices = (0..n).map(|k| (seed.wrapping_mul(31).wrapping_add(k * 17)) % shape[0] as u64);
    let indices: Vec<i64> = indices.map(|index| index as i64).collect();
    let values = array(&[&[indices.len()], &shape[1..]].concat(), seed);
    IndexedSlices { indices, values, dense_shape: None }
}

proptest! {
    #[test]
    fn every_row_is_in_exactly_one_part(
        shapes in prop::collection::vec(shape(), 0..7).prop_map(named),
        shards in 1_usize..6,
    ) {
        let placement = Placement::new(&shapes, 4, shards);
        prop_assert_eq!(placement.shards(), shards);
        prop_assert_eq!(&placement, &Placement::new(&shapes, 4, shards));
        for (variable, (name, shape)) in shapes.iter().enumerate() {
            let rows = shape.first().copied().unwrap_or(1);
            let parts: Vec<_> = placement
                .places(VariableIndex::new(variable))
                .iter()
                .map(|place| &placement.parts(place.shard)[place.position])
                .collect();
            prop_assert!(parts.len() <= rows.max(1));
            prop_assert!(parts.len() <= shards);
            let mut next = 0;
            for part in &parts {
                prop_assert_eq!(part.variable.get(), variable);
                prop_assert_eq!(part.variable_name(), name);
                prop_assert_eq!(part.whole, parts.len() == 1);
                prop_assert_eq!(part.rows.start, next);
                next = part.rows.end;
                let own = [&[part.rows.len()], shape.get(1..).unwrap_or_default()].concat();
                prop_assert_eq!(&part.shape, if shape.is_empty() { shape } else { &own });
            }
            prop_assert_eq!(next, rows);
        }
        let all: usize = (0..shards).map(|shard| placement.parts(shard).len()).sum();
        let places = |n| placement.places(VariableIndex::new(n)).len();
        let placed: usize = (0..shapes.len()).map(places).sum();
        prop_assert_eq!(all, placed, "a shard has a part that no variable knows");
    }

    /// Whoever gets the last piece had at most an even share before.
    #[test]
    fn no_shard_has_more_than_an_even_share_and_one_piece(
        shapes in prop::collection::vec(shape(), 1..7).prop_map(named),
        shards in 1_usize..6,
    ) {
        let placement = Placement::new(&shapes, 4, shards);
        let all = || (0..shards).flat_map(|shard| placement.parts(shard));
        let total: usize = all().map(|part| part.elements()).sum();
        let share = total.div_ceil(shards);
        let largest = all().map(|part| part.elements()).max().unwrap_or_default();
        for part in all() {
            prop_assert!(part.elements() <= share + part.width(), "a piece is too large: {part:?}");
        }
        for shard in 0..shards {
            let load: usize = placement.parts(shard).iter().map(|part| part.elements()).sum();
            prop_assert!(load <= share + largest, "shard {shard} has {load} of {total}");
        }
    }

    #[test]
    fn what_was_cut_joins_to_the_same(
        shape in shape(),
        shards in 1_usize..6,
        seed in any::<u64>(),
    ) {
        let whole: ArrayD<f32> = array(&shape, seed);
        let placement = Placement::new(&[("v", shape.clone())], 4, shards);
        let joined = placement.join(VariableIndex::new(0), |place| {
            cut_dense(&placement.parts(place.shard)[place.position], whole.view())
        });
        prop_assert_eq!(&joined, &whole);
        if shape.is_empty() {
            return Ok(());
        }
        let sparse = slices(&shape, seed);
        let dense = sparse.to_dense(shape[0]).expect("it fits");
        let joined = placement.places(VariableIndex::new(0)).iter().map(|place| {
            let part = &placement.parts(place.shard)[place.position];
            let cut = cut_sparse(part, &sparse).into_owned();
            cut.to_dense(part.shape[0]).expect("it fits")
        });
        let joined: Vec<_> = joined.collect();
        let views: Vec<_> = joined.iter().map(|it| it.view()).collect();
        prop_assert_eq!(ndarray::concatenate(Axis(0), &views).expect("one shape"), dense);
    }
}

#[track_caller]
fn check(shapes: &[(&str, &[usize])], shards: usize, expected: &[&[&str]]) {
    let placement = Placement::new(shapes, 4, shards);
    let names = |shard| placement.parts(shard).iter().map(|part| part.name.as_str()).collect();
    let got: Vec<Vec<&str>> = (0..shards).map(names).collect();
    assert_eq!(got, expected);
}

#[test]
fn the_largest_go_first_and_what_is_too_large_is_split() {
    check(&[("w", &[4, 2])], 1, &[&["w"]]);
    check(&[("w", &[4, 2]), ("b", &[2])], 2, &[&["w[0..2]", "b"], &["w[2..4]"]]);
    check(&[("w", &[1, 9])], 2, &[&["w"], &[]]);
    check(&[("s", &[]), ("e", &[0])], 2, &[&["s"], &["e"]]);
    check(&[("a", &[2]), ("b", &[3]), ("c", &[4])], 2, &[&["c"], &["a", "b"]]);
    check(&[("w", &[5])], 3, &[&["w[0..2]"], &["w[2..4]"], &["w[4..5]"]]);
    check(&[], 2, &[&[], &[]]);
}

#[test]
fn whole_variables_stay_whole() {
    let shapes = [("table", vec![1000, 8]), ("bias", vec![8]), ("w", vec![9, 8])];
    let placement = Placement::whole(&shapes, 4, 3);
    let names = |shard| placement.parts(shard).iter().map(|part| &*part.name).collect::<Vec<_>>();
    assert_eq!((names(0), names(1), names(2)), (vec!["table"], vec!["w"], vec!["bias"]));
    assert!((0..3).all(|shard| placement.parts(shard)[0].whole));
}

/// A checkpoint and a shard know parts by name.
#[test]
fn a_variable_named_like_a_part_is_not_taken_for_one() {
    let like_parts = ["w[0..500]", "w[500..1000]", "w[0..500][0..3]", "w[..]", "w[0..x]", "w[]"];
    let mut shapes = vec![("w", vec![1000, 8])];
    shapes.extend(like_parts.map(|name| (name, vec![3])));
    let placement = Placement::new(&shapes, 4, 2);
    let parts: Vec<_> = (0..2).flat_map(|shard| placement.parts(shard)).collect();
    let names: BTreeSet<_> = parts.iter().map(|part| &part.name).collect();
    assert_eq!(names.len(), parts.len(), "two parts of one name: {names:?}");
    for part in parts {
        assert_eq!(part.variable_name(), shapes[part.variable.get()].0, "{}", part.name);
    }
}
