//! Bytes as a run of sparse pushes, of any shape and with any indices: each is
//! refused and changes nothing, or is summed as a map of rows would sum it.

use std::collections::BTreeMap;

use accum_core::{
    Element, IndexedSlices, PartialShape, Reduction, SparseAccumulator, SparseOptions, Summation,
};
use half::{bf16, f16};
use ndarray::{ArrayD, Axis};

/// Pushes of one run; enough for every order of merges.
const PUSHES: usize = 6;

pub fn check(data: &[u8]) {
    let mut bytes = Bytes(data);
    match bytes.below(4) {
        0 => run::<f16>(&mut bytes),
        1 => run::<bf16>(&mut bytes),
        2 => run::<f32>(&mut bytes),
        _ => run::<f64>(&mut bytes),
    }
}

fn run<E: Element + From<i8>>(bytes: &mut Bytes<'_>)
where
    f64: From<E::Sum>,
{
    let summation = [Summation::Eager, Summation::Held, Summation::Ordered][bytes.below(3)];
    let options = SparseOptions { summation, ..SparseOptions::default() };
    let declared = bytes.declared();
    let mut acc = SparseAccumulator::<E>::with_options(declared, Reduction::Sum, options);
    let mut model = BTreeMap::new();
    let mut accepted = 0;
    for _ in 0..PUSHES {
        let slices = bytes.slices::<E>();
        convert(&slices, bytes);
        if acc.apply(&slices, 0).is_ok() {
            accepted += 1;
            add(&mut model, &slices);
        }
        assert_eq!(acc.num_accumulated(), accepted);
    }
    if let Some(sum) = acc.try_take(1).expect("one is asked for") {
        let taken = sum.into_value();
        assert_eq!(taken.check(), Ok(()));
        assert_eq!(rows(&taken), model);
    }
}

/// Each conversion refuses what does not fit it, and keeps the meaning of what does.
fn convert<E: Element + From<i8>>(slices: &IndexedSlices<E>, bytes: &mut Bytes<'_>)
where
    f64: From<E::Sum>,
{
    // The large ones are beyond any memory, whatever the element.
    let wanted = [usize::MAX, usize::MAX / 2 + 1, bytes.below(40)][bytes.below(8).min(2)];
    let fits = slices.check().is_ok();
    let owned = slices.clone();
    let made = IndexedSlices::new(owned.indices, owned.values, owned.dense_shape);
    assert_eq!(made.is_ok(), fits);
    let canonical = slices.clone().canonical();
    assert_eq!(canonical.is_ok(), fits);
    if let Ok(canonical) = canonical {
        assert!(canonical.indices.is_sorted_by(|a, b| a < b));
        assert_eq!(canonical.clone().canonical(), Ok(canonical));
    }
    let dense = slices.to_dense(wanted);
    assert!(fits || dense.is_err());
    if let Ok(matrix) = slices.to_csmat(wanted) {
        let dense = dense.clone().expect("what fits a matrix fits an array");
        assert_eq!(IndexedSlices::from(&matrix).to_dense(wanted), Ok(dense));
    }
    if let Ok(vector) = slices.to_csvec(wanted) {
        assert_eq!(vector.nnz(), slices.clone().canonical().map_or(0, |it| it.indices.len()));
        if wanted < 40 {
            assert_eq!(IndexedSlices::from(&vector).to_dense(wanted), dense);
        }
    }
    if let Ok(dense) = dense {
        assert_eq!(dense.shape()[0], wanted);
        assert_eq!(&dense.shape()[1..], slices.row_shape());
    }
}

type Rows = BTreeMap<i64, Vec<f64>>;

/// Whole numbers, so that every sum of them is exact.
fn add<E: Element>(model: &mut Rows, slices: &IndexedSlices<E>)
where
    f64: From<E::Sum>,
{
    for (index, row) in slices.indices.iter().zip(slices.values.outer_iter()) {
        let row: Vec<f64> = row.iter().map(|value| f64::from(value.widen())).collect();
        let sum = model.entry(*index).or_insert_with(|| vec![0.0; row.len()]);
        sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
    }
}

fn rows<E: Element>(slices: &IndexedSlices<E>) -> Rows
where
    f64: From<E::Sum>,
{
    let mut model = Rows::new();
    add(&mut model, slices);
    model
}

/// Bytes that turn into small choices; zeros once they are used up.
struct Bytes<'d>(&'d [u8]);

impl Bytes<'_> {
    fn next(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    fn below(&mut self, end: usize) -> usize {
        usize::from(self.next()) % end
    }

    /// Mostly small, some negative, some at the ends of the type.
    fn index(&mut self) -> i64 {
        match self.next() {
            255 => i64::MAX,
            254 => i64::MIN,
            253 => -1,
            252 => 1 << 40,
            small => i64::from(small % 16),
        }
    }

    fn declared(&mut self) -> PartialShape {
        match self.below(5) {
            0 => PartialShape::unknown(),
            rank => PartialShape::of((1..rank).map(|_| match self.next() {
                255 => Some(usize::MAX),
                odd if odd % 2 == 1 => None,
                even => Some(usize::from(even / 2) % 16),
            })),
        }
    }

    /// Open fields, so that nothing is checked yet; any layout.
    fn slices<E: Element + From<i8>>(&mut self) -> IndexedSlices<E> {
        let indices: Vec<i64> = (0..self.below(8)).map(|_| self.index()).collect();
        let rank = self.below(4);
        let mut shape: Vec<usize> = (0..rank).map(|_| self.below(4)).collect();
        if let (Some(rows), true) = (shape.first_mut(), self.below(4) > 0) {
            *rows = indices.len();
        }
        let dense_shape = match self.below(4) {
            0 => Some((0..self.below(4)).map(|_| self.index()).collect()),
            1 => Some(shape.iter().map(|_| -1).collect()),
            _ => None,
        };
        let layout = self.below(3);
        if layout == 1 {
            shape.reverse();
        }
        let next = |_| E::from(self.next() as i8);
        let len = shape.iter().product();
        let values: Vec<E> = (0..len).map(next).collect();
        let mut values = ArrayD::from_shape_vec(shape, values).expect("as many as the shape has");
        match layout {
            1 => values = values.reversed_axes(),
            2 => (0..rank).for_each(|axis| values.invert_axis(Axis(axis))),
            _ => {}
        }
        IndexedSlices { indices, values, dense_shape }
    }
}
