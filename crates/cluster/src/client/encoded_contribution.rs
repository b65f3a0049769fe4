//! One contribution as messages to each server: which sections there are, then their bytes.
//!
//! Everything that a replica can get wrong is found here, before anything is sent. Dense
//! gradients are sent from their own memory.

use std::sync::Arc;

use accum_core::SparseMerge;
use bytes::Bytes;
use ndarray::ArrayD;
use sync_replicas::error::GradientError;
use sync_replicas::store::resolve;
use sync_replicas::{Gradient, Gradients, IndexedSlices, Scalar, Variables};

use crate::coordinator::Ticket;
use crate::index::VariableIndex;
use crate::number_format::NumberFormat;
use crate::placement::{Part, Placement, cut_sparse};
use crate::proto::to_server::Message;
use crate::proto::{Begin, Chunk, Kind, Section};
use crate::tensor::CHUNK;

/// A contribution, ready to send, and to send again (P-15).
pub(super) struct EncodedContribution {
    /// The variables with a gradient, ascending.
    pub(super) variables: Vec<VariableIndex>,
    /// What of it travels, in all.
    pub(super) bytes: u64,
    /// By server.
    sections: Vec<Vec<Section>>,
    chunks: Vec<Vec<(u32, SectionBytes)>>,
}

/// Some bytes of a section; cheap to clone.
type SectionBytes = Arc<dyn Fn() -> Box<dyn Iterator<Item = Bytes> + Send> + Send + Sync>;

/// A dense gradient sent from its own memory.
#[derive(Clone)]
pub(super) struct Shared<T>(Arc<ArrayD<T>>);

impl<T> Shared<T> {
    /// The array, once none of it is left to send.
    pub(super) fn into_array(self) -> Option<ArrayD<T>> {
        Arc::try_unwrap(self.0).ok()
    }
}

/// Dense gradients by variable.
pub(super) type Dense<T> = Vec<(usize, Shared<T>)>;

impl<T> AsRef<ArrayD<T>> for Shared<T> {
    fn as_ref(&self) -> &ArrayD<T> {
        &self.0
    }
}

impl EncodedContribution {
    /// Also hands out the dense gradients, whose memory is the caller's again once they are sent.
    pub(super) fn new<T: Scalar>(
        gradients: Gradients<T>,
        variables: &Variables<T>,
        placement: &Placement,
        wire: NumberFormat,
    ) -> Result<(Self, Dense<T>), GradientError> {
        // Rows of a part are numbered from its first one, so a negative one could be of another's.
        let gradients = resolve(variables.layout(), gradients, SparseMerge::Canonical)?;
        let shards = placement.shards();
        let mut outgoing = Self {
            variables: Vec::with_capacity(gradients.len()),
            bytes: 0,
            sections: vec![Vec::new(); shards],
            chunks: (0..shards).map(|_| Vec::new()).collect(),
        };
        let mut dense = Vec::with_capacity(gradients.len());
        let mut sparse = Vec::new();
        for (index, gradient) in gradients {
            match gradient {
                Gradient::Missing => continue,
                // Sent from its own memory, which is copied only to be in order.
                Gradient::Dense(array) if array.is_standard_layout() => {
                    dense.push((index, Shared(Arc::new(array))));
                }
                Gradient::Dense(array) => {
                    dense.push((index, Shared(Arc::new(array.as_standard_layout().into_owned()))));
                }
                Gradient::Sparse(slices) => sparse.push((index, slices)),
            }
            outgoing.variables.push(VariableIndex::new(index));
        }
        for server in 0..shards {
            for (number, part) in placement.sections(server).iter().enumerate() {
                if let Some(array) = of(&dense, part.variable) {
                    outgoing.add_dense(server, number, part, array, wire);
                } else if let Some(slices) = of(&sparse, part.variable) {
                    outgoing.add_sparse(server, number, part, slices, wire);
                }
            }
        }
        Ok((outgoing, dense))
    }

    /// The messages to one server, from the first to the last byte.
    pub(super) fn messages(&self, server: usize, ticket: Ticket, sequence: u64) -> Vec<Message> {
        let begin = Begin {
            ticket: Some(ticket.into()),
            sequence,
            sections: self.sections[server].clone(),
        };
        let mut messages = vec![Message::Begin(begin)];
        for (section, piece) in &self.chunks[server] {
            let section = *section;
            messages.extend(piece().map(|data| Message::Chunk(Chunk { section, data })));
        }
        messages
    }

