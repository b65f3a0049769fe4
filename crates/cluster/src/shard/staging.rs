//! Contributions on their way in: announced, filled from bytes, checked, and then whole.
//!
//! Decides nothing about freshness, and sums nothing. Invariant: what is whole fits its parts, so
//! that admitting it cannot fail; no size that a sender claims is allocated on its word.

use std::collections::BTreeMap;

use accum_core::{BufferPool, IndexedSlices, SlicesError};
use ndarray::{ArrayD, IxDyn};
use sync_replicas::{Gradient, Kind, ReplicaId, Scalar};

use super::error::StageError;
use super::wire::Wire;
use super::{Contribution, Section};
use crate::placement::{Part, check_indices};

/// The bytes of a row's number.
const INDEX: usize = size_of::<i64>();

/// All contributions that are neither admitted nor discarded.
#[derive(Debug)]
pub(super) struct Staging<T: Scalar> {
    wire: Wire,
    /// By replica, then by (incarnation, sequence), so that later ones come last.
    staged: BTreeMap<Contribution, Staged<T>>,
    /// By part: buffers of dense gradients that were added, for the next ones. No more than were
    /// staged at once.
    pools: Vec<BufferPool<T>>,
}

#[derive(Debug)]
struct Staged<T> {
    sections: Vec<Filling<T>>,
    /// Sections that still lack bytes.
    open: usize,
}

/// One section, as far as it came.
#[derive(Debug)]
struct Filling<T> {
    part: usize,
    kind: Kind,
    /// The rows that were announced.
    rows: usize,
    /// How many elements there will be.
    elements: usize,
    indices: Vec<i64>,
    values: Vec<T>,
}

impl<T: Scalar> Staging<T> {
    pub(super) fn new(wire: Wire, parts: usize) -> Self {
        let pools = (0..parts).map(|_| BufferPool::new(usize::MAX)).collect();
        Self { wire, staged: BTreeMap::new(), pools }
    }

    /// Where the buffers of a part's dense gradients go once they are added.
    pub(super) fn pool(&self, part: usize) -> &BufferPool<T> {
        &self.pools[part]
    }

    /// Announces a contribution; true if it is whole already because it has no data.
    ///
    /// It replaces the replica's earlier ones that are not whole. Those that are may have been
    /// accepted by the coordinator, whose word is still on its way.
    pub(super) fn begin(
        &mut self,
        contribution: Contribution,
        sections: &[Section],
        parts: &[Part],
    ) -> Result<bool, StageError> {
        let own = || Contribution::all_of(contribution.replica);
        if let Some((&staged, _)) = self.staged.range(own()).next_back()
            && staged > contribution
        {
            return Err(StageError::Older { staged, got: contribution });
        }
        self.staged.remove(&contribution);
        let sections = self.announced(sections, parts)?;
        let replaced = self.staged.range(own()).filter(|(_, staged)| staged.open > 0);
        let replaced: Vec<_> = replaced.map(|(&key, _)| key).collect();
        replaced.iter().for_each(|key| drop(self.staged.remove(key)));
        let open = sections.iter().filter(|section| !section.is_whole()).count();
        self.staged.insert(contribution, Staged { sections, open });
        Ok(open == 0)
    }

    /// Takes the next bytes of a section; true once the whole contribution is there.
    pub(super) fn receive(
        &mut self,
        contribution: Contribution,
        section: usize,
        bytes: &[u8],
        parts: &[Part],
    ) -> Result<bool, StageError> {
        let Some(staged) = self.staged.get_mut(&contribution) else {
            return Err(StageError::Unknown { contribution });
        };
        let done = staged.receive(contribution, section, bytes, (parts, self.wire));
        if done.is_err() {
            self.staged.remove(&contribution);
        }
        done
    }

    /// The sections as they were announced, once everything about them was found right.
    fn announced(
        &self,
        sections: &[Section],
        parts: &[Part],
    ) -> Result<Vec<Filling<T>>, StageError> {
        let mut fillings = Vec::with_capacity(sections.len().min(parts.len()));
        let mut previous = None;
        for (section, announced) in sections.iter().enumerate() {
            let got = announced.part;
            let part = parts.get(got);
            let part = part.ok_or(StageError::Part { section, got, parts: parts.len() })?;
            if let Some(previous) = previous.filter(|&previous| previous >= got) {
                return Err(StageError::Order { section, got, previous });
            }
            previous = Some(got);
            fillings.push(Filling::new(announced, part, (self.wire, &self.pools[got]))?);
        }
        Ok(fillings)
    }

    pub(super) fn is_staged(&self, contribution: Contribution) -> bool {
        self.staged.get(&contribution).is_some_and(|staged| staged.open == 0)
    }

    /// The kinds of a whole contribution's gradients, by part; those it does not name are missing.
    pub(super) fn kinds(
        &self,
        contribution: Contribution,
    ) -> Option<impl Iterator<Item = (usize, Kind)>> {
        let staged = self.staged.get(&contribution).filter(|staged| staged.open == 0)?;
        Some(staged.sections.iter().map(|section| (section.part, section.kind)))
    }

    /// Hands out a whole contribution, and forgets the replica's earlier ones, which are decided.
    pub(super) fn take(
        &mut self,
        contribution: Contribution,
        parts: &[Part],
    ) -> Option<Vec<(usize, Gradient<T>)>> {
        if !self.is_staged(contribution) {
            return None;
        }
        let staged = self.staged.remove(&contribution)?;
        self.discard(contribution);
        let gradients = staged.sections.into_iter();
        Some(gradients.map(|section| (section.part, section.finish(parts))).collect())
    }

