//! Numbers that are not finite are neither published nor saved, unless that was chosen (P-25).

use ndarray::array;
use optim::{Adam, Optimizer, Sgd};
use sync_replicas::error::{FitError, WaitError};
use sync_replicas::options::{NonFinite, SummationOrder};
use sync_replicas::{
    BoxError, Computed, Gradient, Gradients, Hooks, IndexedSlices, Model, ReplicaId, SyncReplicas,
    Trainer, Variables, Work, checkpoint,
};

fn variables() -> Variables<f32> {
    let variables = Variables::new().with("a", array![1.0, 2.0]);
    variables.and_then(|it| it.with("table", array![[1.0], [2.0]])).expect("two names")
}

fn dense(value: f32) -> Gradients<f32> {
    Gradients::new().dense("a", array![0.5, value]).missing("table")
}

fn sparse(value: f32) -> Gradients<f32> {
    let rows = IndexedSlices::new(vec![1], array![[value]].into_dyn(), None).expect("it fits");
    Gradients::new().missing("a").with("table", Gradient::Sparse(rows))
}

type Build = fn() -> SyncReplicas<Box<dyn Optimizer<f32>>>;

fn two(optimizer: impl Optimizer<f32> + 'static) -> SyncReplicas<Box<dyn Optimizer<f32>>> {
    let optimizer: Box<dyn Optimizer<f32>> = Box::new(optimizer);
    SyncReplicas::new(optimizer).replicas_to_aggregate(2)
}

/// Pushes what each of two replicas has, one after the other; then the second asks for its next
/// step.
fn push_two(trainer: &Trainer<f32>, gradients: [Gradients<f32>; 2]) -> Result<(), WaitError> {
    let join = |replica| trainer.replica(ReplicaId::new(replica)).expect("it is free");
    let mut replicas = [join(0), join(1)];
    for (replica, gradients) in replicas.iter_mut().zip(gradients) {
        let step = replica.next_step().expect("not overdue").expect("not ended");
        assert!(step.push(gradients).expect("it fits").is_accepted());
    }
    replicas[1].next_step().map(drop)
}

/// P-25: that a loss is finite, or that there is none, says nothing of the gradients.
#[test]
fn an_update_that_is_not_finite_is_not_made() {
    #[track_caller]
    fn check(build: Build, gradients: [Gradients<f32>; 2], said: &[&str]) {
        for locking in [true, false] {
            let trainer = build().use_locking(locking).build(variables()).expect("it is valid");
            let error = push_two(&trainer, gradients.clone()).expect_err("it is not finite");
            let error = error.to_string();
            assert!(said.iter().all(|said| error.contains(said)), "{said:?}: {error}");
            assert_eq!(trainer.snapshot().global_step.get(), 0);
            let folder = tempfile::tempdir().expect("a folder");
            trainer.save(folder.path(), 1).expect_err("there is nothing to save");
            assert_eq!(checkpoint::latest(folder.path()).expect("it can be listed"), None);
        }
    }
    let sgd: Build = || two(Sgd::new(0.1));
    let in_order: Build = || two(Sgd::new(0.1)).order(SummationOrder::Replica);
    let at = "the update of variable `a` at step 0 is not finite";
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let second = ["so is the gradient of replica 1;", at];
        check(sgd, [dense(1.0), dense(value)], &second);
        check(in_order, [dense(1.0), dense(value)], &second);
        check(sgd, [dense(value), dense(1.0)], &["so is the gradient of replica 0;"]);
        check(sgd, [dense(value), dense(value)], &["so is the gradient of replicas 0, 1;"]);
        let table = ["variable `table` at step 0", "replicas 0, 1 contributed"];
        check(sgd, [sparse(1.0), sparse(value)], &table);
    }
    let large = || [dense(f32::MAX), dense(f32::MAX)];
    check(sgd, large(), &["all gradients are finite"]);
    check(|| two(Sgd::new(1e38)), [dense(1e38), dense(1.0)], &["all gradients are finite"]);
    // Nothing is infinite but a slot, so that the variable would never move again.
    check(|| two(Adam::new(0.1)), [dense(1e30), dense(1e30)], &["all gradients are finite"]);
}

