//! Whole trainings with tables over real sockets: the bits of one process, whoever holds the rows
//! (P-17).

use std::path::Path;

use cluster::spec::{Node, Role};
use cluster::{Cluster, ClusterError, ClusterReport, OnCluster};
use ndarray::{Array1, Array2, Axis};
use optim::{Adam, LazyAdam, Optimizer};
use sync_replicas::checkpoint;
use sync_replicas::options::{EvictBy, SummationOrder};
use sync_replicas::{
    BatchSource, BoxError, Computed, Gradients, Hooks, IndexedSlices, Keys, Model, SyncReplicas,
    Table, Variables, Work,
};

use crate::loopback::{addresses, numbers};

/// Rows are drawn to a number that depends on the batch, and the vector to the sum of the rows: the
/// vector at the end has a trace of every row that was looked up.
pub(crate) struct Embeddings;

pub(crate) fn tables() -> [Table; 3] {
    [
        Table::new("all", 3).normal(0.0, 1.0),
        Table::new("some", 5).admit_after(3).evict_unused(3),
        Table::new("few", 1).evict_beyond(15, EvictBy::LastUse),
    ]
}

pub(crate) fn variables() -> Variables<f32> {
    let w = Variables::new().with("w", Array1::zeros(9)).expect("a name");
    tables().into_iter().try_fold(w, Variables::with_table).expect("names of their own")
}

impl Model<f32> for Embeddings {
    type Batch = u64;

    fn keys(&self, batch: &u64) -> Keys {
        tables().iter().enumerate().fold(Keys::new(), |all, (n, table)| {
            let key = |k: u64| ((batch * 7 + k * k * 5 + n as u64) % 53) as i64 - 20;
            let keys = if (batch + n as u64).is_multiple_of(7) { 0 } else { 12 };
            all.of(table.name().to_owned(), (0..keys).map(key).collect())
        })
    }

    fn gradients(
        &self,
        variables: &Variables<f32>,
        batch: &u64,
        work: &Work<'_, f32>,
    ) -> Result<Option<Computed<f32>>, BoxError> {
        let noise = (batch % 5) as f32 / 5.0;
        let mut sums = Array1::zeros(9);
        let (mut gradients, mut from, mut loss) = (Gradients::new(), 0, 0.0);
        for (table, keys) in self.keys(batch).iter() {
            let rows = work.rows(table)?;
            let gradient: Array2<f32> = rows.mapv(|x| x - noise);
            loss += f64::from(gradient.iter().map(|g| g * g).sum::<f32>());
            for (sum, column) in sums.iter_mut().skip(from).zip(rows.sum_axis(Axis(0))) {
                *sum = column;
            }
            from += rows.ncols();
            // A batch without keys of a table leaves it out.
            if !keys.is_empty() {
                let slices = IndexedSlices::by_key(keys.to_vec(), gradient)?;
                gradients = gradients.sparse(table.to_owned(), slices);
            }
        }
        let w = variables.vector("w")?;
        let gradients = gradients.dense("w", &w - &sums);
        Ok(Some(Computed { loss, examples: 1, gradients }))
    }
}

pub(crate) fn replicas<O>(optimizer: O, (aggregate, total): (usize, usize)) -> SyncReplicas<O> {
    SyncReplicas::new(optimizer)
        .replicas_to_aggregate(aggregate)
        .total_num_replicas(total)
        .order(SummationOrder::Replica)
}

/// The same training in one process.
pub(crate) fn alone(counts: (usize, usize), steps: i64) -> Variables<f32> {
    let replicas = replicas(LazyAdam::new(0.05), counts);
    let trainer = replicas.build(variables()).expect("it fits");
    trainer.fit(&Embeddings, numbers, Hooks::new().stop_at_step(steps)).expect("it trains");
    trainer.snapshot().variables.clone()
}

/// All processes of one run, each in a thread; their reports, servers first.
pub(crate) fn run<O: Optimizer<f32> + 'static>(
    ps: usize,
    described: impl Fn() -> SyncReplicas<O> + Sync,
    hooks: impl Fn() -> Hooks<f32> + Sync,
    total: usize,
) -> Vec<Result<ClusterReport<f32>, ClusterError>> {
    let (servers, workers) = (addresses(ps), addresses(total));
    std::thread::scope(|scope| {
        let run = |role: &'static str, index: u64| {
            let (servers, workers) = (&servers, &workers);
            let (hooks, described) = (&hooks, &described);
            scope.spawn(move || {
                let place =
                    Node::from_flags(servers, workers, role, index).expect("it makes sense");
                let cluster = Cluster::new(place);
                let trainer = described().on(&cluster).build(variables())?;
                trainer.fit(&Embeddings, numbers, hooks())
            })
        };
        let servers: Vec<_> = (0..ps as u64).map(|index| run("ps", index)).collect();
        let workers: Vec<_> = (0..total as u64).map(|index| run("worker", index)).collect();
        servers.into_iter().chain(workers).map(|it| it.join().expect("it ends")).collect()
    })
}

