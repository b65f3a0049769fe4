//! Sparse accumulators: the merge of both kinds, the mean of both kinds, and what is refused.

use accum_core::{
    ApplyError, Element, GlobalStep, HalfSum, IndexedSlices, PartialShape, Reduction, SlicesError,
    SparseAccumulator, SparseMean, SparseMerge, SparseOptions, SparseSums, Summation, Sums,
};
use half::{bf16, f16};
use ndarray::{Array2, ArrayD, array};

pub(crate) const SUMMATIONS: [Summation; 3] =
    [Summation::Eager, Summation::Held, Summation::Ordered];

/// A gradient without a dense shape, from parts that need not fit.
pub(crate) fn raw(
    indices: &[i64],
    values: ArrayD<f32>,
    dense_shape: Option<&[i64]>,
) -> IndexedSlices<f32> {
    IndexedSlices { indices: indices.to_vec(), values, dense_shape: dense_shape.map(<[_]>::to_vec) }
}

pub(crate) fn column(indices: &[i64], values: &[f32]) -> IndexedSlices<f32> {
    let rows = Array2::from_shape_vec((values.len(), 1), values.to_vec()).expect("one column");
    raw(indices, rows.into_dyn(), None)
}

fn reference() -> SparseOptions {
    SparseOptions::reference()
}

fn per_gradient() -> SparseOptions {
    SparseOptions { mean: SparseMean::PerGradient, ..SparseOptions::default() }
}

pub(crate) type Columns<'a> = (&'a [i64], &'a [f32]);

