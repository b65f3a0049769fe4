"""A worker that does one thing wrong, which its option names: "seed" or "shape"."""

import os
import sys

import numpy as np

import sync_replicas as sr

wrong = sys.argv[1]
agree = {"seed": os.getpid() if wrong == "seed" else 1}
shape = 3 if wrong == "shape" else 2
start = {"w": np.zeros(2, np.float32)}
with sr.join(start, optimizer=sr.Sgd(0.1), steps=20, agree=agree) as replica:
    for step in replica:
        step.push({"w": np.zeros(shape, np.float32)}, loss=0.0)