#[test]
fn by_choice_they_are_used_like_any_others() {
    for description in
        [two(Sgd::new(0.1)).non_finite(NonFinite::Allow), two(Sgd::new(0.1)).reference()]
    {
        let trainer = description.build(variables()).expect("it is valid");
        push_two(&trainer, [dense(1.0), dense(f32::NAN)]).expect("it goes on");
        let snapshot = trainer.snapshot();
        assert_eq!(snapshot.global_step.get(), 1);
        assert!(snapshot.variables.get("a").expect("it is there")[1].is_nan());
    }
}

/// A restore brings it back to finite numbers, and it goes on.
#[test]
fn training_goes_on_from_a_good_checkpoint() {
    let folder = tempfile::tempdir().expect("a folder");
    let trainer = two(Adam::new(0.1)).build(variables()).expect("it is valid");
    trainer.save(folder.path(), 1).expect("it is good");
    push_two(&trainer, [dense(1.0), dense(f32::NAN)]).expect_err("it is not finite");
    trainer.restore(folder.path()).expect("it is good");
    push_two(&trainer, [dense(1.0), dense(2.0)]).expect("it is finite");
    let snapshot = trainer.snapshot();
    assert_eq!(snapshot.global_step.get(), 1);
    assert!(snapshot.variables.iter().all(|(_, array)| array.iter().all(|x| x.is_finite())));
}

/// What the batches of one step are to bring: the loss, and the gradient.
struct Scripted(fn(i64) -> (f64, f32));

impl Model<f32> for Scripted {
    type Batch = ();

    fn gradients(
        &self,
        _: &Variables<f32>,
        (): &(),
        work: &Work<'_, f32>,
    ) -> Result<Option<Computed<f32>>, BoxError> {
        let (loss, gradient) = (self.0)(work.step.get());
        Ok(Some(Computed { loss, examples: 1, gradients: dense(gradient) }))
    }
}

/// F-8: the loss of a step is that of the variables before it, so the newest checkpoint may be the
/// one that is bad.
#[test]
fn the_last_good_checkpoint_is_good() {
    #[track_caller]
    fn check(script: fn(i64) -> (f64, f32), good: Option<i64>, aside: &[i64], said: &str) {
        for (saves_first, keep) in [(true, 1), (false, 1), (true, 3)] {
            let folder = tempfile::tempdir().expect("a folder");
            let trainer = two(Sgd::new(0.1)).build(variables()).expect("it is valid");
            trainer.save(folder.path(), 2).expect("it is good");
            let hooks = match saves_first {
                true => Hooks::new().checkpoints(folder.path(), 1, keep).nan_guard(),
                false => Hooks::new().nan_guard().checkpoints(folder.path(), 1, keep),
            };
            let fitted = trainer.fit(&Scripted(script), |_| std::iter::repeat(()), hooks);
            let error = fitted.expect_err("it is not finite");
            assert!(matches!(error, FitError::NotFinite { .. }), "{error:?}");
            let (error, at) = (error.to_string(), |step: &i64| format!("checkpoint-{step:09}"));
            assert!(error.contains(said), "{error}");
            let latest = checkpoint::latest(folder.path()).expect("it can be listed");
            assert_eq!(latest, good.map(|step| folder.path().join(at(&step))), "{error}");
            match &latest {
                Some(path) => {
                    let named = format!("the last good checkpoint is {}", path.display());
                    assert!(error.contains(&named), "{error}");
                    checkpoint::read::<f32>(path).expect("it can be read");
                }
                None => assert!(error.contains("there is no good checkpoint"), "{error}"),
            }
            for step in aside {
                let bad = format!("{}.bad", at(step));
                assert!(folder.path().join(&bad).is_dir() && error.contains(&bad), "{error}");
            }
        }
    }
    check(|step| (if step < 3 { 1.0 } else { f64::NAN }, 0.1), Some(2), &[3], "the loss was NaN");
    check(|step| (if step < 3 { 1.0 } else { f64::INFINITY }, 0.1), Some(2), &[3], "was inf");
    // The variables were good: their loss is finite.
    check(
        |step| (1.0, if step < 3 { 0.1 } else { f32::NAN }),
        Some(3),
        &[],
        "variable `a` at step 3",
    );
    check(
        |step| if step < 3 { (1.0, 0.1) } else { (f64::NAN, f32::NAN) },
        Some(2),
        &[3],
        "variable `a` at step 3",
    );
    check(|_| (f64::NAN, 0.1), None, &[0], "the loss was NaN at global step 1");
}
