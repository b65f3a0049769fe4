//! A taken sum read range by range gives the bits of its value.

use accum_core::{DenseAccumulator, DenseOptions, Element, HalfSum, Reduction, Summation};
use half::f16;
use ndarray::{ArrayD, IxDyn};

const SHAPE: [usize; 2] = [7, 11];

/// Numbers whose sum depends on the order of the additions.
fn gradient<E: Element>(nth: usize, transposed: bool) -> ArrayD<E> {
    let number = |at: usize| E::narrow(E::divisor((at * 37 + nth * 101) as u64 % 97 + 1));
    let shape = if transposed { [SHAPE[1], SHAPE[0]] } else { SHAPE };
    let ones = E::divisor(1);
    let array = ArrayD::from_shape_fn(IxDyn(&shape), |at| {
        E::narrow(ones / number(at[0] * 13 + at[1]).widen())
    });
    if transposed { array.reversed_axes() } else { array }
}

#[track_caller]
fn check<E: Element>(count: usize, transposed: bool, options: DenseOptions, reduction: Reduction)
where
    E::Sum: PartialEq,
{
    let build = || {
        let mut acc = DenseAccumulator::<E>::with_options(SHAPE, reduction, options);
        for nth in 0..count {
            let key = (count - nth) as u64 / 2;
            acc.apply_keyed(gradient::<E>(nth, transposed), 0, key).expect("it fits");
        }
        acc.try_take(count as i64).expect("positive").expect("enough are held")
    };
    let value = build().into_value();
    let mut sum = build();
    let reader = sum.reader();
    assert_eq!(reader.shape(), SHAPE);
    let all = value.as_slice().expect("in standard layout");
    for (start, len) in [(0, all.len()), (0, 1), (5, 30), (all.len() - 3, 3), (4, 0)] {
        let mut read = vec![E::Sum::default(); len];
        reader.read(start, &mut read);
        assert_eq!(read, all[start..start + len], "{count} {transposed} {options:?} {start}");
    }
    assert!(reader.lend().is_none_or(|lent| lent == all), "what is lent is the value");
}

#[test]
fn reading_gives_the_bits_of_the_value() {
    // P-14
    for count in 1..=10 {
        for summation in [Summation::Eager, Summation::Held, Summation::Ordered] {
            for half_sum in [HalfSum::Single, HalfSum::Reference] {
                for transposed in [false, true] {
                    let options = DenseOptions { summation, half_sum };
                    check::<f32>(count, transposed, options, Reduction::Mean);
                    check::<f64>(count, transposed, options, Reduction::Sum);
                    check::<f16>(count, transposed, options, Reduction::Mean);
                }
            }
        }
    }
}

#[test]
fn one_gradient_is_lent_as_it_is() {
    // P-3
    let held = DenseOptions { summation: Summation::Held, ..DenseOptions::default() };
    let mut acc = DenseAccumulator::<f32>::with_options(SHAPE, Reduction::Mean, held);
    acc.apply(gradient::<f32>(0, false), 0).expect("it fits");
    let mut sum = acc.try_take(1).expect("positive").expect("one is held");
    let lent = sum.reader().lend().map(<[f32]>::to_vec);
    assert_eq!(lent, gradient::<f32>(0, false).into_raw_vec_and_offset().0.into());
}
