//! Contributions on their way in: announced, filled from bytes, checked, and then whole.
//!
//! Decides nothing about freshness, and sums nothing. Each contribution has its own lock, so that
//! its bytes are put in place while the shard is at work. Invariant: a whole contribution fits its
//! parts, so that admitting it cannot fail.

use std::collections::BTreeMap;
use std::ops::RangeBounds;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use accum_core::BufferPool;
use sync_replicas::store::GradientKind;
use sync_replicas::{Gradient, ReplicaId, Scalar};

use super::error::StageError;
use super::filling::Filling;
use super::{Contribution, Section};
use crate::number_format::NumberFormat;
use crate::placement::Part;

/// All contributions that are neither admitted nor discarded.
#[derive(Debug)]
pub(super) struct Staging<T: Scalar> {
    wire: NumberFormat,
    /// The most bytes of one contribution.
    largest: usize,
    /// By replica, then by (incarnation, sequence), so that later ones come last.
    staged: BTreeMap<Contribution, Open<T>>,
    /// By replica: the newest one decided on. Neither it nor an earlier one is staged again.
    decided: BTreeMap<ReplicaId, Contribution>,
    /// By part: buffers of dense gradients that were added, for reuse. No more than were staged at
    /// once.
    pools: Vec<BufferPool<T>>,
}

/// A contribution that was begun: takes its bytes without the shard.
///
/// Once the shard has replaced, discarded or handed it out, it takes no more.
#[derive(Clone, Debug)]
pub struct Open<T> {
    contribution: Contribution,
    parts: Arc<[Part]>,
    wire: NumberFormat,
    /// `None` once the shard no longer has it.
    staged: Arc<Mutex<Option<Staged<T>>>>,
}

#[derive(Debug)]
struct Staged<T> {
    sections: Vec<Filling<T>>,
    /// Sections that still lack bytes.
    open: usize,
}

impl<T: Scalar> Open<T> {
    /// Takes the next bytes of a section; true once the whole contribution is there.
    ///
    /// A sparse section is its row numbers, counted from the part's first row, as 64-bit integers,
    /// then the rows. Sections may come in any order, and each in pieces of whole numbers.
    ///
    /// # Errors
    /// [`StageError`], after which nothing is staged of the contribution: it no longer belongs to
    /// the shard, more bytes than announced, a piece that ends within a number, a row that the part
    /// does not have.
    pub fn receive(&self, section: usize, bytes: &[u8]) -> Result<bool, StageError> {
        let contribution = self.contribution;
        let mut staged = self.lock();
        let received = match &mut *staged {
            Some(staged) => staged.receive(contribution, section, bytes, &self.parts, self.wire),
            None => Err(StageError::Unknown { contribution }),
        };
        if received.is_err() {
            *staged = None;
        }
        received
    }

    /// Which contribution it is.
    #[must_use]
    pub fn contribution(&self) -> Contribution {
        self.contribution
    }

    fn is_whole(&self) -> bool {
        self.lock().as_ref().is_some_and(|staged| staged.open == 0)
    }

