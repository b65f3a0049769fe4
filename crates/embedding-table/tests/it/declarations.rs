//! Declarations: what makes sense, and what is said of the rest.

use embedding_table::{EvictBy, Table};

#[test]
fn declarations_that_make_no_sense_are_refused() {
    #[track_caller]
    fn check(table: Table, expected: &str) {
        let error = table.check().err().map(|error| error.to_string()).unwrap_or_default();
        assert_eq!(error.is_empty(), expected.is_empty(), "{error}");
        assert!(error.contains(expected), "{error}");
    }
    let table = || Table::new("users", 4);
    check(table(), "");
    check(table().normal(0.0, 0.0).admit_after(1).evict_unused(1), "");
    check(Table::new("", 4), "the name must be at least a letter");
    check(Table::new("users", 0), "table `users`: the width must be from 1 to 1,048,576, but 0");
    check(Table::new("users", usize::MAX), "the width");
    check(table().admit_after(0), "before admission must be at least 1, but 0");
    check(table().evict_unused(0), "the steps before eviction must be at least 1");
    check(table().evict_beyond(0, EvictBy::Count), "the rows that are kept must be at least 1");
    check(table().uniform(1.0, -1.0), "the initializer must be from a finite number to one");
    check(table().uniform(f64::NEG_INFINITY, 0.0), "the initializer");
    check(table().normal(0.0, -1.0), "a deviation that is not negative");
    check(table().normal(0.0, f64::NAN), "a deviation that is not negative");
    check(table().normal(0.0, 1e38), "of finite draws");
    check(table().constant(1e300), "the initializer must be finite");
}

/// Every key has one owner, and owners are of about one size.
#[test]
fn owners_are_even() {
    for table in [Table::new("t", 1), Table::new("t", 1).evict_beyond(1 << 20, EvictBy::Count)] {
        for stores in 1..=7 {
            let mut keys = vec![0_usize; stores];
            (0..70_000).for_each(|key| keys[table.owner(key, stores)] += 1);
            let (least, most) = (keys.iter().min(), keys.iter().max());
            let even = 70_000 / stores;
            assert!(least.is_some_and(|it| it * 100 > even * 95), "{keys:?}");
            assert!(most.is_some_and(|it| it * 100 < even * 105), "{keys:?}");
        }
    }
}
