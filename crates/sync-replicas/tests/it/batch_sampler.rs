//! Which examples are in which batch.

use std::collections::HashSet;

use proptest::prelude::*;

use sync_replicas::BatchSampler;
use sync_replicas::error::SamplerError;

proptest! {
    #[test]
    fn an_epoch_has_each_example_at_most_once(
        examples in 1_usize..200, part in 1_usize..200, seed: u64, epoch in 0_u64..1 << 40,
    ) {
        let size = part.min(examples);
        let mut sampler = BatchSampler::new(examples, size, seed).expect("fits");
        let first = epoch * sampler.per_epoch();
        let numbers = first..first + sampler.per_epoch();
        let rows: Vec<usize> = numbers.flat_map(|number| sampler.rows(number)).collect();
        prop_assert_eq!(rows.len(), examples / size * size);
        prop_assert!(rows.iter().all(|&row| row < examples));
        prop_assert_eq!(rows.iter().collect::<HashSet<_>>().len(), rows.len());
    }
}

#[test]
fn batches_do_not_depend_on_what_was_asked_before() {
    let mut forth = BatchSampler::new(50, 8, 1).expect("fits");
    let mut back = forth.clone();
    let ahead: Vec<_> = (0..40).map(|number| forth.rows(number)).collect();
    let behind: Vec<_> = (0..40).rev().map(|number| back.rows(number)).collect();
    assert!(ahead.iter().eq(behind.iter().rev()));
    assert_ne!(ahead[0], BatchSampler::new(50, 8, 2).expect("fits").rows(0));
    assert_ne!(ahead[0], ahead[6]);
}

#[test]
fn another_seed_gives_what_it_would_have_given_from_the_start() {
    let mut expected = BatchSampler::new(50, 8, 2).expect("fits");
    for asked in [0, 3, 17] {
        let mut used = BatchSampler::new(50, 8, 1).expect("fits");
        used.rows(asked);
        let mut used = used.with_seed(2);
        assert!([asked, 0, 40].iter().all(|&it| used.rows(it) == expected.rows(it)), "{asked}");
    }
}

#[test]
fn sizes_out_of_range_are_refused() {
    for got in [0, 101] {
        let error = BatchSampler::new(100, got, 0).expect_err("cannot be");
        assert_eq!(error, SamplerError::BatchSize { examples: 100, got });
    }
    let got = usize::try_from(u64::from(u32::MAX) + 1).expect("64 bits");
    let error = BatchSampler::new(got, 1, 0).expect_err("cannot be");
    assert_eq!(error, SamplerError::Examples { got });
    assert_eq!(BatchSampler::new(100, 100, 0).expect("fits").per_epoch(), 1);
}