    fn is_gone(&self) -> bool {
        self.lock().is_none()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Staged<T>>> {
        self.staged.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Scalar> Staging<T> {
    pub(super) fn new(wire: NumberFormat, largest: usize, parts: usize) -> Self {
        let pools = (0..parts).map(|_| BufferPool::new(usize::MAX)).collect();
        Self { wire, largest, staged: BTreeMap::new(), decided: BTreeMap::new(), pools }
    }

    /// Where the buffers of a part's dense gradients return once they are added.
    pub(super) fn pool(&self, part: usize) -> &BufferPool<T> {
        &self.pools[part]
    }

    /// Announces a contribution; true if it is whole already: it has no data, or came before.
    ///
    /// It replaces the replica's earlier incomplete ones. Whole ones may have been accepted by the
    /// coordinator, whose decision is still on its way; so may this one itself.
    pub(super) fn begin(
        &mut self,
        contribution: Contribution,
        sections: &[Section],
        parts: &Arc<[Part]>,
    ) -> Result<bool, StageError> {
        self.staged.retain(|_, staged| !staged.is_gone());
        let own = || Contribution::all_of(contribution.replica);
        if let Some((&staged, _)) = self.staged.range(own()).next_back()
            && staged > contribution
        {
            return Err(StageError::Older { staged, got: contribution });
        }
        if self.is_decided(contribution) {
            return Err(StageError::Decided { contribution });
        }
        if self.is_staged(contribution) {
            return Ok(true);
        }
        self.remove(contribution);
        let sections = self.announced(sections, parts)?;
        let replaced = self.staged.range(own()).filter(|(_, staged)| !staged.is_whole());
        let replaced: Vec<_> = replaced.map(|(&key, _)| key).collect();
        replaced.into_iter().for_each(|key| drop(self.remove(key)));
        let open = sections.iter().filter(|section| !section.is_whole()).count();
        let (parts, wire) = (Arc::clone(parts), self.wire);
        let staged = Arc::new(Mutex::new(Some(Staged { sections, open })));
        self.staged.insert(contribution, Open { contribution, parts, wire, staged });
        Ok(open == 0)
    }

    /// A contribution that was begun, for its bytes.
    pub(super) fn open(&self, contribution: Contribution) -> Result<Open<T>, StageError> {
        self.staged.get(&contribution).cloned().ok_or(StageError::Unknown { contribution })
    }

    /// The announced sections, once everything about them was found right.
    fn announced(
        &self,
        sections: &[Section],
        parts: &[Part],
    ) -> Result<Vec<Filling<T>>, StageError> {
        let mut fillings = Vec::with_capacity(sections.len().min(parts.len()));
        let (mut previous, mut bytes) = (None, 0_usize);
        for (section, announced) in sections.iter().enumerate() {
            let got = announced.part;
            let part = parts.get(got);
            let part = part.ok_or(StageError::Part { section, got, parts: parts.len() })?;
            if let Some(previous) = previous.filter(|&previous| previous >= got) {
                return Err(StageError::Order { section, got, previous });
            }
            previous = Some(got);
            bytes = bytes.saturating_add(Filling::<T>::size(announced, part));
            if bytes > self.largest {
                return Err(StageError::Large { got: bytes, most: self.largest });
            }
            fillings.push(Filling::new(announced, part, self.wire, &self.pools[got])?);
        }
        Ok(fillings)
    }

    pub(super) fn is_decided(&self, contribution: Contribution) -> bool {
        self.decided.get(&contribution.replica).is_some_and(|decided| contribution <= *decided)
    }

    pub(super) fn is_staged(&self, contribution: Contribution) -> bool {
        self.staged.get(&contribution).is_some_and(Open::is_whole)
    }

    /// How many whole contributions of a replica are staged.
    pub(super) fn whole(&self, replica: ReplicaId) -> usize {
        self.staged.range(Contribution::all_of(replica)).filter(|(_, open)| open.is_whole()).count()
    }

    /// The kinds of a whole contribution's gradients, by part; those it does not name are missing.
    pub(super) fn kinds(&self, contribution: Contribution) -> Option<Vec<(usize, GradientKind)>> {
        let staged = self.staged.get(&contribution)?.lock();
        let whole = staged.as_ref().filter(|staged| staged.open == 0)?;
        Some(whole.sections.iter().map(|section| (section.part, section.kind)).collect())
    }

    /// Hands out a whole contribution, and forgets the replica's earlier ones, which are decided.
    pub(super) fn take(&mut self, contribution: Contribution) -> Option<Vec<(usize, Gradient<T>)>> {
        if !self.is_staged(contribution) {
            return None;
        }
        let parts = Arc::clone(&self.staged.get(&contribution)?.parts);
        let staged = self.remove(contribution)?;
        self.discard(contribution);
        let gradients = staged.sections.into_iter();
        Some(gradients.map(|section| (section.part, section.finish(&parts))).collect())
    }

    /// Forgets a contribution and the replica's earlier ones, for good: they are decided.
    pub(super) fn discard(&mut self, contribution: Contribution) {
        let first = Contribution::first_of(contribution.replica);
        self.remove_all(first..=contribution);
        let decided = self.decided.entry(contribution.replica).or_insert(contribution);
        *decided = contribution.max(*decided);
    }

    pub(super) fn clear(&mut self) {
        self.remove_all(..);
        self.decided.clear();
    }

    /// The bytes that staged contributions hold.
    pub(super) fn bytes(&self) -> usize {
        let of = |open: &Open<T>| {
            let staged = open.lock();
            staged.iter().flat_map(|staged| &staged.sections).map(Filling::bytes).sum::<usize>()
        };
        self.staged.values().map(of).sum()
    }

    fn remove_all(&mut self, which: impl RangeBounds<Contribution>) {
        let which: Vec<_> = self.staged.range(which).map(|(&key, _)| key).collect();
        which.into_iter().for_each(|key| drop(self.remove(key)));
    }

    /// Takes a contribution from the filling connection.
    fn remove(&mut self, contribution: Contribution) -> Option<Staged<T>> {
        self.staged.remove(&contribution)?.lock().take()
    }
}

impl<T: Scalar> Staged<T> {
    fn receive(
        &mut self,
        contribution: Contribution,
        section: usize,
        bytes: &[u8],
        parts: &[Part],
        wire: NumberFormat,
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
