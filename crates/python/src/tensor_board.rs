//! TensorBoard's files for Python: the tracker of the crate `hooks`.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hooks::{At, BoxError, Param, Tracker};
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;

/// A folder that `tensorboard --logdir` shows.
#[pyclass(frozen, module = "sync_replicas._native")]
pub(crate) struct TensorBoard(Mutex<hooks::TensorBoard>);

/// A setting of the run, by its type; the first that fits.
#[derive(FromPyObject)]
enum Given {
    Flag(bool),
    Number(f64),
    Text(String),
}

#[pymethods]
impl TensorBoard {
    #[new]
    fn new(py: Python<'_>, folder: PathBuf) -> PyResult<Self> {
        let board = py.detach(|| hooks::TensorBoard::create(folder))?;
        Ok(Self(Mutex::new(board)))
    }

    /// The settings that the run was started with.
    #[expect(clippy::needless_pass_by_value, reason = "it is converted for this call")]
    fn params(&self, py: Python<'_>, params: Vec<(String, Given)>) -> PyResult<()> {
        let params: Vec<_> = params.iter().map(|(name, given)| (&**name, given.param())).collect();
        self.told(py, |board| board.params(&params))
    }

    /// Numbers of one step, by name.
    #[expect(clippy::needless_pass_by_value, reason = "it is converted for this call")]
    fn scalars(&self, py: Python<'_>, step: i64, scalars: Vec<(String, f64)>) -> PyResult<()> {
        let scalars: Vec<_> = scalars.iter().map(|(name, value)| (&**name, *value)).collect();
        self.told(py, |board| board.scalars(At::now(step), &scalars))
    }

    /// Many values of one kind, as a histogram.
    #[expect(clippy::needless_pass_by_value, reason = "it is converted for this call")]
    fn histogram(&self, py: Python<'_>, step: i64, name: &str, values: Vec<f64>) -> PyResult<()> {
        self.told(py, |board| board.histogram(At::now(step), name, &values))
    }

    /// Words for people, in Markdown.
    fn text(&self, py: Python<'_>, step: i64, name: &str, text: &str) -> PyResult<()> {
        self.told(py, |board| board.text(At::now(step), name, text))
    }

    /// The run goes on from this step.
    fn restored(&self, py: Python<'_>, step: i64) -> PyResult<()> {
        self.told(py, |board| board.restored(step))
    }

    /// Hands over about a second of buffered values.
    fn flush(&self, py: Python<'_>) -> PyResult<()> {
        self.told(py, Tracker::flush)
    }

    /// The run has ended; a failed one is not marked as done.
    #[pyo3(signature = (failed = false))]
    fn finish(&self, py: Python<'_>, failed: bool) -> PyResult<()> {
        self.told(py, |board| if failed { board.flush() } else { board.finish() })
    }
}

impl TensorBoard {
    /// With the interpreter released, since a disk may be slow.
    fn told(
        &self,
        py: Python<'_>,
        tell: impl FnOnce(&mut hooks::TensorBoard) -> Result<(), BoxError> + Send,
    ) -> PyResult<()> {
        let told = py.detach(|| tell(&mut self.lock()));
        told.map_err(|error| PyOSError::new_err(error.to_string()))
    }

    fn lock(&self) -> MutexGuard<'_, hooks::TensorBoard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Given {
    fn param(&self) -> Param<'_> {
        match self {
            Self::Flag(flag) => Param::Flag(*flag),
            Self::Number(number) => Param::Number(*number),
            Self::Text(text) => Param::Text(text),
        }
    }
}
