//! A replica and its steps, for loops of the user's own; the classes that he sees are Python's.
//!
//! Invariant: a replica is in one of three places, under one lock: at rest, in its open step, or
//! gone. Who finds the lock held is a second thread, and is told so.

use std::sync::{Arc, Mutex, MutexGuard, TryLockError};

use pyo3::prelude::*;
use pyo3::types::PyDict;
use sync_replicas::{Computed, OwnedStep, Replica as Joined};

use crate::arrays::{Pushed, owned};
use crate::errors;
use crate::kept::{self, Kept};
use crate::life::Born;
use crate::number::{Number, Typed, each, map_each};
use crate::outcome::Outcome;
use crate::wait::wait;

/// The native half of `sync_replicas.Replica`.
#[pyclass(frozen, module = "sync_replicas._native")]
pub(crate) struct Replica {
    number: u64,
    place: Arc<Born<Mutex<Place>>>,
    kept: Arc<Kept>,
}

/// The native half of `sync_replicas.Step`.
#[pyclass(frozen, module = "sync_replicas._native")]
pub(crate) struct Step {
    /// The number of the batch to compute.
    #[pyo3(get)]
    number: u64,
    /// The step of its variables.
    #[pyo3(get)]
    step: i64,
    /// Which of the replica's steps it is.
    serial: u64,
    place: Arc<Born<Mutex<Place>>>,
    kept: Arc<Kept>,
}

/// Where a replica is.
type Place = Typed<Turn<f32>, Turn<f64>>;

struct Turn<T: Number> {
    state: State<T>,
    /// The number of steps that it has begun.
    serial: u64,
}

enum State<T: Number> {
    Rest(Joined<T>),
    Open(OwnedStep<T>),
    Gone,
}

impl<T: Number> Turn<T> {
    /// The replica, out of its open step if it has one: that is given up.
    fn rest(&mut self) -> Option<&mut Joined<T>> {
        self.state = match std::mem::replace(&mut self.state, State::Gone) {
            State::Open(step) => State::Rest(step.give_up()),
            other => other,
        };
        match &mut self.state {
            State::Rest(replica) => Some(replica),
            _ => None,
        }
    }

    /// Waits for the next step; its batch and its variables' step.
    fn next(&mut self, py: Python<'_>) -> PyResult<Option<(u64, i64)>> {
        loop {
            let Some(replica) = py.detach(|| self.rest()) else { return Ok(None) };
            let found = wait(py, replica.wait_for_token_async())?;
            if !found.map_err(|error| errors::waited(&error))? {
                return Ok(None);
            }
            if let Some(begun) = py.detach(|| self.begin()) {
                return Ok(Some(begun));
            }
        }
    }

    /// Begins the step of its token, unless that was over or training has ended before it came.
    fn begin(&mut self) -> Option<(u64, i64)> {
        let State::Rest(replica) = std::mem::replace(&mut self.state, State::Gone) else {
            return None;
        };
        match replica.into_step() {
            Ok(step) if step.is_superseded() => {
                self.state = State::Rest(step.give_up());
                None
            }
            Ok(step) => {
                let begun = (step.number(), step.global_step().get());
                (self.state, self.serial) = (State::Open(step), self.serial + 1);
                Some(begun)
            }
            Err(replica) => {
                self.state = State::Rest(*replica);
                None
            }
        }
    }

    fn give_up(&mut self, serial: u64) {
        if self.serial == serial {
            self.rest();
        }
    }

    fn open(&self, serial: u64) -> PyResult<&OwnedStep<T>> {
        match &self.state {
            State::Open(step) if self.serial == serial => Ok(step),
            _ => Err(errors::over()),
        }
    }

