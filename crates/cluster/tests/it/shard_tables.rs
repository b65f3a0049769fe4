//! Shares of tables on shards: together what one process has, however many there are (P-17).

use cluster::driver::index::VariableIndex;
use cluster::driver::placement::Placement;
use cluster::driver::shard::{Section, Shard, ShardError, ShardSettings, StageError};
use ndarray::ArrayD;
use optim::{LazyAdam, Momentum, OptimizerState};
use sync_replicas::driver::Generation;
use sync_replicas::engine::Admission;
use sync_replicas::options::{EvictBy, SummationOrder};
use sync_replicas::store::GradientKind;
use sync_replicas::{Gradients, IndexedSlices, ReplicaId, SyncReplicas, Table, Variables};

use crate::support::{Boxed, array, contribution, shapes, shards, stage};

const STEPS: u64 = 20;
const AGGREGATE: u64 = 3;

fn tables() -> [Table; 3] {
    [
        Table::new("all", 2).normal(0.0, 1.0),
        Table::new("some", 3).admit_after(3).evict_unused(4),
        Table::new("few", 1).evict_beyond(9, EvictBy::Count),
    ]
}

fn variables() -> Variables<f32> {
    let w = Variables::new().with("w", array(&[5, 2], 1));
    let all = tables().into_iter().try_fold(w.expect("a name"), Variables::with_table);
    all.expect("names of their own")
}

/// The gradients of batch `number`; some batches name no key of one table.
fn gradients(number: u64) -> Gradients<f32> {
    let all = Gradients::new().dense("w", array(&[5, 2], 100 + number));
    tables().iter().enumerate().fold(all, |all, (n, table)| {
        let keys: Vec<i64> = match (number + n as u64) % 6 {
            0 => Vec::new(),
            _ => (0..6).map(|k| ((number * 11 + k * k * 5) % 31) as i64 - 12).collect(),
        };
        let rows = array(&[keys.len(), table.width()], 1_000 * n as u64 + number);
        all.sparse(table.name().to_owned(), IndexedSlices::by_key(keys, rows).expect("rows"))
    })
}

const KEYS: std::ops::Range<i64> = -14..22;

fn make() -> Boxed<f32> {
    Box::new(LazyAdam::new(0.1))
}

/// All rows of the trainer of one process.
fn single() -> Vec<Vec<f32>> {
    let trainer = SyncReplicas::new(make())
        .replicas_to_aggregate(AGGREGATE as usize)
        .order(SummationOrder::Replica)
        .build(variables())
        .expect("the numbers fit");
    let mut replicas: Vec<_> =
        (0..AGGREGATE).map(|id| trainer.replica(ReplicaId::new(id)).expect("a seat")).collect();
    for _ in 0..STEPS {
        for replica in &mut replicas {
            let open = replica.next_step().expect("no wait").expect("it goes on");
            let number = open.number();
            open.push(gradients(number)).expect("it fits");
        }
    }
    let keys: Vec<i64> = KEYS.collect();
    let rows = |table: &Table| trainer.lookup(table.name(), &keys).expect("a table");
    tables().iter().map(|table| rows(table).into_raw_vec_and_offset().0).collect()
}

#[test]
fn any_number_of_shards_has_the_rows_of_one_process() {
    let expected = single();
    for count in [1, 2, 3, 7] {
        let initial = variables();
        let placement = Placement::new(&shapes(&initial), 4, count).with_tables(&tables());
        let settings = ShardSettings { ordered: true, ..Default::default() };
        let mut shards = shards(&placement, &initial, make, &settings);
        let generation = Generation::new(1);
        for step in 0..STEPS {
            for share in (0..AGGREGATE).rev() {
                let id = contribution(share, step + 1);
                for shard in &mut shards {
                    stage(shard, id, &gradients(step * AGGREGATE + share), 24);
                    assert!(
                        shard.vet(id, &[0, 1, 2, 3].map(VariableIndex::new)).expect("all came")
                    );
                    shard.admit(id, share, None).expect("it is staged");
                }
            }
            for shard in &mut shards {
                shard.apply(None, true, (step as i64 + 1).into(), generation).expect("it fits");
            }
        }
        let at = (generation, (STEPS as i64).into());
        for (number, table) in tables().iter().enumerate() {
            let mut rows = Vec::new();
            for key in KEYS {
                let owner = &shards[table.owner(key, count)];
                let mut row = vec![0.0; table.width()];
                owner.tables().lookup(at, number, &[key], &mut row).expect("it is of that step");
                rows.extend(row);
            }
            assert_eq!(rows, expected[number], "{count} shards, table {}", table.name());
            let mut row = vec![0.0; table.width()];
            let late = (generation, (STEPS as i64 - 1).into());
            let looked_up = shards[0].tables().lookup(late, number, &[1], &mut row);
            assert_eq!(looked_up, Err(Some(at)), "rows of a step that is over");
        }
    }
}

fn shard(make: Boxed<f32>, settings: ShardSettings) -> Result<Shard<f32>, ShardError> {
    let placement = Placement::new(&[("w", vec![2])], 4, 2).with_tables(&tables());
    let optimizer = OptimizerState::new(make).expect("good parameters");
    let initial = placement.parts(0).iter().map(|part| ArrayD::zeros(part.shape.as_slice()));
    Shard::new(&placement.sections(0), initial.collect(), optimizer, settings)
}

/// P-17: what cannot be exact is refused at the start.
#[test]
fn tables_that_cannot_be_are_refused() {
    let one_by_one = ShardSettings { admission: Admission::PerVariable, ..Default::default() };
    let error = shard(make(), one_by_one).map(drop).expect_err("one by one").to_string();
    assert!(error.contains("admitted one by one"), "{error}");
    let momentum = Box::new(Momentum::new(0.1, 0.9));
    let error = shard(momentum, ShardSettings::default()).map(drop).expect_err("momentum");
    assert!(error.to_string().contains("take sgd"), "{error}");
}

/// keys that are another shard's, and gradients without keys, are refused.
#[test]
fn gradients_of_others_rows_are_refused() {
    let mut shard = shard(make(), ShardSettings::default()).expect("it fits");
    let table = shard.sections().iter().position(|it| it.keys.is_some()).expect("there is one");
    let dense = Section { part: table, kind: GradientKind::Dense, rows: 0 };
    let refused = shard.begin(contribution(0, 1), &[dense]).expect_err("no keys");
    assert!(matches!(refused, StageError::Dense { .. }), "{refused}");
    let share = shard.sections()[table].keys.clone().expect("it is a table's");
    let other = (0..).find(|key| !share.has(*key)).expect("half of them");
    let own = (0..).find(|key| share.has(*key)).expect("half of them");
    for (sequence, (key, expected)) in (1..).zip([(own, None), (other, Some(other))]) {
        let id = contribution(1, sequence);
        let section = Section { part: table, kind: GradientKind::Sparse, rows: 1 };
        shard.begin(id, &[section]).expect("a good announcement");
        let received = shard.open(id).expect("it is open").receive(0, &key.to_le_bytes());
        let refused = received.err().map(|error| match error {
            StageError::Key { key, .. } => key,
            error => panic!("{error}"),
        });
        assert_eq!(refused, expected);
    }
}
