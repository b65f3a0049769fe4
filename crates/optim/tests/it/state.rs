//! Names, slots, saving and restoring.

use indexmap::IndexMap;
use ndarray::{ArrayD, array};
use optim::{
    Adam, AddVariableError, BuildError, HyperParameterError, MAX_SLOTS, Optimizer, OptimizerState,
    RestoreError, ScalarSpec, Schedule, Sgd, SlotSpec, StateMap, StateValue, Step, Tile,
};

use crate::support::{all, at_work, bits, close, dense_step};

fn adam() -> OptimizerState<f32> {
    let mut state = at_work::<f32>(Box::new(Adam::new(0.1)), &[2]);
    state.add_variable("layer/b", &[]).expect("a new name");
    state
}

#[test]
fn numbers_that_there_cannot_be_are_not_restored() {
    //
    #[track_caller]
    fn check(name: &str, value: StateValue<'static, f32>, fragment: &str) {
        let mut state = adam();
        let mut saved: StateMap<'static, f32> =
            state.state().into_iter().map(|(name, value)| (name, value.into_owned())).collect();
        saved.insert(name.to_owned(), value);
        let error = state.restore(&saved).expect_err("it cannot be").to_string();
        assert!(error.contains(name) && error.contains(fragment), "{error}");
        // Nothing was restored, and the next step can be made.
        assert_eq!(state.state(), adam().state());
        state.finish_step();
    }
    for name in ["beta1_power", "beta2_power"] {
        for (value, said) in
            [(f64::NAN, "NaN"), (f64::INFINITY, "inf"), (-0.5, "-0.5"), (1.0, "1"), (7.0, "7")]
        {
            check(name, StateValue::Scalar(value), said);
        }
    }
    check("step", StateValue::Counter(u64::MAX), "the last step");
    check("step", StateValue::Counter(1 << 63), "the last step");
    let mut state = adam();
    let mut saved: StateMap<'static, f32> =
        state.state().into_iter().map(|(name, value)| (name, value.into_owned())).collect();
    saved.insert("step".to_owned(), StateValue::Counter(i64::MAX as u64));
    saved.insert("beta1_power".to_owned(), StateValue::Scalar(0.0));
    state.restore(&saved).expect("the last step there is");
    state.finish_step();
}

#[test]
fn everything_is_listed_by_name() {
    //
    let mut state = adam();
    assert_eq!(state.variables().collect::<Vec<_>>(), ["w", "layer/b"]);
    assert_eq!(state.slot_names().collect::<Vec<_>>(), ["m", "v"]);
    let names = ["step", "beta1_power", "beta2_power", "w/m", "w/v", "layer/b/m", "layer/b/v"];
    assert_eq!(state.state().keys().collect::<Vec<_>>(), names);
    assert_eq!(state.slot("layer/b", "m").expect("a slot").ndim(), 0);
    assert!(state.slot("w", "momentum").is_none());
    assert!(state.slot("b", "m").is_none());

    let mut w = array![1.0_f32, 2.0].into_dyn();
    for t in 1..=3 {
        // Adam's powers: those of the step under way, and one more after it.
        let scalar = |name| match state.state()[name] {
            StateValue::Scalar(value) => value,
            _ => panic!("{name} is a number"),
        };
        let [beta1, beta2] = [0.9_f32, 0.999].map(f64::from);
        close("beta1_power", scalar("beta1_power"), beta1.powi(t), 1e-15, 0.0);
        close("beta2_power", scalar("beta2_power"), beta2.powi(t), 1e-15, 0.0);
        assert_eq!(state.finished_steps(), t as u64 - 1);
        dense_step(&mut state, &mut w, array![0.1_f32, 0.1].view().into_dyn());
    }
    assert_eq!(state.state()["step"], StateValue::Counter(3));
}

fn owned(state: &OptimizerState<f32>) -> StateMap<'static, f32> {
    state.state().into_iter().map(|(name, value)| (name, value.into_owned())).collect()
}

#[test]
fn a_restored_run_continues_bit_identically() {
    //
    let gradient = |k: u32| {
        ArrayD::from_shape_fn(vec![3, 2], |i| ((i[0] * 2 + i[1]) as f32 + k as f32 * 0.7).sin())
    };
    for n in 0..all::<f32>().len() {
        let make = || at_work::<f32>(all().remove(n), &[3, 2]);
        let (mut whole, mut w) = (make(), ArrayD::from_elem(vec![3, 2], 0.5));
        for k in 0..10 {
            dense_step(&mut whole, &mut w, gradient(k).view());
        }
        let (mut first, mut x) = (make(), ArrayD::from_elem(vec![3, 2], 0.5));
        for k in 0..5 {
            dense_step(&mut first, &mut x, gradient(k).view());
        }
        let saved = owned(&first);
        drop(first);
        let mut second = make();
        second.restore(&saved).expect("the same optimizer and variables");
        for k in 5..10 {
            dense_step(&mut second, &mut x, gradient(k).view());
        }
        assert_eq!(bits(&second, &x), bits(&whole, &w));
        assert_eq!(second.state(), whole.state());
    }
}

#[test]
fn the_schedule_continues_too() {
    //
    let schedule = || Schedule::Piecewise { boundaries: vec![0], values: vec![1.0, 0.25] };
    let mut state = at_work::<f32>(Box::new(Sgd::new(schedule())), &[]);
    assert_eq!(state.learning_rate(), 1.0);
    state.finish_step();
    let mut other = at_work::<f32>(Box::new(Sgd::new(schedule())), &[]);
    other.restore(&state.state()).expect("the same optimizer");
    assert_eq!(other.learning_rate(), 0.25);
}

