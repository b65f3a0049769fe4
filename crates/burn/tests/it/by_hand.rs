//! Gradients of burn against those that are written out by hand in `tabular`.

use burn::module::Module;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Int, Tensor, TensorData, activation};
use sync_replicas::{Gradient, Variables};
use sync_replicas_burn::BurnModel;
use tabular::data::{Choices, Content, Dataset, TestRows};
use tabular::models::{Kind, Network};

use crate::support::{computed, gradient};

type Digits = (Tensor<2>, Tensor<1, Int>);

#[derive(Module, Debug)]
struct Perceptron {
    hidden: Option<Linear>,
    output: Linear,
}

fn model(hidden: Option<usize>) -> BurnModel<Perceptron, Digits> {
    BurnModel::new(
        &Device::flex(),
        move |device| Perceptron {
            hidden: hidden.map(|width| LinearConfig::new(64, width).init(device)),
            output: LinearConfig::new(hidden.unwrap_or(64), 10).init(device),
        },
        |net: &Perceptron, (images, digits): &Digits, _| {
            let inner = match &net.hidden {
                Some(hidden) => activation::relu(hidden.forward(images.clone())),
                None => images.clone(),
            };
            let loss = CrossEntropyLossConfig::new().init(&images.device());
            loss.forward(net.output.forward(inner), digits.clone())
        },
    )
}

#[track_caller]
fn check(kind: Kind, model: &BurnModel<Perceptron, Digits>, names: &[(&str, &str)]) {
    let content = Content::of_bytes(tabular::DIGITS, "the digits").expect("is text");
    let choices = Choices { target: "digit".to_owned(), ..Choices::default() };
    let digits = Dataset::new(content, &choices, TestRows::OfTheFile).expect("is a table");
    let by_hand = Network::new(kind, &digits.features).expect("it reads numbers");
    let variables = by_hand.variables(3).expect("it has some");
    let mut reader = digits.train.reader().expect("it can be read");
    let examples = reader.examples(0..32).expect("there are as many");

    let numbers: Vec<f32> = examples.numbers().iter().copied().collect();
    let targets: Vec<i32> = examples.targets().iter().map(|&it| it as i32).collect();
    let device = Device::flex();
    let images = Tensor::from_data(TensorData::new(numbers, [32, 64]), &device);
    let batch = (images, Tensor::from_ints(targets.as_slice(), &device));
    let same = names.iter().try_fold(Variables::new(), |all, (burn, hand)| {
        all.with(*burn, variables.get(hand).expect("is known").clone())
    });
    let ours = computed(model, &same.expect("each name once"), &batch);

    let hand_batch = by_hand.batch(examples);
    let unreachable = |table: &str| unreachable!("{table}");
    let (loss, gradients) =
        by_hand.gradients(&variables, &hand_batch, unreachable).expect("it computes");
    assert!((ours.loss - loss).abs() < 1e-6, "{kind:?}: {} and {loss}", ours.loss);
    assert_eq!(ours.examples, 32);
    for (burn, hand) in names {
        let (Gradient::Dense(ours), Gradient::Dense(theirs)) =
            (gradient(&ours.gradients, burn), gradient(&gradients, hand))
        else {
            panic!("{kind:?}: {burn} is not dense");
        };
        let furthest = (ours - theirs).fold(0_f32, |most, it| most.max(it.abs()));
        assert!(furthest < 1e-6, "{kind:?}: {burn} differs by {furthest}");
        let largest = ours.fold(0_f32, |most, it| most.max(it.abs()));
        assert!(largest > 1e-4, "{kind:?}: {burn} is nothing but zeros");
    }
}

#[test]
fn gradients_are_those_of_the_models_that_are_written_out_by_hand() {
    check(Kind::Softmax, &model(None), &[("output.weight", "w"), ("output.bias", "b")]);
    let names = [
        ("hidden.weight", "hidden/w"),
        ("hidden.bias", "hidden/b"),
        ("output.weight", "output/w"),
        ("output.bias", "b"),
    ];
    check(Kind::Mlp { hidden: 7 }, &model(Some(7)), &names);
}