    fn push(
        &mut self,
        py: Python<'_>,
        serial: u64,
        gradients: &Bound<'_, PyAny>,
        (loss, examples): (Option<f64>, u64),
    ) -> PyResult<Outcome> {
        let mut given = Pushed::<T>::read(gradients)?;
        self.open(serial)?;
        let State::Open(step) = std::mem::replace(&mut self.state, State::Gone) else {
            return Err(errors::over());
        };
        let seen = given.seen();
        let (replica, outcome) = py.detach(|| {
            let gradients = owned(seen, |name, view| step.buffer_of(name, view));
            match loss {
                Some(loss) => step.push_computed(Computed { loss, examples, gradients }),
                None => step.push(gradients),
            }
        });
        self.state = State::Rest(replica);
        match outcome {
            Ok(outcome) => outcome.try_into(),
            Err(error) => errors::pushed(&error),
        }
    }
}

#[pymethods]
impl Replica {
    /// Its number.
    #[getter]
    fn number(&self) -> u64 {
        self.number
    }

    /// Waits for the next step; None when training has ended. A step that is open is given up.
    fn next_step(&self, py: Python<'_>) -> PyResult<Option<Step>> {
        let mut place = lock(&self.place)?;
        let (begun, serial) = each!(&mut *place, turn => (turn.next(py)?, turn.serial));
        Ok(begun.map(|(number, step)| {
            let (place, kept) = (Arc::clone(&self.place), Arc::clone(&self.kept));
            Step { number, step, serial, place, kept }
        }))
    }

    /// Leaves: its token goes to another, and training goes on with the rest.
    fn leave(&self, py: Python<'_>) -> PyResult<()> {
        let mut place = lock(&self.place)?;
        let place = &mut *place;
        py.detach(|| each!(place, turn => turn.state = State::Gone));
        Ok(())
    }
}

impl Replica {
    pub(crate) fn new(
        number: u64,
        joined: Typed<Joined<f32>, Joined<f64>>,
        kept: Arc<Kept>,
    ) -> Self {
        let place = map_each!(joined, joined => Turn { state: State::Rest(joined), serial: 0 });
        Self { number, place: Arc::new(Born::new(Mutex::new(place))), kept }
    }
}

#[pymethods]
impl Step {
    /// The variables to compute gradients from: read-only arrays by name.
    #[getter]
    fn variables<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        each!(&*lock(&self.place)?, turn => {
            self.kept.arrays(py, turn.open(self.serial)?.snapshot())
        })
    }

    /// Copies the variables into writable arrays of the caller's own, by name.
    fn copy_into(&self, py: Python<'_>, arrays: &Bound<'_, PyDict>) -> PyResult<()> {
        each!(&*lock(&self.place)?, turn => {
            kept::copy_into(py, turn.open(self.serial)?.snapshot(), arrays)
        })
    }

    /// Whether its gradients would be dropped, or training has ended.
    #[getter]
    fn superseded(&self) -> PyResult<bool> {
        each!(&*lock(&self.place)?, turn => Ok(turn.open(self.serial)?.is_superseded()))
    }

    /// Pushes the gradients of all variables as one unit, and says what became of them.
    #[pyo3(signature = (gradients, loss = None, examples = 0))]
    fn push(
        &self,
        py: Python<'_>,
        gradients: &Bound<'_, PyAny>,
        loss: Option<f64>,
        examples: u64,
    ) -> PyResult<Outcome> {
        each!(&mut *lock(&self.place)?, turn => {
            turn.push(py, self.serial, gradients, (loss, examples))
        })
    }

    /// Gives the batch up: the token goes back.
    fn give_up(&self, py: Python<'_>) -> PyResult<()> {
        let mut place = lock(&self.place)?;
        let place = &mut *place;
        py.detach(|| each!(place, turn => turn.give_up(self.serial)));
        Ok(())
    }
}

impl Drop for Step {
    /// A step that nobody can push any more is given up. Should the lock be held, then by a wait
    /// for the next one, which has done that.
    fn drop(&mut self) {
        if let Ok(place) = self.place.get()
            && let Ok(mut place) = place.try_lock()
        {
            each!(&mut *place, turn => turn.give_up(self.serial));
        }
    }
}

fn lock(place: &Born<Mutex<Place>>) -> PyResult<MutexGuard<'_, Place>> {
    match place.get()?.try_lock() {
        Ok(place) => Ok(place),
        Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => Err(errors::busy("replica")),
    }
}
