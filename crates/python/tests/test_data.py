"""Batches by number."""

from collections import Counter

import numpy as np
import pytest

import sync_replicas as sr


@pytest.mark.parametrize("rows", [1, 2, 3, 7, 64, 65, 1000])
@pytest.mark.parametrize("size", [1, 4, 9])
def test_each_epoch_has_each_row_once_in_an_order_of_its_own(rows: int, size: int) -> None:
    batches = sr.Batches(range(rows), size, seed=3)
    epochs = 4
    number = -(-rows * epochs // size)
    seen = np.concatenate([batches.indices(n) for n in range(number)])[: rows * epochs]
    orders = seen.reshape(epochs, rows)
    for order in orders:
        assert sorted(order) == list(range(rows))
    if rows > 60:
        assert len({tuple(order) for order in orders}) == epochs


def test_a_batch_is_the_same_whoever_asks_and_another_with_another_seed() -> None:
    one, same, other = (sr.Batches(range(1000), 50, seed=seed) for seed in (1, 1, 2))
    assert one[17] == same[17] != other[17]
    firsts = Counter(int(one.indices(epoch * 20)[0]) for epoch in range(500))
    assert len(firsts) > 350, "first rows are spread"


def test_all_kinds_of_data_sets() -> None:
    n = 10
    x, y = np.arange(n, dtype=np.float32), np.arange(n) * 2
    order = sr.Batches(x, 4, seed=1).indices(1)

    class Indexed:
        def __len__(self) -> int:
            return n

        def __getitem__(self, at: int) -> int:
            return at * 3

    columns = sr.Batches({"x": x, "y": y}, 4, seed=1)[1]
    np.testing.assert_array_equal(columns["x"], x[order])
    np.testing.assert_array_equal(columns["y"], y[order])
    pair = sr.Batches((x, y), 4, seed=1)[1]
    np.testing.assert_array_equal(pair[1], y[order])
    assert sr.Batches(Indexed(), 4, seed=1)[1] == [3 * at for at in order]
    names = [f"row {at}" for at in range(n)]
    assert sr.Batches(names, 4, seed=1)[1] == [names[at] for at in order]
    assert sr.Batches(Indexed(), 4, seed=1, collate=sum)[1] == 3 * order.sum()
    np.testing.assert_array_equal(sr.Batches(x, 4, shuffle=False)[2], [8, 9, 0, 1])


def test_epochs_end() -> None:
    batches = sr.Batches(np.arange(10), 4, epochs=2)
    assert len(batches) == 5
    assert [len(batches[n]) for n in range(5)] == [4, 4, 4, 4, 4]
    with pytest.raises(IndexError):
        batches[5]
    assert len(sr.Batches(np.arange(10), 4, epochs=1)[2]) == 2


@pytest.mark.parametrize(
    ("dataset", "size", "words"),
    [([], 1, "one row"), ([1], 0, "at least 1"), ({"x": [1], "y": [1, 2]}, 1, "one length")],
)
def test_data_that_makes_no_sense_is_refused(dataset: object, size: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        sr.Batches(dataset, size)