/// Whether all reports that have variables have these.
#[track_caller]
pub(crate) fn check_equal(
    reports: Vec<Result<ClusterReport<f32>, ClusterError>>,
    expected: &Variables<f32>,
) {
    let mut compared = 0;
    for report in reports {
        let report = report.expect("it trains");
        // A worker that came after the end has none.
        if let Some(variables) = report.variables {
            assert_eq!(variables.sha256(), expected.sha256(), "{:?}", report.task);
            compared += 1;
        }
    }
    assert!(compared > 0, "nobody has variables");
}

/// P-17, P-14: rows are those of one process, however many servers share them.
#[test]
fn a_cluster_has_the_rows_of_one_process() {
    for (ps, counts) in [(1, (1, 1)), (1, (2, 3)), (2, (2, 2)), (3, (3, 4)), (4, (3, 1))] {
        let hooks = || Hooks::new().stop_at_step(30);
        let reports = run(ps, || replicas(LazyAdam::new(0.05), counts), hooks, counts.1);
        check_equal(reports, &alone(counts, 30));
    }
}

/// P-17: what cannot be exact is refused by every process at its start.
#[test]
fn what_cannot_be_is_refused_at_the_start() {
    for role in [Role::Ps, Role::Worker] {
        let role = if role == Role::Ps { "ps" } else { "worker" };
        let place = Node::from_flags(&addresses(1), &addresses(1), role, 0).expect("a place");
        let cluster = Cluster::new(place);
        let described = |o| SyncReplicas::<Adam>::new(o).total_num_replicas(1);
        let reference = described(Adam::new(0.1)).reference();
        let error = reference.on(&cluster).build(variables()).map(drop).expect_err("one by one");
        assert!(error.to_string().contains("admitted one by one"), "{error}");
        let trainer = described(Adam::new(0.1)).on(&cluster).build(variables());
        let refused = trainer.map(drop).expect_err("it moves all rows").to_string();
        assert!(refused.contains("take lazy_adam"), "{refused}");
        let wide = Variables::<f32>::new().with_table(Table::new("t", 1 << 18)).expect("a name");
        let lazy = SyncReplicas::new(LazyAdam::new(0.1)).total_num_replicas(1);
        let error = lazy.on(&cluster).build(wide).map(drop);
        let error = error.expect_err("too wide for a message").to_string();
        assert!(error.contains("a row of 1048576 bytes"), "{error}");
    }
}

/// A loop of one's own: rows before their token, and of the step that is computed.
#[test]
fn a_loop_of_ones_own_asks_before_its_token() {
    let (servers, workers) = (addresses(2), addresses(1));
    let counts = (1, 1);
    std::thread::scope(|scope| {
        for index in 0..2 {
            let (servers, workers) = (&servers, &workers);
            scope.spawn(move || {
                let place = Node::from_flags(servers, workers, "ps", index).expect("a place");
                let cluster = Cluster::new(place);
                let replicas = replicas(LazyAdam::new(0.05), counts);
                let trainer = replicas.on(&cluster).build(variables()).expect("it fits");
                trainer.run_server(Hooks::new().stop_at_step(30)).expect("it serves")
            });
        }
        let place = Node::from_flags(&servers, &workers, "worker", 0).expect("a place");
        let cluster = Cluster::new(place);
        let trainer = replicas(LazyAdam::new(0.05), counts).on(&cluster).build(variables());
        let hooks = Hooks::new().stop_at_step(30);
        let mut replica = trainer.expect("it fits").replica(hooks).expect("a replica");
        let mut source = numbers(replica.id());
        while let Some(step) = replica.next_step().expect("it goes on") {
            let batch = source.batch(step.number()).expect("it never ends");
            let rows = match step.lookup_all(&Embeddings.keys(&batch)) {
                Ok(rows) => rows,
                // A token that went out before the hook ended training.
                Err(_) if step.global_step().get() == 30 => continue,
                Err(error) => panic!("its step is open: {error}"),
            };
            let one = step.lookup("all", &[5, 5]).expect("so is it still");
            assert_eq!(one.row(0), one.row(1));
            assert!(step.lookup("none", &[1]).is_err() && step.lookup("w", &[1]).is_err());
            let work = step.work().with_rows(&rows);
            let computed = Embeddings.gradients(step.variables(), &batch, &work);
            let computed = computed.expect("it computes").expect("it is not given up");
            let push = step.begin_push(computed).expect("it fits");
            replica.prefetch(&Embeddings.keys(&(batch + 1))).expect("they are tables");
            push.wait().expect("it is heard of");
        }
        let report = replica.finish().expect("it trained");
        let variables = report.variables.expect("it has them");
        assert_eq!(variables.sha256(), alone(counts, 30).sha256());
    });
}

