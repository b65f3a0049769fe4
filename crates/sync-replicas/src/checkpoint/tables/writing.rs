//! Rows on their way into files, block by block, with the checksum of each.

use std::path::Path;

use embedding_table::{Block, place};
use safetensors::Dtype;
use safetensors::tensor::TensorView;

use super::{COUNTS, KEYS, RowsFile, SLOT, STEPS, SavedTable, VALUES};
use crate::Scalar;
use crate::checkpoint::CheckpointError;
use crate::checkpoint::disk::{Disk, write_synced};
use crate::checkpoint::file_entry::FileEntry;
use crate::store::TableSaves;

/// Bytes of a file's rows, about: so many are in memory at a time.
const FILE: usize = 16 << 20;

/// Writes all rows that are to be saved into files of a checkpoint's folder, as one of any number
/// of writers.
pub(in crate::checkpoint) fn write_tables<T: Scalar>(
    disk: &mut impl Disk,
    folder: &Path,
    saves: &mut TableSaves<T>,
    writer: usize,
) -> Result<Vec<SavedTable>, CheckpointError> {
    let declared = saves.tables().to_vec();
    let slots: Vec<String> = saves.slots().iter().map(|slot| (*slot).to_owned()).collect();
    let mut tables = Vec::with_capacity(declared.len());
    for (number, table) in declared.into_iter().enumerate() {
        saves.sort(number);
        let row = table.width() * (1 + slots.len()) * size_of::<T>();
        let most = (FILE / row).max(1);
        let mut saved = SavedTable { table, slots: slots.clone(), files: Vec::new() };
        for n in 0.. {
            let block = saves.next(number, most);
            let block = block.map_err(|error| CheckpointError::Unwritable {
                path: folder.to_owned(),
                what: error.to_string(),
            })?;
            // The first is written even without rows, so that it shows where this writer writes.
            if block.is_empty() && n > 0 {
                break;
            }
            let name = format!("rows-{number}-{writer}-{n:05}.safetensors");
            saved.files.push(saved.write(disk, folder, name, &block, false)?);
        }
        let candidates = saves.finish(number);
        if !candidates.is_empty() {
            let name = format!("candidates-{number}-{writer}.safetensors");
            saved.files.push(saved.write(disk, folder, name, &candidates, true)?);
        }
        tables.push(saved);
    }
    Ok(tables)
}

impl SavedTable {
    fn write<T: Scalar>(
        &self,
        disk: &mut impl Disk,
        folder: &Path,
        name: String,
        block: &Block<T>,
        candidates: bool,
    ) -> Result<RowsFile, CheckpointError> {
        let path = folder.join(&name);
        let bytes = self.serialize(block, candidates).map_err(|error| {
            CheckpointError::Unwritable { path: path.clone(), what: error.to_string() }
        })?;
        write_synced(disk, &path, &bytes)?;
        let of = |key: Option<&i64>| key.map_or(0, |key| place(*key));
        Ok(RowsFile {
            file: FileEntry::of(&name, &bytes),
            rows: block.len() as u64,
            candidates,
            first: of(block.keys.first()),
            last: of(block.keys.last()),
        })
    }

    fn serialize<T: Scalar>(
        &self,
        block: &Block<T>,
        candidates: bool,
    ) -> Result<Vec<u8>, safetensors::SafeTensorError> {
        let (rows, width) = (block.len(), self.table.width());
        let mut parts: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = vec![
            (KEYS.into(), Dtype::I64, vec![rows], bytes_of(&block.keys, i64::to_le_bytes)),
            (COUNTS.into(), Dtype::U32, vec![rows], bytes_of(&block.counts, u32::to_le_bytes)),
            (STEPS.into(), Dtype::I64, vec![rows], bytes_of(&block.steps, i64::to_le_bytes)),
        ];
        let slots = self.slots.iter().map(|slot| format!("{SLOT}{slot}"));
        let names = std::iter::once(VALUES.to_owned()).chain(slots);
        let stride = width * (1 + self.slots.len());
        for (n, name) in names.enumerate().filter(|_| !candidates) {
            let mut bytes = Vec::with_capacity(rows * width * size_of::<T>());
            for row in block.rows.chunks_exact(stride) {
                row[n * width..][..width].iter().for_each(|number| number.put(&mut bytes));
            }
            parts.push((name, T::DTYPE, vec![rows, width], bytes));
        }
        let views = parts.iter().map(|(name, dtype, shape, bytes)| {
            TensorView::new(*dtype, shape.clone(), bytes).map(|view| (name.as_str(), view))
        });
        safetensors::serialize(views.collect::<Result<Vec<_>, _>>()?, None)
    }
}

fn bytes_of<W: Copy, const N: usize>(words: &[W], bytes: impl Fn(W) -> [u8; N]) -> Vec<u8> {
    words.iter().flat_map(|word| bytes(*word)).collect()
}
