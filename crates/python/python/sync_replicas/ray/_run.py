"""The plain way: replicas as actors, which Ray starts again when they die."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray

from .._errors import ArgumentError, UnreachableError
from .._optimizers import Optimizer
from ._plan import Plan, shared_folder
from ._servers import LOG, Servers, checked, demand
from ._work import Loop, checkpoint, newest, rows, work

#: Between two looks at replicas that have not ended with training, in seconds.
LOOK = 2.0

#: Between two words about those that Ray has no room for, in seconds.
ROOM = 15.0

#: One that does not answer for so long is given up then.
GRACE = 60.0


class _Replica:
    """One replica. Ray keeps what it was made with for its next life."""

    def __init__(self, plan: Plan, number: int, loop: Loop, config: Any) -> None:
        self._part = plan, number, loop, config

    @ray.method(max_task_retries=-1, retry_exceptions=[UnreachableError])
    def work(self) -> Any:
        """Runs the loop; what it answers."""
        return work(*self._part)

    def is_there(self) -> bool:
        """Answers, while it works."""
        return True


@dataclass(frozen=True)
class Result:
    """What a run came to."""

    #: The run's folder.
    path: Path
    #: What the chief's loop answered; None where it was started again after the end.
    value: Any
    #: The newest value of each metric.
    metrics: dict[str, Any]
    #: The folder of the newest checkpoint.
    checkpoint: Path | None
    #: All metrics, in their order.
    rows: list[dict[str, Any]] = field(repr=False)


def run(
    loop: Loop,
    *,
    workers: int,
    optimizer: Optimizer,
    storage_path: str | Path,
    name: str,
    servers: int = 1,
    aggregate: int | None = None,
    steps: int | None = None,
    config: Any = None,
    resources_per_worker: Mapping[str, float] | None = None,
    resources_per_server: Mapping[str, float] | None = None,
    max_failures: int = -1,
    save_every: int = 100,
    keep: int = 3,
    patience: float = 600.0,
    **settings: Any,
) -> Result:
    """Trains with `workers` replicas that run `loop`, and `servers` parameter servers: an actor
    each.

    In `loop` (of no argument, or of `config`) `sync_replicas.join()` needs no arguments but a
    model or variables. A step averages the first `aggregate` gradients; training ends after
    `steps` updates. `settings` are those of `join`.

    Everything of the run is in `storage_path/name`, which all nodes must see: checkpoints, every
    `save_every` updates of which the `keep` newest stay, and `metrics.jsonl`. A run of the same
    name goes on from its newest checkpoint. Resources are Ray's, one CPU each when not given.

    A process or node that dies costs what it was computing: Ray starts its replicas and servers
    again, `max_failures` times each (-1: as often as it takes), and the others go on meanwhile.
    An exception in `loop` ends the run. For `patience` seconds replicas look for a server that is
    being moved.
    """
    given = {"optimizer": optimizer, "aggregate": aggregate, "steps": steps, **settings}
    folder = shared_folder(storage_path, name)
    plan = Plan(folder, workers, servers, save_every, keep, patience, given)
    resources = checked("resources_per_worker", resources_per_worker)
    if not isinstance(max_failures, int) or max_failures < -1:
        raise ArgumentError(
            f"max_failures: expected a number, -1 for any, got {max_failures!r}"
        )
    replica = ray.remote(_Replica).options(
        max_restarts=max_failures,
        # One for the loop, and one to answer meanwhile.
        max_concurrency=2,
        scheduling_strategy="SPREAD",
        **demand(resources),
    )
    with Servers(plan, resources_per_server) as started:
        replicas: list[Any] = []
        try:
            for number in range(workers):
                replicas.append(replica.remote(plan, number, loop, config))
            values = _wait(replicas, started)
        finally:
            for it in replicas:
                ray.kill(it)
    found, saved = rows(folder), checkpoint(folder)
    return Result(folder, values[0], newest(found), saved and saved[1], found)


def _wait(replicas: list[Any], servers: Servers) -> list[Any]:
    """What the loops answered, once all have ended; an error of a loop or a server is raised."""
    serving = servers.serving
    placed = [*servers.placed, *(actor.is_there.remote() for actor in replicas)]
    working = {actor.work.remote(): actor for actor in replicas}
    refs, waiting = list(working), [*working, *serving]
    values: dict[Any, Any] = {}
    heard: dict[Any, float] = {}
    told = time.monotonic()
    while any(ref in waiting for ref in refs):
        if placed and time.monotonic() - told > ROOM:
            _, placed = ray.wait(placed, num_returns=len(placed), timeout=0)
            if placed:
                LOG.warning("%d servers and replicas wait for room; Ray has none left", len(placed))
            told = time.monotonic()
        done, waiting = ray.wait(waiting, timeout=LOOK)
        values.update(zip(done, ray.get(done)))
        if any(ref in waiting for ref in serving):
            continue
        # Training is over. A loop may have more to do, but one that Ray finds no place for has not.
        now = time.monotonic()
        for ref in [ref for ref in refs if ref in waiting]:
            if ref not in heard or _is_there(working[ref]):
                heard[ref] = now
            elif now - heard[ref] > GRACE:
                LOG.warning("replica %d does not answer after the end; given up", refs.index(ref))
                waiting.remove(ref)
    return [values.get(ref) for ref in refs]


def _is_there(actor: Any) -> bool:
    try:
        return bool(ray.get(actor.is_there.remote(), timeout=LOOK))
    except ray.exceptions.RayError:
        return False
