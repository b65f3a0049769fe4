"""Parameter servers as actors: Ray starts them again, also on another node."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any

import ray
from ray.util.placement_group import placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from .._errors import CheckpointError, EndedError
from ._plan import Plan

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
        self._plan, self._index, self._over = plan, index, False
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
        first = self._index == 0
        checkpoints = folder / "checkpoints" if first else None
        try:
            return self._place._serve(checkpoints, self._plan.save_every, self._plan.keep)
        finally:
            self._over = True


class Servers:
    """The actors of a run, in the driver; used in a `with`, at whose end none is left."""

    def __init__(self, plan: Plan, resources: Mapping[str, float]) -> None:
        self._plan, self._resources = plan, dict(resources)

    def __enter__(self) -> Servers:
        self._plan.folder.mkdir(parents=True, exist_ok=True)
        (self._plan.folder / MARK).touch()
        bundles = [self._resources] * self._plan.servers
        self._group = placement_group(bundles, strategy="SPREAD")
        self._actors = [self._start(index) for index in range(self._plan.servers)]
        #: What becomes of each, to be waited for.
        self.serving = [actor.serve.remote() for actor in self._actors]
        return self

    def _start(self, index: int) -> Any:
        where = PlacementGroupSchedulingStrategy(self._group, index)
        actor = ray.remote(Server).options(
            name=self._plan.server(index),
            max_restarts=-1,
            # It serves, says where it is, and is asked to leave, all at once.
            max_concurrency=8,
            scheduling_strategy=where,
            **demand(self._resources),
        )
        return actor.remote(self._plan, index)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for actor in self._actors:
            actor.leave.remote()
        ray.wait(self.serving, num_returns=len(self.serving), timeout=FAREWELL)
        for actor in self._actors:
            ray.kill(actor)
        remove_placement_group(self._group)


def demand(resources: Mapping[str, float]) -> dict[str, Any]:
    """Resources by Ray's names, as its options have them."""
    named = {"CPU": "num_cpus", "GPU": "num_gpus", "memory": "memory"}
    rest = {name: number for name, number in resources.items() if name not in named}
    known = {option: resources.get(name, 0) for name, option in named.items() if name != "memory"}
    if "memory" in resources:
        known["memory"] = resources["memory"]
    return {**known, "resources": rest} if rest else known
