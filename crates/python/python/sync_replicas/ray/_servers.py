"""Parameter servers as actors: Ray starts them again, also on another node."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import ray
from ray.util.placement_group import placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from .._errors import ArgumentError, CheckpointError, EndedError
from ._plan import Plan
from ._work import checkpoint

LOG = logging.getLogger("sync_replicas.ray")

#: How long servers may take to save and leave, in seconds.
FAREWELL = 20.0

#: In the run's folder, to show that a node sees it.
MARK = ".sync-replicas"


def node_address() -> str:
    """The address by which other nodes reach this one."""
    found: str = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
    return found


class Server:
    """One server. It runs in the actor's own process, without the interpreter."""

    def __init__(self, plan: Plan, index: int) -> None:
        # It may be another life, after the end.
        self._plan, self._index, self._over = plan, index, plan.ended.exists()
        self._place, self._address = plan.place("ps", index, listen=node_address())

    def address(self) -> str | None:
        """Where it listens, in this life of the actor."""
        if self._over:
            raise EndedError("training is over")
        return self._address

    def is_over(self) -> bool:
        """Whether it has ended."""
        return self._over

    def leave(self) -> None:
        """Has it save and leave."""
        self._place._leave()

    @ray.method(max_task_retries=-1)
    def serve(self) -> dict[str, Any]:
        """Serves until training is over. Ray calls it again in the actor's next life."""
        folder = self._plan.folder
        if not (folder / MARK).exists():
            raise CheckpointError(
                f"{folder} is not seen on node {node_address()}: storage_path must "
                "be a folder of a file system that all nodes share"
            )
        checkpoints = folder / "checkpoints"
        try:
            served = self._place._serve(checkpoints, self._plan.save_every, self._plan.keep)
            if self._index == 0 and not served["left"]:
                self._plan.ended.touch()
            return served
        finally:
            self._over = True


class Servers:
    """The actors of a run, in the driver; used in a `with`, at whose end none is left."""

    def __init__(self, plan: Plan, resources: Mapping[str, float] | None) -> None:
        self._plan, self._resources = plan, checked("resources_per_server", resources)
        self._group: Any = None
        self._actors: list[Any] = []
        #: What becomes of each, to be waited for.
        self.serving: list[Any] = []
        #: Answers, once it has a place.
        self.placed: list[Any] = []

    def __enter__(self) -> Servers:
        folder = self._plan.folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / MARK).touch()
            self._plan.ended.unlink(missing_ok=True)
        except OSError as error:
            raise ArgumentError(f"storage_path: {folder} cannot be written in: {error}") from error
        tell_of_earlier(folder, self._plan.settings.get("steps"))
        try:
            bundles = [self._resources] * self._plan.servers
            self._group = placement_group(bundles, strategy="SPREAD")
            for index in range(self._plan.servers):
                self._start(index)
        except BaseException:
            self._remove()
            raise
        return self

    def _start(self, index: int) -> None:
        actor: Any = ray.remote(Server).options(
            name=self._plan.server(index),
            max_restarts=-1,
            # It serves, says where it is, and is asked to leave, all at once.
            max_concurrency=8,
            scheduling_strategy=PlacementGroupSchedulingStrategy(self._group, index),
            **demand(self._resources),
        )
        self._actors.append(actor.remote(self._plan, index))
        self.serving.append(self._actors[-1].serve.remote())
        self.placed.append(self._actors[-1].is_over.remote())

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            there, _ = ray.wait(self.placed, num_returns=len(self.placed), timeout=0)
            for actor in self._actors:
                actor.leave.remote()
            # Those that have no place have nothing to save.
            if len(there) == len(self.placed):
                ray.wait(self.serving, num_returns=len(self.serving), timeout=FAREWELL)
        finally:
            self._remove()

    def _remove(self) -> None:
        for actor in self._actors:
            ray.kill(actor)
        if self._group is not None:
            remove_placement_group(self._group)
        # What has been trained is not lost for it.
        with suppress(OSError):
            self._plan.ended.unlink(missing_ok=True)


def checked(name: str, resources: Mapping[str, float] | None) -> dict[str, float]:
    """Resources as a user gives them; one CPU where none are given."""
    if resources is None:
        return {"CPU": 1}
    numbers = isinstance(resources, Mapping) and all(
        isinstance(it, (int, float)) and it >= 0 for it in resources.values()
    )
    if not numbers:
        raise ArgumentError(f'{name}: expected a dict such as {{"CPU": 1}}, got {resources!r}')
    return dict(resources)


def tell_of_earlier(folder: Path, steps: int | None) -> None:
    """Says so where a run goes on, or has nothing left to do."""
    saved = checkpoint(folder)
    if saved is None:
        return
    step, _ = saved
    if steps is not None and step >= steps:
        LOG.warning(
            "%s: there are %d updates already, and %d are wanted; give more steps to go on, or "
            "another name to begin anew",
            folder,
            step,
            steps,
        )
    else:
        LOG.warning("%s: training goes on from update %d", folder, step)


def demand(resources: Mapping[str, float]) -> dict[str, Any]:
    """Resources by Ray's names, as its options have them."""
    named = {"CPU": "num_cpus", "GPU": "num_gpus", "memory": "memory"}
    known = {named[name]: number for name, number in resources.items() if name in named}
    rest = {name: number for name, number in resources.items() if name not in named}
    return {"num_cpus": 0, **known, "resources": rest}
