//! Sparse gradients that are large enough to be summed in parts, into memory that is used again.

use ndarray::Array2;
use optim::Sgd;
use sync_replicas::{Gradients, IndexedSlices, SyncReplicas, Variables};
use testing::ManualReplicas;

const ROWS: usize = 5_000;
const WIDTH: usize = 64;
/// Two of them are more elements than are summed in one piece.
const TOUCHED: usize = 4_200;

/// Rows from a first one on, in no order, all of one value.
fn rows(first: usize, value: f32) -> Gradients<f32> {
    let indices = (0..TOUCHED).map(|at| (first + at * 11 % TOUCHED) as i64).collect();
    let values = Array2::from_elem((TOUCHED, WIDTH), value);
    let slices = IndexedSlices::new(indices, values, None).expect("a row for each index");
    Gradients::new().sparse("table", slices)
}

// a row is divided by the gradients that had it; step after step, in the same memory.
#[test]
fn every_step_makes_the_same_update() {
    let table = Variables::new().with("table", Array2::<f32>::zeros((ROWS, WIDTH)));
    let builder = SyncReplicas::new(Sgd::new(1.0)).replicas_to_aggregate(2);
    let trainer = builder.build(table.expect("one name")).expect("it is valid");
    let mut driver = ManualReplicas::new(trainer, 2);
    let second = ROWS - TOUCHED;
    for step in 1..=3 {
        driver.push(0, rows(0, 1.0)).expect("it fits");
        driver.push(1, rows(second, 2.0)).expect("it fits");
        assert_eq!(driver.global_step(), step);
        let snapshot = driver.trainer.snapshot();
        let table = snapshot.variables.matrix("table").expect("it is there");
        for (row, values) in table.rows().into_iter().enumerate() {
            let mean = match row {
                row if row < second => 1.0,
                row if row < TOUCHED => 1.5,
                _ => 2.0,
            };
            assert!(values.iter().all(|value| *value == -mean * step as f32), "row {row}");
        }
    }
}
