//! TensorFlow's own calls, one by one.

use std::sync::{Arc, Mutex};

use hooks::{MonitoredSession, RunError, StopAtStep};
use ndarray::{Array1, Array2, arr0, array};
use optim::{Adam, Momentum, Optimizer, OptimizerState, Sgd};
use sync_replicas::engine::{ConfigError, Settings, StartError};
use sync_replicas::store::GradientKind;
use sync_replicas::tensorflow::{
    ApplyGradientsError, InitTokensError, NotApplied, SyncReplicasOptimizer, TrainOp,
};
use sync_replicas::{GlobalStep, Gradients, IndexedSlices, ReplicaId, SyncReplicas, Variables};
use testing::ManualReplicas;

const BOTH: [(&str, GradientKind); 2] =
    [("w", GradientKind::Dense), ("table", GradientKind::Sparse)];

fn variables() -> Variables<f64> {
    Variables::new()
        .with("w", Array1::zeros(2))
        .and_then(|variables| variables.with("table", Array2::zeros((3, 1))))
        .and_then(|variables| variables.with("frozen", array![7.0]))
        .expect("three names")
}

fn wrap(aggregate: usize, total: Option<usize>) -> SyncReplicasOptimizer<f64, Sgd> {
    SyncReplicasOptimizer::new(Sgd::new(2.0), aggregate, total).expect("it is valid")
}

fn step_0() -> Option<GlobalStep> {
    Some(GlobalStep::new(0))
}

/// neither may be zero; N is A when it is not given; T = max(N, A).
#[test]
fn the_numbers() {
    let zero = |aggregate, total| {
        let wrapped = SyncReplicasOptimizer::<f64, _>::new(Sgd::new(0.1), aggregate, total);
        wrapped.map(drop).expect_err("a zero")
    };
    for total in [None, Some(0), Some(3)] {
        assert_eq!(zero(0, total), ConfigError::Zero { name: "replicas_to_aggregate" });
    }
    assert_eq!(zero(2, Some(0)), ConfigError::Zero { name: "total_num_replicas" });

    for (aggregate, total, n, t) in
        [(1, None, 1, 1), (4, None, 4, 4), (4, Some(2), 2, 4), (2, Some(3), 3, 3)]
    {
        let optimizer = wrap(aggregate, total);
        let config = optimizer.settings().clone().check().expect("it is valid");
        let numbers = (config.total_num_replicas(), config.tokens_per_step());
        assert_eq!(numbers, (n, t), "A = {aggregate}, N = {total:?}");
    }
    // P-16: it is TensorFlow's preset.
    assert_eq!(*wrap(4, None).settings(), Settings::new(4).reference());
}

/// the chosen values are in the log.
#[test]
fn the_numbers_are_logged() {
    let log = Log::default();
    let build = || {
        let builder = SyncReplicas::new(Sgd::new(0.1)).replicas_to_aggregate(4);
        drop(builder.total_num_replicas(5).build(variables()).expect("it is valid"));
    };
    tracing::subscriber::with_default(log.clone(), || {
        // Another test's thread, which has no log, may be the first to come by the log's line and
        // have it put down as unwanted.
        build();
        tracing::callsite::rebuild_interest_cache();
        build();
    });
    let lines = log.0.lock().expect("nobody panicked").join("\n");
    for words in ["replicas_to_aggregate=4", "total_num_replicas=5", "tokens_per_step=5"] {
        assert!(lines.contains(words), "{words} is not in: {lines}");
    }
}

/// Keeps every event's fields as text.
#[derive(Clone, Default)]
pub(crate) struct Log(pub(crate) Arc<Mutex<Vec<String>>>);

