//! Random histories of a table, and the comparison with the plain model (P-17).

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::{Gradients, Model, SLOTS, Stores, update};
use crate::{EvictBy, Eviction, Table, TableStore, place};

/// Steps of a table that stores share, with a save that is restored onto another number of them.
#[derive(Clone, Debug)]
pub struct History {
    table: Table,
    steps: Vec<Gradients>,
    stores: usize,
    /// After this step a save begins, which ends so many steps later.
    save: Option<(usize, usize)>,
    /// And is restored onto so many.
    onto: usize,
}

/// Tables of few numbers, with every kind of admission and eviction.
fn tables() -> impl Strategy<Value = Table> {
    let evictions = prop_oneof![
        Just(None),
        (1_u64..6).prop_map(|steps| Some(Eviction::Unused { steps })),
        (1_u64..12, any::<bool>()).prop_map(|(rows, by_count)| {
            let by = if by_count { EvictBy::Count } else { EvictBy::LastUse };
            Some(Eviction::Beyond { rows, by })
        }),
    ];
    (1_usize..4, any::<u64>(), 0_u32..5, evictions).prop_map(|(width, seed, after, eviction)| {
        let mut table = Table::new("table", width).seed(seed).normal(0.5, 2.0);
        if after > 0 {
            table = table.admit_after(after);
        }
        match eviction {
            Some(Eviction::Unused { steps }) => table.evict_unused(steps),
            Some(Eviction::Beyond { rows, by }) => table.evict_beyond(rows, by),
            _ => table,
        }
    })
}

/// Steps of a table of this width, which name few keys often and some of all 64 bits.
fn steps(width: usize, longest: usize) -> impl Strategy<Value = Vec<Gradients>> {
    let keys = prop_oneof![8 => -12_i64..12, 1 => any::<i64>()];
    let gradient = (1_u64..4, vec(-4.0..4.0_f64, width));
    vec(btree_map(keys, gradient, 0..8), 1..=longest)
}

impl History {
    /// Histories of at most so many steps.
    pub fn up_to(longest: usize) -> impl Strategy<Value = Self> {
        let stores = || prop_oneof![Just(1_usize), Just(2), Just(3), Just(7)];
        tables().prop_flat_map(move |table| {
            let save = proptest::option::of((0_usize..longest / 2 + 1, 0_usize..4));
            let steps = steps(table.width(), longest);
            (Just(table), steps, stores(), save, stores()).prop_map(
                |(table, steps, stores, save, onto)| Self { table, steps, stores, save, onto },
            )
        })
    }

    /// How many steps.
    #[must_use]
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Plays it, beside the model.
    ///
    /// # Panics
    /// When they differ.
    pub fn check(&self) {
        let (mut model, mut stores) =
            (Model::new(self.table.clone(), &SLOTS), Stores::new(&self.table, self.stores));
        let mut saving = None;
        for (n, gradients) in self.steps.iter().enumerate() {
            model.step(n as i64 + 1, gradients, update);
            stores.step(n as i64 + 1, gradients);
            if self.save.is_some_and(|(begin, _)| begin == n) {
                let savings = stores.0.iter_mut().map(TableStore::begin_save).collect();
                saving = Some((model.clone(), n + 1, savings));
            }
            let last = n + 1 == self.steps.len();
            let ends = self.save.is_some_and(|(begin, later)| n == begin + later || last);
            if ends && let Some((then, next, savings)) = saving.take() {
                let saved = stores.finish_save(savings);
                assert_eq!(saved.0, then.block(), "rows of a save");
                let mut restored = Stores::restored(&self.table, self.onto, &saved);
                self.go_on(next, then, &mut restored);
            }
        }
        compare(&model, &mut stores);
    }

    /// What was saved goes on as what was not interrupted.
    fn go_on(&self, next: usize, mut model: Model<f64>, restored: &mut Stores) {
        for (n, gradients) in self.steps.iter().enumerate().skip(next) {
            model.step(n as i64 + 1, gradients, update);
            restored.step(n as i64 + 1, gradients);
        }
        compare(&model, restored);
    }
}

fn compare(model: &Model<f64>, stores: &mut Stores) {
    let (rows, candidates) = stores.save();
    assert_eq!(rows, model.block(), "rows");
    let counted: Vec<_> = candidates.keys.iter().copied().zip(candidates.counts).collect();
    let mut expected: Vec<_> = model.candidates.iter().map(|(key, it)| (*key, it.0)).collect();
    expected.sort_by_key(|(key, _)| place(*key));
    assert_eq!(counted, expected, "candidates");
    for key in -13..13 {
        assert_eq!(stores.lookup(key), model.lookup(key), "key {key}");
    }
}
