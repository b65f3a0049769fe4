//! Which parameter server owns which rows of which variable, and which keys of which table.
//!
//! Knows shapes alone: it holds no value and sends nothing. Invariant: every row of every variable
//! is in exactly one part, and all who know the same shapes compute the same placement.

mod cut;

use std::ops::Range;

use sync_replicas::Table;

use crate::index::VariableIndex;

pub(crate) use self::cut::check_indices;
pub use self::cut::{cut_dense, cut_sparse};

/// The parts of all variables, shard by shard.
///
/// # Examples
/// ```
/// use cluster::driver::placement::Placement;
///
/// let shapes = [("table", vec![1000, 8]), ("bias", vec![8])];
/// let placement = Placement::new(&shapes, 4, 2);
/// let names: Vec<_> = placement.parts(0).iter().map(|part| part.name.as_str()).collect();
/// assert_eq!(names, ["table[0..500]", "bias"]);
/// assert_eq!(placement.parts(1)[0].rows, 500..1000);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Placement {
    variables: Vec<(String, Vec<usize>)>,
    shards: Vec<Vec<Part>>,
    /// For each variable where its parts are, in the order of their rows.
    places: Vec<Vec<PartPlace>>,
    /// Every shard has a share of each.
    tables: Vec<Table>,
}

/// One variable, or some consecutive rows of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// The variable's place in the order of variables.
    pub variable: VariableIndex,
    /// The variable's name, followed by `[first..end]` when these are not all of its rows, or when
    /// the name alone could be that of a part of another variable.
    pub name: String,
    /// Whether these are all rows of the variable, or the table.
    pub whole: bool,
    /// The rows, which are numbered along the first axis. A scalar counts as one row.
    pub rows: Range<usize>,
    /// The part's own shape.
    pub shape: Vec<usize>,
    /// Of a table, whose rows have keys instead of numbers: no rows, and the width of one.
    pub keys: Option<KeyShare>,
}

/// Where a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PartPlace {
    /// The shard that holds it.
    pub shard: usize,
    /// Its position among the shard's parts.
    pub position: usize,
}

/// The keys of a table that one shard owns.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyShare {
    /// The table.
    pub table: Table,
    /// The shard.
    pub shard: usize,
    /// How many shards there are.
    pub shards: usize,
}

impl KeyShare {
    /// Whether a key is one of them.
    #[must_use]
    pub fn has(&self, key: i64) -> bool {
        self.table.owner(key, self.shards) == self.shard
    }
}

impl Part {
    /// The number of elements.
    #[must_use]
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// The name of the variable that it is a part of.
    #[must_use]
    pub fn variable_name(&self) -> &str {
        match self.keys {
            None => without_rows(&self.name).unwrap_or(&self.name),
            Some(_) => &self.name,
        }
    }

    /// The number of elements of one row.
    #[must_use]
    pub fn width(&self) -> usize {
        self.shape.iter().skip(1).product()
    }
}

/// Some rows of a variable, placed as one.
struct Piece {
    variable: VariableIndex,
    rows: Range<usize>,
    bytes: u128,
}

impl Placement {
    /// Spreads variables of these names and shapes evenly over so many shards, at least one.
    ///
    /// A variable larger than an even share is split by rows; then each piece, the largest first,
    /// goes to the shard that has the least.
    #[must_use]
    pub fn new<N: AsRef<str>, S: AsRef<[usize]>>(
        shapes: &[(N, S)],
        bytes_per_element: usize,
        shards: usize,
    ) -> Self {
        let variables = owned(shapes);
        let pieces = pieces(&variables, bytes_per_element, Some(shards.max(1)));
        Self::of(variables, pieces, shards.max(1))
    }

    /// The same with each variable whole on one shard, however large it is.
    #[must_use]
    pub fn whole<N: AsRef<str>, S: AsRef<[usize]>>(
        shapes: &[(N, S)],
        bytes_per_element: usize,
        shards: usize,
    ) -> Self {
        let variables = owned(shapes);
        let pieces = pieces(&variables, bytes_per_element, None);
        Self::of(variables, pieces, shards.max(1))
    }

    fn of(variables: Vec<(String, Vec<usize>)>, mut pieces: Vec<Piece>, shards: usize) -> Self {
        // Stable, so that among equals the order of the variables decides.
        pieces.sort_by_key(|piece| std::cmp::Reverse(piece.bytes));
        let mut loads = vec![0_u128; shards];
        let mut placed: Vec<Vec<Part>> = vec![Vec::new(); shards];
        for piece in pieces {
            let least = (0..shards).min_by_key(|&shard| loads[shard]).unwrap_or_default();
            loads[least] += piece.bytes;
            placed[least].push(part(&variables, &piece));
        }
        let mut places = vec![Vec::new(); variables.len()];
        for (shard, parts) in placed.iter_mut().enumerate() {
            parts.sort_by_key(|part| (part.variable, part.rows.start));
            for (position, part) in parts.iter().enumerate() {
                places[part.variable.get()].push((part.rows.start, PartPlace { shard, position }));
            }
        }
        let places = places.into_iter().map(|mut of: Vec<_>| {
            of.sort_unstable();
            of.into_iter().map(|(_, place)| place).collect()
        });
        let places = places.collect();
        Self { variables, shards: placed, places, tables: Vec::new() }
    }

