//! A replica of this process's own trainer.
//!
//! Invariant: it is in one of three places: at rest, in its open step, or gone.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use sync_replicas::{Computed, OwnedStep, Replica as Joined, TableReader};

use crate::arrays::{Pushed, owned};
use crate::errors;
use crate::number::Number;
use crate::outcome::Outcome;
use crate::replica::{Begun, ReplicaImpl};
use crate::tables::Wanted;
use crate::variable_cache::{self, VariableCache};
use crate::wait::wait;

pub(crate) struct LocalReplicaImpl<T: Number> {
    state: State<T>,
    /// The number of steps that it has begun.
    serial: u64,
    cache: Arc<VariableCache>,
    reader: TableReader<T>,
}

enum State<T: Number> {
    Rest(Joined<T>),
    Open(OwnedStep<T>),
    Gone,
}

impl<T: Number> LocalReplicaImpl<T> {
    pub(crate) fn new(
        joined: Joined<T>,
        cache: Arc<VariableCache>,
        reader: TableReader<T>,
    ) -> Self {
        Self { state: State::Rest(joined), serial: 0, cache, reader }
    }

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

    /// Begins the step of its token, unless the step was over or training has ended before it came.
    fn begin(&mut self) -> Option<Begun> {
        let State::Rest(replica) = std::mem::replace(&mut self.state, State::Gone) else {
            return None;
        };
        match replica.into_step() {
            Ok(step) if step.is_superseded() => {
                self.state = State::Rest(step.give_up());
                None
            }
            Ok(step) => {
                self.serial += 1;
                let (number, now) = (step.number(), step.global_step().get());
                self.state = State::Open(step);
                Some(Begun { number, step: now, serial: self.serial })
            }
            Err(replica) => {
                self.state = State::Rest(*replica);
                None
            }
        }
    }

    fn open(&self, serial: u64) -> PyResult<&OwnedStep<T>> {
        match &self.state {
            State::Open(step) if self.serial == serial => Ok(step),
            _ => Err(errors::over()),
        }
    }
}

impl<T: Number> ReplicaImpl for LocalReplicaImpl<T> {
    fn next(&mut self, py: Python<'_>) -> PyResult<Option<Begun>> {
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

    fn variables<'py>(&self, py: Python<'py>, serial: u64) -> PyResult<Bound<'py, PyDict>> {
        self.cache.of_snapshot(py, self.open(serial)?.snapshot())
    }

    fn copy_into(&self, py: Python<'_>, serial: u64, arrays: &Bound<'_, PyDict>) -> PyResult<()> {
        variable_cache::copy_into(py, &self.open(serial)?.snapshot().variables, arrays)
    }

    fn superseded(&self, serial: u64) -> PyResult<bool> {
        Ok(self.open(serial)?.is_superseded())
    }

    fn lookup<'py>(
        &mut self,
        py: Python<'py>,
        serial: u64,
        wanted: Wanted,
    ) -> PyResult<Bound<'py, PyDict>> {
        wanted.look_up(py, &self.open(serial)?.tables())
    }

    /// There is nothing to fetch; only the names are checked.
    fn prefetch(&mut self, py: Python<'_>, wanted: &Wanted) -> PyResult<()> {
        let looked = py.detach(|| {
            wanted.names().try_for_each(|table| self.reader.lookup(table, &[]).map(drop))
        });
        looked.map_err(|error| errors::variable(&error))
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

    fn give_up(&mut self, serial: u64) {
        if self.serial == serial {
            self.rest();
        }
    }

    fn leave(&mut self, _: bool) {
        self.state = State::Gone;
    }

    fn finish<'py>(&mut self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        py.detach(|| self.leave(false));
        Ok(None)
    }
}
