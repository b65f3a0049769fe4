//! Sparse sums over several cycles: what one cycle leaves behind must not be seen in the next.

use accum_core::{
    IndexedSlices, PartialShape, Reduction, SparseAccumulator, SparseMerge, SparseOptions,
    Summation,
};
use ndarray::Array2;

fn column(rows: &[(i64, f32)]) -> IndexedSlices<f32> {
    let indices = rows.iter().map(|(index, _)| *index).collect();
    let values = rows.iter().map(|(_, value)| *value).collect();
    let values = Array2::from_shape_vec((rows.len(), 1), values).expect("one number a row");
    IndexedSlices::new(indices, values, None).expect("one row an index")
}

/// Three cycles of the same accumulator, shifted so that each has other rows than the last.
#[track_caller]
fn check(pushes: &[&[(i64, f32)]], expected: &[(i64, f32)]) {
    // With a table of places, with a map, and with what is held until the take.
    let unknown = PartialShape::of([None, Some(1)]);
    for declared in [PartialShape::from([50, 1]), unknown] {
        for summation in [Summation::Eager, Summation::Held, Summation::Ordered] {
            let options = SparseOptions { summation, ..SparseOptions::default() };
            let mut acc =
                SparseAccumulator::with_options(declared.clone(), Reduction::Mean, options);
            for shift in [0, 7, 3] {
                let shifted = |rows: &[(i64, f32)]| -> Vec<_> {
                    rows.iter().map(|(index, value)| (index + shift, *value)).collect()
                };
                let step = acc.global_step();
                for (nth, rows) in pushes.iter().enumerate() {
                    let slices = column(&shifted(rows));
                    let applied = match nth % 2 {
                        0 => acc.apply(slices, step),
                        _ => acc.apply(&slices, step),
                    };
                    assert!(applied.expect("it fits").is_accepted());
                    // A take that is undone in the middle of a cycle changes nothing.
                    let sum = acc.try_take(1).expect("positive").expect("one is held");
                    acc.put_back(sum).expect("one shape");
                }
                let sum = acc.try_take(1).expect("positive").expect("some are held");
                let mean = sum.into_value();
                let rows = mean.indices.iter().copied().zip(mean.values.iter().copied());
                let rows: Vec<_> = rows.collect();
                assert_eq!(rows, shifted(expected), "{declared} {summation:?} {shift}");
            }
        }
    }
}

#[test]
fn every_cycle_starts_from_nothing() {
    //
    check(&[&[(4, 1.0), (2, 8.0)]], &[(2, 8.0), (4, 1.0)]);
    check(&[&[(2, 8.0), (4, 1.0)], &[(9, 5.0), (4, 3.0)]], &[(2, 8.0), (4, 2.0), (9, 5.0)]);
    check(&[&[], &[(1, 2.0)], &[]], &[(1, 2.0)]);
    let many: Vec<_> = (0..40).rev().map(|index| (index, index as f32)).collect();
    let ascending: Vec<_> = many.iter().rev().copied().collect();
    check(&[&many, &many], &ascending);
}

#[test]
fn a_gradients_own_rows_are_summed_before_they_are_added() {
    // one after the other, 1 + 1e8 - 1e8 would be 0 in f32
    check(&[&[(5, 1.0)], &[(5, 1e8), (6, 4.0), (5, -1e8)]], &[(5, 0.5), (6, 4.0)]);
    check(&[&[(5, 1e8), (1, 7.0), (5, -1e8)], &[(5, 1.0)]], &[(1, 7.0), (5, 0.5)]);
    check(&[&[(3, 2.0), (8, 1.0), (3, 2.0), (8, 1.0)]], &[(3, 4.0), (8, 2.0)]);
}

#[test]
fn a_sum_goes_back_only_where_all_its_rows_are() {
    // rows in a table; in a map, being too many; in a map, their number being unknown.
    const ROWS: [Option<usize>; 4] = [Some(3), Some(8), Some(1 << 25), None];
    let of = |rows, options| {
        let shape = PartialShape::of([rows, Some(1)]);
        SparseAccumulator::<f32>::with_options(shape, Reduction::Sum, options)
    };
    let check = |from: Option<usize>, to: Option<usize>, index: i64, options: SparseOptions| {
        let what = format!("row {index} of {from:?} to {to:?}, {options:?}");
        let (mut from, mut other) = (of(from, options), of(to, options));
        from.apply(column(&[(index, 4.0), (1, 1.0)]), 0).expect("it fits");
        let sum = from.try_take(1).expect("positive").expect("one is held");
        let fits = to.is_none_or(|rows| (index as usize) < rows);
        let back = other.put_back(sum);
        assert_eq!(back.is_ok(), fits, "{what}");
        if let Err(refused) = back {
            let expected = format!("[{},1]", to.unwrap_or_default());
            assert_eq!(refused.expected.to_string(), expected, "{what}");
            assert_eq!(refused.got.to_string(), format!("[{},1]", index + 1), "{what}");
            assert_eq!(refused.sum.into_value().indices.len(), 2, "{what}");
        }
        // Whichever it was, the next push finds all in order.
        other.apply(column(&[(2, 16.0)]), 0).expect("it fits");
        let sum = other.try_take(1).expect("positive").expect("some are held").into_value();
        let total: f32 = sum.values.iter().sum();
        assert_eq!(total, if fits { 21.0 } else { 16.0 }, "{what}");
    };
    for merge in [SparseMerge::Canonical, SparseMerge::Reference] {
        for summation in [Summation::Eager, Summation::Held, Summation::Ordered] {
            let options = SparseOptions { summation, merge, ..SparseOptions::default() };
            for from in ROWS {
                for to in ROWS {
                    for index in [0, 2, 3, 7, 8, 1 << 24, 1 << 25, i64::MAX - 1] {
                        if from.is_none_or(|rows| (index as usize) < rows) {
                            check(from, to, index, options);
                        }
                    }
                }
            }
        }
    }
}