/// P-17: a checkpoint has all that decides about rows, fits any number of servers, and what goes on
/// from it has the bits of a run that was never interrupted.
#[test]
fn a_checkpoint_goes_on_with_any_number_of_servers() {
    let counts = (2, 2);
    let expected = alone(counts, 30);
    let trainer = replicas(LazyAdam::new(0.05), counts).build(variables()).expect("it fits");
    trainer.fit(&Embeddings, numbers, Hooks::new().stop_at_step(13)).expect("it trains");
    for first in 1..=4 {
        let folder = tempfile::tempdir().expect("a folder");
        let hooks = |last: i64| {
            let path = folder.path().to_owned();
            move || Hooks::new().stop_at_step(last).checkpoints(path.clone(), 4, 2)
        };
        let described = || replicas(LazyAdam::new(0.05), counts);
        run(first, described, hooks(13), counts.1).into_iter().for_each(|it| {
            it.expect("it trains");
        });
        // Evaluation and prediction find the rows of one process.
        let saved = checkpoint::open::<f32>(folder.path()).expect("it is good");
        assert_eq!(saved.global_step.get(), 13);
        let keys: Vec<i64> = (-22..35).collect();
        for table in tables() {
            let rows: Vec<f32> = saved.tables.lookup(table.name(), &keys).expect("good files");
            let expected = trainer.lookup(table.name(), &keys).expect("a table");
            assert_eq!(rows, expected.into_raw_vec_and_offset().0, "{}", table.name());
        }
        for then in 1..=4 {
            let copy = tempfile::tempdir().expect("a folder");
            copy_all(folder.path(), copy.path());
            let path = copy.path().to_owned();
            let hooks = || Hooks::new().stop_at_step(30).checkpoints(path.clone(), 100, 2);
            check_equal(run(then, described, hooks, counts.1), &expected);
        }
    }
}

fn copy_all(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).expect("a folder") {
        let (path, name) = entry.map(|it| (it.path(), it.file_name())).expect("an entry");
        let to = to.join(name);
        if path.is_dir() {
            std::fs::create_dir(&to).expect("a new folder");
            copy_all(&path, &to);
        } else {
            std::fs::copy(&path, &to).expect("it can be read");
        }
    }
}

/// P-17: every server writes its own rows, so one without the folder is no server of tables: it is
/// said at the start, and not when the rows are lost.
#[test]
fn a_server_without_the_folder_is_found_at_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let (servers, workers) = (addresses(2), addresses(1));
    std::thread::scope(|scope| {
        let run = |role: &'static str, index: u64, hooks: Hooks<f32>| {
            let (servers, workers) = (&servers, &workers);
            scope.spawn(move || {
                let place = Node::from_flags(servers, workers, role, index).expect("a place");
                let cluster = Cluster::new(place);
                let described = replicas(LazyAdam::new(0.05), (1, 1));
                let trainer = described.on(&cluster).build(variables()).expect("it fits");
                trainer.fit(&Embeddings, numbers, hooks).map(drop)
            })
        };
        let with = || Hooks::new().stop_at_step(5).checkpoints(folder.path(), 4, 2);
        let first = run("ps", 0, with());
        let second = run("ps", 1, Hooks::new().stop_at_step(5));
        let worker = run("worker", 0, with());
        let error = first.join().expect("it ends").expect_err("there is no folder").to_string();
        assert!(error.contains("parameter server 1 has not written its rows"), "{error}");
        assert!(error.contains("give all parameter servers the same --checkpoint-dir"), "{error}");
        second.join().expect("it ends").expect_err("training failed");
        worker.join().expect("it ends").expect_err("training failed");
    });
}
