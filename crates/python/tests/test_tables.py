"""Tables: rows by key, in loops of one's own, in `fit` and in a cluster."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ratings
from test_cluster import port, python, said

import sync_replicas as sr

F32 = np.float32


def trainer(**settings: Any) -> sr.Trainer:
    variables = {"w": np.zeros(1, F32), "users": sr.Table(2, constant=1.0)}
    return sr.Trainer(variables, sr.Sgd(0.5), **settings)


def begun(replica: sr.Replica) -> sr.Step:
    step = replica.next_step()
    assert step is not None
    return step


@pytest.mark.parametrize("optimizer", [sr.Sgd(0.1), sr.Adagrad(0.1)])
@pytest.mark.parametrize("kind", [F32, np.float64])
def test_rows_are_those_of_a_variable_with_as_many_to_the_bit(optimizer: Any, kind: Any) -> None:
    keys = np.arange(20)
    w = np.zeros(3, kind)
    table = sr.Trainer({"w": w, "users": sr.Table(3, normal=1.0, seed=7)}, optimizer)
    born = table.lookup("users", keys)
    assert born.shape == (20, 3) and born.dtype == kind
    array = sr.Trainer({"w": w, "users": born}, optimizer)
    replicas = [table.replica(0), array.replica(0)]
    random = np.random.default_rng(1)
    for _ in range(50):
        ids = random.integers(0, 20, (2, 4))
        steps = [begun(replica) for replica in replicas]
        rows = steps[0].lookup("users", ids)
        assert rows.tobytes() == steps[1].variables["users"][ids].tobytes()
        gradient = {"w": w, "users": sr.IndexedSlices(ids, np.sin(rows))}
        assert all(step.push(gradient).accepted for step in steps)
    assert table.lookup("users", keys).tobytes() == array.variables["users"].tobytes()
    assert table.num_rows("users") <= 20 and table.tables == ["users"]


def test_ids_have_any_shape_and_kind() -> None:
    training = trainer()
    for ids, shape in [([], (0, 2)), (5, (2,)), ([[1, 2], [1, 1]], (2, 2, 2))]:
        assert training.lookup("users", ids).shape == shape
    key = sr.hash_text("embedding")
    assert key == -3803589894012416521
    step = begun(training.replica(0))
    rows = step.lookup("users", [key, -1])
    step.push({"users": sr.IndexedSlices(np.array([key]).astype(np.uint64), rows[:1])})
    assert training.lookup("users", key).tolist() == [0.5, 0.5]
    assert training.lookup("users", np.int8(-1)).tolist() == [1, 1]


def test_a_late_lookup_gives_the_step_up() -> None:
    training = trainer(aggregate=1, replicas=2)
    slow, fast = training.replica(0), training.replica(1)
    late = begun(slow)
    with late:
        assert begun(fast).push({"w": np.zeros(1, F32)})
        with pytest.raises(sr.SupersededError, match="give the step up") as caught:
            late.lookup("users", [1])
        assert caught.value.step == 0
        late.lookup("users", [1])
        pytest.fail("it goes on")
    with pytest.raises(sr.StepOverError):
        late.lookup("users", [1])
    with begun(slow) as step:
        assert step.step == 1 and step.lookup("users", [1]).tolist() == [[1, 1]]


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        ({"width": 0}, "width: .* from 1 to"),
        ({"width": "wide"}, "width: expected a whole number from 0, got 'wide'"),
        ({"normal": -1.0}, "normal: .* a deviation that is not negative"),
        ({"uniform": "x"}, r"uniform: expected a number, or \(low, high\)"),
        ({"uniform": 1, "constant": 0}, "constant: expected one of uniform and constant"),
        ({"admit_after": 0}, "admit_after: .* at least 1"),
        ({"seed": -1}, "seed: "),
        ({"evict_unused": 0}, "evict_unused: .* at least 1"),
        ({"evict_unused": 1, "evict_beyond": 1}, "evict_beyond: expected one of evict_unused"),
        ({"evict_beyond": 9, "evict_by": "age"}, 'evict_by: expected "last_use" or "count"'),
        ({"evict_by": "count"}, "evict_by: expected evict_beyond"),
    ],
)
def test_a_wrong_declaration_is_refused_where_it_is_made(
    declared: dict[str, Any], words: str
) -> None:
    with pytest.raises(sr.ArgumentError, match=words):
        sr.Table(**{"width": 4} | declared)


def test_a_declaration_is_a_value() -> None:
    table = sr.Table(4, normal=(0, 0.1), evict_beyond=10**6, evict_by="count")
    assert pickle.loads(pickle.dumps(table)) == table != sr.Table(4)
    words = "Table(4, normal=(0, 0.1), evict_beyond=1000000, evict_by='count')"
    assert repr(table) == words and eval(words, {"Table": sr.Table}) == table


def test_wrong_names_and_ids_are_told() -> None:
    training = trainer()
    replica = training.replica(0)
    step = begun(replica)
    for lookup in [
        training.lookup,
        step.lookup,
        lambda table, ids: replica.prefetch({table: ids}),
    ]:
        with pytest.raises(sr.VariableError, match="`w` is an array and no table") as wrong:
            lookup("w", [1])
        assert wrong.value.variable == "w"
        with pytest.raises(sr.VariableError, match="the variables are: w, users"):
            lookup("items", [1])
        with pytest.raises(sr.ArgumentError, match="`users`: expected whole numbers .* float64"):
            lookup("users", [1.5])
        with pytest.raises(sr.ArgumentError, match="hash_text"):
            lookup("users", ["me"])


@pytest.mark.parametrize(
    ("gradient", "words"),
    [
        (np.zeros((1, 2), F32), "give indexed slices"),
        (sr.IndexedSlices([1, 2], np.zeros((1, 2), F32)), "`users`"),
        (sr.IndexedSlices([1], np.zeros((1, 3), F32)), "`users`"),
        (sr.IndexedSlices([[1]], np.zeros((2, 1, 2), F32)), "`users`"),
        (sr.IndexedSlices([1.5], np.zeros((1, 2), F32)), "whole numbers"),
    ],
)
def test_gradients_that_do_not_fit_are_refused(gradient: Any, words: str) -> None:
    with pytest.raises(sr.GradientError, match=words) as refused:
        begun(trainer().replica(0)).push({"users": gradient})
    assert refused.value.variable == "users"


def test_optimizers_that_move_all_rows_are_refused() -> None:
    variables = {"w": np.zeros(1, F32), "users": sr.Table(2)}
    with pytest.raises(sr.ArgumentError, match="lazy_adam"):
        sr.Trainer(variables, sr.Adam(0.1))
    with pytest.raises(sr.ArgumentError, match="`users` is a table"):
        sr.OptimizerState(sr.Sgd(0.1), variables)


def test_a_group_may_have_a_table() -> None:
    variables = {"w": np.zeros(1, F32), "users": sr.Table(2, constant=1.0)}
    training = sr.Trainer(variables, sr.Groups(sr.Sgd(0.0), {"users": sr.Sgd(1.0)}))
    ones = np.ones((1, 2), F32)
    begun(training.replica(0)).push({"w": ones[0, :1], "users": sr.IndexedSlices([3], ones)})
    assert training.lookup("users", 3).tolist() == [0, 0] and training.variables["w"] == 0


def train(**changed: Any) -> sr.Report:
    settings = {**ratings.SETTINGS, "steps": 60, "replicas": 2, **changed}
    return sr.fit(
        ratings.model, ratings.start(), data=ratings.batch, keys=ratings.keys, **settings
    )


def test_fit_hands_the_rows_of_a_batch_to_the_model() -> None:
    test = ratings.batch(10**6)

    def evaluate(variables: dict[str, Any], lookup: Any) -> Any:
        rows = {table: lookup(table, ids) for table, ids in ratings.keys(test).items()}
        return ratings.model(variables | rows, test)[0]

    report = train(steps=300, evaluate=evaluate, evaluate_every=100)
    assert [row["step"] for row in report.evaluations] == [100, 200, 300]
    assert report.evaluations[-1]["value"] < 0.1 < report.history[0]["loss"]
    assert list(report.variables) == ["bias"]
    assert report.lookup("items", [[0, 1]]).shape == (1, 2, 4)
    with pytest.raises(sr.VariableError, match="another process"):
        pickle.loads(pickle.dumps(report)).lookup("items", 0)


def test_checkpoints_have_the_rows(tmp_path: Path) -> None:
    items = np.arange(-ratings.ITEMS, ratings.ITEMS)
    whole = train().lookup("items", items)
    train(steps=30, out=tmp_path)
    again = train(out=tmp_path, resume="auto")
    assert again.updates == 30 and again.lookup("items", items).tobytes() == whole.tobytes()


def test_fit_gives_a_batch_up_whose_lookup_is_too_late() -> None:
    release = threading.Event()
    stuck: set[threading.Thread] = set()

    def keys(batch: dict[str, Any]) -> dict[str, Any]:
        if not stuck:
            stuck.add(threading.current_thread())
            assert release.wait(20)
        return ratings.keys(batch)

    def made(update: sr.Update) -> None:
        if update.step == 5:
            release.set()

    report = sr.fit(
        ratings.model,
        ratings.start(),
        data=ratings.batch,
        keys=keys,
        optimizer=sr.Adagrad(0.3),
        aggregate=1,
        replicas=2,
        steps=40,
        hooks=[made],
    )
    assert report.updates == 40 and not report.failed
    assert sum(replica.superseded for replica in report.replicas) >= 1


def alone(last: int) -> bytes:
    """What the loop sees at its last step, with two replicas of this process."""
    training = sr.Trainer(ratings.start(), replicas=2, **ratings.SETTINGS)
    seen: list[bytes] = []
    replicas = [training.replica(number) for number in range(2)]
    threads = [
        threading.Thread(target=lambda it: seen.append(ratings.loop(it, last)), args=(replica,))
        for replica in replicas
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(seen) == 2 and seen[0] == seen[1]
    return seen[0]


def test_servers_of_ones_own_save_the_rows(tmp_path: Path) -> None:
    addresses = [f"127.0.0.1:{port()}" for _ in range(2)]
    cluster = {"ps": addresses, "worker": ["127.0.0.1:1"]}

    def start(role: str, index: int, words: str) -> Any:
        config = {"cluster": cluster, "task": {"type": role, "index": index}}
        return python(words, {**os.environ, "TF_CONFIG": json.dumps(config)})

    serve = f"sr.serve({str(tmp_path)!r}, save_every=10)"
    servers = [start("ps", index, serve) for index in range(2)]
    worker = '''
keys = np.arange(50)
with join(steps=15) as replica:
    for step in replica:
        rows = step.lookup("users", keys)
        step.push({"users": sr.IndexedSlices(keys, rows)}, loss=0.0)
'''
    for process in [start("worker", 0, worker), *servers]:
        said(process, 0)
    alone = sr.Trainer({"w": np.zeros(1, F32), "users": sr.Table(1)}, sr.Sgd(0.1))
    born = alone.lookup("users", np.arange(50))
    assert alone.restore(tmp_path / "checkpoints") == 15 and alone.num_rows("users") == 50
    np.testing.assert_allclose(alone.lookup("users", np.arange(50)), born * 0.9**15, rtol=1e-4)


def test_a_cluster_has_the_rows_of_one_process(launch: Any) -> None:
    run = launch("--ps 2 --workers 2", "tables_worker.py", "40", "numpy")
    assert run.ended().strip() == hashlib.sha256(alone(40)).hexdigest()
