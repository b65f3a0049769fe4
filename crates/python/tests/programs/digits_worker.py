"""A worker that trains the digits; the chief prints what came of it. Options: updates, pause in
seconds, "numpy", "jax" or "torch"."""

import hashlib
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import digits
import numpy as np

import sync_replicas as sr

updates, pause, kind = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
data = digits.read()
batches = sr.Batches(data["train"], size=32, seed=1)
settings = {
    "optimizer": sr.Adam(0.01),
    "steps": updates,
    "order": "replica",
    "agree": {"kind": kind},
}


def by_hand():
    with sr.join(digits.initial(1), **settings) as replica:
        for step in replica:
            loss, gradients = digits.perceptron(step.variables, step.batch(batches))
            time.sleep(pause)
            step.push(gradients, loss=loss)
    return replica


def jax():
    import jax
    import jax.numpy as jnp

    def loss(params, batch):
        hidden = jnp.maximum(batch["x"] @ params["hidden"]["w"] + params["hidden"]["b"], 0)
        logs = jax.nn.log_softmax(hidden @ params["w"] + params["b"])
        return -logs[jnp.arange(len(batch["y"])), batch["y"]].mean()

    gradient = jax.jit(jax.value_and_grad(loss))
    v = digits.initial(1)
    params = {"hidden": {"w": v["hidden/w"], "b": v["hidden/b"]}, "w": v["w"], "b": v["b"]}
    tree = sr.jax.Tree(params)
    with sr.join(tree.flat(params), **settings) as replica:
        for step in replica:
            value, gradients = gradient(tree.tree(step.variables), step.batch(batches))
            step.push(tree.flat(gradients), loss=value)
    return replica


def torch():
    import torch
    from torch import nn

    torch.manual_seed(1)
    net = nn.Sequential(nn.Linear(64, digits.HIDDEN), nn.ReLU(), nn.Linear(digits.HIDDEN, 10))
    with sr.join(**settings) as replica:
        replica.attach(net)
        for step in replica:
            batch = step.batch(batches)
            net.zero_grad()
            scores = net(torch.from_numpy(batch["x"]))
            loss = nn.functional.cross_entropy(scores, torch.from_numpy(batch["y"]))
            loss.backward()
            step.push(net, loss=loss)
    held = {name: it.detach().numpy() for name, it in net.named_parameters()}
    for name, array in replica.variables.items():
        np.testing.assert_array_equal(held[name], array, "the model has the last variables")
    last = {"hidden/w": held["0.weight"].T, "hidden/b": held["0.bias"]}
    replica.variables.update(last | {"w": held["2.weight"].T, "b": held["2.bias"]})
    return replica


replica = {"numpy": by_hand, "jax": jax, "torch": torch}[kind]()
if replica.chief and not replica.report.left:
    last = replica.variables
    bits = hashlib.sha256(b"".join(last[name].tobytes() for name in sorted(last))).hexdigest()
    accuracy = digits.accuracy(last, data["test"])
    print(f"step {replica.report.step} of {kind}: accuracy {accuracy:.4f}, {bits}")
