"""The digits, trained from Python to the accuracy of the Rust program: 98 % with this perceptron."""

import numpy as np
import pytest

import sync_replicas as sr

HIDDEN, CLASSES = 64, 10
RULE = sr.Adam("exponential:initial=0.01,decay=0.5,every=200")


def initial(seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)

    def glorot(rows: int, columns: int) -> np.ndarray:
        limit = np.sqrt(6 / (rows + columns))
        return random.uniform(-limit, limit, (rows, columns)).astype(np.float32)

    return {
        "hidden/w": glorot(64, HIDDEN),
        "hidden/b": np.zeros(HIDDEN, np.float32),
        "w": glorot(HIDDEN, CLASSES),
        "b": np.zeros(CLASSES, np.float32),
    }


def perceptron(v, batch):
    x, y = batch["x"], batch["y"]
    hidden = np.maximum(x @ v["hidden/w"] + v["hidden/b"], 0)
    scores = hidden @ v["w"] + v["b"]
    scores -= scores.max(axis=1, keepdims=True)
    logs = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    rows = np.arange(len(y))
    slope = np.exp(logs)
    slope[rows, y] -= 1
    slope /= len(y)
    back = (slope @ v["w"].T) * (hidden > 0)
    return -logs[rows, y].mean(), {
        "hidden/w": x.T @ back,
        "hidden/b": back.sum(axis=0),
        "w": hidden.T @ slope,
        "b": slope.sum(axis=0),
    }


def accuracy(v, test) -> float:
    hidden = np.maximum(test["x"] @ v["hidden/w"] + v["hidden/b"], 0)
    return float(((hidden @ v["w"] + v["b"]).argmax(axis=1) == test["y"]).mean())


SETTINGS = {"optimizer": RULE, "aggregate": 4, "replicas": 5, "steps": 500}


def test_numpy(digits):
    report = sr.fit(
        perceptron,
        initial(1),
        data=sr.Batches(digits["train"], size=32, seed=1),
        evaluate=lambda v: {"accuracy": accuracy(v, digits["test"])},
        **SETTINGS,
    )
    assert report.evaluations[-1]["accuracy"] > 0.965, report.evaluations


def test_jax(digits):
    jax = pytest.importorskip("jax")
    jnp = jax.numpy

    def loss(params, batch):
        hidden = jnp.maximum(batch["x"] @ params["hidden"]["w"] + params["hidden"]["b"], 0)
        logs = jax.nn.log_softmax(hidden @ params["out"]["w"] + params["out"]["b"])
        return -logs[jnp.arange(len(batch["y"])), batch["y"]].mean()

    v = initial(1)
    params = {
        "hidden": {"w": v["hidden/w"], "b": v["hidden/b"]},
        "out": {"w": v["w"], "b": v["b"]},
    }
    report = sr.jax.fit(
        loss, params, data=sr.Batches(digits["train"], size=32, seed=1), **SETTINGS
    )
    got = report.params
    found = {
        "hidden/w": got["hidden"]["w"],
        "hidden/b": got["hidden"]["b"],
        "w": got["out"]["w"],
        "b": got["out"]["b"],
    }
    assert accuracy(found, digits["test"]) > 0.965


@pytest.mark.torch
def test_torch(digits):
    import torch

    torch.manual_seed(1)

    def build():
        layers = torch.nn.Linear(64, HIDDEN), torch.nn.ReLU(), torch.nn.Linear(HIDDEN, CLASSES)
        return torch.nn.Sequential(*layers)

    def loss(net, batch):
        return torch.nn.functional.cross_entropy(net(batch["x"]), batch["y"])

    train, test = (
        {name: torch.from_numpy(part[name]) for name in part}
        for part in (digits["train"], digits["test"])
    )
    report = sr.torch.fit(
        build,
        data=sr.Batches(train, size=32, seed=1),
        loss=loss,
        evaluate=lambda net: (net(test["x"]).argmax(1) == test["y"]).float().mean(),
        **SETTINGS,
    )
    assert report.evaluations[-1]["value"] > 0.965, report.evaluations