impl tracing::Subscriber for Log {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut line = String::new();
        event.record(&mut |field: &tracing::field::Field, value: &dyn std::fmt::Debug| {
            line.push_str(&format!("{field}={value:?} "));
        });
        self.0.lock().expect("nobody panicked").push(line);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

/// an accumulator by the gradient's kind, none for what has no gradient, and one local step
/// a replica.
#[test]
fn an_accumulator_for_each_gradient() {
    let train_op =
        wrap(2, None).apply_gradients(&BOTH, variables(), step_0()).expect("it is valid");
    let counts =
        ["w", "table", "frozen", "nobody"].map(|name| train_op.trainer().num_accumulated(name));
    assert_eq!(counts, [Some(0), Some(0), None, None]);
    let steps =
        [0, 1, 2].map(|id| train_op.trainer().local_step(ReplicaId::new(id)).map(|s| s.get()));
    assert_eq!(steps, [Some(0), Some(0), None]);
}

/// A by default, at least A - N, none for zero.
#[test]
fn initial_tokens() {
    let few = |given, (aggregate, replicas): (usize, usize)| -> Result<usize, InitTokensError> {
        let needed = aggregate - replicas;
        Err(StartError::TooFewTokens { given, needed, aggregate, replicas }.into())
    };
    let (more, fewer) = ((2, 3), (4, 2));
    let table = [
        (fewer, None, Ok(4)),
        (fewer, Some(0), few(0, fewer)),
        (fewer, Some(1), few(1, fewer)),
        (fewer, Some(2), Ok(2)),
        (fewer, Some(3), Ok(3)),
        (more, None, Ok(2)),
        (more, Some(0), Ok(0)),
        (more, Some(5), Ok(5)),
    ];
    for ((aggregate, total), given, expected) in table {
        let mut optimizer = wrap(aggregate, Some(total));
        optimizer.apply_gradients(&BOTH, variables(), step_0()).expect("it is valid");
        let got = optimizer.init_tokens(given);
        assert_eq!(got, expected, "A = {aggregate}, N = {total}, given {given:?}");
    }
}

/// what needs the gradients says so.
#[test]
fn before_gradients_were_applied() {
    let optimizer = wrap(2, None);
    let tokens = optimizer.init_tokens(None).expect_err("nothing was applied");
    assert!(matches!(tokens, InitTokensError::NotApplied(NotApplied { .. })), "{tokens:?}");
    let runner = optimizer.chief_queue_runner().map(drop).expect_err("nothing was applied");
    assert!(runner.to_string().contains("call apply_gradients first"), "{runner}");
    assert!(optimizer.slot_names().is_empty() && optimizer.variables().is_empty());
    assert!(optimizer.slot("w", "m").is_none());
}

/// each is an error with nothing built, so that the right call still works; the right call
/// works once.
#[test]
fn gradients_that_cannot_be_applied() {
    type Row<'a> =
        (&'a [(&'a str, GradientKind)], Option<GlobalStep>, fn(&ApplyGradientsError) -> bool);
    let missing = [("w", GradientKind::Missing), ("table", GradientKind::Missing)];
    let twice = [("w", GradientKind::Dense), ("w", GradientKind::Dense)];
    let table: [Row<'_>; 5] = [
        (&[], step_0(), |error| matches!(error, ApplyGradientsError::Empty)),
        (&BOTH, None, |error| matches!(error, ApplyGradientsError::NoGlobalStep)),
        (&missing, step_0(), |error| matches!(error, ApplyGradientsError::AllMissing)),
        (
            &twice,
            step_0(),
            |error| matches!(error, ApplyGradientsError::Twice { name } if name == "w"),
        ),
        (&[("bias", GradientKind::Dense)], step_0(), |error| {
            matches!(error, ApplyGradientsError::Variable(_)) && error.to_string().contains("bias")
        }),
    ];
    let mut optimizer = wrap(2, None);
    for (index, (pairs, global_step, expected)) in table.into_iter().enumerate() {
        let error = optimizer.apply_gradients(pairs, variables(), global_step).map(drop);
        let error = error.expect_err("it is wrong");
        assert!(expected(&error), "row {index}: {error:?}");
        assert!(optimizer.chief_queue_runner().is_err(), "row {index}: nothing was built");
    }
    optimizer.apply_gradients(&BOTH, variables(), step_0()).expect("this one is right");
    let again = optimizer.apply_gradients(&BOTH, variables(), step_0()).map(drop);
    assert!(matches!(again, Err(ApplyGradientsError::Again)), "{again:?}");

    let mut bad_rate = SyncReplicasOptimizer::new(Sgd::new(f64::NAN), 1, None).expect("valid");
    let error = bad_rate.apply_gradients(&BOTH, variables(), step_0()).map(drop);
    assert!(matches!(error, Err(ApplyGradientsError::Build(_))), "{error:?}");
}

