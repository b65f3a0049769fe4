//! Where variables come from and go to: first values, modules, `VarMap`s, files.

use candle_core::{DType, Device, Module, Tensor};
use candle_nn::init::{DEFAULT_KAIMING_NORMAL, DEFAULT_KAIMING_UNIFORM};
use candle_nn::{Init, Linear, VarBuilder, linear};
use sync_replicas::Variables;
use sync_replicas_candle::{CandleError, CandleModel};

use crate::support::noise;

type Line = CandleModel<Linear, Tensor>;

fn line() -> Line {
    CandleModel::new(
        |vb| linear(3, 2, vb.pp("line")),
        |net, x: &Tensor, _| net.forward(x)?.mean_all(),
    )
}

fn of_init(init: Init) -> CandleModel<Tensor, Tensor> {
    CandleModel::new(
        move |vb| vb.get_with_hints((200, 50), "w", init),
        |w, _: &Tensor, _| w.mean_all(),
    )
}

#[test]
fn variables_are_named_as_the_module_names_them_and_sorted() {
    let model = CandleModel::new(
        |vb| Ok((linear(2, 1, vb.pp("z"))?, linear(2, 1, vb.pp("a.b"))?, vb.get(4, "m")?)),
        |_, x: &Tensor, _| x.mean_all(),
    );
    let variables = model.variables().expect("it builds");
    let names: Vec<&str> = variables.names().collect();
    assert_eq!(names, ["a.b.bias", "a.b.weight", "m", "z.bias", "z.weight"]);
    assert_eq!(variables.get("z.weight").expect("is known").shape(), [1, 2]);
}

/// P-14: the same in every process and at every run, whatever else the module has.
#[test]
fn first_values_are_a_function_of_seed_name_and_shape() {
    let first = line().variables().expect("it builds");
    assert_eq!(line().variables().expect("it builds").sha256(), first.sha256());
    assert_ne!(line().seed(1).variables().expect("it builds").sha256(), first.sha256());
    let larger: CandleModel<_, Tensor> = CandleModel::new(
        |vb: VarBuilder<'static>| Ok((linear(9, 9, vb.pp("first"))?, linear(3, 2, vb.pp("line"))?)),
        |_, x: &Tensor, _| x.mean_all(),
    );
    let larger = larger.variables().expect("it builds");
    assert_eq!(larger.get("line.weight").ok(), first.get("line.weight").ok());
}

#[test]
fn first_values_have_the_distribution_that_the_module_asks_for() {
    #[track_caller]
    fn check(init: Init, mean: f64, stdev: f64, bound: f64) {
        let variables = of_init(init).variables().expect("it builds");
        let numbers = variables.get("w").expect("is known").mapv(f64::from);
        let got = numbers.mean().expect("there are some");
        assert!((got - mean).abs() < 0.03 * stdev + 1e-6, "{init:?}: mean {got}");
        let got = numbers.std(0.0);
        assert!((got - stdev).abs() < 0.03 * stdev + 1e-6, "{init:?}: deviation {got}");
        let furthest = numbers.iter().fold(0_f64, |most, it| most.max((it - mean).abs()));
        assert!(furthest <= bound, "{init:?}: furthest {furthest}");
    }
    check(Init::Const(0.25), 0.25, 0.0, 0.0);
    check(Init::Uniform { lo: 1.0, up: 3.0 }, 2.0, 2.0 / 12_f64.sqrt(), 1.0);
    check(Init::Randn { mean: -1.0, stdev: 0.5 }, -1.0, 0.5, 4.0);
    // The gain of a rectifier, by the square root of 50 inputs.
    let stdev = (2.0 / 50.0_f64).sqrt();
    check(DEFAULT_KAIMING_NORMAL, 0.0, stdev, 8.0 * stdev);
    check(DEFAULT_KAIMING_UNIFORM, 0.0, stdev, 3_f64.sqrt() * stdev + 1e-6);
}

#[test]
fn a_name_that_is_asked_for_twice_is_one_variable() {
    let tied = CandleModel::new(
        |vb| Ok((vb.get((2, 3), "w")?, vb.get((2, 3), "w")?, vb.get_unchecked("w")?)),
        |_, x: &Tensor, _| x.mean_all(),
    );
    assert_eq!(tied.variables().expect("it builds").len(), 1);
    let other = CandleModel::new(
        |vb| Ok((vb.get((2, 3), "w")?, vb.get((3, 2), "w")?)),
        |_, x: &Tensor, _| x.mean_all(),
    );
    let error = other.variables().expect_err("the shapes differ").to_string();
    assert!(error.contains("`w` is taken from the VarBuilder twice"), "{error}");
}