/// Restores after `change`, and expects an error and no change at all.
#[track_caller]
fn check_refused(change: impl FnOnce(&mut StateMap<'static, f32>), expected: RestoreError) {
    let mut trained = adam();
    let mut w = array![1.0_f32, 2.0].into_dyn();
    dense_step(&mut trained, &mut w, array![0.1_f32, -0.3].view().into_dyn());
    let mut saved = owned(&trained);
    change(&mut saved);
    let mut state = adam();
    assert_eq!(state.restore(&saved), Err(expected));
    assert_eq!(state.state(), adam().state(), "something changed");
}

#[test]
fn a_state_that_does_not_fit_is_refused_and_changes_nothing() {
    //
    let name = |name: &str| name.to_owned();
    let zeros = |shape: &[usize]| StateValue::Tensor(ArrayD::zeros(shape).into());
    for key in ["step", "beta2_power", "w/m", "layer/b/v"] {
        let missing = RestoreError::Missing { name: name(key) };
        check_refused(|saved| drop(saved.shift_remove(key)), missing);
    }
    for key in ["w/momentum", "u/m", "beta3_power", ""] {
        let unknown = RestoreError::Unknown { name: name(key) };
        check_refused(|saved| drop(saved.insert(name(key), zeros(&[2]))), unknown);
    }
    let shape = |expected: &[usize], actual: &[usize]| RestoreError::Shape {
        name: name("layer/b/v"),
        expected: expected.to_vec(),
        actual: actual.to_vec(),
    };
    check_refused(|saved| saved["layer/b/v"] = zeros(&[1]), shape(&[], &[1]));
    let kind = |key, expected, actual| RestoreError::Kind { name: name(key), expected, actual };
    check_refused(
        |saved| saved["w/v"] = StateValue::Scalar(1.0),
        kind("w/v", "a tensor", "a number"),
    );
    check_refused(
        |saved| saved["beta1_power"] = StateValue::Counter(1),
        kind("beta1_power", "a number", "a count"),
    );
    check_refused(|saved| saved["step"] = zeros(&[]), kind("step", "a count", "a tensor"));
    check_refused(IndexMap::clear, RestoreError::Missing { name: name("step") });
}

#[test]
fn a_variable_is_added_once_and_has_a_size() {
    //
    let mut state = adam();
    let duplicate = AddVariableError::Duplicate { name: "w".to_owned() };
    assert_eq!(state.add_variable("w", &[5]), Err(duplicate));
    assert_eq!(state.slot("w", "m").expect("still there").shape(), [2]);
    for shape in [vec![usize::MAX, 2], vec![1 << 62], vec![usize::MAX, 0, usize::MAX]] {
        let too_large = AddVariableError::TooLarge { name: "big".to_owned(), shape: shape.clone() };
        assert_eq!(state.add_variable("big", &shape), Err(too_large));
    }
    state.add_variable("empty", &[3, 0]).expect("no elements are fine");
}

/// Declares what it is told to.
#[derive(Debug)]
struct Declares(Schedule, Vec<SlotSpec>, Vec<ScalarSpec>);

impl Optimizer<f64> for Declares {
    fn name(&self) -> &'static str {
        "declares"
    }

    fn learning_rate(&self) -> &Schedule {
        &self.0
    }

    fn slots(&self) -> Vec<SlotSpec> {
        self.1.clone()
    }

    fn scalars(&self) -> Vec<ScalarSpec> {
        self.2.clone()
    }

    fn validate(&self) -> Result<(), HyperParameterError> {
        Ok(())
    }

    fn update(&self, _: &Step<'_>, tile: Tile<'_, f64>) {
        // Four slots fit, and each is as long as the tile.
        assert!(tile.slots.iter().all(|slot| slot.len() == tile.variable.len()));
    }
}

#[test]
fn declarations_have_to_be_nameable() {
    //
    let slots = |names: &[&'static str]| -> Vec<_> {
        names.iter().map(|name| SlotSpec::new(name, 0.0)).collect()
    };
    let refused = |slots, scalars| {
        OptimizerState::new(Declares(0.1.into(), slots, scalars)).expect_err("it is refused")
    };
    let optimizer = "declares";
    assert_eq!(
        refused(slots(&["a", "b", "c", "d", "e"]), vec![]),
        BuildError::TooManySlots { optimizer, actual: MAX_SLOTS + 1 },
    );
    assert_eq!(refused(slots(&["a", "a"]), vec![]), BuildError::Name { optimizer, name: "a" });
    assert_eq!(refused(slots(&["a/b"]), vec![]), BuildError::Name { optimizer, name: "a/b" });
    let step = vec![ScalarSpec::new("step", 0.0)];
    assert_eq!(refused(slots(&[]), step), BuildError::Name { optimizer, name: "step" });

    let mut state = at_work::<f64>(
        Box::new(Declares(0.1.into(), slots(&["a", "b", "c", "d"]), vec![])),
        &[3, 2],
    );
    let mut w = ArrayD::zeros(vec![3, 2]);
    dense_step(&mut state, &mut w, ArrayD::ones(vec![3, 2]).view());
}

#[test]
fn everything_can_be_sent_to_another_thread() {
    fn check<T: Send + Sync>() {}
    check::<OptimizerState<f32>>();
    check::<OptimizerState<f64>>();
    check::<optim::ExponentialMovingAverage<f32>>();
    check::<StateMap<'static, f32>>();
    check::<optim::SparseGradient<'static, f32>>();
}
