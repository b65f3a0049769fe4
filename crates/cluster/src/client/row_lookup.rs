//! The rows of a batch's keys, filled from what the servers send.
//!
//! Each key is requested once, from the server that owns it. For rows that are here as of an
//! earlier step, only changes are requested. Invariant: rows are whole once every key was answered,
//! and all are of the requested version.

use bytes::Bytes;
use ndarray::Array2;
use sync_replicas::error::VariableError;
use sync_replicas::store::{Change, Layout};
use sync_replicas::{Keys, Rows, Scalar, Table};

use super::protocol::Version;
use crate::number_format::NumberFormat;
use crate::proto::to_server::Message;
use crate::proto::{self, Lookup};
use crate::tensor::{change, most_keys};
use crate::wire::WireError;

pub(super) struct RowLookup<T> {
    version: Version,
    wire: NumberFormat,
    /// In the order in which the batch names them.
    tables: Vec<Asked<T>>,
}

/// The request for one table.
struct Asked<T> {
    /// Its place among the tables.
    number: usize,
    table: Table,
    /// The keys, ascending, each once.
    keys: Vec<i64>,
    /// Where each of the batch's keys is among them.
    places: Vec<usize>,
    /// Their rows, one after the other.
    rows: Vec<T>,
    /// The step of each row that is already here.
    since: Vec<Option<i64>>,
    /// By server: which of the keys are its own.
    owned: Vec<Vec<usize>>,
    /// By server: how many of those were answered.
    came: Vec<usize>,
}

impl<T: Scalar> RowLookup<T> {
    /// For these keys at a version; rows from an earlier lookup are not requested whole.
    ///
    /// # Errors
    /// [`VariableError`]: no such table.
    pub(super) fn new(
        keys: &Keys,
        version: Version,
        layout: &Layout,
        servers: usize,
        wire: NumberFormat,
        known: Option<&Self>,
    ) -> Result<Self, VariableError> {
        let known = known.filter(|known| known.version.0 == version.0);
        let ask = |(name, keys)| -> Result<Asked<T>, VariableError> {
            let number = layout.find_table(name)?;
            let table = layout.tables()[number].clone();
            let mut asked = Asked::new(number, table, keys, servers);
            if let Some(known) = known {
                known.tables.iter().for_each(|it| asked.take_known(it, known.version));
            }
            Ok(asked)
        };
        let tables = keys.iter().map(ask).collect::<Result<_, _>>()?;
        Ok(Self { version, wire, tables })
    }

    /// By server: whether it has any of these rows.
    pub(super) fn servers(&self, servers: usize) -> impl Iterator<Item = bool> {
        let any = |server: usize| self.tables.iter().any(|it| !it.owned[server].is_empty());
        (0..servers).map(any).collect::<Vec<_>>().into_iter()
    }

    /// The messages that ask a server; they repeat what it has answered before.
    pub(super) fn messages(&mut self, server: usize, number: u64) -> Vec<Message> {
        let (generation, step) = (self.version.0.get(), self.version.1.get());
        let mut messages = Vec::new();
        for (tag, asked) in self.tables.iter_mut().enumerate() {
            asked.came[server] = 0;
            let most = most_keys::<T>(asked.table.width());
            for some in asked.owned[server].chunks(most) {
                let keys: Vec<u8> =
                    some.iter().flat_map(|at| asked.keys[*at].to_le_bytes()).collect();
                let age = |at: &usize| match asked.since[*at] {
                    Some(since) => u32::try_from(step - since).unwrap_or_default(),
                    None => 0,
                };
                let ages: Vec<u32> = some.iter().map(age).collect();
                let any = ages.iter().any(|age| *age > 0);
                let ages = ages.iter().flat_map(|age| age.to_le_bytes());
                messages.push(Message::Lookup(Lookup {
                    number,
                    generation,
                    global_step: step,
                    table: asked.number as u32,
                    tag: tag as u32,
                    keys: Bytes::from(keys),
                    ages: if any { ages.collect::<Vec<u8>>().into() } else { Bytes::new() },
                }));
            }
        }
        messages
    }

