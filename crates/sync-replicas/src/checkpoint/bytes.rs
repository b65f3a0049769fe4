//! The two files of a checkpoint as bytes: made, checked, and taken apart.
//!
//! It opens no file; paths only name the subject of an error. Invariant: no number is read before
//! the checksum over its bytes was found right, and no size that the bytes claim is believed.

use std::path::Path;

use indexmap::IndexMap;
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;

use super::file_entry::{FileEntry, check_length};
use super::manifest::{MANIFEST, Manifest, TENSORS};
use super::state::array;
use super::{CheckpointError, TrainingState};
use crate::Scalar;
use crate::checksum::sha256_hex;

/// Reads a checkpoint from the bytes of its two files, wherever they were kept, without the rows of
/// its tables.
///
/// # Errors
/// [`CheckpointError::Damaged`] when a single bit differs from what was written, and the errors of
/// [`read`](super::read), except those of the file system.
pub fn from_bytes<T: Scalar>(
    manifest: &[u8],
    tensors: &[u8],
) -> Result<TrainingState<T>, CheckpointError> {
    let manifest = Manifest::from_json(manifest, Path::new(MANIFEST))?;
    let path = Path::new(TENSORS);
    check_length(tensors_of(&manifest, path)?, tensors.len() as u64, path)?;
    join(manifest, tensors, path)
}

/// What the manifest says of the tensors' file.
pub(super) fn tensors_of<'a>(
    manifest: &'a Manifest,
    path: &Path,
) -> Result<&'a FileEntry, CheckpointError> {
    manifest.files.iter().find(|file| file.name == TENSORS).ok_or_else(|| {
        let what = format!("the manifest does not list {TENSORS}");
        CheckpointError::Damaged { path: path.to_owned(), what }
    })
}

/// The state of a manifest and its tensors, once the checksum is right.
pub(super) fn join<T: Scalar>(
    manifest: Manifest,
    bytes: &[u8],
    path: &Path,
) -> Result<TrainingState<T>, CheckpointError> {
    if manifest.dtype != T::DTYPE.to_string() {
        let (expected, got) = (T::DTYPE, manifest.dtype);
        return Err(CheckpointError::Mismatch {
            what: format!("variables are {expected} here and {got} in the checkpoint"),
        });
    }
    let damaged = |what: String| CheckpointError::Damaged { path: path.to_owned(), what };
    let (found, expected) = (sha256_hex(bytes), &tensors_of(&manifest, path)?.sha256);
    if found != *expected {
        return Err(damaged(format!("checksum {found}, expected {expected}")));
    }
    let file = SafeTensors::deserialize(bytes).map_err(|error| damaged(error.to_string()))?;
    let mut tensors = IndexMap::new();
    for (name, tensor) in file.iter() {
        let array = (tensor.dtype() == T::DTYPE)
            .then(|| array::<T>(tensor.shape(), tensor.data()))
            .flatten()
            .ok_or_else(|| damaged(format!("tensor `{name}` is not what its header says")))?;
        tensors.insert(name.to_owned(), array);
    }
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    TrainingState::join(manifest.run, manifest.numbers, tensors, folder)
        .map_err(|error| damaged(error.to_string()))
}

/// The tensors' file.
pub(super) fn serialize<T: Scalar>(
    tensors: &[(String, ndarray::ArrayD<T>)],
    path: &Path,
) -> Result<Vec<u8>, CheckpointError> {
    let unwritable = |error: safetensors::SafeTensorError| CheckpointError::Unwritable {
        path: path.to_owned(),
        what: error.to_string(),
    };
    let mut buffers = Vec::with_capacity(tensors.len());
    for (_, array) in tensors {
        let mut bytes = Vec::with_capacity(array.len() * size_of::<T>());
        array.iter().for_each(|&number| number.put(&mut bytes));
        buffers.push(bytes);
    }
    let views = tensors
        .iter()
        .zip(&buffers)
        .map(|((name, array), bytes)| {
            let view = TensorView::new(T::DTYPE, array.shape().to_vec(), bytes)?;
            Ok((name.as_str(), view))
        })
        .collect::<Result<Vec<_>, _>>()
        .map_err(unwritable)?;
    safetensors::serialize(views, None).map_err(unwritable)
}
