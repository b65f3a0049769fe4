//! Half and double precision.

use candle_core::{DType, Device, Tensor};
use half::{bf16, f16};
use ndarray::{Array1, arr1};
use sync_replicas::{Gradient, Variables};
use sync_replicas_candle::{CandleError, CandleModel};

use crate::support::{computed, gradient};

/// The mean of w² x, whose gradient is 2 w x / n.
fn squares() -> CandleModel<Tensor, Tensor> {
    CandleModel::new(
        |vb| vb.get(2, "w"),
        |w, x: &Tensor, _| (w.sqr()? * x.to_dtype(w.dtype())?)?.mean_all(),
    )
}

fn x() -> Tensor {
    Tensor::new(&[1_f32, 2.0], &Device::Cpu).expect("a vector")
}

/// What the module computes with is rounded; what is trained is not.
#[test]
fn half_precision_is_rounded_on_the_way_in_and_widened_on_the_way_out() {
    #[track_caller]
    fn check(dtype: DType, rounded: impl Fn(f32) -> f32) {
        let w = [1.0 + 1.0 / 512.0, 0.1_f32];
        let model = squares().dtype(dtype);
        let first = model.variables().expect("it builds");
        assert_eq!(first.vector("w").expect("is known"), arr1(&[0.0, 0.0]));
        let variables = Variables::new().with("w", arr1(&w)).expect("one name");
        let computed = computed(&model, &variables, &x());
        let Gradient::Dense(got) = gradient(&computed.gradients, "w") else { panic!("dense") };
        for (place, got) in got.iter().enumerate() {
            let expected = rounded(w[place]) * (place + 1) as f32;
            // Candle rounds each product on its way back.
            assert!((got - expected).abs() <= expected / 100.0, "{dtype:?}: {got}, {expected}");
            assert_eq!(*got, rounded(*got), "{dtype:?}: more precise than it was computed");
        }
    }
    check(DType::F16, |it| f16::from_f32(it).to_f32());
    check(DType::BF16, |it| bf16::from_f32(it).to_f32());
}

#[test]
fn double_precision_is_computed_and_trained_in_it() {
    let model = squares().in_f64();
    let variables = Variables::new().with("w", arr1(&[0.1_f64, 0.2])).expect("one name");
    let computed = computed(&model, &variables, &x());
    let Gradient::Dense(got) = gradient(&computed.gradients, "w") else { panic!("dense") };
    assert_eq!(*got, arr1(&[0.1 * 2.0 * 0.5, 0.2 * 2.0 * (2.0 * 0.5)]).into_dyn());
    assert!((computed.loss - (0.01 + 0.08) / 2.0).abs() < 1e-15);
}

#[test]
fn a_variable_may_be_narrower_than_what_is_trained_and_never_wider_or_whole() {
    let of = |dtype| -> CandleModel<Tensor, Tensor> {
        CandleModel::new(move |vb| vb.to_dtype(dtype).get(2, "w"), |w, _, _| w.mean_all())
    };
    for dtype in [DType::F16, DType::BF16, DType::F32] {
        assert!(of(dtype).variables().is_ok(), "{dtype:?} as f32");
        assert!(of(dtype).in_f64().variables().is_ok(), "{dtype:?} as f64");
    }
    assert!(of(DType::F64).in_f64().variables().is_ok());
    for (dtype, name) in [(DType::F64, "F64"), (DType::U32, "U32"), (DType::I64, "I64")] {
        let error = of(dtype).variables().expect_err("f32 is trained");
        assert!(matches!(error, CandleError::DType { .. }), "{error:?}");
        let expected = format!("variable `w` is {name}, but F32 is trained");
        assert!(error.to_string().starts_with(&expected), "{error}");
    }
    let error = of(DType::U8).in_f64().variables().expect_err("f64 is trained");
    assert!(matches!(error, CandleError::DType { .. }), "{error:?}");
}

/// What a module was given before is not left in it.
#[test]
fn a_kept_module_computes_with_the_values_of_its_step() {
    let model = squares();
    for value in [1.0_f32, -3.0, 0.5] {
        let variables = Variables::new().with("w", Array1::from_elem(2, value)).expect("one name");
        let loss = computed(&model, &variables, &x()).loss;
        assert!((loss - f64::from(value * value * 1.5)).abs() < 1e-6, "{value}: {loss}");
    }
}

/// What computes is rounded, and nothing that is trained, saved or loaded.
#[test]
fn values_are_kept_as_they_are_trained_whatever_modules_compute_in() {
    let model = || -> CandleModel<Tensor, Tensor> {
        let init = candle_nn::Init::Uniform { lo: -1.0, up: 1.0 };
        CandleModel::new(
            move |vb| vb.get_with_hints(50, "w", init),
            |w, x: &Tensor, _| (w.mean_all()? * x.to_dtype(w.dtype())?.mean_all()?)?.mean_all(),
        )
    };
    let first = model().variables().expect("it builds");
    let half = model().dtype(DType::BF16);
    assert_eq!(half.variables().expect("it builds").sha256(), first.sha256());
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("w.safetensors");
    half.var_map(&first).expect("they are its own").save(&file).expect("there is room");
    assert_eq!(half.load(&file).expect("it was saved").sha256(), first.sha256());
}

/// A module that was built for other settings is not used for these.
#[test]
fn settings_hold_also_after_a_pass() {
    let model = squares();
    let variables = Variables::new().with("w", arr1(&[0.1_f32, 0.2])).expect("one name");
    computed(&model, &variables, &x());
    let model = model.in_f64();
    let variables = Variables::new().with("w", arr1(&[0.1_f64, 0.2])).expect("one name");
    let loss = computed(&model, &variables, &x()).loss;
    assert!((loss - (0.01 + 0.08) / 2.0).abs() < 1e-15, "{loss}");
}
