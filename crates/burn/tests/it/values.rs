//! Where variables come from and go to: first values, modules, burn's own files.

use std::sync::mpsc::channel;

use burn::module::{Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{DType, Device, Distribution, Int, Tensor};
use sync_replicas::{Gradient, Variables};
use sync_replicas_burn::{BurnError, BurnModel};

use crate::support::{computed, gradient, noise};

type Line = BurnModel<Linear, Tensor<2>>;

fn line() -> Line {
    BurnModel::new(
        &Device::flex(),
        |device| LinearConfig::new(3, 2).init(device),
        |net: &Linear, x: &Tensor<2>, _| net.forward(x.clone()).mean(),
    )
}

#[derive(Module, Debug)]
struct Several {
    layers: Vec<Linear>,
    z: Linear,
    counts: Param<Tensor<1, Int>>,
    scale: Param<Tensor<1>>,
}

impl Several {
    fn new(device: &Device) -> Self {
        let linear = || LinearConfig::new(3, 2).init(device);
        Self {
            layers: vec![linear(), linear()],
            z: linear(),
            counts: Param::initialized(1_u64.into(), Tensor::from_ints([1, 2], device)),
            scale: Param::from_tensor(Tensor::random([4], Distribution::Default, device)),
        }
    }
}

fn several() -> BurnModel<Several, Tensor<2>> {
    let device = Device::flex();
    BurnModel::new(&device, Several::new, |net: &Several, x: &Tensor<2>, _| {
        net.z.forward(x.clone()).mean()
    })
}

#[test]
fn variables_are_named_by_the_fields_that_lead_to_them_and_sorted() {
    let variables = several().variables().expect("it builds");
    let names: Vec<&str> = variables.names().collect();
    let expected = [
        "layers.0.bias",
        "layers.0.weight",
        "layers.1.bias",
        "layers.1.weight",
        "scale",
        "z.bias",
        "z.weight",
    ];
    assert_eq!(names, expected);
    assert_eq!(variables.get("z.weight").expect("is known").shape(), [3, 2]);
}

/// P-14: the same at every run, whatever else the module has.
#[test]
fn first_values_are_a_function_of_seed_name_and_shape() {
    let first = several().variables().expect("it builds");
    assert_eq!(several().variables().expect("it builds").sha256(), first.sha256());
    let get = |name| first.get(name).expect("is known");
    let others = several().seed(1).variables().expect("it builds");
    for name in ["scale", "z.weight"] {
        assert_ne!(others.get(name).expect("is known"), get(name), "{name}");
    }
    assert_ne!(get("layers.0.weight"), get("layers.1.weight"));
    let fewer = BurnModel::<Several, Tensor<2>>::new(
        &Device::flex(),
        |device| Several { layers: Vec::new(), ..Several::new(device) },
        |net, x, _| net.z.forward(x.clone()).mean(),
    );
    assert_eq!(fewer.variables().expect("it builds").get("z.weight").ok(), Some(get("z.weight")));
}

/// Replicas of a cluster must not drop the same units.
#[test]
fn what_is_drawn_after_the_first_values_is_not_of_the_seed() {
    let (drawn, draws) = channel();
    let model = BurnModel::<Linear, Tensor<2>>::new(
        &Device::flex(),
        move |device| {
            let numbers = Tensor::<1>::random([16], Distribution::Default, device);
            drawn.send(numbers.try_into_vec_as::<f32>().expect("it computes")).expect("it waits");
            LinearConfig::new(3, 2).init(device)
        },
        |net, x, _| net.forward(x.clone()).mean(),
    );
    let run = || {
        let variables = model.variables().expect("it builds");
        model.module(&variables).expect("they are its own");
        [draws.recv().expect("of variables"), draws.recv().expect("of module")]
    };
    let ([first, after], [again, other]) = (run(), run());
    assert_eq!(first, again);
    assert_ne!(after, other);
}

#[test]
fn a_module_and_its_file_have_the_values_they_are_made_of() {
    let model = line();
    let variables = model.variables().expect("it builds");
    let x = noise([4, 3]);
    let of = |net: &Linear| net.forward(x.clone()).try_into_vec_as::<f32>().expect("it computes");
    let module = model.module(&variables).expect("they are its own");
    assert!(!module.weight.is_require_grad());

    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("line.bpk");
    module.clone().save_file(&file).expect("there is room");
    let loaded = LinearConfig::new(3, 2).init(&Device::flex()).try_load_file(&file);
    assert_eq!(of(&loaded.expect("it was saved")), of(&module));

    let from_file = Line::new(
        &Device::flex(),
        move |device| LinearConfig::new(3, 2).init(device).load_file(&file),
        |net, x, _| net.forward(x.clone()).mean(),
    );
    let first = from_file.seed(99).variables().expect("it builds");
    assert_eq!(first.sha256(), variables.sha256());
}

#[test]
fn values_of_another_model_are_refused_by_name() {
    #[track_caller]
    fn check(all: &[(&str, &[usize])], expected: &str) {
        let with = |made: Variables<f32>, (name, shape): &(&str, &[usize])| {
            made.with(*name, ndarray::ArrayD::zeros(*shape))
        };
        let variables = all.iter().try_fold(Variables::new(), with).expect("each name once");
        let error = line().module(&variables).expect_err("they are another model's").to_string();
        assert!(error.contains(expected), "{error}");
    }
    check(&[("bias", &[2])], "a variable `weight`, which is not trained");
    check(
        &[("bias", &[2]), ("weight", &[2, 3])],
        "`weight` has shape [3, 2] in the module and [2, 3] in the training",
    );
    check(&[("bias", &[2]), ("weight", &[6])], "[3, 2] in the module and [6] in the training");
    check(
        &[("bias", &[2]), ("weight", &[3, 2]), ("more", &[1])],
        "`more` is trained, and the module has no such variable",
    );
}

/// widening is exact, and nothing is narrowed.
#[test]
fn numbers_are_f32_or_f64_and_no_others() {
    #[derive(Module, Debug)]
    struct Scale {
        w: Param<Tensor<1>>,
    }
    let of = |dtype| {
        move |device: &Device| Scale {
            w: Param::from_tensor(Tensor::full([2], 0.1, (device, dtype))),
        }
    };
    for dtype in [DType::F32, DType::F64] {
        let model =
            BurnModel::in_f64(&Device::flex(), of(dtype), |net: &Scale, x: &Tensor<1>, _| {
                (net.w.val() * x.clone()).mean()
            });
        let variables = model.variables().expect("it builds");
        let expected = if dtype == DType::F32 { f64::from(0.1_f32) } else { 0.1 };
        assert_eq!(variables.vector("w").expect("is known")[1].to_bits(), expected.to_bits());
        let x = Tensor::<1>::from_data([0.3_f64, 0.7], (&Device::flex(), DType::F64));
        let all = computed(&model, &variables, &x).gradients;
        let Gradient::Dense(gradient) = gradient(&all, "w") else { panic!("it is used") };
        assert_eq!(gradient.as_slice().expect("in order"), [0.15, 0.35]);
    }
    for dtype in [DType::BF16, DType::F16, DType::F64] {
        let model = BurnModel::<Scale, Tensor<1>>::new(&Device::flex(), of(dtype), |net, _, _| {
            net.w.val().mean()
        });
        let error = model.variables().expect_err("they are others");
        assert!(matches!(&error, BurnError::Number { name, .. } if name == "w"), "{error}");
    }
}
