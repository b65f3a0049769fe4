//! Gradients of candle against those that are written out by hand in `tabular`.

use candle_core::{Device, Tensor};
use candle_nn::{Activation, linear, loss, seq};
use ndarray::{ArrayD, Axis};
use sync_replicas::{Gradient, Variables};
use sync_replicas_candle::CandleModel;
use tabular::data::{Choices, Content, Dataset, TestRows};
use tabular::models::{Kind, Network};

use crate::support::{computed, gradient};

type Digits = (Tensor, Tensor);

fn softmax() -> CandleModel<candle_nn::Sequential, Digits> {
    CandleModel::new(
        |vb| Ok(seq().add(linear(64, 10, vb.pp("output"))?)),
        |net, (images, digits): &Digits, _| {
            loss::cross_entropy(&candle_core::Module::forward(net, images)?, digits)
        },
    )
}

fn perceptron() -> CandleModel<candle_nn::Sequential, Digits> {
    CandleModel::new(
        |vb| {
            let hidden = linear(64, 7, vb.pp("hidden"))?;
            Ok(seq().add(hidden).add(Activation::Relu).add(linear(7, 10, vb.pp("output"))?))
        },
        |net, (images, digits): &Digits, _| {
            loss::cross_entropy(&candle_core::Module::forward(net, images)?, digits)
        },
    )
}

/// Of both, and of candle's: a weight has outputs x inputs, and by hand inputs x outputs.
fn to_candle(name: &str, array: &ArrayD<f32>) -> ArrayD<f32> {
    if name.ends_with(".weight") {
        array.t().as_standard_layout().into_owned()
    } else {
        array.clone()
    }
}

#[track_caller]
fn check(kind: Kind, model: &CandleModel<candle_nn::Sequential, Digits>, names: &[(&str, &str)]) {
    let content = Content::of_bytes(tabular::DIGITS, "the digits").expect("is text");
    let choices = Choices { target: "digit".to_owned(), ..Choices::default() };
    let digits = Dataset::new(content, &choices, TestRows::OfTheFile).expect("is a table");
    let by_hand = Network::new(kind, &digits.features).expect("it reads numbers");
    let variables = by_hand.variables(3).expect("it has some");
    let mut reader = digits.train.reader().expect("it can be read");
    let examples = reader.examples(0..32).expect("there are as many");

    let numbers: Vec<f32> = examples.numbers().iter().copied().collect();
    let targets: Vec<u32> = examples.targets().iter().map(|&it| it as u32).collect();
    let images = Tensor::from_vec(numbers, (32, 64), &Device::Cpu).expect("as many numbers");
    let batch = (images, Tensor::new(targets, &Device::Cpu).expect("a vector"));
    let of =
        |(candle, hand): &(&str, &str)| to_candle(candle, variables.get(hand).expect("is known"));
    let same = names.iter().try_fold(Variables::new(), |all, pair| all.with(pair.0, of(pair)));
    let ours = computed(model, &same.expect("each name once"), &batch);

    let hand_batch = by_hand.batch(examples);
    let unreachable = |table: &str| unreachable!("{table}");
    let (loss, gradients) =
        by_hand.gradients(&variables, &hand_batch, unreachable).expect("it computes");
    assert!((ours.loss - loss).abs() < 1e-6, "{kind:?}: {} and {loss}", ours.loss);
    assert_eq!(ours.examples, 32);
    for (candle, hand) in names {
        let (Gradient::Dense(ours), Gradient::Dense(theirs)) =
            (gradient(&ours.gradients, candle), gradient(&gradients, hand))
        else {
            panic!("{kind:?}: {candle} is not dense");
        };
        let theirs = to_candle(candle, theirs);
        let furthest = (ours - &theirs).fold(0_f32, |most, it| most.max(it.abs()));
        assert!(furthest < 1e-6, "{kind:?}: {candle} differs by {furthest}");
        let largest =
            ours.map_axis(Axis(0), |it| it[0].abs()).fold(0_f32, |most, it| most.max(*it));
        assert!(largest > 1e-4, "{kind:?}: {candle} is nothing but zeros");
    }
}

#[test]
fn gradients_are_those_of_the_models_that_are_written_out_by_hand() {
    check(Kind::Softmax, &softmax(), &[("output.weight", "w"), ("output.bias", "b")]);
    let names = [
        ("hidden.weight", "hidden/w"),
        ("hidden.bias", "hidden/b"),
        ("output.weight", "output/w"),
        ("output.bias", "b"),
    ];
    check(Kind::Mlp { hidden: 7 }, &perceptron(), &names);
}
