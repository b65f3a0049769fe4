//! Which rows are for the test by default: one in five.

use twox_hash::XxHash3_64;

/// One row in this many is for the test.
const ONE_IN: u64 = 5;

/// Seeds the split, and nothing else.
const SEED: u64 = 1;

/// Whether a row, by its number from 0, is for the test: one of every five in a row, drawn from the
/// number of the five.
pub(crate) fn is_test(row: u64) -> bool {
    let drawn = XxHash3_64::oneshot_with_seed(SEED, &(row / ONE_IN).to_le_bytes());
    drawn % ONE_IN == row % ONE_IN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_five_rows_have_one_for_the_test() {
        for five in 0..1000 {
            assert_eq!((5 * five..5 * five + 5).filter(|row| is_test(*row)).count(), 1);
        }
        let places: Vec<_> = (0..100)
            .map(|place| (0..5000).filter(|row| row % 100 == place && is_test(*row)).count())
            .collect();
        // No place of them is preferred.
        assert!(places.iter().all(|count| (1..=25).contains(count)), "{places:?}");
    }
}
