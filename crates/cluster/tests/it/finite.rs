//! A cluster neither publishes nor saves what is not finite (P-25).

use std::path::Path;

use cluster::driver::placement::Placement;
use cluster::driver::shard::{ShardError, ShardSettings};
use cluster::spec::Node;
use cluster::{Cluster, OnCluster};
use sync_replicas::driver::Generation;
use sync_replicas::error::{Cause, NotFinite, UpdateError};
use sync_replicas::options::NonFinite;
use sync_replicas::{
    BatchSource, BoxError, Computed, Gradients, Hooks, Model, ReplicaId, Variables, Work,
    checkpoint,
};

use crate::loopback::{Pull, addresses, numbers, replicas, variables};
use crate::support::{contribution, shards, stage};

/// P-25: the shard names the variable, the step and, where gradients are apart, the replica; what
/// it holds then is neither read nor saved.
#[test]
fn a_shard_makes_no_update_that_is_not_finite() {
    #[track_caller]
    fn check(settings: &ShardSettings, second: f32, expected: Option<Cause>) {
        let placement = Placement::new(&[("v", vec![2]), ("w", vec![2])], 4, 1);
        let zeros = || ndarray::arr1(&[0.0_f32, 0.0]);
        let initial = Variables::new().with("v", zeros()).and_then(|it| it.with("w", zeros()));
        let initial = initial.expect("two names");
        let sgd = || -> crate::support::Boxed<f32> { Box::new(optim::Sgd::new(1.0)) };
        let mut shards = shards(&placement, &initial, sgd, settings);
        let shard = &mut shards[0];
        for (replica, value) in [(0, 1.0_f32), (3, second)] {
            let id = contribution(replica, 1);
            let pushed = Gradients::new().dense("v", ndarray::arr1(&[0.5, 0.5]));
            stage(shard, id, &pushed.dense("w", ndarray::arr1(&[value, 0.5])), 8);
            shard.admit(id, replica, None).expect("it is staged");
        }
        let saved = shard.state();
        let applied = shard.apply(None, true, 1.into(), Generation::new(1));
        assert_eq!(shard.is_whole(), expected.is_none());
        let Some(cause) = expected else { return applied.expect("it was allowed") };
        let error = applied.expect_err("it is not finite");
        let ShardError::Update(UpdateError::NotFinite(found)) = &error else { panic!("{error}") };
        assert_eq!(*found, NotFinite { variable: "w".to_owned(), step: 0.into(), cause });
        assert_eq!(shard.snapshot().global_step.get(), 0);
        shard.restore(&saved).expect("it is its own");
        assert!(shard.is_whole());
    }
    let arrival = ShardSettings::default();
    let ordered = ShardSettings { ordered: true, ..ShardSettings::default() };
    let allow = ShardSettings { non_finite: NonFinite::Allow, ..ShardSettings::default() };
    let id = ReplicaId::new;
    for bad in [f32::NAN, f32::INFINITY] {
        check(&arrival, bad, Some(Cause::Unknown(vec![id(0), id(3)])));
        check(&ordered, bad, Some(Cause::Gradients(vec![id(3)])));
        check(&allow, bad, None);
    }
    check(&ordered, 2.0, None);
}

/// From batch 6 on gradients or losses are not finite.
#[derive(Clone, Copy)]
struct Breaks {
    loss: f64,
    gradient: f32,
}

impl Model<f32> for Breaks {
    type Batch = u64;

    fn gradients(
        &self,
        variables: &Variables<f32>,
        batch: &u64,
        work: &Work<'_, f32>,
    ) -> Result<Option<Computed<f32>>, BoxError> {
        let computed = Pull.gradients(variables, batch, work)?;
        let Some(Computed { loss, examples, mut gradients }) = computed else { return Ok(None) };
        if *batch < 6 {
            return Ok(Some(Computed { loss, examples, gradients }));
        }
        for mut view in gradients.views_mut() {
            view.mapv_inplace(|x| x * self.gradient);
        }
        Ok(Some(Computed { loss: loss * self.loss, examples, gradients }))
    }
}

/// What all processes of a run with two workers that saves each step fail with.
fn fail(ps: usize, model: Breaks, folder: &Path) -> Vec<String> {
    let (servers, workers) = (addresses(ps), addresses(2));
    std::thread::scope(|scope| {
        let run = |role: &'static str, index: u64| {
            let (servers, workers) = (&servers, &workers);
            scope.spawn(move || {
                let place = Node::from_flags(servers, workers, role, index).expect("it is one");
                let hooks = Hooks::new().nan_guard().checkpoints(folder, 1, 1).stop_at_step(50);
                let cluster = Cluster::new(place);
                let trainer = replicas(2, 2).on(&cluster).build(variables()).expect("it fits");
                trainer.fit(&model, numbers, hooks).map(drop).expect_err("it fails").to_string()
            })
        };
        let servers: Vec<_> = (0..ps as u64).map(|index| run("ps", index)).collect();
        let workers: Vec<_> = (0..2).map(|index| run("worker", index)).collect();
        servers.into_iter().chain(workers).map(|it| it.join().expect("it ends")).collect()
    })
}

