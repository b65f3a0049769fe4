"""The digits, and a perceptron for them with gradients by hand; also for programs of a cluster."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path
from typing import Any

import numpy as np

FILE = Path(__file__).parents[2] / "tabular" / "data" / "digits.csv.gz"
HIDDEN, CLASSES = 64, 10


def read() -> dict[str, dict[str, Any]]:
    """The program's four fifths to train on, and fifth to test with: "x" of shape (n, 64) in 0 to 1, "y" of shape (n,)."""
    with gzip.open(FILE, "rt", newline="") as file:
        _headings, *rows = csv.reader(file)
    table = np.array(rows, dtype=np.int64)
    test = np.array(FILE.with_name("test-rows.txt").read_text().split(), dtype=np.int64)
    train = np.setdiff1d(np.arange(len(table)), test)
    x, y = (table[:, :64] / 16).astype(np.float32), table[:, 64]
    parts = {"train": train, "test": test}
    return {name: {"x": x[rows], "y": y[rows]} for name, rows in parts.items()}


def initial(seed: int, units: int = HIDDEN) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)

    def glorot(rows: int, columns: int) -> np.ndarray:
        limit = np.sqrt(6 / (rows + columns))
        return random.uniform(-limit, limit, (rows, columns)).astype(np.float32)

    return {
        "hidden/w": glorot(64, units),
        "hidden/b": np.zeros(units, np.float32),
        "w": glorot(units, CLASSES),
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
