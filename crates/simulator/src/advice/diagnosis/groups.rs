//! Replicas that are slow in the same steps: they may share a host, a switch or a disk.

use super::super::chance;
use super::FALSE_ALARMS;

/// The least slow steps in common, as a number and as a part of those that either has.
const LEAST_IN_COMMON: usize = 5;
const PART_IN_COMMON: f64 = 0.5;
/// How many replicas are compared: those with the most slow steps.
const MOST: usize = 256;

/// The groups, by name, of replicas whose slow steps are known by their places.
pub(super) fn find(names: &[i64], slow: &[Vec<usize>]) -> Vec<Vec<i64>> {
    let steps = slow.iter().flatten().max().map_or(0, |last| last + 1);
    let mut some: Vec<usize> =
        (0..names.len()).filter(|place| slow[*place].len() >= LEAST_IN_COMMON).collect();
    some.sort_by_key(|place| (usize::MAX - slow[*place].len(), *place));
    some.truncate(MOST);
    let level = FALSE_ALARMS / (some.len() * some.len()).max(1) as f64;
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for place in some {
        let (own, others): (Vec<_>, Vec<_>) = groups.into_iter().partition(|group| {
            group.iter().any(|other| are_together(&slow[place], &slow[*other], steps, level))
        });
        groups = others;
        let mut joined: Vec<usize> = own.into_iter().flatten().collect();
        joined.push(place);
        groups.push(joined);
    }
    // Most of the fleet is no group: then the others are fast.
    groups.retain(|group| group.len() > 1 && 2 * group.len() <= names.len());
    let mut groups: Vec<Vec<i64>> = groups
        .into_iter()
        .map(|mut group| {
            group.sort_unstable();
            group.into_iter().map(|place| names[place]).collect()
        })
        .collect();
    groups.sort();
    groups
}

fn are_together(one: &[usize], other: &[usize], steps: usize, level: f64) -> bool {
    let common = one.iter().filter(|step| other.binary_search(step).is_ok()).count();
    let either = one.len() + other.len() - common;
    if common < LEAST_IN_COMMON || (common as f64) < PART_IN_COMMON * either as f64 {
        return false;
    }
    let by_chance = other.len() as f64 / steps as f64;
    chance::at_least(common, one.len(), by_chance) <= level
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_slow_in_the_same_steps_is_a_group() {
        #[track_caller]
        fn check(slow: &[&[(usize, usize)]], expected: &[&[i64]]) {
            let slow: Vec<Vec<usize>> = slow
                .iter()
                .map(|of| of.iter().flat_map(|(from, to)| *from..*to).collect())
                .collect();
            let names: Vec<i64> = (0..slow.len() as i64).map(|name| 10 * name).collect();
            assert_eq!(find(&names, &slow), expected);
        }
        check(&[], &[]);
        check(&[&[], &[(90, 99)], &[], &[(89, 99), (200, 201)]], &[&[10, 30]]);
        check(&[&[], &[(90, 99)], &[], &[(20, 30), (200, 201)]], &[]);
        // Too few to tell.
        check(&[&[], &[(90, 93)], &[], &[(90, 93), (200, 201)]], &[]);
        let (one, two) = (&[(10, 20), (40, 50)][..], &[(60, 80), (200, 201)][..]);
        check(&[one, two, &[], one, two, one, &[], &[]], &[&[0, 30, 50], &[10, 40]]);
        // In all but one, that one is fast.
        check(&[one, &[], one], &[]);
        // Slow nearly always, and so together by chance.
        check(&[&[(0, 90), (99, 100)], &[(2, 93)], &[], &[]], &[]);
    }
}
