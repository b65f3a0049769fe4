//! Keys: 64-bit integers, or plain text; and the order in which a table's keys lie.
//!
//! Both functions are fixed for ever: checkpoints and other programs rely on them.

use twox_hash::XxHash3_64;

/// The key of a text: XXH3-64 of its UTF-8 bytes, with seed 0, as a signed number.
///
/// In Python it is `xxhash.xxh3_64_intdigest(text)`, less 2⁶⁴ from 2⁶³ on. Two of *n* texts have
/// one key with a probability of about *n²* / 2⁶⁵: 3 in 10,000 for 100 million texts.
///
/// ```
/// use embedding_table::hash_text;
///
/// assert_eq!(hash_text("embedding"), -3_803_589_894_012_416_521);
/// ```
#[must_use]
pub fn hash_text(text: &str) -> i64 {
    XxHash3_64::oneshot(text.as_bytes()).cast_signed()
}

/// Where a key lies among all: a number as good as random (SplitMix64 of the key).
///
/// Stores share a table by ranges of places, and saved rows are in the order of their places.
#[must_use]
pub fn place(key: i64) -> u64 {
    split_mix(key.cast_unsigned())
}

/// What each output of SplitMix64 adds to its state: 2⁶⁴ over the golden ratio.
pub(crate) const GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

/// The output of SplitMix64 for a state (Steele, Lea and Flood 2014): one-to-one.
pub(crate) fn split_mix(state: u64) -> u64 {
    let z = state.wrapping_add(GAMMA);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published first outputs of SplitMix64 for the seed 1234567.
    #[test]
    fn places_are_those_of_split_mix() {
        let outputs = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973_u64];
        for (n, output) in (0..).zip(outputs) {
            assert_eq!(split_mix(GAMMA.wrapping_mul(n).wrapping_add(1_234_567)), output);
        }
        assert_eq!(place(1_234_567), outputs[0]);
    }
}
