"""Ratings of items by users: a table of each, and a bias for all."""

from __future__ import annotations

from typing import Any

import numpy as np

import sync_replicas as sr

USERS, ITEMS, SIZE = 40, 30, 16
SETTINGS: dict[str, Any] = {"optimizer": sr.Adagrad(0.3), "order": "replica"}


def start() -> dict[str, Any]:
    """Variables to begin with."""
    users = sr.Table(4, normal=0.3, seed=1, admit_after=2)
    return {"bias": np.zeros(1, np.float32), "users": users, "items": sr.Table(4, normal=0.3)}


def batch(number: int) -> dict[str, Any]:
    """Some ratings: keys of users and items, and the stars."""
    random = np.random.default_rng(number)
    users, items = random.integers(0, USERS, SIZE), random.integers(0, ITEMS, SIZE)
    # What is known of both is one number each; keys are far from it.
    stars = (3 + np.sin(users) * np.cos(items)).astype(np.float32)
    return {"users": users * 10**15 - 7, "items": items - ITEMS // 2, "stars": stars}


def keys(batch: dict[str, Any]) -> dict[str, Any]:
    """Those of a batch, by table."""
    return {table: batch[table] for table in ("users", "items")}


def model(variables: dict[str, Any], batch: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The mean squared error, and its gradients."""
    users, items = variables["users"], variables["items"]
    error = (users * items).sum(axis=1) + variables["bias"] - batch["stars"]
    slope = (2 * error / len(error)).astype(np.float32)
    bias = slope.sum(keepdims=True)
    rows = {"users": slope[:, None] * items, "items": slope[:, None] * users}
    return (error**2).mean(), {"bias": bias, **rows}


def loop(replica: Any, last: int) -> bytes:
    """A replica's loop; the rows and the bias at the last step, which it leaves undone."""
    everything = {
        "users": np.arange(USERS) * 10**15 - 7,
        "items": np.arange(ITEMS) - ITEMS // 2,
    }
    for step in replica:
        with step:
            if step.step == last:
                rows = step.lookup_all(everything)
                values = [rows["users"], rows["items"], step.variables["bias"]]
                return b"".join(it.tobytes() for it in values)
            ratings = batch(step.number)
            ids = keys(ratings)
            rows = step.lookup_all(ids)
            loss, gradients = model(step.variables | rows, ratings)
            for table, of in ids.items():
                gradients[table] = sr.IndexedSlices(of, gradients[table])
            step.push(gradients, loss=loss)
            replica.prefetch(keys(batch(step.number + 2)))
    raise AssertionError("it ended before the last step")
