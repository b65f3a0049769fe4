//! Saving while updates go on.

use embedding_table::{Block, Rows, StoreError, Table, TableStore};

fn add(store: &mut TableStore<f64>, step: i64, keys: &[i64]) {
    let (counts, gradients) = (vec![1; keys.len()], vec![1.0; keys.len()]);
    let rows = Rows { keys, counts: &counts, gradients: &gradients };
    store.apply(step, &rows, |row, gradient| row[0] += gradient[0]).expect("it fits");
    store.finish_step(step);
}

/// Two saves at once, each of its own step, with evictions and births between their pieces.
#[test]
fn each_save_is_of_its_own_step() {
    let table = Table::new("t", 1).constant(0.0).evict_unused(2);
    let mut store = TableStore::<f64>::new(table, &[]).expect("it makes sense");
    let all = |store: &mut TableStore<f64>| {
        let (mut saving, mut rows) = (store.begin_save(), Block::default());
        while store.copy_rows(&mut saving, 100, &mut rows).expect("its own") {}
        store.end_save(saving);
        rows
    };
    add(&mut store, 1, &[1, 2, 3, 4, 5, 6]);
    let first = all(&mut store);
    let (mut early, mut early_rows) = (store.begin_save(), Block::default());
    assert!(store.copy_rows(&mut early, 2, &mut early_rows).expect("its own"));
    add(&mut store, 2, &[1, 3, 5, 7]);
    let second = all(&mut store);
    let (mut late, mut late_rows) = (store.begin_save(), Block::default());
    // What step 1 has updated last goes here, and others take its place.
    add(&mut store, 3, &[1, 8, 9, 10]);
    assert!(store.row(2).is_none());
    assert!(store.copy_rows(&mut early, 2, &mut early_rows).expect("its own"));
    assert!(store.copy_rows(&mut late, 3, &mut late_rows).expect("its own"));
    add(&mut store, 4, &[11, 12, 13]);
    while store.copy_rows(&mut early, 1, &mut early_rows).expect("its own") {}
    while store.copy_rows(&mut late, 1, &mut late_rows).expect("its own") {}
    store.end_save(early);
    store.end_save(late);
    assert_eq!((early_rows, late_rows), (first, second));
}

/// A save whose store made way for another one fails, and leaves the other's saves alone.
#[test]
fn a_save_of_other_rows_fails() {
    let new = || TableStore::<f64>::new(Table::new("t", 1), &[]).expect("it makes sense");
    let (mut store, mut other) = (new(), new());
    add(&mut store, 1, &[1, 2, 3]);
    add(&mut other, 1, &[4, 5]);
    let (mut saving, mut rows) = (store.begin_save(), Block::default());
    assert_eq!(store.copy_rows(&mut saving, 1, &mut rows), Ok(true));
    let mut of_other = other.begin_save();
    let failed = other.copy_rows(&mut saving, 1, &mut rows);
    assert_eq!(failed, Err(StoreError::OtherSave { table: "t".to_owned() }));
    other.end_save(saving);
    add(&mut other, 2, &[4]);
    let mut rows = Block::default();
    assert_eq!(other.copy_rows(&mut of_other, 2, &mut rows), Ok(false));
    assert_eq!(rows.steps, [1, 1], "what was kept for it");
}
