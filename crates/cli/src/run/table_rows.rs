//! The rows of tables, wherever they are.

use ndarray::Array2;
use sync_replicas::checkpoint::SavedTables;
use sync_replicas::{BoxError, Keys, Rows, TableReader};

/// Where the rows of tables are.
#[derive(Clone, Debug)]
pub(crate) enum TableRows {
    /// In this process, which trains.
    Here(TableReader<f32>),
    /// In a checkpoint.
    Saved(SavedTables),
    /// In servers, which give them to replicas only.
    Elsewhere,
}

impl TableRows {
    /// The rows of these keys.
    pub(crate) fn lookup(&self, keys: &Keys) -> Result<Rows<f32>, BoxError> {
        let mut rows = Rows::new();
        for (table, keys) in keys.iter() {
            let own = match self {
                Self::Here(reader) => reader.lookup(table, keys)?,
                Self::Saved(tables) => {
                    let values = tables.lookup::<f32>(table, keys)?;
                    let saved = tables.tables().iter().map(|saved| saved.table());
                    let width = saved.filter(|it| it.name() == table).map(|it| it.width()).sum();
                    Array2::from_shape_vec((keys.len(), width), values)?
                }
                Self::Elsewhere => {
                    return Err(format!("the rows of table `{table}` are in no checkpoint").into());
                }
            };
            rows = rows.with(table, own);
        }
        Ok(rows)
    }
}
