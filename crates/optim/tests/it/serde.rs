//! Hyper-parameters, schedules and saved state through serde, behind the feature of that name.

use ndarray::{ArrayD, array};
use optim::{
    Adagrad, Adam, AdamW, BuiltIn, Ftrl, Groups, LazyAdam, Momentum, RmsProp, Schedule, Sgd,
    StateMap, StateValue,
};
use serde_json::json;

use crate::support::{at_work, dense_step};

#[track_caller]
fn check<V>(value: V)
where
    V: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug,
{
    let text = serde_json::to_string(&value).expect("plain data");
    let again: V = serde_json::from_str(&text).expect("it reads what it wrote");
    assert_eq!(again, value, "{text}");
}

#[test]
fn hyper_parameters_read_back() {
    let schedule = || -> Schedule {
        "warm-up:steps=3,then=cosine:initial=0.1,steps=9".parse().expect("a valid schedule")
    };
    check(schedule());
    check(Sgd::new(schedule()));
    check(Momentum::new(0.1, 0.9).nesterov(true));
    check(Adam::new(0.1).beta1(0.5));
    check(LazyAdam::new(0.1).beta2(0.5));
    check(AdamW::new(0.1).weight_decay(0.5));
    check(Adagrad::new(0.1).initial_accumulator_value(0.5));
    check(RmsProp::new(0.1).centered(true));
    check(Ftrl::new(0.1).l1(0.5));
    let groups = Groups::new(Adam::new(0.1)).group(["b"], Adam::new(schedule()));
    check(BuiltIn::from(groups));
    check(BuiltIn::from(LazyAdam::new(schedule())));
}

#[test]
fn names_are_plain() {
    let schedule = Schedule::Cosine { initial: 0.5, steps: 9, alpha: 0.0 };
    let value = serde_json::to_value(schedule).expect("plain data");
    assert_eq!(value, json!({"cosine": {"initial": 0.5, "steps": 9, "alpha": 0.0}}));
}

#[test]
fn saved_state_reads_back_and_restores() {
    //
    let mut state = at_work::<f32>(Box::new(Adam::new(0.1)), &[2]);
    let mut w: ArrayD<f32> = array![1.0, 2.0].into_dyn();
    dense_step(&mut state, &mut w, array![0.1_f32, 0.7].view().into_dyn());
    let entries: Vec<(String, StateValue<'_, f32>)> = state.state().into_iter().collect();
    let text = serde_json::to_string(&entries).expect("plain data");
    let read: Vec<(String, StateValue<'static, f32>)> =
        serde_json::from_str(&text).expect("it reads what it wrote");
    let saved: StateMap<'static, f32> = read.into_iter().collect();
    let mut other = at_work::<f32>(Box::new(Adam::new(0.1)), &[2]);
    other.restore(&saved).expect("the same optimizer");
    assert_eq!(other.state(), state.state());
}

#[test]
fn numbers_that_json_has_no_word_for_read_back() {
    //
    #[track_caller]
    fn check<T>(number: f64)
    where
        T: optim::Real + serde::Serialize + serde::de::DeserializeOwned,
    {
        let tensor = ArrayD::from_elem(vec![2, 1], T::of(number));
        for value in [StateValue::Tensor(tensor.into()), StateValue::Scalar(number)] {
            let text = serde_json::to_string(&value).expect("plain data");
            let read: StateValue<'_, T> = serde_json::from_str(&text).expect(&text);
            // Printed, as NaN is not equal to itself.
            assert_eq!(format!("{read:?}"), format!("{value:?}"), "{text}");
        }
    }
    let numbers = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 0.0, 5e-324, 0.1, -3.0, 1e300];
    for number in numbers {
        check::<f32>(number);
        check::<f64>(number);
    }
    let number: Result<StateValue<'_, f32>, _> = serde_json::from_str("{\"scalar\":\"one\"}");
    assert!(number.expect_err("no number").to_string().contains("\"-inf\""));
    // Numbers are written as they were before there were texts.
    let tensor = StateValue::<f32>::Tensor(array![0.5_f32, 2.0].into_dyn().into());
    let value = serde_json::to_value(tensor).expect("plain data");
    assert_eq!(value, json!({"tensor": {"v": 1, "dim": [2], "data": [0.5, 2.0]}}));
}
