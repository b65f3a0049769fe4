//! How a dense accumulator keeps gradients: uncopied, in any layout, lent, in order, put back.

use accum_core::{
    BufferPool, DenseAccumulator, DenseOptions, DenseSums, GlobalStep, Gradient, PartialShape,
    Reduction, Summation, Sums,
};
use ndarray::{Array, ArrayD, array};

use crate::dense::{SUMMATIONS, options};

#[test]
fn an_owned_first_gradient_is_kept_without_a_copy() {
    for summation in SUMMATIONS {
        let mut acc =
            DenseAccumulator::<f32>::with_options([2, 3], Reduction::Mean, options(summation));
        let first = Array::from_elem((2, 3), 1.0);
        let buffer = first.as_ptr();
        acc.apply(first, 0).expect("fits");
        acc.apply(Array::from_elem((2, 3), 3.0), 0).expect("fits");
        let value = acc.try_take(2).expect("two asked").expect("two held").into_value();
        assert_eq!(value, ArrayD::from_elem(&[2, 3][..], 2.0));
        assert_eq!(value.as_ptr(), buffer, "{summation:?}");
    }
}

#[test]
fn any_layout_gives_the_same_sum_in_standard_layout() {
    let base = array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]];
    let turned = base.t().as_standard_layout().into_owned().reversed_axes();
    assert!(!turned.is_standard_layout());
    for summation in SUMMATIONS {
        for order in [[&base, &turned], [&turned, &base], [&turned, &turned]] {
            for owned in [false, true] {
                let mut acc = DenseAccumulator::<f64>::with_options(
                    [2, 3],
                    Reduction::Sum,
                    options(summation),
                );
                for gradient in order {
                    let gradient: Gradient<'_, f64> =
                        if owned { gradient.clone().into() } else { gradient.into() };
                    acc.apply(gradient, 0).expect("fits");
                }
                let value = acc.try_take(2).expect("two asked").expect("two held").into_value();
                assert_eq!(value, (&base * 2.0).into_dyn());
                assert!(value.is_standard_layout());
            }
        }
    }
}

#[test]
fn a_lent_gradient_goes_back_when_the_accumulator_is_done_with_it() {
    for (summation, held, after) in
        [(Summation::Eager, 1, 1), (Summation::Held, 0, 1), (Summation::Ordered, 0, 1)]
    {
        let pool = BufferPool::<f32>::new(8);
        let mut acc =
            DenseAccumulator::<f32>::with_options([2], Reduction::Sum, options(summation));
        let [mut a, mut b, stale, misfit] = [2, 2, 2, 3].map(|len| pool.lend(&[len]));
        a.fill(1.0);
        b.fill(2.0);
        assert!(acc.apply(stale, -1).is_ok_and(|applied| !applied.is_accepted()));
        assert!(acc.apply(misfit, 0).is_err());
        assert_eq!(pool.free(), 2);
        acc.apply(a, 0).expect("fits");
        acc.apply(b, 0).expect("fits");
        assert_eq!(pool.free(), 2 + held);
        let value = acc.try_take(2).expect("two asked").expect("two held").into_value();
        assert_eq!(value, array![3.0, 3.0].into_dyn());
        assert_eq!(pool.free(), 2 + after);
        pool.give(value);
        assert_eq!(pool.free(), 4);
    }
    let small = BufferPool::<f32>::new(1);
    drop(small.lend(&[1]));
    small.give(ArrayD::zeros(&[9][..]));
    assert_eq!(small.free(), 1, "no more than its limit");
}

#[test]
fn what_was_taken_does_not_change_later() {
    // E-9
    for summation in SUMMATIONS {
        let mut acc =
            DenseAccumulator::<f32>::with_options([1], Reduction::Mean, options(summation));
        acc.apply(array![1.0], 0).expect("fits");
        let taken = acc.try_take(1).expect("one asked").expect("one held");
        acc.apply(array![100.0], 1).expect("fits");
        assert_eq!(taken.into_value(), array![1.0].into_dyn());
    }
}