    /// The same with these tables, whose keys all shards share (P-17).
    #[must_use]
    pub fn with_tables(self, tables: &[Table]) -> Self {
        Self { tables: tables.to_vec(), ..self }
    }

    /// The tables, in order.
    #[must_use]
    pub fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// What a contribution has sections for at a shard: its parts, and then its share of each
    /// table. Tables are counted after the other variables.
    #[must_use]
    pub fn sections(&self, shard: usize) -> Vec<Part> {
        let shards = self.shards();
        let tables = self.tables.iter().enumerate().map(|(number, table)| Part {
            variable: VariableIndex::new(self.variables.len() + number),
            name: table.name().to_owned(),
            whole: shards == 1,
            rows: 0..0,
            shape: vec![0, table.width()],
            keys: Some(KeyShare { table: table.clone(), shard, shards }),
        });
        self.parts(shard).iter().cloned().chain(tables).collect()
    }

    /// The number of shards.
    #[must_use]
    pub fn shards(&self) -> usize {
        self.shards.len()
    }

    /// The parts of one shard, in the order of variables and rows; none for an unknown shard.
    #[must_use]
    pub fn parts(&self, shard: usize) -> &[Part] {
        self.shards.get(shard).map_or(&[], Vec::as_slice)
    }

    /// Names and shapes of the whole variables, in order.
    #[must_use]
    pub fn variables(&self) -> &[(String, Vec<usize>)] {
        &self.variables
    }

    /// Where the parts of a variable are, by ascending rows.
    #[must_use]
    pub fn places(&self, variable: VariableIndex) -> &[PartPlace] {
        self.places.get(variable.get()).map_or(&[], Vec::as_slice)
    }
}

fn owned<N: AsRef<str>, S: AsRef<[usize]>>(shapes: &[(N, S)]) -> Vec<(String, Vec<usize>)> {
    let owned = |(name, shape): &(N, S)| (name.as_ref().to_owned(), shape.as_ref().to_vec());
    shapes.iter().map(owned).collect()
}

/// All variables; those larger than an even share of so many are cut into ranges of rows.
fn pieces(
    variables: &[(String, Vec<usize>)],
    bytes_per_element: usize,
    shards: Option<usize>,
) -> Vec<Piece> {
    let row_bytes = |shape: &[usize]| {
        let elements = shape.iter().skip(1).map(|&axis| axis as u128);
        elements.fold(bytes_per_element as u128, u128::saturating_mul)
    };
    let bytes = |shape: &[usize]| row_bytes(shape).saturating_mul(row_count(shape) as u128);
    let total: u128 = variables.iter().map(|(_, shape)| bytes(shape)).sum();
    let share = shards.map_or(total, |shards| total.div_ceil(shards as u128)).max(1);
    let mut pieces = Vec::new();
    for (variable, (_, shape)) in variables.iter().enumerate() {
        let rows = row_count(shape);
        // At most one piece a shard, since no variable has more bytes than all of them together.
        let wanted = usize::try_from(bytes(shape).div_ceil(share)).unwrap_or(rows);
        let count = wanted.min(rows).max(1);
        let start = |piece: usize| rows / count * piece + (rows % count).min(piece);
        pieces.extend((0..count).map(|piece| {
            let rows = start(piece)..start(piece + 1);
            let bytes = row_bytes(shape).saturating_mul(rows.len() as u128);
            Piece { variable: VariableIndex::new(variable), rows, bytes }
        }));
    }
    pieces
}

fn row_count(shape: &[usize]) -> usize {
    shape.first().copied().unwrap_or(1)
}

/// The text before the rows, `[first..end]`, in the name of a part; `None` if no rows are named.
fn without_rows(name: &str) -> Option<&str> {
    let (variable, rows) = name.strip_suffix(']')?.rsplit_once('[')?;
    let (first, end) = rows.split_once("..")?;
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (number(first) && number(end)).then_some(variable)
}

fn part(variables: &[(String, Vec<usize>)], piece: &Piece) -> Part {
    let (name, shape) = &variables[piece.variable.get()];
    let rows = piece.rows.clone();
    let mut shape = shape.clone();
    let whole = rows.len() == row_count(&shape);
    if !whole {
        shape[0] = rows.len();
    }
    // A variable may be called `w[0..5]`, which is no part of `w`.
    let name = if whole && without_rows(name).is_none() {
        name.clone()
    } else {
        format!("{name}[{}..{}]", rows.start, rows.end)
    };
    Part { variable: piece.variable, name, whole, rows, shape, keys: None }
}
