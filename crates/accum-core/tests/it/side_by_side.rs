//! Large gradients pushed to one accumulator by several threads at once.

use std::sync::Barrier;
use std::thread;

use accum_core::{
    Addition, ConditionalAccumulator, DenseOptions, DenseSums, Reduction, Summation, Sums,
};
use ndarray::Array1;

/// More than a few chunks, and no multiple of one.
const LARGE: usize = (1 << 18) + 77;

/// Small whole numbers: their sum is exact in any order, and no two elements agree by chance.
fn gradient(of: usize) -> Array1<f64> {
    Array1::from_shape_fn(LARGE, |at| (at % 1009 * (of + 1)) as f64)
}

#[test]
fn every_element_of_every_push_arrives_once() {
    //
    const THREADS: usize = 4;
    const PUSHES: usize = 5;
    let acc = ConditionalAccumulator::<f64>::new([LARGE], Reduction::Sum);
    let start = Barrier::new(THREADS);
    thread::scope(|scope| {
        for of in 0..THREADS {
            let (acc, start) = (&acc, &start);
            scope.spawn(move || {
                let gradient = gradient(of);
                start.wait();
                for _ in 0..PUSHES {
                    assert!(acc.apply_grad(&gradient, 0).expect("it fits").is_accepted());
                }
            });
        }
    });
    let taken = acc.try_take_grad(1).expect("positive").expect("all are held");
    assert_eq!(taken.count, (THREADS * PUSHES) as u64);
    let expected = (0..THREADS).map(|of| PUSHES * (of + 1)).sum::<usize>() as f64;
    assert_eq!(taken.value, (gradient(0) * expected).into_dyn());
}

#[test]
fn a_take_never_sees_half_of_a_push() {
    // R-3, P-11: whatever a take counts, all of it is in its sum
    const PUSHES: u64 = 40;
    let acc = ConditionalAccumulator::<f64>::new([LARGE], Reduction::Sum);
    let mut taken = 0;
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let ones = Array1::ones(LARGE);
                for _ in 0..PUSHES {
                    let applied = acc.apply_grad(&ones, i64::MAX);
                    assert!(applied.expect("it fits").is_accepted());
                }
            });
        }
        while taken < 2 * PUSHES {
            let some = acc.blocking_take_grad(1).expect("it is open");
            assert!(some.value.iter().all(|sum| *sum == some.count as f64), "{}", some.count);
            taken += some.count;
        }
    });
}

#[test]
fn a_sum_waits_for_what_it_counts() {
    // P-11
    let mut sums = DenseSums::<f64>::new([LARGE], Reduction::Sum, DenseOptions::default());
    sums.add(gradient(0).into(), 0).expect("it fits");
    let (one, two) = (gradient(1), gradient(2));
    let first = sums.begin((&one).into(), 0).expect("it fits");
    let second = sums.begin((&two).into(), 0).expect("it fits");
    assert_eq!(sums.count(), 3);
    let sum = sums.drain(0.into()).expect("three are held");
    // Those of the next cycle are of no concern to it.
    sums.add(gradient(8).into(), 0).expect("it fits");
    let value = thread::scope(|scope| {
        let value = scope.spawn(|| sum.into_value());
        second.finish();
        first.finish();
        value.join().expect("it ends")
    });
    assert_eq!(value, (gradient(0) * 6.0).into_dyn());
}

#[test]
fn what_was_begun_and_put_back_is_added_to_what_came_since() {
    let options = DenseOptions { summation: Summation::Eager, ..DenseOptions::default() };
    let mut sums = DenseSums::<f64>::new([LARGE], Reduction::Sum, options);
    sums.add(gradient(0).into(), 0).expect("it fits");
    let one = gradient(1);
    let begun = sums.begin((&one).into(), 0).expect("it fits");
    let sum = sums.drain(0.into()).expect("two are held");
    sums.add(gradient(2).into(), 0).expect("it fits");
    begun.finish();
    sums.put_back(sum).expect("one shape");
    let all = sums.drain(0.into()).expect("three are held");
    assert_eq!(all.count(), 3);
    assert_eq!(all.into_value(), (gradient(0) * 6.0).into_dyn());
}
