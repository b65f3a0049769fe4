//! What does not fit is refused with what was expected and what came; training goes on (R-4, R-9,
//!

use accum_core::{ApplyError, SlicesError};
use hooks::{Failure, SessionError};
use ndarray::{Array1, array};
use optim::{Adam, Sgd};
use sync_replicas::engine::{ConfigError, JoinError, StartError};
use sync_replicas::error::{BuildError, FitError, GradientError, PushError};
use sync_replicas::{
    BoxError, Computed, Gradient, Gradients, Hooks, IndexedSlices, Model, Outcome, ReplicaId,
    SyncReplicas, Variables, Work, checkpoint,
};
use testing::{ManualReplicas, ManualReplicasError};

fn variables() -> Variables<f64> {
    Variables::new()
        .with("w", array![1.0, 2.0])
        .and_then(|variables| variables.with("table", ndarray::Array2::zeros((4, 2))))
        .expect("two names")
}

fn slices(indices: Vec<i64>, values: ndarray::ArrayD<f64>) -> Gradient<f64> {
    // By its fields: `IndexedSlices::new` would refuse some of these before they come here.
    Gradient::Sparse(IndexedSlices { indices, values, dense_shape: None })
}

fn good() -> Gradients<f64> {
    Gradients::new()
        .dense("w", array![0.5, 0.5])
        .with("table", slices(vec![3, 0], array![[1.0, 1.0], [2.0, 2.0]].into_dyn()))
}

/// Good gradients with something else for the table.
fn with_table(table: Gradient<f64>) -> Gradients<f64> {
    Gradients::new().dense("w", array![0.5, 0.5]).with("table", table)
}

type Expected = fn(&PushError) -> bool;

fn bad_pushes() -> Vec<(&'static str, Gradients<f64>, Expected)> {
    let row = || array![[1.0, 1.0]].into_dyn();
    vec![
        ("shape", good_but_w(array![1.0, 2.0, 3.0].into_dyn()), |error| {
            matches!(
                error,
                PushError::Gradient(GradientError::Fit {
                        name,
                        source: ApplyError::Shape { .. },
                    })
                if name == "w")
        }),
        ("rank", good_but_w(array![[1.0, 2.0]].into_dyn()), |error| {
            matches!(
                error,
                PushError::Gradient(GradientError::Fit { source: ApplyError::Shape { .. }, .. })
            )
        }),
        ("two indices, one row", with_table(slices(vec![0, 1], row())), |error| {
            matches!(slices_error(error), Some(SlicesError::RowsMismatch { indices: 2, rows: 1 }))
        }),
        ("negative index", with_table(slices(vec![-1], row())), |error| {
            matches!(slices_error(error), Some(SlicesError::IndexOutOfRange { index: -1, .. }))
        }),
        ("index out of range", with_table(slices(vec![4], row())), |error| {
            matches!(
                slices_error(error),
                Some(SlicesError::IndexOutOfRange { index: 4, rows: Some(4), .. })
            )
        }),
        ("too long a row", with_table(slices(vec![0], array![[1.0; 3]].into_dyn())), |error| {
            matches!(
                error,
                PushError::Gradient(GradientError::Fit { name, .. }) if name == "table")
        }),
        (
            "rows of more dimensions",
            with_table(slices(vec![0], ndarray::ArrayD::zeros(vec![1, 2, 3]))),
            |error| {
                matches!(
                    error,
                    PushError::Gradient(GradientError::Fit {
                        name,
                        source: ApplyError::RowShape { .. },
                    })
                    if name == "table")
            },
        ),
        ("scalar values", with_table(slices(vec![], ndarray::arr0(1.0).into_dyn())), |error| {
            matches!(slices_error(error), Some(SlicesError::ValuesScalar))
        }),
        ("empty list", Gradients::new(), |error| {
            matches!(error, PushError::Gradient(GradientError::Empty))
        }),
        ("all missing", Gradients::new().missing("w").missing("table"), |error| {
            matches!(error, PushError::Gradient(GradientError::AllMissing))
        }),
        ("unknown name", good().dense("bias", array![1.0]), |error| {
            matches!(error, PushError::Gradient(GradientError::UnknownVariable { name, known })
                if name == "bias" && known == "w, table")
        }),
        ("name twice", good().dense("w", array![1.0, 1.0]), |error| {
            matches!(
                error,
                PushError::Gradient(GradientError::Twice { name }) if name == "w"
            )
        }),
    ]
}

fn good_but_w(w: ndarray::ArrayD<f64>) -> Gradients<f64> {
    let gradients = Gradients::new().dense("w", w);
    gradients.with("table", slices(vec![0], array![[1.0, 1.0]].into_dyn()))
}

fn slices_error(error: &PushError) -> Option<&SlicesError> {
    match error {
        PushError::Gradient(GradientError::Fit { source: ApplyError::Slices(slices), .. }) => {
            Some(slices)
        }
        _ => None,
    }
}