#[test]
fn a_module_a_var_map_and_a_file_have_the_values_they_are_made_of() {
    let model = line();
    let variables = model.variables().expect("it builds");
    let x = noise(&[4, 3], 1);
    let expected = |net: &Linear| net.forward(&x).and_then(|y| y.to_vec2::<f32>()).expect("2 x 4");
    let module = model.module(&variables).expect("they are its own");

    let map = model.var_map(&variables).expect("they are its own");
    let by_map = linear(3, 2, VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu).pp("line"));
    assert_eq!(expected(&by_map.expect("it is all there")), expected(&module));

    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("line.safetensors");
    map.save(&file).expect("there is room");
    let loaded = line().seed(99).load(&file).expect("it was saved");
    assert_eq!(loaded.sha256(), variables.sha256());
}

#[test]
fn a_file_that_is_none_or_another_models_is_refused_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("model.safetensors");
    #[track_caller]
    fn check(file: &std::path::Path, model: &Line, expected: &str) {
        let error = model.load(file).expect_err("it is no file of this model");
        let is_refused = matches!(error, CandleError::File { .. } | CandleError::OtherFile { .. });
        assert!(is_refused, "{error:?}");
        let error = error.to_string();
        assert!(error.contains("model.safetensors: ") && error.contains(expected), "{error}");
    }
    check(&file, &line(), "No such file");
    std::fs::write(&file, b"nothing of the kind").expect("there is room");
    check(&file, &line(), "header");
    let save = |names: &[(&str, (usize, usize))]| {
        let tensors = names.iter().map(|&(name, shape)| (name, noise(&[shape.0, shape.1], 1)));
        candle_core::safetensors::save(&tensors.collect(), &file).expect("there is room");
    };
    save(&[("line.weight", (2, 3))]);
    check(&file, &line(), "expected a variable `line.bias`, and there is none");
    save(&[("line.weight", (2, 3)), ("line.bias", (2, 1))]);
    check(&file, &line(), "`line.bias` has shape [2, 1], and [2] in the module");
    let none: CandleModel<Tensor, Tensor> =
        CandleModel::new(|vb| vb.get((2, 3), "w"), |_, x: &Tensor, _| x.mean_all());
    save(&[("w", (2, 3)), ("more", (1, 1))]);
    let error = none.load(&file).expect_err("it has more").to_string();
    assert!(error.ends_with("`more` is no variable of the module"), "{error}");
}

#[test]
fn values_of_another_model_are_refused_by_name() {
    #[track_caller]
    fn check(variables: Variables<f32>, expected: &str) {
        let error = line().module(&variables).expect_err("they are another model's").to_string();
        assert!(error.contains(expected), "{error}");
    }
    let array = |shape: &[usize]| ndarray::ArrayD::<f32>::zeros(shape);
    let with = |all: &[(&str, &[usize])]| {
        let mut made = Variables::new();
        for (name, shape) in all {
            made = made.with(*name, array(shape)).expect("each name once");
        }
        made
    };
    check(with(&[("line.bias", &[2])]), "expected a variable `line.weight`, and there is none");
    check(
        with(&[("line.bias", &[2]), ("line.weight", &[3, 2])]),
        "`line.weight` has shape [3, 2], and [2, 3] in the module",
    );
    check(
        with(&[("line.bias", &[2]), ("line.weight", &[2, 3]), ("more", &[1])]),
        "`more` is no variable of the module",
    );
}

/// What a module computes of its variables while it is built is of these values.
#[test]
fn a_module_to_evaluate_is_built_with_its_values() {
    let model: CandleModel<Tensor, Tensor> =
        CandleModel::new(|vb| vb.get(2, "w")?.sqr(), |squares, x, _| (squares * x)?.mean_all());
    let variables = Variables::new().with("w", ndarray::arr1(&[3.0_f32, -2.0])).expect("one name");
    let squares = model.module(&variables).expect("they are its own");
    assert_eq!(squares.to_vec1::<f32>().expect("a vector"), [9.0, 4.0]);
}

#[test]
fn a_variable_that_is_taken_when_the_module_is_built_already_is_refused() {
    let model: CandleModel<(Tensor, VarBuilder<'static>), Tensor> = CandleModel::new(
        |vb| Ok((vb.get(2, "w")?, vb)),
        |(w, vb), _: &Tensor, _| (w + vb.get(2, "late")?)?.mean_all(),
    );
    let variables = model.variables().expect("it builds");
    let error = crate::support::pass(&model, &variables, &noise(&[2], 1));
    let error = error.expect_err("nobody trains it").to_string();
    assert!(error.contains("`late` is taken from the VarBuilder after the module"), "{error}");
}

#[test]
fn a_file_of_whole_numbers_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("w.safetensors");
    let whole = Tensor::new(&[1_u32, 2], &Device::Cpu).expect("a vector");
    candle_core::safetensors::save(&[("w", whole)].into(), &file).expect("there is room");
    let model: CandleModel<Tensor, Tensor> =
        CandleModel::new(|vb| vb.get(2, "w"), |w, _: &Tensor, _| w.mean_all());
    let error = model.load(&file).expect_err("they are no floats").to_string();
    assert!(error.ends_with("`w` is U32, expected floats"), "{error}");
}
