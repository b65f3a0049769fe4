"""How trainings under Ray end otherwise, and go on; what came of each as JSON. Options: folder."""

import json
import os
import signal
import sys
from pathlib import Path

import numpy as np
import ray
from launched import processes, until
from ray.util import placement_group_table

import sync_replicas as sr

FOLDER = Path(sys.argv[1])
told = {}


def attempt(what, loop, steps=20, **more):
    """A run of two replicas: its result, or its error."""
    given = {"workers": 2, "optimizer": sr.Sgd(0.1), "storage_path": FOLDER, "name": what}
    try:
        result = sr.ray.run(loop, **{**given, "steps": steps, **more})
        told[what] = [result.metrics["step"], round(result.value, 3), len(result.rows)]
    except Exception as error:
        kinds = [it.__name__ for it in type(error).__mro__]
        told[what] = f"{', '.join(kinds)}: {error}"


def pull(config, gradient=-1.0):
    """A loop of the least there is; what the chief has at the end."""
    with sr.join({"w": np.zeros(1, np.float32)}, agree={"config": config}) as replica:
        for step in replica:
            if config == "raise" and replica.number == 1 and step.step == 5:
                raise LookupError("a fault of the program's")
            step.push({"w": np.full(1, gradient, np.float32)}, loss=0.5)
    return replica.variables["w"].item()


def diverge(config):
    return pull(config, np.nan)


def unknown_version():
    """The trainer, with a version of Ray that nobody has tried."""
    tried, ray.__version__ = ray.__version__, "2.62.0"
    try:
        return sr.ray.SyncReplicasTrainer
    except ImportError as error:
        return str(error)
    finally:
        ray.__version__ = tried


def reports(config):
    """In a run that has nothing left to do."""
    sr.ray.report({"accuracy": 0.9, "step": 1, "loss": np.nan})
    return pull(config)


def restarts(config):
    """After the end the first server dies, and then this process: its next life must hear of it."""
    value = pull(config)
    marked = FOLDER / "restarted"
    if sr.place().number == 1 and not marked.exists():
        marked.touch()
        until(lambda: list(FOLDER.glob("a restart/.ended-*")), "the server to end")
        for number, words in processes(FOLDER):
            if words.startswith("ray::Server"):
                os.kill(number, signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)
    return value


def no_argument():
    return pull(None)


def describe_nothing():
    sr.join({"w": np.zeros(1, np.float32)}, optimizer=None, lease=-1.0)


ray.init("local", num_cpus=3, include_dashboard=False, object_store_memory=10**8)
attempt("a run", pull)
lines = FOLDER / "a run" / "metrics.jsonl"
lines.write_text(lines.read_text() + '{"step": 20, "lo')
(FOLDER / "a run" / "checkpoints" / "checkpoint-000000099.damaged").mkdir()
attempt("a run", pull, steps=30)
told["lines"] = [line[:8] for line in lines.read_text().splitlines()]
attempt("a run", reports, steps=30)
attempt("no config", no_argument)
attempt("a restart", restarts)
stop = sr.Every(5, lambda update: update.step == 15 and update.stop())
attempt("hooks", pull, steps=1000, hooks=[stop])
attempt("an exception", pull, config="raise")
attempt("not finite", diverge)
attempt("a wrong setting", describe_nothing)
attempt("a bucket", pull, storage_path="s3://bucket/runs")
attempt("a file", pull, storage_path=__file__)
attempt("a name", pull, name="../other")
attempt("none", pull, workers=0)
attempt("a setting", pull, agregate=2)
attempt("an optimizer", pull, optimizer="adam")
attempt("no steps", pull, steps=-1)
attempt("resources", pull, resources_per_worker=2)
attempt("no patience", pull, patience=-1)
attempt("failures", pull, max_failures="many")
told["a version"] = unknown_version()
told["groups"] = [
    it["state"] for it in placement_group_table().values() if it["state"] != "REMOVED"
]
told["actors"] = sorted(ray.util.list_named_actors())
ray.shutdown()
print(json.dumps(told))
