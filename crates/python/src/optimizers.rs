//! From Python's descriptions of optimizers and schedules to those of `optim`; and an optimizer by
//! itself, for programs built from the parts.
//!
//! The descriptions are dataclasses with the names of the crate's numbers (`_optimizers.py`).

use numpy::{PyArrayDyn, PyArrayMethods, ToPyArray};
use optim::{
    Adagrad, Adam, AdamW, BuiltIn, Ftrl, Groups, LazyAdam, Momentum, RmsProp, Schedule, Sgd,
    SparseGradient, StateMap, StateValue,
};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use sync_replicas::driver::describe;
use sync_replicas::{Gradient, Variables};

use crate::arrays::{Pushed, Seen};
use crate::errors;
use crate::initial::Initial;
use crate::number::{Number, Typed, each};

/// The rate of a schedule (or number, or text) once `step` updates were made.
#[pyfunction]
#[pyo3(name = "_learning_rate")]
pub(crate) fn learning_rate(given: &Bound<'_, PyAny>, step: u64) -> PyResult<f64> {
    Ok(schedule(given)?.at(step))
}

fn schedule(given: &Bound<'_, PyAny>) -> PyResult<Schedule> {
    let text: String = given.str()?.extract()?;
    let wrong = |error: optim::ParseScheduleError| errors::argument(&error.to_string());
    text.parse().map_err(wrong)
}

/// The optimizer of a description, for these variables.
pub(crate) fn optimizer<T: Number>(
    given: &Bound<'_, PyAny>,
    variables: &Variables<T>,
) -> PyResult<BuiltIn> {
    let rule = name(given)?;
    if rule != "groups" {
        return formula(given, &rule);
    }
    let names: Vec<&str> = variables.layout().names().collect();
    let of = |rule: &Bound<'_, PyAny>| formula(rule, &name(rule)?);
    let mut groups = Groups::new(of(&given.getattr("rest")?)?);
    let found = given.call_method1("_of", (names,))?;
    for (names, rule) in found.extract::<Vec<(Vec<String>, Bound<'_, PyAny>)>>()? {
        groups = groups.group(names, of(&rule)?);
    }
    Ok(groups.into())
}

/// The kind named in a description.
fn name(given: &Bound<'_, PyAny>) -> PyResult<String> {
    given.getattr("rule").and_then(|rule| rule.extract()).or_else(|_| {
        let got = given.get_type().name()?;
        let message = format!("optimizer: expected one as sr.Adam(1e-3), got {got}");
        Err(errors::argument(&message))
    })
}

fn formula(given: &Bound<'_, PyAny>, rule: &str) -> PyResult<BuiltIn> {
    let rate = schedule(&given.getattr("learning_rate")?)?;
    let number = |name: &str| given.getattr(name)?.extract::<f64>();
    let flag = |name: &str| given.getattr(name)?.extract::<bool>();
    let first = "initial_accumulator_value";
    Ok(match rule {
        "sgd" => Sgd::new(rate).into(),
        "momentum" => Momentum::new(rate, number("momentum")?).nesterov(flag("nesterov")?).into(),
        "adam" => {
            let adam = Adam::new(rate).beta1(number("beta1")?).beta2(number("beta2")?);
            adam.epsilon(number("epsilon")?).into()
        }
        "lazy_adam" => {
            let adam = LazyAdam::new(rate).beta1(number("beta1")?).beta2(number("beta2")?);
            adam.epsilon(number("epsilon")?).into()
        }
        "adamw" => {
            let adam = AdamW::new(rate).beta1(number("beta1")?).beta2(number("beta2")?);
            let adam = adam.epsilon(number("epsilon")?);
            adam.weight_decay(number("weight_decay")?).into()
        }
        "adagrad" => Adagrad::new(rate).initial_accumulator_value(number(first)?).into(),
        "rmsprop" => {
            let rms = RmsProp::new(rate).decay(number("decay")?).momentum(number("momentum")?);
            rms.epsilon(number("epsilon")?).centered(flag("centered")?).into()
        }
        "ftrl" => {
            let ftrl = Ftrl::new(rate).learning_rate_power(number("learning_rate_power")?);
            let ftrl = ftrl.initial_accumulator_value(number(first)?);
            let ftrl = ftrl.l1(number("l1")?).l2(number("l2")?);
            ftrl.l2_shrinkage(number("l2_shrinkage")?).into()
        }
        other => return Err(errors::argument(&format!("optimizer: there is no {other:?}"))),
    })
}

/// An optimizer with the slots of some variables, put to work by hand.
///
/// `variables` is a dict of arrays by name: it needs their shapes, and their one type, which is
/// float32 or float64.
#[pyclass(module = "sync_replicas")]
pub(crate) struct OptimizerState(Typed<optim::OptimizerState<f32>, optim::OptimizerState<f64>>);

