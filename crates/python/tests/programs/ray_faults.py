"""The digits under Ray with one fault; at the end it prints what came of it as JSON.

Options: folder; "run" or "train"; the fault, "worker" (a process is killed), "node" (that of ps 0 and
the chief is) or "frozen" (it is stopped, and goes on later); "one" node or several, on which a silent
one counts as dead after the "default" time or a "tight" one.
"""

import json
import os
import signal
import statistics
import sys
import threading
import time
from pathlib import Path

import digits
import ray
from launched import until
from ray.cluster_utils import Cluster

import sync_replicas as sr

FOLDER, WAY, FAULT, NODES = Path(sys.argv[1]), *sys.argv[2:]
WORKERS, STEPS, PAUSE = 3, 500, 0.02
MEMORY = 10**8
TIGHT = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 500,
    "health_check_failure_threshold": 2,
}


def loop():
    """What each replica does; it writes down which step it got when, and in which process."""
    data = digits.read()
    batches = sr.Batches(data["train"], size=32, seed=1)
    with sr.join(digits.initial(1)) as replica:
        with open(FOLDER / f"replica-{replica.number}", "a", buffering=1) as notes:
            for step in replica:
                print(time.time(), step.step, os.getpid(), file=notes)
                loss, gradients = digits.perceptron(step.variables, step.batch(batches))
                time.sleep(PAUSE)
                step.push(gradients, loss=loss)
    sr.ray.report({"accuracy": digits.accuracy(replica.variables, data["test"])})


def notes(number):
    """What a replica has written down: time, step, process."""
    try:
        lines = (FOLDER / f"replica-{number}").read_text().splitlines()
    except FileNotFoundError:
        return []
    split = [line.split() for line in lines]
    return [(float(it[0]), int(it[1]), int(it[2])) for it in split if len(it) == 3]


def reached(step):
    """Whether somebody has got this step."""
    return any(at >= step for number in range(WORKERS) for _, at, _ in notes(number)[-1:])


def gaps(since):
    """The seconds between updates, of those from then on: each is seen by the first replica that
    gets a step of it."""
    times, last = [], None
    for at, step, _ in sorted(it for number in range(WORKERS) for it in notes(number)):
        # A lower step by far: servers went on from a checkpoint.
        if last is None or step > last or step < last - 10:
            times.append(at)
            last = step
    return [after - before for before, after in zip(times, times[1:]) if after >= since]


def below(ancestor):
    """A process and what it has started."""
    parents = {}
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "stat").read_text().rpartition(")")[2].split()
            parents[int(entry.name)] = int(words[1])
        except (OSError, ValueError, IndexError):
            continue
    found = {ancestor}
    for _ in range(4):
        found |= {number for number, parent in parents.items() if parent in found}
    return found


class Nodes:
    """A head that runs no work, a node for ps 0 and the chief, and one for the rest."""

    def __init__(self):
        more = {"_system_config": TIGHT} if NODES == "tight" else {}
        head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": MEMORY, **more}
        self.cluster = Cluster(initialize_head=True, head_node_args=head)
        self.first = self.add("a")
        ray.init(address=self.cluster.address, logging_level="WARNING")

    def add(self, place):
        """One more node of two CPUs."""
        labels = {"place": place}
        return self.cluster.add_node(num_cpus=2, object_store_memory=MEMORY, labels=labels)

    def spread(self):
        """Has ps 0 and the chief come to the first node, and the others to another."""
        # Ray Train places workers once there is room for all of them.
        left = 1 if WAY == "train" else 0
        until(lambda: ray.available_resources().get("CPU", 0) <= left, "they have places")
        self.add("b")

    def fault(self):
        """What goes wrong with a node."""
        # Room for those that were on it.
        self.add("a")
        chief = notes(0)[-1][2]
        (raylet,) = [it.process.pid for it in self.first.all_processes["raylet"]]
        # Mostly the chief is there; Ray promises nobody a node.
        lost = below(raylet) | {chief}
        if FAULT == "node":
            self.cluster.remove_node(self.first, allow_graceful=False)
            if chief not in below(raylet):
                os.kill(chief, signal.SIGKILL)
            return
        for number in lost:
            os.kill(number, signal.SIGSTOP)
        until(lambda: reached(STEPS - 100), "the end is near")
        # It is given up by then, and what wakes up in it must do no harm.
        for number in lost:
            os.kill(number, signal.SIGCONT)


def train():
    """Trains with Ray Train."""
    from ray.train import FailureConfig, RunConfig, ScalingConfig

    trainer = sr.ray.SyncReplicasTrainer(
        loop,
        optimizer=sr.Adam(0.01),
        aggregate=2,
        steps=STEPS,
        save_every=20,
        scaling_config=ScalingConfig(
            num_workers=WORKERS, label_selector=[{"place": it} for it in "abb"]
        ),
        run_config=RunConfig(
            name="run", storage_path=str(FOLDER), failure_config=FailureConfig(max_failures=5)
        ),
    )
    result = trainer.fit()
    return result.metrics, Path(result.checkpoint.path).name


def run():
    """Trains the plain way."""
    result = sr.ray.run(
        loop,
        workers=WORKERS,
        optimizer=sr.Adam(0.01),
        aggregate=2,
        steps=STEPS,
        save_every=20,
        storage_path=FOLDER,
        name="run",
    )
    return result.metrics, result.checkpoint.name


told = {}


def trained():
    """Trains beside the fault, as only the main thread can add a node."""
    try:
        told["metrics"], told["checkpoint"] = {"run": run, "train": train}[WAY]()
    except Exception as error:
        told["error"] = repr(error)


nodes = None if NODES == "one" else Nodes()
if nodes is None:
    more = {"include_dashboard": False, "object_store_memory": MEMORY}
    ray.init("local", num_cpus=WORKERS + 1, **more)
training = threading.Thread(target=trained)
training.start()
if nodes is not None:
    nodes.spread()
until(lambda: reached(100) or told, "step 100")
began = time.time()
if nodes is None or FAULT == "worker":
    os.kill(notes(1)[-1][2], signal.SIGKILL)
else:
    nodes.fault()
training.join()
between = gaps(began)
told["processes"] = [len({it[2] for it in notes(number)}) for number in range(WORKERS)]
told["longest"], told["median"] = max(between), statistics.median(between)
ray.shutdown()
if nodes is not None:
    nodes.cluster.shutdown()
print(json.dumps(told))