    /// Forgets a contribution and the replica's earlier ones.
    pub(super) fn discard(&mut self, contribution: Contribution) {
        let earlier =
            self.staged.range(Contribution::first_of(contribution.replica)..=contribution);
        let earlier: Vec<_> = earlier.map(|(&key, _)| key).collect();
        earlier.iter().for_each(|key| drop(self.staged.remove(key)));
    }

    /// Forgets all contributions of a replica.
    pub(super) fn discard_all(&mut self, replica: ReplicaId) {
        self.staged.retain(|contribution, _| contribution.replica != replica);
    }

    pub(super) fn clear(&mut self) {
        self.staged.clear();
    }

    /// The bytes that staged contributions hold.
    pub(super) fn bytes(&self) -> usize {
        let sections = self.staged.values().flat_map(|staged| &staged.sections);
        sections
            .map(|section| {
                section.indices.capacity() * INDEX + section.values.capacity() * size_of::<T>()
            })
            .sum()
    }
}

impl<T: Scalar> Staged<T> {
    fn receive(
        &mut self,
        contribution: Contribution,
        section: usize,
        bytes: &[u8],
        (parts, wire): (&[Part], Wire),
    ) -> Result<bool, StageError> {
        let sections = self.sections.len();
        let Some(filling) = self.sections.get_mut(section) else {
            return Err(StageError::Section { contribution, got: section, sections });
        };
        let was_whole = filling.is_whole();
        filling.fill(bytes, &parts[filling.part], wire)?;
        if filling.is_whole() && !was_whole {
            self.open -= 1;
        }
        Ok(self.open == 0)
    }
}

impl<T: Scalar> Filling<T> {
    fn new(
        section: &Section,
        part: &Part,
        (wire, pool): (Wire, &BufferPool<T>),
    ) -> Result<Self, StageError> {
        let (rows, elements) = match section.kind {
            Kind::Missing => (0, 0),
            Kind::Dense => (0, part.elements()),
            Kind::Sparse if part.shape.is_empty() => {
                let name = part.name.clone();
                return Err(StageError::Slices { name, source: SlicesError::ValuesScalar });
            }
            Kind::Sparse => {
                let row = INDEX.saturating_add(part.width().saturating_mul(size_of::<T>()));
                let most = isize::MAX as usize / row.max(wire.element::<T>());
                match usize::try_from(section.rows) {
                    Ok(rows) if rows <= most => (rows, rows * part.width()),
                    _ => {
                        let name = part.name.clone();
                        return Err(StageError::Rows { name, most, got: section.rows });
                    }
                }
            }
        };
        // A dense part is as large as what the shard holds anyway. Sparse ones may have any number
        // of rows: room for as many as the part has, and for more as they come.
        let indices = Vec::with_capacity(rows.min(part.rows.len()));
        let values = match section.kind {
            Kind::Dense => {
                let (mut free, _) = pool.lend(&part.shape).into_array().into_raw_vec_and_offset();
                free.clear();
                free
            }
            _ => Vec::with_capacity(elements.min(part.elements())),
        };
        Ok(Self { part: section.part, kind: section.kind, rows, elements, indices, values })
    }

    fn is_whole(&self) -> bool {
        self.indices.len() == self.rows && self.values.len() == self.elements
    }
}

impl<T: Scalar> Filling<T> {
    fn fill(&mut self, bytes: &[u8], part: &Part, wire: Wire) -> Result<(), StageError> {
        let name = || part.name.clone();
        let element = wire.element::<T>();
        let head = (self.rows - self.indices.len()) * INDEX;
        let expected = head + (self.elements - self.values.len()) * element;
        let got = bytes.len();
        if got > expected {
            return Err(StageError::TooMany { name: name(), expected, got });
        }
        let (indices, values) = bytes.split_at(head.min(got));
        if !indices.len().is_multiple_of(INDEX) {
            return Err(StageError::Torn { name: name(), element: INDEX, got });
        }
        if !values.len().is_multiple_of(element) {
            return Err(StageError::Torn { name: name(), element, got });
        }
        if !indices.is_empty() {
            let (numbers, _) = indices.as_chunks::<INDEX>();
            let first = self.indices.len();
            self.indices.extend(numbers.iter().map(|&number| i64::from_le_bytes(number)));
            check_indices(part.rows.len(), &self.indices[first..])
                .map_err(|source| StageError::Slices { name: name(), source })?;
        }
        wire.take(values, &mut self.values);
        Ok(())
    }

    /// The gradient of a whole section.
    fn finish(self, parts: &[Part]) -> Gradient<T> {
        let part = &parts[self.part];
        let array = |shape: &[usize], values| {
            ArrayD::from_shape_vec(IxDyn(shape), values).expect("its number of values was checked")
        };
        match self.kind {
            Kind::Missing => Gradient::Missing,
            Kind::Dense => Gradient::Dense(array(&part.shape, self.values)),
            Kind::Sparse => {
                let shape = [&[self.rows], &part.shape[1..]].concat();
                let values = array(&shape, self.values);
                Gradient::Sparse(IndexedSlices { indices: self.indices, values, dense_shape: None })
            }
        }
    }
}
