//! Which examples are in which batch.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn an_epoch_has_each_example_at_most_once(
        examples in 1_usize..200, part in 1_usize..200, seed: u64, epoch in 0_u64..1 << 40,
    ) {
        let size = part.min(examples);
        let mut batches = Batches::new(examples, size, seed).expect("fits");
        let first = epoch * batches.per_epoch();
        let numbers = first..first + batches.per_epoch();
        let rows: Vec<usize> = numbers.flat_map(|number| batches.rows(number)).collect();
        prop_assert_eq!(rows.len(), examples / size * size);
        prop_assert!(rows.iter().all(|&row| row < examples));
        prop_assert_eq!(rows.iter().collect::<HashSet<_>>().len(), rows.len());
    }
}

#[test]
fn batches_do_not_depend_on_what_was_asked_before() {
    let mut forth = Batches::new(50, 8, 1).expect("fits");
    let mut back = forth.clone();
    let ahead: Vec<_> = (0..40).map(|number| forth.rows(number)).collect();
    let behind: Vec<_> = (0..40).rev().map(|number| back.rows(number)).collect();
    assert!(ahead.iter().eq(behind.iter().rev()));
    assert_ne!(ahead[0], Batches::new(50, 8, 2).expect("fits").rows(0));
    assert_ne!(ahead[0], ahead[6]);
}

#[test]
fn batch_sizes_out_of_range_are_refused() {
    for got in [0, 101] {
        let error = Batches::new(100, got, 0).expect_err("cannot be");
        assert_eq!(error, BatchSizeError { examples: 100, got });
    }
    assert_eq!(Batches::new(100, 100, 0).expect("fits").per_epoch(), 1);
}