/// slots and state are the wrapped optimizer's, for the variables that have a gradient.
#[track_caller]
fn check_delegates<O: Optimizer<f64> + Clone + 'static>(optimizer: O) {
    let mut plain = OptimizerState::new(optimizer.clone()).expect("it is valid");
    plain.add_variable("w", &[2]).expect("a new name");
    plain.add_variable("table", &[3, 1]).expect("a new name");
    let mut wrapped = SyncReplicasOptimizer::new(optimizer, 2, None).expect("it is valid");
    wrapped.apply_gradients(&BOTH, variables(), step_0()).expect("it is valid");
    let names: Vec<_> = plain.slot_names().collect();
    assert_eq!(wrapped.slot_names(), names);
    assert_eq!(wrapped.variables(), plain.state().into_keys().collect::<Vec<_>>());
    for name in names {
        for variable in ["w", "table", "frozen"] {
            let expected = plain.slot(variable, name).map(|slot| slot.to_owned());
            assert_eq!(wrapped.slot(variable, name), expected, "{variable} {name}");
        }
    }
}

///
#[test]
fn slots_and_variables_are_the_wrapped_ones() {
    check_delegates(Sgd::new(0.1));
    check_delegates(Momentum::new(0.1, 0.9));
    check_delegates(Adam::new(0.1));
    let mut adam = SyncReplicasOptimizer::new(Adam::new(0.1), 2, None).expect("it is valid");
    adam.apply_gradients(&BOTH, variables(), step_0()).expect("it is valid");
    for power in ["beta1_power", "beta2_power"] {
        assert!(adam.variables().iter().any(|name| name == power), "{:?}", adam.variables());
    }
}

/// nothing is added to what the model computes, nor to how it fails.
#[test]
fn gradients_are_the_models() {
    let optimizer = wrap(2, None);
    let ours = optimizer.compute_gradients(&variables(), |variables| {
        Ok(Gradients::new().dense("w", variables.vector("w")?.to_owned() + 1.0))
    });
    assert_eq!(ours.expect("it works"), Gradients::new().dense("w", array![1.0, 1.0]));
    let error = optimizer.compute_gradients(&variables(), |_| Err("no data".into()));
    assert_eq!(error.expect_err("it fails").to_string(), "no data");
}

/// local steps and accumulators begin at the global step, and so do the tokens.
#[test]
fn everything_begins_at_the_global_step() {
    let mut optimizer = wrap(1, None);
    let train_op = optimizer
        .apply_gradients(&[("w", GradientKind::Dense)], variables(), Some(GlobalStep::new(40)))
        .expect("it is valid");
    assert_eq!(train_op.trainer().snapshot().global_step.get(), 40);
    let mut local_steps = Vec::new();
    run_chief(&optimizer, &train_op, None, 42, |_| {
        local_steps
            .push(train_op.trainer().local_step(ReplicaId::new(0)).expect("it is there").get());
        Gradients::new().dense("w", array![0.5, 0.5])
    });
    // One initial token of step 40 makes the second batch late; the third is fresh again.
    assert_eq!(local_steps, [40, 40, 41]);
    assert_eq!(
        train_op.trainer().snapshot().variables.vector("w").expect("there"),
        array![-2.0, -2.0]
    );
}

/// Runs the chief's session, alone, until a step.
fn run_chief<O: Optimizer<f64> + Clone + 'static>(
    optimizer: &SyncReplicasOptimizer<f64, O>,
    train_op: &TrainOp<f64>,
    tokens: Option<usize>,
    last_step: i64,
    mut gradients: impl FnMut(&Variables<f64>) -> Gradients<f64> + Send,
) {
    train_op.initialize();
    let session = train_op.session(ReplicaId::new(0), |variables, _| Ok(gradients(variables)));
    let mut sessions = Some(session).into_iter();
    MonitoredSession::builder(|_| sessions.next().ok_or(RunError::Stopped))
        .hook(optimizer.make_session_run_hook(true, tokens))
        .hook(StopAtStep::last_step(last_step))
        .start()
        .expect("it is ready")
        .run_until_stopped()
        .expect("it ends well");
}

/// once a step, after the tokens, from the variables of that very step.
#[test]
fn moving_averages() {
    let expected = [-0.02, -0.058, -0.1122];
    for (steps, expected) in (1..).zip(expected) {
        let mut optimizer = wrap(1, None).variable_averages(0.9).variables_to_average(&["v"]);
        let variables = Variables::new().with("v", arr0(0.0)).expect("one name");
        let variables = variables.with("other", arr0(0.0)).expect("two names");
        let pairs = [("v", GradientKind::Dense), ("other", GradientKind::Dense)];
        let train_op = optimizer.apply_gradients(&pairs, variables, step_0()).expect("it is valid");
        run_chief(&optimizer, &train_op, Some(0), steps, |_| {
            Gradients::new().dense("v", arr0(0.1)).dense("other", arr0(0.1))
        });
        let averages = train_op.trainer().averages().expect("they are kept");
        let average = averages.get("v").expect("it is there").sum();
        assert!((average - expected).abs() < 1e-12, "{average}, not {expected}");
        // What is not averaged is there as it is.
        let other = averages.get("other").expect("it is there").sum();
        assert!((other + 0.2 * steps as f64).abs() < 1e-12, "{other}");
    }
}

