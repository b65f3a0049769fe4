//! Tables in one process: equal to an array, of one step, refused where they cannot be (P-17).

use ndarray::{Array1, Array2, array};
use optim::{Adagrad, Adam, BuiltIn, Ftrl, LazyAdam, Momentum, RmsProp, Sgd};
use sync_replicas::error::{GradientError, LookupError, PushError, VariableError};
use sync_replicas::options::{SparseMean, SummationOrder};
use sync_replicas::{
    BoxError, Computed, Gradients, Hooks, IndexedSlices, Keys, Model, ReplicaId, SyncReplicas,
    Table, Trainer, Variables, Work,
};
use testing::ManualReplicas;

const KEYS: i64 = 12;
const WIDTH: usize = 3;

fn table() -> Table {
    Table::new("table", WIDTH).normal(0.0, 0.5).seed(9)
}

/// Numbers that a simple rule makes.
fn number(seed: i64) -> f32 {
    let mixed = (seed as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
    mixed as f32 / (1 << 23) as f32 - 1.0
}

/// Rows of some keys, unsorted and repeated.
fn slices(seed: i64) -> IndexedSlices<f32> {
    let keys: Vec<i64> = (0..5).map(|n| (seed * 7 + n * n * 5) % KEYS).collect();
    let rows = Array2::from_shape_fn((keys.len(), WIDTH), |(n, column)| {
        number(seed * 100 + n as i64 * 10 + column as i64)
    });
    IndexedSlices::by_key(keys, rows).expect("a row a key")
}

fn rows(trainer: &Trainer<f32>) -> Array2<f32> {
    let keys: Vec<i64> = (0..KEYS).collect();
    trainer.lookup("table", &keys).expect("it is a table")
}

/// P-17: a table that never evicts has the bits of an array with the same gradients.
#[test]
fn a_table_equals_an_array() {
    #[track_caller]
    fn check(optimizer: impl Into<BuiltIn>, mean: SparseMean) {
        let optimizer: BuiltIn = optimizer.into();
        let mut born = Array2::zeros((KEYS as usize, WIDTH));
        for (key, mut row) in (0..).zip(born.rows_mut()) {
            table().born(key, row.as_slice_mut().expect("in order"));
        }
        let variables = Variables::new().with_table(table()).and_then(|it| it.with("array", born));
        let trainer = SyncReplicas::new(optimizer)
            .replicas_to_aggregate(3)
            .sparse_mean(mean)
            .build(variables.expect("names of their own"))
            .expect("it is valid");
        let mut driver = ManualReplicas::new(trainer, 3);
        for step in 0..200 {
            for replica in driver.ready() {
                let slices = slices(step * 3 + replica as i64);
                let mut gradients = Gradients::new().sparse("array", slices.clone());
                // A batch may have no keys at all.
                gradients = match (step + replica as i64) % 5 {
                    0 => Gradients::new().sparse(
                        "array",
                        IndexedSlices::by_key(Vec::new(), Array2::zeros((0, WIDTH))).expect("none"),
                    ),
                    _ => gradients.sparse("table", slices),
                };
                driver.push(replica, gradients).expect("it fits");
            }
            let snapshot = driver.trainer.snapshot();
            let array = snapshot.variables.matrix("array").expect("a matrix");
            assert_eq!(rows(&driver.trainer), array, "step {step}");
        }
    }
    check(Sgd::new(0.1), SparseMean::PerRow);
    check(Sgd::new(0.1), SparseMean::PerGradient);
    check(Adagrad::new(0.1), SparseMean::PerRow);
    check(Ftrl::new(0.1).l1(0.01), SparseMean::PerGradient);
    check(LazyAdam::new(0.01), SparseMean::PerRow);
    check(RmsProp::new(0.01).centered(true), SparseMean::PerRow);
}

fn described(optimizer: impl Into<BuiltIn>) -> SyncReplicas<BuiltIn> {
    SyncReplicas::new(optimizer.into())
}

/// P-17: a replica gets rows as they are at its step, or none; whoever comes too late is told.
#[test]
fn rows_are_of_one_step() {
    let variables = Variables::<f32>::new().with_table(table()).expect("a name");
    let trainer =
        SyncReplicas::new(Sgd::new(0.5)).total_num_replicas(2).build(variables).expect("valid");
    let mut replicas = [0, 1].map(|id| trainer.replica(ReplicaId::new(id)).expect("it is free"));
    let [first, second] = &mut replicas;
    let early = first.next_step().expect("no deadline").expect("it goes on");
    let late = second.next_step().expect("no deadline").expect("it goes on");
    let before = early.lookup("table", &[3, 3, -1]).expect("its step is open");
    assert_eq!(before.row(0), before.row(1));
    let same = late.lookup("table", &[3]).expect("so is its");
    assert_eq!(same.row(0), before.row(0));
    let gradient = IndexedSlices::by_key(vec![3], array![[1.0, 0.0, 0.0]]).expect("a row");
    early.push(Gradients::new().sparse("table", gradient)).expect("it fits");
    let superseded = late.lookup("table", &[-1]).expect_err("the step is over");
    assert!(matches!(superseded, LookupError::Superseded { step } if step.get() == 0));
    late.give_up();
    let next = second.next_step().expect("no deadline").expect("it goes on");
    let after = next.lookup("table", &[3]).expect("its step is open");
    assert_eq!(after[[0, 0]], before[[0, 0]] - 0.5);
    assert_eq!(trainer.table_reader().num_rows("table"), Some(1), "lookups make no rows");
    for (name, expected) in [("tables", "no variable is named"), ("table ", "no variable")] {
        let error = next.lookup(name, &[1]).expect_err("there is none");
        assert!(error.to_string().contains(expected), "{error}");
    }
}

/// The mean of a user's row and an item's row is to be the rating.
struct Ratings;

impl Model<f32> for Ratings {
    type Batch = Vec<(i64, i64, f32)>;

    fn keys(&self, batch: &Self::Batch) -> Keys {
        Keys::new()
            .of("users", batch.iter().map(|it| it.0).collect())
            .of("items", batch.iter().map(|it| it.1).collect())
    }

    fn gradients(
        &self,
        variables: &Variables<f32>,
        batch: &Self::Batch,
        work: &Work<'_, f32>,
    ) -> Result<Option<Computed<f32>>, BoxError> {
        let (users, items) = (work.rows("users")?, work.rows("items")?);
        let bias = variables.vector("bias")?[0];
        let errors: Vec<f32> =
            (0..batch.len()).map(|n| users[[n, 0]] + items[[n, 0]] + bias - batch[n].2).collect();
        let examples = batch.len() as f32;
        let gradient = Array2::from_shape_fn((batch.len(), 1), |(n, _)| 2.0 * errors[n] / examples);
        let keys = |of: fn(&(i64, i64, f32)) -> i64| batch.iter().map(of).collect::<Vec<_>>();
        let gradients = Gradients::new()
            .dense("bias", Array1::from_elem(1, gradient.sum()))
            .sparse("users", IndexedSlices::by_key(keys(|it| it.0), gradient.clone())?)
            .sparse("items", IndexedSlices::by_key(keys(|it| it.1), gradient)?);
        let loss = errors.iter().map(|error| f64::from(error * error)).sum::<f64>();
        let loss = loss / f64::from(examples);
        assert!(work.rows("bias").is_err());
        Ok(Some(Computed { loss, examples: batch.len() as u64, gradients }))
    }
}

/// P-17, R-35: a model says which rows its batch needs, and learns from them.
#[test]
fn a_model_learns_with_tables() {
    let one = |name: &str| Table::new(name, 1).constant(0.0);
    let variables = Variables::new()
        .with_table(one("users"))
        .and_then(|it| it.with_table(one("items")))
        .and_then(|it| it.with("bias", array![0.0]))
        .expect("names of their own");
    let trainer = SyncReplicas::new(Adagrad::new(0.5))
        .replicas_to_aggregate(2)
        .total_num_replicas(3)
        .order(SummationOrder::Replica)
        .build(variables)
        .expect("it is valid");
    let rating = |n: i64| {
        let (user, item) = (n % 40 - 20, (n * 7) % 30);
        (user, item, (user % 5) as f32 + (item % 3) as f32)
    };
    let shard = |replica: ReplicaId| {
        let mut n = replica.get() as i64 * 1_000;
        std::iter::repeat_with(move || {
            n += 16;
            (n..n + 16).map(rating).collect()
        })
    };
    let report = trainer.fit(&Ratings, shard, Hooks::new().stop_at_step(600)).expect("it trains");
    assert_eq!(report.updates, 600);
    let bias = trainer.snapshot().variables.vector("bias").expect("a vector")[0];
    for n in 0..120 {
        let (user, item, rating) = rating(n);
        let rows = [("users", user), ("items", item)]
            .map(|(table, key)| trainer.lookup(table, &[key]).expect("a table")[[0, 0]]);
        assert!((rows[0] + rows[1] + bias - rating).abs() < 0.1, "{n}: {rows:?}");
    }
    assert_eq!(trainer.lookup("users", &[999]).expect("a table"), array![[0.0]]);
    assert_eq!(trainer.table_reader().num_rows("users"), Some(40));
}

/// P-17, P-16: what cannot be exact is refused at start, with what to do instead.
#[test]
fn what_cannot_be_is_refused_at_the_start() {
    #[track_caller]
    fn check(builder: SyncReplicas<BuiltIn>, expected: &str) {
        let variables = Variables::<f32>::new()
            .with_table(table())
            .and_then(|it| it.with("w", array![1.0]))
            .expect("names of their own");
        let error = builder.build(variables).map(drop).expect_err("it is refused").to_string();
        assert!(error.contains(expected), "{error}");
    }
    check(described(Adam::new(0.1)), "take lazy_adam");
    check(described(Momentum::new(0.1, 0.9)), "take sgd, adagrad or lazy_adam");
    check(described(Sgd::new(0.1)).reference(), "table `table`: variables are admitted one");
    let averaged = described(Sgd::new(0.1)).moving_average(0.9);
    check(averaged.variables_to_average(["table"]), "variable `table` is a table");
    let twice = Variables::<f32>::new().with_table(table()).and_then(|it| it.with_table(table()));
    assert!(matches!(twice, Err(VariableError::Twice { .. })));
    let wide = Variables::<f32>::new().with_table(Table::new("t", 0));
    assert!(matches!(wide, Err(VariableError::Declaration(_))));
}

/// gradients that do not fit a table are refused, and nothing has changed.
#[test]
fn gradients_that_do_not_fit_are_refused() {
    let variables = Variables::<f32>::new()
        .with("w", array![1.0])
        .and_then(|it| it.with_table(table()))
        .expect("names of their own");
    let trainer = SyncReplicas::new(Sgd::new(0.5)).build(variables).expect("it is valid");
    let check = |gradients: Gradients<f32>, expected: &str| {
        let mut replica = trainer.replica(ReplicaId::new(0)).expect("it is free");
        let step = replica.next_step().expect("no deadline").expect("it goes on");
        let error = step.push(gradients.dense("w", array![0.0])).expect_err("it does not fit");
        let PushError::Gradient(error) = error else { panic!("{error}") };
        let text = sync_replicas::driver::describe(&error);
        assert!(text.contains(expected), "{text}");
        assert_eq!(trainer.snapshot().global_step.get(), 0);
        error
    };
    let sparse = |rows: Array2<f32>| {
        let slices =
            IndexedSlices { indices: vec![1, 2], values: rows.into_dyn(), dense_shape: None };
        Gradients::new().sparse("table", slices)
    };
    let dense =
        check(Gradients::new().dense("table", Array2::zeros((2, 3))), "has a dense gradient");
    assert!(matches!(dense, GradientError::DenseForTable { .. }));
    check(sparse(Array2::zeros((2, 4))), "[4]");
    check(sparse(Array2::zeros((3, 3))), "3");
    check(Gradients::new().missing("table").missing("table"), "two gradients");
    let array = trainer.snapshot().variables.get("table").map(drop);
    assert!(matches!(array, Err(VariableError::Table { .. })));
    let lookup = trainer.lookup("w", &[1]).map(drop);
    assert!(matches!(lookup, Err(VariableError::NoTable { .. })), "{lookup:?}");
}
