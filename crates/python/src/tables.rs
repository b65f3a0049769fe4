//! Tables: declarations and keys on their way in, rows on their way out.
//!
//! The crates below decide what a table may be, and what its rows are.

use ndarray::{Array2, IxDyn};
use numpy::{PyArrayDyn, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use sync_replicas::error::TableError;
use sync_replicas::options::EvictBy;
use sync_replicas::{Keys, Rows, StepTables, Table};

use crate::errors;
use crate::number::Number;
use crate::numpy_memory::{as_array, lent};

/// The key of a text: XXH3-64 of its UTF-8 bytes, as a signed number.
#[pyfunction]
pub(crate) fn hash_text(text: &str) -> i64 {
    sync_replicas::hash_text(text)
}

/// Refuses an invalid declaration, by the name of its argument.
#[pyfunction]
#[pyo3(name = "_check_table")]
pub(crate) fn check_table(given: &Bound<'_, PyAny>) -> PyResult<()> {
    table("table", given).map(drop)
}

/// Whether a variable is declared as a table.
pub(crate) fn is_table(given: &Bound<'_, PyAny>) -> PyResult<bool> {
    given.is_instance(&given.py().import("sync_replicas._table")?.getattr("Table")?)
}

/// The table of a declaration (`_table.py`).
pub(crate) fn table(name: &str, given: &Bound<'_, PyAny>) -> PyResult<Table> {
    let whole = "a whole number from 0";
    let mut table = Table::new(name, argument(given, "width", whole)?.unwrap_or_default());
    checked("width", &table)?;
    if let Some(seed) = argument(given, "seed", whole)? {
        table = table.seed(seed);
    }
    let starts = ["uniform", "normal", "constant"];
    let mut before = None;
    for name in starts.into_iter().chain(["evict_unused", "evict_beyond"]) {
        if given.getattr(name)?.is_none() {
            continue;
        }
        let starts = starts.contains(&name);
        if let Some((before, _)) = before.filter(|&(_, other)| other == starts) {
            let message = format!("{name}: expected one of {before} and {name}, got both");
            return Err(errors::argument(&message));
        }
        before = Some((name, starts));
        table = with(table, given, name)?;
        checked(name, &table)?;
    }
    let by = argument::<String>(given, "evict_by", "\"last_use\" or \"count\"")?;
    if by.is_some() && given.getattr("evict_beyond")?.is_none() {
        return Err(errors::argument("evict_by: expected evict_beyond with it"));
    }
    if let Some(contributions) = argument(given, "admit_after", whole)? {
        table = table.admit_after(contributions);
    }
    checked("admit_after", &table)?;
    Ok(table)
}

/// The same with the named argument in the error.
fn with(table: Table, given: &Bound<'_, PyAny>, name: &str) -> PyResult<Table> {
    let whole = "a whole number from 1";
    Ok(match name {
        "uniform" => match argument::<f64>(given, name, "") {
            Ok(Some(high)) => table.uniform(-high, high),
            _ => {
                let (low, high) = pair(given, name, "a number, or (low, high)")?;
                table.uniform(low, high)
            }
        },
        "normal" => match argument::<f64>(given, name, "") {
            Ok(Some(deviation)) => table.normal(0.0, deviation),
            _ => {
                let (mean, deviation) = pair(given, name, "a number, or (mean, deviation)")?;
                table.normal(mean, deviation)
            }
        },
        "constant" => table.constant(argument(given, name, "a number")?.unwrap_or_default()),
        "evict_unused" => table.evict_unused(argument(given, name, whole)?.unwrap_or_default()),
        _ => {
            let rows = argument(given, "evict_beyond", whole)?.unwrap_or_default();
            let words = "\"last_use\" or \"count\"";
            let by = argument::<String>(given, "evict_by", words)?;
            match by.as_deref() {
                None | Some("last_use") => table.evict_beyond(rows, EvictBy::LastUse),
                Some("count") => table.evict_beyond(rows, EvictBy::Count),
                Some(other) => {
                    let message = format!("evict_by: expected {words}, got {other:?}");
                    return Err(errors::argument(&message));
                }
            }
        }
    })
}

/// One of a declaration's arguments, if it is given.
fn argument<'py, V>(given: &Bound<'py, PyAny>, name: &str, expected: &str) -> PyResult<Option<V>>
where
    V: for<'a> FromPyObject<'a, 'py>,
{
    let value = given.getattr(name)?;
    value.extract().map_err(|_| {
        let got = value.repr().map(|it| it.to_string()).unwrap_or_default();
        errors::argument(&format!("{name}: expected {expected}, got {got}"))
    })
}

