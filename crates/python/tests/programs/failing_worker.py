"""A worker that does one thing wrong, which its option names."""

import os
import sys

import numpy as np

import sync_replicas as sr

wrong = sys.argv[1]
given = {
    "order": {"order": "random"},
    "wire": {"wire": "f8"},
    "replicas": {"replicas": 2},
    "aggregate": {"aggregate": 0},
    "agree": {"agree": {"seed": os.getpid()}},
}.get(wrong, {})
with sr.join({"w": np.zeros(2, np.float32)}, optimizer=sr.Sgd(0.1), steps=1000, **given) as replica:
    for step in replica:
        step.push({"w": np.zeros(3 if wrong == "shape" else 2, np.float32)}, loss=0.0)