#[pymethods]
impl OptimizerState {
    #[new]
    fn new(given: &Bound<'_, PyAny>, variables: &Bound<'_, PyDict>) -> PyResult<Self> {
        Ok(Self(match Initial::read(variables)? {
            Initial::F32(variables) => Typed::F32(state(given, &variables)?),
            Initial::F64(variables) => Typed::F64(state(given, &variables)?),
        }))
    }

    /// Updates arrays in place by their gradients, both by name, and finishes the step.
    fn apply(
        &mut self,
        py: Python<'_>,
        variables: &Bound<'_, PyDict>,
        gradients: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        each!(&mut self.0, state => apply(py, state, variables, gradients))
    }

    /// How many steps were finished.
    #[getter]
    fn finished_steps(&self) -> u64 {
        each!(&self.0, state => state.finished_steps())
    }

    /// The learning rate of the next step.
    #[getter]
    fn learning_rate(&self) -> f64 {
        each!(&self.0, state => state.learning_rate())
    }

    /// All slots and scalars by name ("w/m", "beta1_power"), as copies.
    fn state<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        each!(&self.0, state => {
            for (name, value) in state.state() {
                match value {
                    StateValue::Tensor(array) => dict.set_item(name, array.to_pyarray(py))?,
                    StateValue::Scalar(number) => dict.set_item(name, number)?,
                    StateValue::Counter(step) => dict.set_item(name, step)?,
                }
            }
        });
        Ok(dict)
    }

    /// Goes on from such a state, of the same optimizer and variables.
    fn restore(&mut self, saved: &Bound<'_, PyDict>) -> PyResult<()> {
        each!(&mut self.0, state => restore(state, saved))
    }
}

fn state<T: Number>(
    given: &Bound<'_, PyAny>,
    variables: &Variables<T>,
) -> PyResult<optim::OptimizerState<T>> {
    let wrong = |error: &dyn std::error::Error| errors::argument(&describe(error));
    if let [table, ..] = variables.tables() {
        let message = format!("`{}` is a table; expected arrays, or a Trainer", table.name());
        return Err(errors::argument(&message));
    }
    let mut state =
        optim::OptimizerState::new(optimizer(given, variables)?).map_err(|it| wrong(&it))?;
    for (name, array) in variables.iter() {
        state.add_variable(name, array.shape()).map_err(|it| wrong(&it))?;
    }
    Ok(state)
}

fn apply<T: Number>(
    py: Python<'_>,
    state: &mut optim::OptimizerState<T>,
    variables: &Bound<'_, PyDict>,
    gradients: &Bound<'_, PyAny>,
) -> PyResult<()> {
    let mut gradients = Pushed::<T>::read(gradients)?;
    for (name, gradient) in gradients.seen() {
        let target = variables.get_item(&name)?;
        let target = target.as_ref().and_then(|it| it.cast::<PyArrayDyn<T>>().ok());
        let Some(mut target) = target.and_then(|it| it.try_readwrite().ok()) else {
            let message = format!("expected a writable array of {} to update", T::NAME);
            return Err(errors::gradient(&name, &message));
        };
        let target = target.as_array_mut();
        let applied = py.detach(|| match gradient {
            Seen::Lent(gradient) => state.apply_dense(&name, target, &gradient),
            Seen::Own(Gradient::Dense(gradient)) => state.apply_dense(&name, target, &gradient),
            Seen::Own(Gradient::Sparse(slices)) => {
                let rows = SparseGradient { indices: &slices.indices, rows: slices.values.view() };
                state.apply_sparse(&name, target, rows)
            }
            Seen::Own(Gradient::Missing) => Ok(()),
        });
        applied.map_err(|error| errors::gradient(&name, &describe(&error)))?;
    }
    state.finish_step();
    Ok(())
}

fn restore<T: Number>(
    state: &mut optim::OptimizerState<T>,
    saved: &Bound<'_, PyDict>,
) -> PyResult<()> {
    let mut map = StateMap::<T>::new();
    for (name, value) in state.state() {
        let Some(given) = saved.get_item(&name)? else { continue };
        let value = match value {
            StateValue::Tensor(_) => {
                let array = given.cast::<PyArrayDyn<T>>()?;
                StateValue::Tensor(array.try_readonly()?.as_array().to_owned().into())
            }
            StateValue::Scalar(_) => StateValue::Scalar(given.extract()?),
            StateValue::Counter(_) => StateValue::Counter(given.extract()?),
        };
        map.insert(name, value);
    }
    state.restore(&map).map_err(|error| errors::argument(&describe(&error)))
}
