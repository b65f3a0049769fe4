//! What a model cannot train, and how it says so; what it gives up.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use burn::module::Module;
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use sync_replicas::driver::CancellationSource;
use sync_replicas::{GlobalStep, Gradient, Work};
use sync_replicas_burn::{BurnError, BurnModel};

use crate::support::{computed, gradient, noise, pass, pass_with};

fn line(loss: fn(&Linear, &Tensor<2>) -> Tensor<1>) -> BurnModel<Linear, Tensor<2>> {
    let build = |device: &Device| LinearConfig::new(3, 2).init(device);
    BurnModel::new(&Device::flex(), build, move |net, x, _| loss(net, x))
}

#[test]
fn a_loss_without_gradients_is_refused_with_the_reason() {
    #[track_caller]
    fn check(loss: fn(&Linear, &Tensor<2>) -> Tensor<1>, expected: &str) {
        let model = line(loss);
        let variables = model.variables().expect("it builds");
        let error = pass(&model, &variables, &noise([4, 3])).expect_err("it has no gradient");
        assert!(error.to_string().contains(expected), "{error}");
    }
    check(|net, x| net.forward(x.clone()).flatten(0, 1), "the loss has 8 numbers, expected one");
    let none = "the loss depends on none of the variables (bias, weight)";
    check(|_, x| x.clone().mean(), none);
    check(|net, x| net.forward(x.clone()).mean().detach(), none);
}

#[derive(Module, Debug)]
struct Two {
    used: Linear,
    unused: Linear,
}

///
#[test]
fn a_variable_that_the_loss_does_not_use_has_no_gradient() {
    let linear = |device: &Device| LinearConfig::new(3, 2).init(device);
    let model = BurnModel::new(
        &Device::flex(),
        move |device| Two { used: linear(device), unused: linear(device) },
        |net: &Two, x: &Tensor<2>, _| net.used.forward(x.clone()).mean(),
    );
    let variables = model.variables().expect("it builds");
    let gradients = computed(&model, &variables, &noise([4, 3])).gradients;
    assert_eq!(*gradient(&gradients, "unused.weight"), Gradient::Missing);
    assert!(matches!(gradient(&gradients, "used.weight"), Gradient::Dense(_)));
}

#[test]
fn a_module_without_variables_is_refused() {
    #[derive(Module, Debug)]
    struct Empty {}
    let mean = |_: &Empty, x: &Tensor<1>, _: &Work<'_, f32>| x.clone().mean();
    let model = BurnModel::new(&Device::flex(), |_| Empty {}, mean);
    assert!(matches!(model.variables(), Err(BurnError::NoVariables)));
}

/// Its running statistics are no gradients, so no replica would ever learn those of another. That
/// the batch comes without autodiff must not hide that they are set.
#[test]
fn batch_normalisation_in_training_is_refused_and_frozen_it_is_not() {
    #[derive(Module, Debug)]
    struct Normed {
        norm: BatchNorm,
        line: Linear,
    }
    let model = |frozen: bool| {
        BurnModel::new(
            &Device::flex(),
            move |device| {
                let norm = BatchNormConfig::new(3).init(device);
                let norm = if frozen { norm.freeze() } else { norm };
                Normed { norm, line: LinearConfig::new(3, 2).init(device) }
            },
            |net: &Normed, x: &Tensor<2>, _| {
                net.line.forward(net.norm.forward(x.clone())).square().mean()
            },
        )
    };
    let (training, frozen, x) = (model(false), model(true), noise([8, 3]));
    let variables = training.variables().expect("it builds");
    let error = pass(&training, &variables, &x).expect_err("it sets what is not trained");
    let expected = "variable `norm.running_mean` was set by the forward pass";
    assert!(error.to_string().starts_with(expected), "{error}");
    let gradients = computed(&frozen, &variables, &x).gradients;
    assert_eq!(*gradient(&gradients, "norm.running_mean"), Gradient::Missing);
    assert!(matches!(gradient(&gradients, "line.weight"), Gradient::Dense(_)));
}

/// P-13.
#[test]
fn late_work_is_given_up_before_the_backward_pass() {
    #[track_caller]
    fn check(meanwhile: fn(&CancellationSource), given_up: bool) {
        let source = CancellationSource::new(GlobalStep::new(0));
        let others = source.clone();
        let model = BurnModel::new(
            &Device::flex(),
            |device| LinearConfig::new(3, 2).init(device),
            move |net: &Linear, x: &Tensor<2>, work| {
                meanwhile(&others);
                let loss = net.forward(x.clone());
                // Of no use as a loss, and dropped.
                if work.is_superseded() { loss.flatten(0, 1) } else { loss.mean() }
            },
        );
        let variables = model.variables().expect("it builds");
        let computed = pass_with(&model, &variables, &noise([4, 3]), &source);
        assert_eq!(computed.expect("it is no failure").is_none(), given_up);
    }
    check(|_| {}, false);
    check(|source| source.advance(GlobalStep::new(1)), true);
    check(|source| source.supersede(), true);
}

#[test]
fn a_module_is_built_once_for_passes_one_after_the_other_and_anew_after_a_failure() {
    let built = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&built);
    let model = BurnModel::new(
        &Device::flex(),
        move |device| {
            count.fetch_add(1, Ordering::Relaxed);
            LinearConfig::new(3, 2).init(device)
        },
        |net: &Linear, x: &Tensor<2>, _| {
            let y = net.forward(x.clone());
            if x.dims()[0] == 1 { y.flatten(0, 1) } else { y.mean() }
        },
    );
    let variables = model.variables().expect("it builds");
    let mut before = built.load(Ordering::Relaxed);
    let mut check = |examples: usize, builds: usize| {
        let done = pass(&model, &variables, &noise([examples, 3]));
        assert_eq!(done.is_ok(), examples > 1);
        before += builds;
        assert_eq!(built.load(Ordering::Relaxed), before);
    };
    check(4, 1);
    check(4, 0);
    check(1, 0);
    check(4, 1);
    check(4, 0);
}