/// Two replicas, both needed, at the front door or in the reference's way.
fn two_replicas(reference: bool) -> ManualReplicas<f64> {
    let mut builder = SyncReplicas::new(Adam::new(0.1));
    if reference {
        builder = builder.reference().initial_tokens(0);
    }
    ManualReplicas::new(
        builder.replicas_to_aggregate(2).build(variables()).expect("it is valid"),
        2,
    )
}

/// No token is lost: what the ledger says is in the queue or in the hands of a replica that can
/// push.
#[track_caller]
fn check_tokens(driver: &ManualReplicas<f64>, what: &str) {
    let held = driver.ready().len() + driver.trainer.num_tokens();
    assert_eq!(driver.trainer.ledger().outstanding(), held as u64, "{what}");
}

/// A refused push changes nothing, and all replicas go on.
#[track_caller]
fn check_refused(
    driver: &mut ManualReplicas<f64>,
    what: &str,
    gradients: Gradients<f64>,
    expected: impl Fn(&PushError) -> bool,
) {
    let before = (driver.trainer.snapshot(), driver.trainer.totals());
    let Err(ManualReplicasError::Push(error)) = driver.push(0, gradients) else {
        panic!("{what}: it was not refused");
    };
    assert!(expected(&error), "{what}: {error:?}");
    assert!(!error.to_string().is_empty());
    let after = (driver.trainer.snapshot(), driver.trainer.totals());
    assert_eq!(before, after, "{what}");
    check_tokens(driver, what);
    assert_eq!(driver.ready(), [0, 1], "{what}: both can still push");
}

#[track_caller]
fn check_goes_on(driver: &mut ManualReplicas<f64>, what: &str) {
    let step = driver.global_step();
    for replica in [0, 1] {
        let outcome = driver.push(replica, good()).expect("it fits");
        assert_eq!(outcome, Outcome::Accepted { count: replica as u64 + 1 }, "{what}");
    }
    assert_eq!(driver.global_step(), step + 1, "{what}");
    check_tokens(driver, what);
}

/// E-21.: as the very first push of a run, and after good ones.
#[test]
fn gradients_that_do_not_fit() {
    for reference in [false, true] {
        for (what, gradients, expected) in bad_pushes() {
            let mut driver = two_replicas(reference);
            check_refused(&mut driver, what, gradients.clone(), expected);
            check_goes_on(&mut driver, what);
            check_refused(&mut driver, what, gradients, expected);
            check_goes_on(&mut driver, what);
        }
    }
}

/// P-11: one bad gradient refuses the good ones that came with it.
#[test]
fn a_refused_push_leaves_no_part_behind() {
    let mut driver = two_replicas(false);
    check_goes_on(&mut driver, "good ones first");
    let bad = with_table(slices(vec![9], array![[1.0, 1.0]].into_dyn()));
    driver.push(0, bad).expect_err("index 9 of 4 rows");
    for name in ["w", "table"] {
        assert_eq!(driver.trainer.num_accumulated(name), Some(0), "{name}");
    }
}

/// the first push says which variable has a gradient of which kind.
#[test]
fn a_kind_that_changes() {
    let dense_table = with_table(Gradient::Dense(ndarray::ArrayD::zeros(vec![4, 2])));
    let no_table = with_table(Gradient::Missing);
    let table: [(&str, Gradients<f64>); 2] = [("dense", dense_table), ("missing", no_table)];
    for (what, gradients) in table {
        let mut driver = two_replicas(false);
        check_goes_on(&mut driver, what);
        check_refused(&mut driver, what, gradients, |error| {
            matches!(
                error,
                PushError::Gradient(GradientError::Kind { name, .. }) if name == "table"
            )
        });
        check_goes_on(&mut driver, what);
    }
}

/// what is late is dropped, not validated.
#[test]
fn a_stale_gradient_of_the_wrong_shape() {
    for reference in [false, true] {
        let mut builder = SyncReplicas::new(Sgd::new(0.1));
        if reference {
            builder = builder.reference();
        }
        let builder = builder.replicas_to_aggregate(1).total_num_replicas(2).initial_tokens(0);
        let mut driver = ManualReplicas::new(builder.build(variables()).expect("it is valid"), 2);
        driver.push(0, good()).expect("it fits");
        let outcome = driver.push(1, good_but_w(Array1::zeros(9).into_dyn()));
        assert!(matches!(outcome, Ok(Outcome::Stale { .. })), "{outcome:?}");
        check_tokens(&driver, "after a stale push");
        assert_eq!(driver.ready(), [0, 1]);
    }
}