    fn add_dense<T: Scalar>(
        &mut self,
        server: usize,
        number: usize,
        part: &Part,
        array: &Shared<T>,
        wire: NumberFormat,
    ) {
        let row: usize = array.0.shape().iter().skip(1).product();
        let range = part.rows.start * row..part.rows.end * row;
        self.bytes += (range.len() * wire.element::<T>()) as u64;
        let array = array.clone();
        let pieces = move || -> Box<dyn Iterator<Item = Bytes> + Send> {
            Box::new(wire.pieces(array.clone(), range.clone()).map(|(_, bytes)| bytes))
        };
        self.add(
            server,
            Section { part: number as u32, kind: Kind::Dense.into(), rows: 0 },
            pieces,
        );
    }

    fn add_sparse<T: Scalar>(
        &mut self,
        server: usize,
        number: usize,
        part: &Part,
        slices: &IndexedSlices<T>,
        wire: NumberFormat,
    ) {
        let IndexedSlices { indices: own, values, .. } = cut_sparse(part, slices).into_owned();
        let indices: Vec<u8> = own.iter().flat_map(|index| index.to_le_bytes()).collect();
        let in_order = values.is_standard_layout();
        let values = if in_order { values } else { values.as_standard_layout().into_owned() };
        let rows = Shared(Arc::new(values));
        let (indices, length) = (Bytes::from(indices), rows.0.len());
        self.bytes += (indices.len() + length * wire.element::<T>()) as u64;
        let pieces = move || -> Box<dyn Iterator<Item = Bytes> + Send> {
            let indices = indices.clone();
            let starts = (0..indices.len()).step_by(CHUNK);
            let bytes = starts.map(move |at| indices.slice(at..(at + CHUNK).min(indices.len())));
            Box::new(bytes.chain(wire.pieces(rows.clone(), 0..length).map(|(_, bytes)| bytes)))
        };
        let section =
            Section { part: number as u32, kind: Kind::Sparse.into(), rows: own.len() as u64 };
        self.add(server, section, pieces);
    }

    fn add(
        &mut self,
        server: usize,
        section: Section,
        pieces: impl Fn() -> Box<dyn Iterator<Item = Bytes> + Send> + Send + Sync + 'static,
    ) {
        let place = self.sections[server].len() as u32;
        self.sections[server].push(section);
        self.chunks[server].push((place, Arc::new(pieces)));
    }
}

/// What belongs to a variable, of pairs in the variables' order.
fn of<G>(pairs: &[(usize, G)], variable: VariableIndex) -> Option<&G> {
    let place = pairs.binary_search_by_key(&variable.get(), |(index, _)| *index).ok()?;
    Some(&pairs[place].1)
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use ndarray::{arr1, arr2};

    use super::*;

    #[track_caller]
    fn check(gradients: Gradients<f32>, expected: &str) {
        let table = arr2(&[[0.0; 2]; 3]);
        let variables = Variables::new().with("table", table).expect("a name");
        let placement = Placement::new(&[("table", vec![3, 2])], size_of::<f32>(), 2);
        let refused =
            EncodedContribution::new(gradients, &variables, &placement, NumberFormat::Native);
        let error = refused.map(drop).expect_err("it does not fit");
        let source = error.source().map(ToString::to_string).unwrap_or_default();
        let error = format!("{error}: {source}");
        assert!(error.contains(expected), "{error}");
    }

    ///
    #[test]
    fn gradients_that_do_not_fit_are_refused_by_their_sender() {
        let rows = |indices: &[i64], rows: usize| IndexedSlices {
            indices: indices.to_vec(),
            values: ArrayD::zeros(vec![rows, 2]),
            dense_shape: None,
        };
        let sparse = |slices| Gradients::new().sparse("table", slices);
        check(Gradients::new(), "no gradients were given");
        check(Gradients::new().missing("table"), "at least one is needed");
        check(Gradients::new().dense("chair", arr1(&[0.0])), "named `chair`, but no variable is");
        check(
            Gradients::new().dense("table", arr1(&[0.0])),
            "gradient of shape [1] where [3,2] is needed",
        );
        check(sparse(rows(&[0, 3], 2)), "index 3 at position 1 is not one of the 3 rows");
        check(sparse(rows(&[-1], 1)), "index -1");
        check(sparse(rows(&[0, 1, 2], 2)), "does not fit");
        let once = || sparse(rows(&[0], 1));
        check(once().sparse("table", rows(&[1], 1)), "has two gradients");
    }
}
