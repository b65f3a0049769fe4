//! A table that keeps so many rows: as many in each partition, whoever has it (P-17).

use embedding_table::test_util::{Gradients, Model, SLOTS, Stores, update};
use embedding_table::{EvictBy, Table};

/// P-17
#[test]
fn which_rows_are_kept_does_not_depend_on_the_number_of_stores() {
    for by in [EvictBy::LastUse, EvictBy::Count] {
        let table = Table::new("t", 1).evict_beyond(4_096, by).admit_after(2);
        let mut model = Model::new(table.clone(), &SLOTS);
        let mut stores = [1, 2, 3, 5].map(|n| Stores::new(&table, n));
        let mut key = 1_i64;
        for step in 1..=24 {
            let mut gradients = Gradients::new();
            for _ in 0..700 {
                key = key.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
                gradients.insert((key >> 33) % 7_000, (1 + key.unsigned_abs() % 3, vec![0.5]));
            }
            model.step(step, &gradients, update);
            stores.iter_mut().for_each(|it| it.step(step, &gradients));
        }
        assert!(model.rows.len() > 3_500 && model.rows.len() <= 4_096, "{}", model.rows.len());
        for stores in &mut stores {
            assert_eq!(stores.save().0, model.block());
        }
    }
}