fn pair(given: &Bound<'_, PyAny>, name: &str, expected: &str) -> PyResult<(f64, f64)> {
    Ok(argument(given, name, expected)?.unwrap_or_default())
}

/// The error of this argument.
fn checked(argument: &str, table: &Table) -> PyResult<()> {
    table.check().map_err(|error| {
        let TableError { what, allowed, got, .. } = error;
        errors::argument(&format!("{argument}: {what} must be {allowed}, got {got}"))
    })
}

/// Keys, and the shape in which they came.
pub(crate) struct Ids {
    pub(crate) keys: Vec<i64>,
    pub(crate) shape: Vec<usize>,
}

impl Ids {
    /// Of whole numbers of any kind and shape; unsigned ones from 2⁶³ on are their bits.
    pub(crate) fn read(
        name: &str,
        given: &Bound<'_, PyAny>,
        wrong: impl Fn(&str) -> PyErr,
    ) -> PyResult<Self> {
        let array = as_array(given)?;
        let kind: String = array.getattr("dtype")?.getattr("kind")?.extract()?;
        // An empty list is an array of float64.
        let empty = array.getattr("size")?.extract::<usize>()? == 0;
        if !(empty || matches!(kind.as_str(), "i" | "u")) {
            let got = array.getattr("dtype")?.str()?;
            let text = if matches!(kind.as_str(), "U" | "O") {
                "; sync_replicas.hash_text makes one of a text"
            } else {
                ""
            };
            let message = format!("`{name}`: expected whole numbers as keys, got {got}{text}");
            return Err(wrong(&message));
        }
        let array = lent::<i64>(name, array.call_method1("astype", ("int64",))?)?;
        let keys = array.as_array().iter().copied().collect();
        Ok(Self { keys, shape: array.shape().to_vec() })
    }

    /// Their rows, as NumPy has them: in the keys' shape, and as wide as the table.
    pub(crate) fn rows<'py, T: Number>(
        &self,
        py: Python<'py>,
        rows: Array2<T>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let shape: Vec<usize> = self.shape.iter().copied().chain([rows.ncols()]).collect();
        let rows = rows.into_shape_with_order(IxDyn(&shape));
        let rows = rows.map_err(|error| errors::argument(&error.to_string()))?;
        Ok(PyArrayDyn::from_owned_array(py, rows).into_any())
    }
}

/// The keys of a batch, table by table.
pub(crate) struct Wanted(Vec<(String, Ids)>);

impl Wanted {
    pub(crate) fn read(given: &Bound<'_, PyDict>) -> PyResult<Self> {
        let pairs = given.iter().map(|(name, ids)| {
            let name: String = name.extract()?;
            let ids = Ids::read(&name, &ids, errors::argument)?;
            Ok((name, ids))
        });
        pairs.collect::<PyResult<_>>().map(Self)
    }

    pub(crate) fn one(name: &str, ids: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(Self(vec![(name.to_owned(), Ids::read(name, ids, errors::argument)?)]))
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    pub(crate) fn keys(&self) -> Keys {
        let pairs = self.0.iter();
        pairs.fold(Keys::new(), |keys, (name, ids)| keys.of(name.clone(), ids.keys.clone()))
    }

    /// The rows of a batch's keys, by table.
    pub(crate) fn rows<'py, T: Number>(
        &self,
        py: Python<'py>,
        rows: &Rows<T>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        for (name, ids) in &self.0 {
            let rows = rows.get(name).map_err(|error| errors::variable(&error))?;
            dict.set_item(name, ids.rows(py, rows.to_owned())?)?;
        }
        Ok(dict)
    }

    /// The same, as they are at a step of this process.
    pub(crate) fn look_up<'py, T: Number>(
        &self,
        py: Python<'py>,
        tables: &StepTables<T>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        for (name, ids) in &self.0 {
            let rows = py.detach(|| tables.lookup(name, &ids.keys));
            let rows = rows.map_err(|error| errors::lookup(&error))?;
            dict.set_item(name, ids.rows(py, rows)?)?;
        }
        Ok(dict)
    }
}