#[test]
fn a_sum_can_be_had_undivided() {
    let mut acc = DenseAccumulator::<f32>::new([1], Reduction::Mean);
    acc.apply(array![1.0], 0).expect("fits");
    acc.apply(array![4.0], 0).expect("fits");
    let sum = acc.try_take(1).expect("one asked").expect("two held");
    assert_eq!(sum.shape(), [1]);
    assert_eq!(sum.into_sum(), (array![5.0].into_dyn(), 2.0));
}

#[test]
fn ordered_sums_do_not_depend_on_arrival() {
    // P-14: these three give other bits in other orders.
    let gradients = [(0, 1.0e8_f32), (1, 1.0), (2, -1.0e8)];
    let mean = |order: [usize; 3]| {
        let mut acc =
            DenseAccumulator::<f32>::with_options([1], Reduction::Sum, options(Summation::Ordered));
        for (key, value) in order.map(|at| gradients[at]) {
            acc.apply_keyed(array![value], 0, key).expect("fits");
        }
        acc.try_take(3).expect("three asked").expect("three held").into_value()[[0]]
    };
    for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2], [0, 2, 1], [2, 0, 1], [1, 2, 0]] {
        assert_eq!(mean(order), (1.0e8_f32 + 1.0) - 1.0e8);
    }
}

#[test]
fn putting_back_undoes_a_take() {
    for summation in SUMMATIONS {
        let mut acc =
            DenseAccumulator::<f32>::with_options([1], Reduction::Mean, options(summation));
        acc.apply(array![1.0e8], 0).expect("fits");
        acc.apply(array![1.0], 0).expect("fits");
        let sum = acc.try_take(2).expect("two asked").expect("two held");
        acc.apply(array![-1.0e8], 1).expect("fits");
        acc.put_back(sum).expect("the same shape");
        assert_eq!((acc.num_accumulated(), acc.global_step().get()), (3, 0));
        let value = acc.try_take(3).expect("three asked").expect("three held").into_value();
        assert_eq!(value[[0]], ((1.0e8_f32 + 1.0) - 1.0e8) / 3.0);
    }
}

#[test]
fn putting_back_leaves_a_step_that_was_moved() {
    let mut acc = DenseAccumulator::<f32>::new(PartialShape::unknown(), Reduction::Mean);
    acc.apply(array![1.0], 0).expect("fits");
    let sum = acc.try_take(1).expect("one asked").expect("one held");
    acc.set_global_step(7);
    acc.put_back(sum).expect("nothing came since");
    assert_eq!((acc.num_accumulated(), acc.global_step().get()), (1, 7));

    let sum = acc.try_take(1).expect("one asked").expect("one held");
    acc.apply(array![1.0, 2.0], 8).expect("any shape fits now");
    let error = acc.put_back(sum).expect_err("another shape is held");
    assert_eq!((acc.num_accumulated(), acc.global_step().get()), (1, 8));
    assert_eq!(error.sum.into_value(), array![1.0].into_dyn());
}

#[test]
fn sums_alone_judge_nobody() {
    let mut sums = DenseSums::<f32>::new([1], Reduction::Mean, DenseOptions::default());
    assert!(sums.drain(GlobalStep::new(3)).is_none());
    sums.add(array![1.0].into(), 0).expect("fits");
    sums.add(array![3.0].into(), 0).expect("fits");
    assert!(sums.add(array![1.0, 1.0].into(), 0).is_err());
    let sum = sums.drain(GlobalStep::new(3)).expect("two are held");
    assert_eq!((sum.count(), sum.step().get(), sums.count()), (2, 3, 0));
    sums.put_back(sum).expect("nothing came since");
    let sum = sums.drain(GlobalStep::new(4)).expect("two are held");
    assert_eq!(sum.into_value(), array![2.0].into_dyn());
}