/// P-25: nothing of the step is on disk, and the checkpoint that is named is good.
#[test]
fn training_ends_and_the_last_good_checkpoint_is_good() {
    #[track_caller]
    fn check(model: Breaks, good: i64, said: &str) {
        for ps in [1, 3] {
            let folder = tempfile::tempdir().expect("a folder");
            let errors = fail(ps, model, folder.path());
            let latest = checkpoint::latest(folder.path()).expect("a list").expect("one");
            let state = checkpoint::read::<f32>(&latest).expect("it is whole");
            // A step that is made while another is being written is not saved.
            assert!(state.global_step.get() <= good, "{ps} servers: {latest:?}");
            assert!(state.variables.iter().all(|(_, it)| it.iter().all(|x| x.is_finite())));
            for error in errors {
                let named = format!("the last good checkpoint is {}", latest.display());
                assert!(error.contains(said) && error.contains(&named), "{ps} servers: {error}");
            }
        }
    }
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    // Two batches a step: the first three steps are good, and so are the variables of the third if
    // the loss says so.
    check(Breaks { loss: 1.0, gradient: f32::NAN }, 3, "at step 3 is not finite");
    check(Breaks { loss: 1.0, gradient: f32::INFINITY }, 3, "gradient of replicas 0, 1;");
    check(Breaks { loss: nan, gradient: 1.0 }, 2, "the loss was NaN at global step 4");
    check(Breaks { loss: inf, gradient: 1.0 }, 2, "the loss was inf at global step 4");
}

/// Its gradients for one batch are not finite.
#[derive(Clone, Copy)]
struct OneBad(Option<u64>);

impl Model<f32> for OneBad {
    type Batch = u64;

    fn gradients(
        &self,
        variables: &Variables<f32>,
        batch: &u64,
        work: &Work<'_, f32>,
    ) -> Result<Option<Computed<f32>>, BoxError> {
        let mut computed = Pull.gradients(variables, batch, work)?;
        let bad = computed.as_mut().filter(|_| self.0 == Some(*batch));
        for mut view in bad.into_iter().flat_map(|bad| bad.gradients.views_mut()) {
            view.fill(f32::NAN);
        }
        Ok(computed)
    }
}

/// What all workers of a run in replica order that skips come to: each one's count of batches left
/// out, and the variables of the first.
fn skip(ps: usize, model: OneBad, data: fn(u64) -> u64) -> (Vec<u64>, String) {
    let (servers, workers) = (addresses(ps), addresses(2));
    std::thread::scope(|scope| {
        let run = |role: &'static str, index: u64| {
            let (servers, workers) = (&servers, &workers);
            scope.spawn(move || {
                let place = Node::from_flags(servers, workers, role, index).expect("it is one");
                let hooks = Hooks::new().stop_at_step(10);
                let description = replicas(2, 2).non_finite(NonFinite::Skip);
                let cluster = Cluster::new(place);
                let trainer = description.on(&cluster).build(variables()).expect("it fits");
                trainer.fit(&model, |_| Mapped(data), hooks).expect("it goes on")
            })
        };
        let servers: Vec<_> = (0..ps as u64).map(|index| run("ps", index)).collect();
        let workers: Vec<_> = (0..2).map(|index| run("worker", index)).collect();
        servers.into_iter().for_each(|it| drop(it.join().expect("it ends")));
        let reports: Vec<_> = workers.into_iter().map(|it| it.join().expect("it ends")).collect();
        let left_out = reports.iter().map(|report| report.counts.non_finite).collect();
        let last = reports[0].variables.as_ref().expect("they are there");
        (left_out, last.sha256())
    })
}

struct Mapped(fn(u64) -> u64);

impl BatchSource for Mapped {
    type Batch = u64;

    fn batch(&mut self, number: u64) -> Option<u64> {
        Some((self.0)(number))
    }
}

/// P-14, P-25: the bits are those of a run whose second share has the batches after the bad one.
#[test]
fn by_choice_a_bad_batch_is_left_out() {
    let after = |number: u64| if number % 2 == 1 && number >= 7 { number + 2 } else { number };
    for ps in [1, 3] {
        let (none, expected) = skip(ps, OneBad(None), after);
        assert_eq!(none, [0, 0]);
        let (left_out, last) = skip(ps, OneBad(Some(7)), |number| number);
        assert_eq!(last, expected, "{ps} servers");
        assert_eq!(left_out.iter().sum::<u64>(), 1, "{ps} servers: {left_out:?}");
    }
}
