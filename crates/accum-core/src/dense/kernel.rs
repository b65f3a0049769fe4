//! The loops that add gradients to a sum, and divide it.
//!
//! Plain slices of one length, no shapes. Invariant: additions are done one gradient after the
//! other for each element, so that the number read at a time does not show.

use crate::simd::widest;
use crate::{Element, HalfSum};

/// Gradients read at a time: with more streams than this, the processor prefetches too late.
const STREAMS: usize = 4;

/// `sum += gradient`.
pub(super) fn add<E: Element>(sum: &mut [E::Sum], gradient: &[E], half_sum: HalfSum) {
    match half_sum {
        HalfSum::Single => add_one(sum, gradient, |sum| sum),
        HalfSum::Reference => add_one(sum, gradient, E::round),
    }
}

/// `sum += Σ parts`, or `sum = Σ parts` when `fresh`; part after part, some read at a time.
pub(super) fn add_all<'a, E: Element>(
    sum: &mut [E::Sum],
    parts: impl Iterator<Item = &'a [E]>,
    fresh: bool,
    half_sum: HalfSum,
) {
    match half_sum {
        HalfSum::Single => add_rounded(sum, parts, fresh, |sum| sum),
        HalfSum::Reference => add_rounded(sum, parts, fresh, E::round),
    }
}

/// `sum /= divisor`.
pub(super) fn divide<E: Element>(sum: &mut [E::Sum], divisor: E::Sum, half_sum: HalfSum) {
    widest(|| match half_sum {
        HalfSum::Single => sum.iter_mut().for_each(|sum| *sum = *sum / divisor),
        HalfSum::Reference => sum.iter_mut().for_each(|sum| *sum = E::round(*sum / divisor)),
    });
}

/// `to = from / divisor`.
pub(super) fn divide_into<E: Element>(
    to: &mut [E::Sum],
    from: &[E::Sum],
    divisor: E::Sum,
    half_sum: HalfSum,
) {
    let pairs = to.iter_mut().zip(from);
    widest(|| match half_sum {
        HalfSum::Single => pairs.for_each(|(to, from)| *to = *from / divisor),
        HalfSum::Reference => pairs.for_each(|(to, from)| *to = E::round(*from / divisor)),
    });
}

fn add_rounded<'a, E: Element>(
    sum: &mut [E::Sum],
    mut parts: impl Iterator<Item = &'a [E]>,
    fresh: bool,
    round: impl Fn(E::Sum) -> E::Sum + Copy,
) {
    if fresh {
        match [parts.next(), parts.next(), parts.next(), parts.next()] {
            [Some(a), Some(b), Some(c), Some(d)] => set_four(sum, [a, b, c, d], round),
            first => {
                sum.fill(E::Sum::default());
                for (nth, part) in first.into_iter().flatten().enumerate() {
                    match nth {
                        0 => widest(|| sum.iter_mut().zip(part).for_each(|(s, a)| *s = a.widen())),
                        _ => add_one(sum, part, round),
                    }
                }
            }
        }
    }
    loop {
        match [parts.next(), parts.next(), parts.next(), parts.next()] {
            [Some(a), Some(b), Some(c), Some(d)] => add_four(sum, [a, b, c, d], round),
            rest => return rest.into_iter().flatten().for_each(|a| add_one(sum, a, round)),
        }
    }
}

fn add_one<E: Element>(sum: &mut [E::Sum], part: &[E], round: impl Fn(E::Sum) -> E::Sum + Copy) {
    widest(|| {
        for (sum, a) in sum.iter_mut().zip(part) {
            *sum = round(*sum + a.widen());
        }
    });
}

fn add_four<E: Element>(
    sum: &mut [E::Sum],
    [a, b, c, d]: [&[E]; STREAMS],
    round: impl Fn(E::Sum) -> E::Sum + Copy,
) {
    widest(|| {
        for ((((sum, a), b), c), d) in sum.iter_mut().zip(a).zip(b).zip(c).zip(d) {
            let two = round(round(*sum + a.widen()) + b.widen());
            *sum = round(round(two + c.widen()) + d.widen());
        }
    });
}

/// The same without anything before them: the first is not added to a zero, whose sign it would
/// lose.
fn set_four<E: Element>(
    sum: &mut [E::Sum],
    [a, b, c, d]: [&[E]; STREAMS],
    round: impl Fn(E::Sum) -> E::Sum + Copy,
) {
    widest(|| {
        for ((((sum, a), b), c), d) in sum.iter_mut().zip(a).zip(b).zip(c).zip(d) {
            let three = round(round(a.widen() + b.widen()) + c.widen());
            *sum = round(three + d.widen());
        }
    });
}
