//! The columns of a file by their names.

use std::collections::HashMap;

use super::choices::Choice;
use super::error::{DataError, Misfit};

/// How many names of columns an error lists.
const MOST_NAMES: usize = 30;

/// The columns of a file by their names.
#[derive(Debug)]
pub(crate) struct Names<'a> {
    path: &'a str,
    columns: &'a [String],
    places: HashMap<&'a str, usize>,
}

impl<'a> Names<'a> {
    pub(crate) fn new(path: &'a str, columns: &'a [String]) -> Self {
        let places = columns.iter().enumerate();
        let places = places.map(|(place, column)| (column.as_str(), place)).collect();
        Self { path, columns, places }
    }

    pub(crate) fn columns(&self) -> &'a [String] {
        self.columns
    }

    /// All of them, for an error.
    fn listed(&self) -> String {
        match self.columns {
            [one] if one.contains([';', '\t']) => {
                format!("{one} (one alone: only commas separate columns)")
            }
            columns => listed(columns),
        }
    }

    /// The place of a column; one without a name cannot be found.
    pub(crate) fn find(&self, column: &str) -> Result<usize, Misfit> {
        let place = self.places.get(column).copied().filter(|_| !column.is_empty());
        place.ok_or_else(|| Misfit::NoColumn {
            path: self.path.to_owned(),
            column: column.to_owned(),
            columns: self.listed(),
        })
    }

    /// The place of a column that a choice names.
    pub(crate) fn chosen(&self, choice: Choice, column: &str) -> Result<usize, DataError> {
        self.find(column).map_err(|misfit| DataError::Choice { choice, misfit })
    }
}

/// Names of columns, for an error.
pub(crate) fn listed(columns: &[String]) -> String {
    let mut names = columns.iter().take(MOST_NAMES).cloned().collect::<Vec<_>>().join(", ");
    if columns.len() > MOST_NAMES {
        names += &format!(" and {} more", columns.len() - MOST_NAMES);
    }
    names
}
