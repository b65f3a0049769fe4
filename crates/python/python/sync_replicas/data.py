"""Data by number: any replica can compute any batch, so there is no loader whose state is saved."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


class Batches:
    """Batches of a data set that has a length and an index, shuffled, one after the other.

    `batches[number]` is always the same rows: position `number * size`
    and the following of an endless row of epochs, each in an order of its own that `seed` decides.
    So a batch may lie in two epochs, all batches have the same size, and no row sits out an epoch:
    a row's place is computed by itself, so an epoch need not begin with a batch. `BatchSampler` of
    the Rust crates, which the program uses, has another rule: its batches lie in one epoch, since
    it keeps the order of one, and what is left over sits out.

    `dataset` is a dict or tuple of arrays, one array, a PyTorch or Hugging Face `Dataset`, an Arrow
    table, or a list. `collate` makes a batch of a list of examples, where rows come one by one; for
    PyTorch's tensors that is `torch.utils.data.default_collate`, and otherwise they stay a list.
    """

    def __init__(
        self,
        dataset: Any,
        size: int,
        seed: int = 0,
        *,
        shuffle: bool = True,
        epochs: int | None = None,
        collate: Callable[[list[Any]], Any] | None = None,
    ) -> None:
        self.rows = _length(dataset)
        if self.rows < 1:
            raise ValueError("Batches: expected a data set with at least one row, got none")
        if size < 1:
            raise ValueError(f"Batches: expected a size of at least 1, got {size}")
        self.dataset, self.size, self.seed = dataset, size, seed
        self.shuffle, self.epochs, self.collate = shuffle, epochs, collate

    def __len__(self) -> int:
        """How many batches begin in one epoch; in all of them, if their number is given."""
        return -(-self.rows * (self.epochs or 1) // self.size)

    def indices(self, number: int) -> Indices:
        """The rows of a batch, shape (size,); of the last one before `epochs` end maybe fewer."""
        first = number * self.size
        last = first + self.size
        if self.epochs is not None:
            last = min(last, self.epochs * self.rows)
        if number < 0 or first >= last:
            raise IndexError(f"there is no batch {number}")
        positions = np.arange(first, last, dtype=np.int64)
        epochs, places = np.divmod(positions, self.rows)
        if self.shuffle:
            places = _permuted(places.astype(np.uint64), epochs.astype(np.uint64), self)
        return places.astype(np.int64)

    def __getitem__(self, number: int) -> Any:
        return _rows(self.dataset, self.indices(number), self.collate)


class Stream:
    """Batches that come one after the other: each replica has an iterator of its own.

    `source` is called with the replica's number. When its iterator ends, the replica leaves, and
    the others go on. What was computed too late is dropped with its data.
    """

    def __init__(self, source: Callable[[int], Iterable[Any]]) -> None:
        self.source = source

    def replica(self, number: int) -> Callable[[int], Any]:
        """What gives the batches of one replica."""
        batches: Iterator[Any] = iter(self.source(number))
        return lambda _: next(batches)


Data = Batches | Stream | Callable[[int], Any] | Sequence[Any]


def by_number(data: Data, replica: int) -> Callable[[int], Any]:
    """What gives a replica's batch by its number, and ends with `StopIteration`."""
    if isinstance(data, Stream):
        return data.replica(replica)
    if callable(data):
        return data

    def batch(number: int) -> Any:
        try:
            return data[number]
        except IndexError:
            raise StopIteration from None

    return batch


def count(batch: Any) -> int:
    """How many examples a batch has: the length of its first part."""
    if isinstance(batch, Mapping):
        batch = next(iter(batch.values()), ())
    elif isinstance(batch, tuple) and batch:
        batch = batch[0]
    return len(batch) if hasattr(batch, "__len__") else 1


def _length(dataset: Any) -> int:
    if isinstance(dataset, Mapping):
        lengths = {name: len(column) for name, column in dataset.items()}
    elif isinstance(dataset, tuple):
        lengths = {str(place): len(column) for place, column in enumerate(dataset)}
    else:
        return len(dataset)
    if len(set(lengths.values())) > 1:
        raise ValueError(f"Batches: expected columns of one length, got {lengths}")
    return next(iter(lengths.values()), 0)


def _rows(dataset: Any, indices: Indices, collate: Callable[[list[Any]], Any] | None) -> Any:
    if isinstance(dataset, Mapping):
        return {name: _rows(column, indices, None) for name, column in dataset.items()}
    if isinstance(dataset, tuple):
        return tuple(_rows(column, indices, None) for column in dataset)
    if hasattr(dataset, "take") and hasattr(dataset, "schema"):  # an Arrow table
        return dataset.take(indices)
    if isinstance(dataset, np.ndarray) or hasattr(dataset, "dtype"):  # PyTorch's and JAX's too
        return dataset[indices]
    if hasattr(dataset, "__getitems__"):  # a data set that gives many at once
        items = list(dataset.__getitems__(indices.tolist()))
    else:
        items = [dataset[int(index)] for index in indices]
    if collate is not None:
        return collate(items)
    return _collated(items)


def _collated(items: list[Any]) -> Any:
    """Examples of PyTorch's tensors, stacked as its own loader does; others stay a list."""
    first = items[0]
    parts = first if isinstance(first, (tuple, list)) else [first]
    if type(parts[0]).__module__.partition(".")[0] == "torch":
        from torch.utils.data import default_collate

        return default_collate(items)
    return items


def _permuted(places: NDArray[np.uint64], epochs: NDArray[np.uint64], of: Batches) -> Any:
    """Each place's row in its epoch: a keyed permutation that needs no memory.

    A Feistel network over the next power of four, walked until it ends below the number of rows.
    """
    half = max(1, (max(of.rows - 1, 1).bit_length() + 1) // 2)
    mask = np.uint64((1 << half) - 1)
    keys = _mixed(epochs * np.uint64(0x9E3779B97F4A7C15) + np.uint64(of.seed % (1 << 64)))
    rows, walking = places, np.ones(len(places), dtype=bool)
    while walking.any():
        left, right = rows >> np.uint64(half), rows & mask
        for turn in range(4):
            added = _mixed(right + (keys ^ np.uint64(turn * 0x632BE59BD9B4E019 % (1 << 64))))
            left, right = right, (left ^ added) & mask
        rows = np.where(walking, (left << np.uint64(half)) | right, rows)
        walking = rows >= np.uint64(of.rows)
    return rows


def _mixed(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's last step; the products wrap, as they should."""
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))