/// and more: nothing is built from numbers that do not fit.
#[test]
fn settings_that_do_not_fit() {
    let front = || SyncReplicas::new(Sgd::new(0.1));
    let zero = |error: &BuildError, which: &str| match error {
        BuildError::Config(ConfigError::Zero { name }) => *name == which,
        _ => false,
    };
    let no_variables = front().build(Variables::<f64>::new()).map(drop);
    assert!(matches!(no_variables, Err(BuildError::NoVariables)));
    let unknown = front().moving_average(0.9).variables_to_average(["nobody"]).build(variables());
    assert!(matches!(unknown.map(drop), Err(BuildError::Variable(_))));

    let error = |builder: SyncReplicas<Sgd>| builder.build(variables()).map(drop).expect_err("bad");
    assert!(zero(&error(front().replicas_to_aggregate(0)), "replicas_to_aggregate"));
    assert!(zero(&error(front().total_num_replicas(0)), "total_num_replicas"));
    let few = error(front().replicas_to_aggregate(4).total_num_replicas(2).initial_tokens(1));
    let expected = StartError::TooFewTokens { given: 1, needed: 2, aggregate: 4, replicas: 2 };
    assert!(
        matches!(&few, BuildError::Config(ConfigError::Start(start)) if *start == expected),
        "{few:?}"
    );
    for many in [
        front().replicas_to_aggregate(usize::MAX),
        front().total_num_replicas(usize::MAX),
        front().initial_tokens(usize::MAX),
    ] {
        let error = error(many);
        assert!(matches!(error, BuildError::Config(ConfigError::TooMany { .. })), "{error:?}");
    }
    for rate in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let error = error(SyncReplicas::new(Sgd::new(rate)));
        assert!(matches!(error, BuildError::Optimizer(_)), "{rate}: {error:?}");
    }
    for decay in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
        let error = error(front().moving_average(decay));
        assert!(matches!(error, BuildError::Decay(_)), "{decay}: {error:?}");
    }
    for decay in [0.0, 1.0] {
        assert!(front().moving_average(decay).build(variables()).is_ok(), "{decay}");
    }
}

/// each replica has one handle, and there are N of them.
#[test]
fn replicas_that_cannot_join() {
    let mut driver = two_replicas(false);
    let join = |id| driver.trainer.replica(ReplicaId::new(id)).map(drop);
    let replica = ReplicaId::new(2);
    assert_eq!(join(2), Err(JoinError::Unknown { replica, total: 2 }));
    assert_eq!(
        join(u64::MAX),
        Err(JoinError::Unknown { replica: ReplicaId::new(u64::MAX), total: 2 })
    );
    assert_eq!(join(1), Err(JoinError::Present { replica: ReplicaId::new(1) }));
    check_tokens(&driver, "after refused joins");
    check_goes_on(&mut driver, "after refused joins");
    driver.trainer.stop_handle().stop("done");
    assert_eq!(driver.trainer.replica(ReplicaId::new(0)).map(drop), Err(JoinError::Ended));
}

/// A name is there once.
#[test]
fn a_variable_twice() {
    let twice = variables().with("w", array![1.0]);
    assert!(twice.is_err_and(|error| error.to_string().contains("`w` is there twice")));
}

/// Its loss is NaN from the batch with this number on.
struct BreaksAt(u64);

impl Model<f64> for BreaksAt {
    type Batch = u64;

    fn gradients(
        &self,
        _: &Variables<f64>,
        &batch: &u64,
        _: &Work<'_, f64>,
    ) -> Result<Option<Computed<f64>>, BoxError> {
        let loss = if batch < self.0 { 1.0 } else { f64::NAN };
        let gradients = Gradients::new().dense("w", array![loss, loss]).missing("table");
        Ok(Some(Computed { loss, examples: 1, gradients }))
    }
}

/// R-34, P-25: the step is named, and the last good checkpoint stays, whichever hook comes first:
/// the one before the last, whose loss is not known to be finite.
#[test]
fn a_loss_that_is_no_number() {
    for guard_first in [true, false] {
        let folder = tempfile::tempdir().expect("a folder");
        let trainer = SyncReplicas::new(Sgd::new(0.1)).build(variables()).expect("it is valid");
        let hooks = if guard_first {
            Hooks::new().nan_guard().checkpoints(folder.path(), 1, 1)
        } else {
            Hooks::new().checkpoints(folder.path(), 1, 1).nan_guard()
        };
        let error = trainer.fit(&BreaksAt(3), |_| 0.., hooks).map(drop).expect_err("NaN");
        assert!(error.to_string().contains("variable `w` at step 3"), "{error}");
        let latest = checkpoint::latest(folder.path()).expect("it is there").expect("one");
        let state = checkpoint::read::<f64>(&latest).expect("it is good");
        assert_eq!(state.global_step.get(), 2, "guard first: {guard_first}");
        let w = state.variables.get("w").expect("it is there");
        assert!(w.iter().all(|number| number.is_finite()));
    }
}

/// a hook that fails ends training with its own words.
#[test]
fn a_hook_that_fails() {
    let trainer = SyncReplicas::new(Sgd::new(0.1)).build(variables()).expect("it is valid");
    let hooks = Hooks::new().every(2, |_, _| Err("the disk is full".into()));
    let error = trainer.fit(&BreaksAt(u64::MAX), |_| 0.., hooks).map(drop).expect_err("a hook");
    assert!(error.to_string().contains("the disk is full"), "{error}");
    assert!(matches!(
        error,
        FitError::Session(SessionError::Hook { .. }) | FitError::Update { .. }
    ));
    assert!(Failure::fatal("x").to_string().contains('x'));
}
