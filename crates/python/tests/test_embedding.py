"""Tables in modules of PyTorch."""

import copy
from typing import Any

import numpy as np
import pytest
import ratings

import sync_replicas as sr

pytestmark = pytest.mark.torch
torch = pytest.importorskip("torch")
from rated import Net, loss  # noqa: E402


def train(**changed: Any) -> Any:
    settings = {**ratings.SETTINGS, "steps": 60, "replicas": 2, **changed}
    return sr.torch.fit(Net, data=ratings.batch, loss=loss, **settings)


def test_a_module_learns_its_rows() -> None:
    report = train(steps=300, evaluate=lambda net: loss(net, ratings.batch(10**6)).item())
    assert report.evaluations[-1]["value"] < 0.1
    assert list(report.state_dict) == ["bias"]
    assert report.lookup("users", [-7]).shape == (1, 4)


def test_it_is_as_by_hand() -> None:
    settings = {**ratings.SETTINGS, "steps": 20}
    by_hand = sr.fit(
        ratings.model, ratings.start(), data=ratings.batch, keys=ratings.keys, **settings
    )
    items = np.arange(-15, 15)
    found = train(steps=20, replicas=1).lookup("items", items)
    np.testing.assert_allclose(found, by_hand.lookup("items", items), atol=1e-5)


def test_a_module_may_be_called_more_than_once_in_a_step() -> None:
    net = torch.nn.ModuleDict({"users": sr.torch.Embedding(2, constant=1.0)})
    trainer = sr.Trainer(sr.torch.Attachment(net).variables(), sr.Sgd(1.0))
    replica = trainer.replica(0)
    replica.attach(net)
    step = replica.next_step()
    assert step is not None
    users = net["users"]
    first, second = users(torch.tensor([[1], [2]])), users(torch.tensor([2, 2]))
    assert first.is_leaf and first.requires_grad and first.shape == (2, 1, 2)
    with torch.no_grad():
        assert not users(torch.tensor([1])).requires_grad
    users(torch.tensor([9]))
    (first.sum() + second.sum()).backward()
    assert step.push(net).accepted
    assert trainer.lookup("users", [1, 2, 9])[:, 0].tolist() == [0, -2, 1]


def test_rows_are_there_within_a_step() -> None:
    net = Net()
    with pytest.raises(sr.ArgumentError, match="within a step"):
        loss(net, ratings.batch(0))


def test_a_loop_that_exists_has_tables() -> None:
    net = Net()
    optimizer = sr.torch.Optimizer(net, sr.Adagrad(0.3))
    values = []
    for number in range(300):
        value = loss(net, ratings.batch(number))
        optimizer.zero_grad()
        value.backward()
        assert optimizer.step(value).accepted
        values.append(value.item())
    assert values[-1] < 0.1 < values[0]
    apart = copy.deepcopy(net)
    with pytest.raises(sr.ArgumentError, match="within a step"):
        loss(apart, ratings.batch(0))


def test_a_loop_that_exists_passes_over_steps_that_are_over() -> None:
    net = Net()
    trainer = sr.Trainer(sr.torch.Attachment(net).variables(), sr.Sgd(0.1), aggregate=1, replicas=2)
    optimizer = sr.torch.Optimizer(net, sr.Sgd(0.1), replica=trainer.replica(0))
    other = trainer.replica(1).next_step()
    assert other is not None and other.push({"bias": np.zeros(1, np.float32)})
    value = loss(net, ratings.batch(0))
    value.backward()
    assert optimizer.step(value) == sr.Stale(step=0, now=1)
    value = loss(net, ratings.batch(0))
    value.backward()
    assert optimizer.step(value).accepted


def test_a_cluster_learns_rows(launch: Any) -> None:
    run = launch("--ps 2 --workers 2", "tables_worker.py", "300", "torch")
    assert float(run.ended().split()[1]) < 0.1
