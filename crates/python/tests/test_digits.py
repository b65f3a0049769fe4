"""The digits, trained from Python to the accuracy of the Rust program: 98 %."""

import json
import re
import subprocess

import pytest

import sync_replicas as sr
from digits import CLASSES, HIDDEN, accuracy, initial, perceptron

RULE = sr.Adam("exponential:initial=0.01,decay=0.5,every=200")


SETTINGS = {"optimizer": RULE, "aggregate": 4, "replicas": 5, "steps": 500}


def test_numpy(digits):
    report = sr.fit(
        perceptron,
        initial(1),
        data=sr.Batches(digits["train"], size=32, seed=1),
        evaluate=lambda v: {"accuracy": accuracy(v, digits["test"])},
        **SETTINGS,
    )
    assert report.evaluations[-1]["accuracy"] > 0.955, report.evaluations


def test_the_accuracy_is_that_of_the_rust_program(digits, program, tmp_path):
    words = "--updates 1000 --deterministic --out a --json --quiet".split()
    told = subprocess.run(
        [program, "train", *words], cwd=tmp_path, check=True, capture_output=True, timeout=60
    )
    expected = json.loads(told.stdout)
    assert (expected["model"], expected["optimizer"]) == ("mlp", "adam")
    config = (tmp_path / "a" / "config.toml").read_text()
    rate = re.search(r'^schedule = "(.+)"$', config, re.MULTILINE)
    assert rate is not None, config
    report = sr.fit(
        perceptron,
        initial(1, units=128),
        data=sr.Batches(digits["train"], size=32, seed=1),
        evaluate=lambda v: {"accuracy": accuracy(v, digits["test"])},
        optimizer=sr.Adam(rate[1]),
        aggregate=4,
        replicas=5,
        steps=1000,
        order="replica",
    )
    # Other first variables, and the images in another order.
    got = report.evaluations[-1]["accuracy"]
    assert abs(got - expected["test_accuracy"]) < 0.006, (got, expected["test_accuracy"])


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
    assert accuracy(found, digits["test"]) > 0.955


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
    assert report.evaluations[-1]["value"] > 0.955, report.evaluations
