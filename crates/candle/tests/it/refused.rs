//! What a model cannot train, and how it says so; what it gives up.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use candle_core::{DType, Module, Tensor};
use candle_nn::{BatchNormConfig, Linear, ModuleT, batch_norm, linear};
use sync_replicas::driver::CancellationSource;
use sync_replicas::{GlobalStep, Gradient, Rows};
use sync_replicas_candle::{CandleError, CandleModel, Pass};

use crate::support::{computed, gradient, noise, pass, pass_with};

type Loss = fn(&Linear, &Tensor, &Pass) -> candle_core::Result<Tensor>;

fn line(loss: Loss) -> CandleModel<Linear, Tensor> {
    CandleModel::new(|vb| linear(3, 2, vb.pp("line")), loss)
}

#[track_caller]
fn check(loss: Loss, expected: &str) {
    let model = line(loss);
    let variables = model.variables().expect("it builds");
    let error = pass(&model, &variables, &noise(&[4, 3], 1)).expect_err("it has no gradient");
    assert!(error.to_string().contains(expected), "{error}");
}

#[test]
fn a_loss_without_gradients_is_refused_with_the_reason() {
    check(|net, x, _| net.forward(x), "the loss has shape [4, 2], expected one number");
    check(|net, x, _| net.forward(x)?.mean(0), "the loss has shape [2], expected one number");
    let none = "the loss depends on none of the variables (line.bias, line.weight)";
    check(|_, x, _| x.mean_all(), none);
    check(|net, x, _| net.forward(x)?.mean_all().map(|it| it.detach()), none);
    check(|net, x, _| net.forward(&x.t()?)?.mean_all(), "shape mismatch in matmul");
}

#[test]
fn a_loss_of_one_number_in_any_shape_is_taken() {
    let model = line(|net, x, _| net.forward(x)?.mean_all()?.reshape((1, 1)));
    let variables = model.variables().expect("it builds");
    assert!(computed(&model, &variables, &noise(&[4, 3], 1)).loss.is_finite());
}

///
#[test]
fn a_variable_that_the_loss_does_not_use_has_no_gradient() {
    let model = CandleModel::new(
        |vb| Ok((linear(3, 2, vb.pp("used"))?, linear(3, 2, vb.pp("unused"))?)),
        |(net, _): &(Linear, Linear), x: &Tensor, _| net.forward(x)?.mean_all(),
    );
    let variables = model.variables().expect("it builds");
    let gradients = computed(&model, &variables, &noise(&[4, 3], 1)).gradients;
    assert_eq!(*gradient(&gradients, "unused.weight"), Gradient::Missing);
    assert!(matches!(gradient(&gradients, "used.weight"), Gradient::Dense(_)));
}