/// One-column gradients in, one taken out, whatever the summation.
#[track_caller]
pub(crate) fn check(
    reduction: Reduction,
    options: SparseOptions,
    pushes: &[Columns<'_>],
    out: Columns<'_>,
) {
    for summation in SUMMATIONS {
        let options = SparseOptions { summation, ..options };
        let mut acc =
            SparseAccumulator::<f32>::with_options(PartialShape::unknown(), reduction, options);
        for (indices, values) in pushes {
            acc.apply(column(indices, values), 0).expect("fits");
        }
        assert_eq!(acc.num_accumulated(), pushes.len() as u64);
        let taken = acc.try_take(1).expect("one asked").expect("some held").into_value();
        let (indices, values) = out;
        let expected = raw(indices, column(indices, values).values, Some(&[-1, 1]));
        assert_eq!(taken, expected, "{summation:?}");
    }
}

#[test]
fn a_row_is_divided_by_the_gradients_that_had_it() {
    // R-8, E-11
    let mean = |pushes: &[Columns<'_>], out: Columns<'_>| {
        check(Reduction::Mean, SparseOptions::default(), pushes, out);
        check(Reduction::Mean, reference(), pushes, out);
    };
    mean(&[(&[0, 1], &[3.0, 3.0]), (&[0], &[3.0]), (&[0], &[6.0])], (&[0, 1], &[4.0, 3.0]));
    mean(&[(&[5], &[1.0]), (&[2, 7], &[2.0, 3.0])], (&[2, 5, 7], &[2.0, 1.0, 3.0]));
    // an empty one counts, and adds no row.
    mean(&[(&[], &[])], (&[], &[]));
    mean(&[(&[], &[]), (&[1], &[2.0])], (&[1], &[2.0]));
    mean(&[(&[1], &[2.0]), (&[], &[]), (&[1], &[4.0])], (&[1], &[3.0]));
}

#[test]
fn or_by_all_gradients_when_chosen() {
    //
    let mean = |pushes: &[Columns<'_>], out: Columns<'_>| {
        check(Reduction::Mean, per_gradient(), pushes, out)
    };
    mean(&[(&[0, 1], &[3.0, 3.0]), (&[0], &[3.0]), (&[0], &[6.0])], (&[0, 1], &[4.0, 1.0]));
    mean(&[(&[], &[]), (&[1], &[2.0])], (&[1], &[1.0]));
    check(Reduction::Sum, per_gradient(), &[(&[], &[]), (&[1], &[2.0])], (&[1], &[2.0]));
}

#[test]
fn the_canonical_merge_sorts_and_sums_repetitions_first() {
    //
    let mean = |pushes: &[Columns<'_>], out: Columns<'_>| {
        check(Reduction::Mean, SparseOptions::default(), pushes, out)
    };
    let dup: Columns<'_> = (&[1, 1], &[1.0, 2.0]);
    mean(&[dup], (&[1], &[3.0]));
    mean(&[dup, (&[1], &[10.0])], (&[1], &[6.5]));
    mean(&[(&[1], &[10.0]), dup], (&[1], &[6.5]));
    mean(&[dup, (&[1, 1], &[10.0, 20.0])], (&[1], &[16.5]));
    mean(&[(&[2, 1], &[2.0, 1.0])], (&[1, 2], &[1.0, 2.0]));
    mean(&[(&[2, 1], &[2.0, 1.0]), (&[1, 2], &[10.0, 20.0])], (&[1, 2], &[5.5, 11.0]));
    mean(
        &[(&[3, 1, 2], &[3.0, 1.0, 2.0]), (&[2, 3, 1], &[20.0, 30.0, 10.0])],
        (&[1, 2, 3], &[5.5, 11.0, 16.5]),
    );
    // Two replicas whose lists disagree in order and repeat: the row means that one would expect.
    mean(&[(&[2, 1, 1], &[1.0, 2.0, 3.0]), (&[1], &[10.0])], (&[1, 2], &[7.5, 1.0]));
    let sum = |pushes: &[Columns<'_>], out: Columns<'_>| {
        check(Reduction::Sum, SparseOptions::default(), pushes, out)
    };
    sum(&[dup, (&[1, 1, 1], &[10.0, 20.0, 30.0])], (&[1], &[63.0]));
}

#[test]
fn the_reference_merge_trusts_what_it_is_given() {
    // R-9, P-16, E-11: every odd row of the measured table.
    let mean =
        |pushes: &[Columns<'_>], out: Columns<'_>| check(Reduction::Mean, reference(), pushes, out);
    let dup: Columns<'_> = (&[1, 1], &[1.0, 2.0]);
    mean(&[dup], (&[1, 1], &[1.0, 2.0]));
    mean(&[dup, (&[1], &[10.0])], (&[1, 1], &[5.5, 2.0]));
    mean(&[(&[1], &[10.0]), dup], (&[1, 1], &[5.5, 2.0]));
    mean(&[dup, (&[1, 1], &[10.0, 20.0])], (&[1, 1], &[5.5, 11.0]));
    mean(&[(&[2, 1], &[2.0, 1.0])], (&[2, 1], &[2.0, 1.0]));
    mean(&[(&[2, 1], &[2.0, 1.0]), (&[1, 2], &[10.0, 20.0])], (&[1, 2, 1], &[10.0, 11.0, 1.0]));
    mean(&[(&[1, 2], &[1.0, 2.0]), (&[2, 1], &[20.0, 10.0])], (&[1, 2, 1], &[1.0, 11.0, 10.0]));
    mean(&[(&[2, 1], &[2.0, 1.0]), (&[2, 1], &[20.0, 10.0])], (&[2, 1], &[11.0, 5.5]));
    mean(
        &[(&[3, 1, 2], &[3.0, 1.0, 2.0]), (&[2, 3, 1], &[20.0, 30.0, 10.0])],
        (&[2, 3, 1, 2], &[20.0, 16.5, 5.5, 2.0]),
    );
    let sum =
        |pushes: &[Columns<'_>], out: Columns<'_>| check(Reduction::Sum, reference(), pushes, out);
    sum(&[dup, (&[1, 1, 1], &[10.0, 20.0, 30.0])], (&[1, 1, 1], &[11.0, 22.0, 30.0]));
    mean(&[(&[-1], &[4.0])], (&[-1], &[4.0]));
}

/// The same pushes at each of two steps, under both merges; rows of two numbers.
#[track_caller]
fn repeated(reduction: Reduction, expected: [[f32; 2]; 3]) {
    for options in [SparseOptions::default(), reference()] {
        let mut acc = SparseAccumulator::<f32>::with_options([], reduction, options);
        for (step, factor) in [(0, 1.0), (1, 10.0)] {
            let a = raw(&[0, 1], array![[1.0, 0.0], [0.0, 2.0]].into_dyn() * factor, Some(&[3, 2]));
            let b = raw(&[0, 2], array![[0.0, 1.0], [3.0, 0.0]].into_dyn() * factor, Some(&[3, 2]));
            acc.apply(a, step).expect("fits");
            acc.apply(b, step).expect("fits");
            let sum = acc.try_take(1).expect("one asked").expect("two held");
            assert_eq!((sum.count(), sum.step().get()), (2, step));
            let expected = ndarray::arr2(&expected).into_dyn() * factor;
            assert_eq!(sum.into_value(), raw(&[0, 1, 2], expected, Some(&[-1, 2])));
        }
    }
}

#[test]
fn the_means_and_sums_of_the_catalogue() {
    // R-8, E-11: TakeGradMean, TakeGradSum, RepeatedTakeGrad.
    repeated(Reduction::Mean, [[0.5, 0.5], [0.0, 2.0], [3.0, 0.0]]);
    repeated(Reduction::Sum, [[1.0, 1.0], [0.0, 2.0], [3.0, 0.0]]);
}

#[test]
fn rows_of_any_shape() {
    // R-8, E-11: rows that are scalars; ReturnShape.
    let mut acc = SparseAccumulator::<f32>::new([3], Reduction::Mean);
    acc.apply(raw(&[0, 2], array![2.0, 4.0].into_dyn(), None), 0).expect("fits");
    acc.apply(raw(&[0], array![6.0].into_dyn(), None), 0).expect("fits");
    let taken = acc.try_take(1).expect("one asked").expect("two held").into_value();
    assert_eq!(taken, raw(&[0, 2], array![4.0, 4.0].into_dyn(), Some(&[3])));

    for (declared, values, expected) in [
        (PartialShape::of([Some(2), None]), [1, 2, 2, 2], [2, 2, 2, 2]),
        (PartialShape::of([None, Some(2)]), [1, 2, 2, 3], [-1, 2, 2, 3]),
    ] {
        let mut acc = SparseAccumulator::<f32>::new(declared, Reduction::Mean);
        acc.apply(raw(&[0], ArrayD::ones(&values[..]), None), 0).expect("fits");
        let taken = acc.try_take(1).expect("one asked").expect("one held").into_value();
        assert_eq!(taken.dense_shape.as_deref(), Some(&expected[..]));
    }
    // No columns at all: rows without numbers.
    let mut acc = SparseAccumulator::<f32>::new(PartialShape::unknown(), Reduction::Mean);
    for indices in [[2, 1], [1, 1]] {
        acc.apply(raw(&indices, ArrayD::ones(&[2, 0][..]), None), 0).expect("fits");
    }
    let taken = acc.try_take(1).expect("one asked").expect("two held").into_value();
    assert_eq!((taken.indices.as_slice(), taken.values.shape()), (&[1, 2][..], &[2, 0][..]));
}

/// Each refused push changes nothing, is refused by `check` alike, and is fine when stale.
#[track_caller]
fn refused(declared: PartialShape, gradient: IndexedSlices<f32>, message: &str) {
    for summation in SUMMATIONS {
        let options = SparseOptions { summation, ..SparseOptions::default() };
        let mut acc =
            SparseAccumulator::<f32>::with_options(declared.clone(), Reduction::Mean, options);
        let error = acc.apply(&gradient, 0).expect_err("does not fit");
        assert_eq!(error.to_string(), message);
        assert_eq!(acc.check(&(&gradient).into()), Err(error));
        assert_eq!((acc.num_accumulated(), acc.global_step().get()), (0, 0));
        assert!(acc.try_take(1).expect("one asked").is_none());
        assert!(!acc.apply(&gradient, -1).expect("stale").is_accepted());
    }
}

#[test]
fn what_does_not_fit_is_an_error_that_changes_nothing() {
    // ValidateShape
    let any = PartialShape::unknown;
    let ones = |shape: &[usize]| ArrayD::<f32>::ones(shape);
    refused(any(), raw(&[], ones(&[]), None), "values are a scalar; give one row an index");
    refused(
        any(),
        raw(&[0, 1], ones(&[1, 2]), None),
        "1 rows of values for 2 indices; give one row an index",
    );
    refused(
        any(),
        raw(&[0, -1], ones(&[2, 2]), None),
        "index -1 at position 1 is not one of 0, 1, ..",
    );
    refused(
        [3, 2].into(),
        raw(&[0, 3], ones(&[2, 2]), None),
        "index 3 at position 1 is not one of the 3 rows, from 0",
    );
    refused(
        [3, 2].into(),
        raw(&[-1], ones(&[1, 2]), None),
        "index -1 at position 0 is not one of the 3 rows, from 0",
    );
    refused(
        any(),
        raw(&[9], ones(&[1, 2]), Some(&[4, 2])),
        "index 9 at position 0 is not one of the 4 rows, from 0",
    );
    let shape = || PartialShape::of([Some(2), Some(2), None]);
    refused(
        shape(),
        raw(&[0], ones(&[1, 2, 2]), Some(&[2, 2])),
        "sparse gradient of dense shape [2, 2] where one that begins with [2,2,?] is needed",
    );
    refused(
        shape(),
        raw(&[0], ones(&[1, 2, 2]), Some(&[2, 3, 2])),
        "sparse gradient of dense shape [2, 3, 2] where one that begins with [2,2,?] is needed",
    );
    refused(
        shape(),
        raw(&[0], ones(&[1, 2]), None),
        "sparse gradient with rows of shape [2] where [2,?] is needed",
    );
    refused(
        shape(),
        raw(&[0], ones(&[1, 3, 2]), None),
        "sparse gradient with rows of shape [3,2] where [2,?] is needed",
    );
}

#[test]
fn the_rows_of_a_cycle_have_one_shape() {
    // the end of ValidateShape
    for options in [SparseOptions::default(), reference()] {
        let declared = PartialShape::of([Some(2), Some(2), None]);
        let mut acc = SparseAccumulator::<f32>::with_options(declared, Reduction::Mean, options);
        let one = |shape: &[usize]| raw(&[0], ArrayD::ones(shape), None);
        let misfit = |error| matches!(error, Err(ApplyError::RowShape { .. }));
        acc.apply(one(&[1, 2, 2, 2]), 0).expect("more dimensions than declared are fine");
        assert!(misfit(acc.apply(one(&[1, 2, 2]), 0)));
        assert!(misfit(acc.apply(one(&[1, 2, 2, 3]), 0)));
        assert_eq!(acc.num_accumulated(), 1);
        assert!(acc.try_take(1).expect("one asked").is_some());
        acc.apply(one(&[1, 2, 2, 3]), 1).expect("a new cycle");
        assert!(misfit(acc.apply(one(&[1, 2, 2, 2]), 1)));
    }
}

#[test]
fn an_empty_gradient_fixes_the_rows_of_its_cycle() {
    //
    let mut acc = SparseAccumulator::<f32>::new(PartialShape::unknown(), Reduction::Mean);
    acc.apply(raw(&[], ArrayD::ones(&[0, 2][..]), None), 0).expect("fits");
    assert!(acc.apply(raw(&[], ArrayD::ones(&[0][..]), None), 0).is_err());
    let taken = acc.try_take(1).expect("one asked").expect("one held").into_value();
    assert_eq!(taken, raw(&[], ArrayD::ones(&[0, 2][..]), Some(&[-1, 2])));
    acc.apply(raw(&[], ArrayD::ones(&[0][..]), None), 1).expect("a new cycle");
}

#[test]
fn the_reference_looks_less_closely() {
    // R-9, P-16
    let ones = |shape: &[usize]| ArrayD::<f32>::ones(shape);
    let mut acc = SparseAccumulator::<f32>::new([3, 2], Reduction::Mean);
    acc.apply(raw(&[-1], ones(&[1, 2]), None), 0).expect_err("by default it is");
    let mut acc = SparseAccumulator::<f32>::with_options([3, 2], Reduction::Mean, reference());
    acc.apply(raw(&[-1], ones(&[1, 2]), None), 0).expect("a negative index is not seen");
    let error = acc.apply(raw(&[3], ones(&[1, 2]), None), 0).expect_err("an upper bound is");
    let index = SlicesError::IndexOutOfRange { position: 0, index: 3, rows: Some(3) };
    assert_eq!(error, ApplyError::Slices(index));
    let mut acc = SparseAccumulator::<f32>::with_options([], Reduction::Mean, reference());
    acc.apply(raw(&[9], ones(&[1, 2]), Some(&[4, 2])), 0).expect("its own shape is not looked at");
    // A dense shape of no dimensions says nothing, under either merge.
    let mut acc = SparseAccumulator::<f32>::new([], Reduction::Mean);
    acc.apply(raw(&[0], ones(&[1]), Some(&[])), 0).expect("says nothing");
}

#[track_caller]
fn mean_of_two<E: Element>(of: impl Fn(f32) -> E, expected: E::Sum) {
    for half_sum in [HalfSum::Single, HalfSum::Reference] {
        for summation in SUMMATIONS {
            let options = SparseOptions { summation, half_sum, ..SparseOptions::default() };
            let mut acc = SparseAccumulator::<E>::with_options([3, 3, 3], Reduction::Mean, options);
            for value in [1.0, 2.0] {
                let mut row = ArrayD::from_elem(&[1, 3, 3][..], of(0.0));
                row[[0, 2, 2]] = of(value);
                let gradient = IndexedSlices::new(vec![2], row, None).expect("fits");
                acc.apply(gradient, 0).expect("fits");
            }
            let taken = acc.try_take(1).expect("one asked").expect("two held").into_value();
            assert_eq!((taken.indices[0], taken.values[[0, 2, 2]]), (2, expected));
            assert_eq!(taken.dense_shape, Some(vec![3, 3, 3]));
        }
    }
}

#[test]
fn every_number_type() {
    // Dtypes
    mean_of_two(f16::from_f32, 1.5);
    mean_of_two(bf16::from_f32, 1.5);
    mean_of_two(|value| value, 1.5);
    mean_of_two(f64::from, 1.5);
}

#[test]
fn half_precision_sticks_only_under_the_reference_rule() {
    //
    for summation in SUMMATIONS {
        for (half_sum, expected) in
            [(HalfSum::Single, 1.0), (HalfSum::Reference, f16::from_f32(2048.0 / 2060.0).to_f32())]
        {
            let options = SparseOptions { summation, half_sum, ..SparseOptions::default() };
            let mut acc = SparseAccumulator::<f16>::with_options([1], Reduction::Mean, options);
            for _ in 0..2060 {
                let one = IndexedSlices::new(vec![0], array![f16::ONE], None).expect("fits");
                acc.apply(one, 0).expect("fits");
            }
            let taken = acc.try_take(1).expect("one asked").expect("all held").into_value();
            assert_eq!(taken.values[[0]], expected);
        }
    }
}

#[test]
fn an_owned_first_gradient_keeps_its_buffer() {
    for summation in SUMMATIONS {
        let options = SparseOptions { summation, ..SparseOptions::default() };
        let mut acc = SparseAccumulator::<f32>::with_options([9, 2], Reduction::Mean, options);
        let gradient = raw(&[1, 4], ArrayD::ones(&[2, 2][..]), None);
        let buffer = gradient.values.as_ptr();
        acc.apply(gradient, 0).expect("fits");
        let taken = acc.try_take(1).expect("one asked").expect("one held").into_value();
        assert_eq!(taken.values.as_ptr(), buffer, "{summation:?}");
    }
}

#[test]
fn putting_back_undoes_a_take() {
    for summation in SUMMATIONS {
        for merge in [SparseMerge::Canonical, SparseMerge::Reference] {
            let options = SparseOptions { summation, merge, ..SparseOptions::default() };
            let mut acc = SparseAccumulator::<f32>::with_options([9, 1], Reduction::Mean, options);
            acc.apply(column(&[1, 4], &[1.0, 2.0]), 0).expect("fits");
            acc.apply(column(&[4], &[4.0]), 0).expect("fits");
            let sum = acc.try_take(2).expect("two asked").expect("two held");
            acc.apply(column(&[0, 4], &[5.0, 6.0]), 1).expect("fits");
            acc.apply(column(&[4], &[8.0]), 1).expect("fits");
            acc.put_back(sum).expect("the same rows");
            assert_eq!((acc.num_accumulated(), acc.global_step().get()), (4, 0));
            let taken = acc.try_take(4).expect("four asked").expect("four held").into_value();
            let expected = column(&[0, 1, 4], &[5.0, 1.0, 5.0]);
            assert_eq!((taken.indices, taken.values), (expected.indices, expected.values));
        }
    }
    let mut sums =
        SparseSums::<f32>::new(PartialShape::unknown(), Reduction::Sum, SparseOptions::default());
    sums.add(column(&[1], &[1.0]).into(), 0).expect("fits");
    let sum = sums.drain(GlobalStep::new(0)).expect("one is held");
    sums.add(raw(&[1], array![2.0].into_dyn(), None).into(), 0).expect("fits");
    let error = sums.put_back(sum).expect_err("other rows are held");
    assert_eq!((error.sum.count(), sums.count()), (1, 1));
}

#[test]
fn a_sum_can_be_had_undivided() {
    let mut acc = SparseAccumulator::<f32>::new([9, 1], Reduction::Mean);
    acc.apply(column(&[4, 1], &[2.0, 1.0]), 0).expect("fits");
    acc.apply(column(&[4], &[4.0]), 0).expect("fits");
    let (sum, divisors) = acc.try_take(1).expect("one asked").expect("two held").into_sum();
    assert_eq!(sum, raw(&[1, 4], array![[1.0], [6.0]].into_dyn(), Some(&[9, 1])));
    assert_eq!(divisors, [1.0, 2.0]);
}
