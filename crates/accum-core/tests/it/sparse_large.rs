//! Sparse sums that are large enough to be cut, of indices that do and do not fit into a word, in
//! memory that was used before: the same bits as when added at the push on one thread (R-8, P-14).

use std::sync::Arc;
use std::thread;

use accum_core::{
    BufferPool, IndexedSlices, PartialShape, Reduction, SparseAccumulator, SparseOptions, Summation,
};
use ndarray::Array2;

/// Rows in no order, some twice; every value its own.
fn gradient(nth: usize, [rows, width]: [usize; 2], stride: i64) -> IndexedSlices<f32> {
    let index = |at: usize| ((at * 7919 + nth * 31) % (rows - rows / 8)) as i64 * stride;
    let value = |(at, column): (usize, usize)| ((at * 13 + column * 7 + nth) % 1009) as f32 / 7.0;
    let values = Array2::from_shape_fn((rows, width), value);
    IndexedSlices::new((0..rows).map(index).collect(), values, None).expect("one row an index")
}

fn on_two_threads(first: &mut (dyn FnMut() + Send), second: &mut (dyn FnMut() + Send)) {
    thread::scope(|scope| {
        scope.spawn(first);
        second();
    });
}

#[track_caller]
fn check([rows, width]: [usize; 2], stride: i64, ways: usize) {
    let pool = BufferPool::new(2);
    let of = |nth| Arc::new(gradient(nth, [rows - nth, width], stride));
    let gradients: Vec<_> = (0..4).map(of).collect();
    let mean = |summation, ways| {
        let options = SparseOptions { summation, ..SparseOptions::default() };
        let shape = PartialShape::of([None, Some(width)]);
        let mut acc = SparseAccumulator::with_options(shape, Reduction::Mean, options)
            .side_by_side(ways, on_two_threads);
        if ways > 0 {
            acc = acc.with_pool(pool.clone());
        }
        for gradient in &gradients {
            acc.apply(Arc::clone(gradient), 0).expect("it fits");
        }
        acc.try_take(4).expect("positive").expect("four are held").into_value()
    };
    let expected = mean(Summation::Eager, 0);
    for summation in [Summation::Eager, Summation::Held, Summation::Ordered] {
        let got = mean(summation, ways);
        assert_eq!(got, expected, "{rows} x {width}, {stride} apart, {ways} ways, {summation:?}");
        pool.give(got.values);
    }
}

#[test]
fn neither_cuts_nor_packing_nor_old_memory_change_a_bit() {
    check([8_000, 32], 1, 1);
    check([8_000, 32], 1, 2);
    check([8_000, 32], 1, 5);
    check([8_000, 32], 1 << 40, 2);
    check([50, 32], 1, 2);
    check([50, 32], 1 << 40, 1);
}

#[test]
fn neither_does_how_much_of_a_row_fits_into_registers() {
    check([50, 64], 1, 1);
    check([50, 65], 1, 1);
    check([50, 130], 1 << 40, 1);
    check([50, 1100], 1, 1);
}