/// What a thread is told.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl tracing::Subscriber for Log {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN
    }

    fn event(&self, event: &tracing::Event<'_>) {
        event.record(&mut |_: &tracing::field::Field, value: &dyn std::fmt::Debug| {
            self.0.lock().expect("nobody panicked").push(format!("{value:?}"));
        });
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

#[test]
fn variables_without_a_gradient_are_named_once() {
    #[track_caller]
    fn check(loss: fn(&[Tensor; 3], &Tensor, &Pass) -> candle_core::Result<Tensor>, names: &str) {
        let model =
            CandleModel::new(|vb| Ok([vb.get(2, "a")?, vb.get(2, "b")?, vb.get(2, "c")?]), loss);
        let variables = model.variables().expect("it builds");
        let log = Log::default();
        tracing::subscriber::with_default(log.clone(), || {
            computed(&model, &variables, &noise(&[2], 1));
            computed(&model, &variables, &noise(&[2], 2));
        });
        let told = log.0.lock().expect("nobody panicked");
        match names {
            "" => assert!(told.is_empty(), "{told:?}"),
            names => {
                assert_eq!(told.len(), 1, "{told:?}");
                let expected = format!("variables without a gradient: {names}; ");
                assert!(told[0].starts_with(&expected), "{told:?}");
            }
        }
    }
    check(|[_, b, _], x, _| (b * x)?.sum_all(), "a, c");
    check(|[a, b, c], x, _| ((a + b)? * (c + x)?)?.sum_all(), "");
}

/// Candle's fused operations have no backward pass; its slow ones have.
#[test]
fn what_comes_before_a_fused_normalisation_has_no_gradient() {
    #[track_caller]
    fn check(
        norm: fn(&Tensor, &Tensor, &Tensor, f32) -> candle_core::Result<Tensor>,
        learns: bool,
    ) {
        let model = CandleModel::new(
            |vb| Ok((linear(3, 2, vb.pp("before"))?, vb.get(2, "alpha")?, vb.get(2, "beta")?)),
            move |(net, alpha, beta): &(Linear, Tensor, Tensor), x: &Tensor, _| {
                norm(&net.forward(x)?, &(alpha + 1.0)?, beta, 1e-5)?.sqr()?.mean_all()?
                    + beta.sum_all()?
            },
        );
        let variables = model.variables().expect("it builds");
        let gradients = computed(&model, &variables, &noise(&[4, 3], 1)).gradients;
        let missing = *gradient(&gradients, "before.weight") == Gradient::Missing;
        assert_eq!(missing, !learns);
    }
    check(candle_nn::ops::layer_norm, false);
    check(candle_nn::ops::layer_norm_slow, true);
}

#[test]
fn a_module_without_variables_is_refused() {
    let model: CandleModel<Tensor, Tensor> =
        CandleModel::new(|vb| Tensor::zeros(2, DType::F32, vb.device()), |w, _, _| w.mean_all());
    assert!(matches!(model.variables(), Err(CandleError::NoVariables)));
}

/// Its running statistics are no gradients, so no replica would ever learn those of another.
#[test]
fn batch_normalisation_in_training_is_refused_and_frozen_it_is_not() {
    let norm = |train: bool| {
        CandleModel::new(
            |vb| batch_norm(3, BatchNormConfig::default(), vb.pp("norm")),
            move |net: &candle_nn::BatchNorm, x: &Tensor, _| {
                net.forward_t(x, train)?.sqr()?.mean_all()
            },
        )
    };
    let (model, x) = (norm(true), noise(&[8, 3, 2, 2], 1));
    let variables = model.variables().expect("it builds");
    let error = pass(&model, &variables, &x).expect_err("it sets what is not trained").to_string();
    assert!(
        error.starts_with("variable `norm.running_mean` was set by the forward pass"),
        "{error}"
    );
    let gradients = computed(&norm(false), &variables, &x).gradients;
    assert_eq!(*gradient(&gradients, "norm.running_var"), Gradient::Missing);
}

/// P-13.
#[test]
fn late_work_is_given_up_between_layers_and_before_the_backward_pass() {
    #[track_caller]
    fn check(loss: fn(&CancellationSource, &Pass) -> candle_core::Result<()>, given_up: bool) {
        let source = CancellationSource::new(GlobalStep::new(0));
        let others = source.clone();
        let model = CandleModel::new(
            |vb| linear(3, 2, vb.pp("line")),
            move |net: &Linear, x: &Tensor, pass| {
                let y = net.forward(x)?;
                loss(&others, pass)?;
                y.mean_all()
            },
        );
        let variables = model.variables().expect("it builds");
        let x = noise(&[4, 3], 1);
        let computed = pass_with(&model, &variables, &x, &Rows::new(), &source);
        assert_eq!(computed.expect("it is no failure").is_none(), given_up);
    }
    check(|_, pass| pass.check(), false);
    check(
        |source, pass| {
            source.advance(GlobalStep::new(1));
            assert!(pass.is_superseded());
            pass.check()?;
            unreachable!("it was given up")
        },
        true,
    );
    check(
        |source, pass| {
            source.supersede();
            pass.pause(std::time::Duration::from_secs(3600))
        },
        true,
    );
    // Nobody looked, and the backward pass is spared.
    check(
        |source, _| {
            source.advance(GlobalStep::new(1));
            Ok(())
        },
        true,
    );
}

#[test]
fn a_module_is_built_once_a_thread_and_anew_after_a_failure() {
    let built = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&built);
    let model = CandleModel::new(
        move |vb| {
            count.fetch_add(1, Ordering::Relaxed);
            linear(3, 2, vb.pp("line"))
        },
        |net: &Linear, x: &Tensor, _| net.forward(x)?.mean_all(),
    );
    let variables = model.variables().expect("it builds");
    let (good, bad) = (noise(&[4, 3], 1), noise(&[3, 4], 1));
    let mut before = built.load(Ordering::Relaxed);
    let mut check = |batch: &Tensor, ok: bool, builds: usize| {
        assert_eq!(pass(&model, &variables, batch).is_ok(), ok);
        before += builds;
        assert_eq!(built.load(Ordering::Relaxed), before);
    };
    check(&good, true, 1);
    check(&good, true, 0);
    check(&bad, false, 0);
    check(&good, true, 1);
    check(&good, true, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| assert!(pass(&model, &variables, &good).is_ok()));
    });
    assert_eq!(built.load(Ordering::Relaxed), before + 1);
}