/// R-29, P-11: with and without locking, a reader sees the variables of one step, all of them.
#[test]
fn readers_see_whole_steps() {
    for locking in [false, true] {
        let zeros = || Array1::<f64>::zeros(64);
        let variables = Variables::new().with("a", zeros()).expect("one name");
        let variables = variables.with("b", zeros()).expect("two names");
        let trainer = SyncReplicas::new(Sgd::new(1.0))
            .use_locking(locking)
            .build(variables)
            .expect("it is valid");
        let steps = 300;
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    loop {
                        let snapshot = trainer.snapshot();
                        let step = snapshot.global_step.get();
                        for (name, array) in snapshot.variables.iter() {
                            assert!(array.iter().all(|&v| v == -(step as f64)), "{name}, {step}");
                        }
                        if step == steps {
                            return;
                        }
                    }
                });
            }
            let mut replica = trainer.replica(ReplicaId::new(0)).expect("it is free");
            for _ in 0..steps {
                let step = replica.next_step().expect("not overdue").expect("not ended");
                let ones = || Array1::ones(64);
                step.push(Gradients::new().dense("a", ones()).dense("b", ones())).expect("fits");
            }
        });
    }
}

/// P-10: two optimizers over variables of the same names share nothing.
#[test]
fn two_optimizers_in_one_process() {
    let make = || {
        let mut optimizer = wrap(1, None);
        let train_op =
            optimizer.apply_gradients(&BOTH, variables(), step_0()).expect("it is valid");
        (optimizer, train_op)
    };
    let ((first, first_op), (second, second_op)) = (make(), make());
    let push = |size: f64| {
        let row = IndexedSlices::new(vec![1], array![[size]], None).expect("one row");
        Gradients::new().dense("w", array![size, size]).sparse("table", row)
    };
    run_chief(&first, &first_op, Some(0), 2, |_| {
        // The other one trains while this one is in the midst of a step.
        if second_op.trainer().snapshot().global_step.get() == 0 {
            run_chief(&second, &second_op, Some(0), 3, |_| push(1.0));
        }
        push(0.25)
    });
    for (train_op, steps, value) in [(&first_op, 2, -1.0), (&second_op, 3, -6.0)] {
        let snapshot = train_op.trainer().snapshot();
        assert_eq!(snapshot.global_step.get(), steps);
        assert_eq!(snapshot.variables.vector("w").expect("there"), array![value, value]);
        assert_eq!(snapshot.variables.matrix("table").expect("there")[[1, 0]], value);
        assert_eq!(snapshot.variables.vector("frozen").expect("there"), array![7.0]);
    }
}

/// P-10, R-23: the last average can be looked at, any number of times; it is a mean, not a sum.
#[test]
fn the_last_average_can_be_observed() {
    let builder = SyncReplicas::new(Sgd::new(1.0)).replicas_to_aggregate(2);
    let trainer = builder.observe_gradients(true).build(variables()).expect("it is valid");
    let mut driver = ManualReplicas::new(trainer, 2);
    assert!(driver.trainer.last_average().is_none());
    for (replica, size) in [(0, 1.0), (1, 4.0)] {
        let row = IndexedSlices::new(vec![2], array![[size]], None).expect("one row");
        let gradients = Gradients::new().dense("w", array![size, 0.0]).sparse("table", row);
        driver.push(replica, gradients).expect("it fits");
    }
    let row = IndexedSlices::new(vec![2], array![[2.5]], Some(vec![3, 1])).expect("one row");
    for _ in 0..2 {
        let last = driver.trainer.last_average().expect("a step was made");
        let expected = Gradients::new().dense("w", array![2.5, 0.0]).sparse("table", row.clone());
        assert_eq!(*last, expected);
    }
    assert_eq!(
        driver.trainer.snapshot().variables.vector("w").expect("it is there"),
        array![-2.5, 0.0]
    );
}
