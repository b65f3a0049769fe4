//! Lookups: rows as they are, and as they are born.

use embedding_table::{Change, Initializer, Rows, StoreError, Table, TableStore, hash_text};

/// P-17: a row that no update has made is a function of seed, table and key.
#[test]
fn a_row_is_born_of_seed_table_and_key() {
    let born = |table: Table, key: i64| {
        let store = TableStore::<f32>::new(table, &[]).expect("it makes sense");
        store.lookup(&[key])
    };
    let table = || Table::new("users", 3).normal(0.0, 1.0);
    let row = born(table(), 5);
    assert_eq!(row, born(table(), 5));
    assert_ne!(row, born(table(), 6));
    assert_ne!(row, born(table().seed(1), 5));
    assert_ne!(row, born(Table::new("items", 3).normal(0.0, 1.0), 5));
    // Fixed for ever: a checkpoint does not have them.
    let fixed = born(Table::new("users", 2).uniform(-1.0, 1.0).seed(42), hash_text("a"));
    assert_eq!(fixed, FIXED_UNIFORM);
    assert_eq!(born(table(), 5), FIXED_NORMAL);
}

/// Computed by another program, from the formulas in the documentation.
const FIXED_UNIFORM: [f32; 2] = [-0.760_767_4, 0.265_160_38];
const FIXED_NORMAL: [f32; 3] = [-0.131_787_03, -2.116_073_8, 0.559_237_5];

#[test]
fn initializers_draw_what_they_say() {
    #[track_caller]
    fn check(initializer: Initializer, mean: f64, deviation: f64, most: f64) {
        let table = Table::new("t", 64).initializer(initializer);
        let mut row = [0.0_f64; 64];
        let (mut sum, mut squares, mut largest) = (0.0, 0.0, 0.0_f64);
        for key in 0..2_000 {
            table.born(key * 1_000_003, &mut row);
            for x in row {
                sum += x;
                squares += x * x;
                largest = largest.max((x - mean).abs());
            }
        }
        let n = 64.0 * 2_000.0;
        let found = (squares / n - (sum / n) * (sum / n)).max(0.0).sqrt();
        assert!((sum / n - mean).abs() < 5.0 * deviation / n.sqrt() + 1e-12, "{}", sum / n);
        assert!((found - deviation).abs() <= 0.01 * deviation, "{found}");
        assert!(largest <= most, "{largest}");
    }
    check(Initializer::Constant(3.5), 3.5, 0.0, 0.0);
    check(Initializer::Uniform { low: -1.0, high: 3.0 }, 1.0, 4.0 / 12.0_f64.sqrt(), 2.0);
    check(Initializer::Normal { mean: -2.0, deviation: 0.5 }, -2.0, 0.5, 4.5);
}

/// P-17: looking up changes nothing.
#[test]
fn looking_up_changes_nothing() {
    let table = Table::new("t", 2).evict_beyond(2, embedding_table::EvictBy::LastUse);
    let mut store = TableStore::<f64>::new(table, &[]).expect("it makes sense");
    let add = |row: &mut [f64], _: &[f64]| row[0] += 1.0;
    for step in 1..=3 {
        let rows = Rows { keys: &[step], counts: &[1], gradients: &[0.0, 0.0] };
        store.apply(step, &rows, add).expect("it fits");
        for _ in 0..5 {
            let _ = store.lookup(&[1, 1, 99]);
        }
        store.finish_step(step);
    }
    // The first is the longest unused, however often it was looked up.
    assert_eq!((store.row(1), store.len()), (None, 2));
    assert_eq!(store.lookup(&[2, 2, 3]).len(), 6);
}

/// what does not fit changes nothing.
#[test]
fn rows_that_do_not_fit_are_refused() {
    #[track_caller]
    fn check(keys: &[i64], counts: &[u64], numbers: usize, expected: &str) {
        let table = Table::new("t", 2);
        let mut store = TableStore::<f64>::new(table, &[]).expect("it makes sense");
        let gradients = vec![1.0; numbers];
        let rows = Rows { keys, counts, gradients: &gradients };
        let error = store.apply(1, &rows, |_, _| {}).expect_err("it does not fit");
        assert!(error.to_string().contains(expected), "{error}");
        assert!(store.is_empty());
    }
    check(&[2, 1], &[1, 1], 4, "position 1 is not above");
    check(&[1, 1], &[1, 1], 4, "position 1 is not above");
    check(&[1, 2], &[1], 4, "expected 2 counts for 2 keys, got 1");
    check(&[1, 2], &[1, 1], 3, "expected 4 numbers of gradients for 2 keys, got 3");
    let mut store = TableStore::<f64>::new(Table::new("t", 1), &[]).expect("it makes sense");
    let block = |key| embedding_table::Block {
        keys: vec![key],
        counts: vec![1],
        steps: vec![1],
        rows: vec![1.0],
    };
    store.put(&block(7)).expect("it is new");
    let twice = StoreError::Twice { table: "t".to_owned(), key: 7 };
    assert_eq!(store.put(&block(7)), Err(twice));
}

/// P-17: whoever has rows of an earlier step is told what has changed since, and has the rest.
#[test]
fn changes_are_all_that_has_changed() {
    let table = Table::new("t", 1).constant(0.5).evict_unused(3);
    let mut store = TableStore::<f64>::new(table, &[]).expect("it makes sense");
    let keys: Vec<i64> = (0..6).collect();
    // By step: what a lookup of all keys gave.
    let mut seen = vec![store.lookup(&keys)];
    for step in 1..=12_i64 {
        let (one, two) = (step % 4, 4 + step % 2);
        let rows = Rows { keys: &[one, two], counts: &[1, 1], gradients: &[1.0, 1.0] };
        store.apply(step, &rows, |row, gradient| row[0] += gradient[0]).expect("it fits");
        store.finish_step(step);
        for (then, old) in seen.iter().enumerate() {
            let (mut rows, since) = (Vec::new(), vec![Some(then as i64); keys.len()]);
            let changes = store.changes(&keys, &since, &mut rows);
            let (mut rows, mut now) = (rows.into_iter(), old.clone());
            for (value, change) in now.iter_mut().zip(&changes) {
                match change {
                    Change::None => {}
                    Change::Born => *value = 0.5,
                    Change::Values => *value = rows.next().expect("one a change"),
                }
            }
            assert_eq!(now, store.lookup(&keys), "{then} to {step}");
            let unchanged = changes.iter().filter(|it| **it == Change::None).count();
            assert!(then as i64 + 1 < step || unchanged >= 3, "{then} to {step}: {changes:?}");
        }
        let mut rows = Vec::new();
        let all = store.changes(&keys, &vec![None; keys.len()], &mut rows);
        assert!(!all.contains(&Change::None));
        seen.push(store.lookup(&keys));
    }
}