    /// Takes some of a server's answers; whether those are all.
    pub(super) fn take(&mut self, server: usize, rows: &proto::Rows) -> Result<bool, WireError> {
        let bad = |expected, got: String| WireError { expected, got };
        let asked = usize::try_from(rows.tag).ok().and_then(|tag| self.tables.get_mut(tag));
        let asked = asked.ok_or_else(|| bad("rows that were asked for", rows.tag.to_string()))?;
        asked.take(server, rows, self.wire)?;
        Ok(self.tables.iter().all(|it| it.came[server] == it.owned[server].len()))
    }

    /// The rows of the batch's keys, in their order.
    pub(super) fn rows(&self) -> Rows<T> {
        self.tables.iter().fold(Rows::new(), |rows, asked| {
            let width = asked.table.width();
            let mut all = Vec::with_capacity(asked.places.len() * width);
            for place in &asked.places {
                all.extend_from_slice(&asked.rows[place * width..][..width]);
            }
            let all = Array2::from_shape_vec((asked.places.len(), width), all);
            rows.with(asked.table.name(), all.unwrap_or_default())
        })
    }
}

impl<T: Scalar> Asked<T> {
    fn new(number: usize, table: Table, batch: &[i64], servers: usize) -> Self {
        let mut keys = batch.to_vec();
        keys.sort_unstable();
        keys.dedup();
        let place = |key: &i64| keys.binary_search(key).unwrap_or_default();
        let places = batch.iter().map(place).collect();
        let mut owned = vec![Vec::new(); servers];
        keys.iter().enumerate().for_each(|(at, key)| owned[table.owner(*key, servers)].push(at));
        let rows = vec![T::zero(); keys.len() * table.width()];
        let (since, came) = (vec![None; keys.len()], vec![0; servers]);
        Self { number, table, keys, places, rows, since, owned, came }
    }

    /// Reuses the rows that another lookup has of the same table.
    fn take_known(&mut self, known: &Self, (_, step): Version) {
        if known.number != self.number {
            return;
        }
        let width = self.table.width();
        for (at, key) in self.keys.iter().enumerate() {
            if let Ok(there) = known.keys.binary_search(key) {
                let row = &known.rows[there * width..][..width];
                self.rows[at * width..][..width].copy_from_slice(row);
                self.since[at] = Some(step.get());
            }
        }
    }

    fn take(
        &mut self,
        server: usize,
        rows: &proto::Rows,
        wire: NumberFormat,
    ) -> Result<(), WireError> {
        let bad = |expected, got: String| WireError { expected, got };
        let width = self.table.width();
        let owned = self.owned.get(server).zip(self.came.get_mut(server));
        let (owned, came) = owned.ok_or_else(|| bad("a server", server.to_string()))?;
        let open = &owned[*came..];
        let few = open.get(..rows.changes.len());
        let few = few.ok_or_else(|| bad("no more rows", rows.changes.len().to_string()))?;
        let row = width * wire.element::<T>();
        let changed = rows.changes.iter().filter(|it| change(**it) == Some(Change::Values));
        if changed.count() * row != rows.data.len() {
            return Err(bad("as many bytes as rows changed", rows.data.len().to_string()));
        }
        let mut data = rows.data.chunks_exact(row);
        for (at, said) in few.iter().zip(&rows.changes) {
            let to = &mut self.rows[at * width..][..width];
            match change(*said) {
                Some(Change::None) if self.since[*at].is_some() => {}
                Some(Change::Born) => {
                    self.table.born(self.keys[*at], to);
                    // As it would have travelled.
                    let native = to.to_vec();
                    wire.round(&native, to);
                }
                Some(Change::Values) => wire.read(data.next().unwrap_or_default(), to),
                _ => return Err(bad("a change of a row", said.to_string())),
            }
        }
        *came += few.len();
        Ok(())
    }
}
