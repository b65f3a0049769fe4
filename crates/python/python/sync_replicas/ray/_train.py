"""A trainer of Ray Train: it replaces a worker that dies, and the others go on meanwhile."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import ray

from .._errors import ArgumentError
from .._optimizers import Optimizer
from ._plan import Plan, shared_folder
from ._servers import Servers
from ._work import Loop, checkpoint, newest, rows, work

# Before Ray Train is read in, which may lack what is looked for.
if not (2, 60) <= tuple(int(it) for it in re.findall(r"\d+", ray.__version__)[:2]) < (2, 62):
    raise ImportError(
        f"SyncReplicasTrainer: expected ray>=2.60,<2.62, on whose replica groups it builds, got "
        f"{ray.__version__}; install one of these, or use sync_replicas.ray.run, which needs no "
        "part of Ray Train"
    )
try:
    from ray.train import Checkpoint, RunConfig, ScalingConfig
    from ray.train.backend import Backend, BackendConfig
    from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer
except ImportError as error:
    raise ImportError(
        f"SyncReplicasTrainer: expected Ray Train, got: {error}; install it with `pip install "
        "'sync-replicas[ray-train]'`, or use sync_replicas.ray.run, which needs no part of it"
    ) from error


class _Backend(Backend):
    # A worker is a group of its own: Ray replaces the one that died, and no other.
    has_replica_groups = True


class _Config(BackendConfig):
    @property
    def backend_cls(self) -> type[Backend]:
        return _Backend


class SyncReplicasTrainer(DataParallelTrainer):
    """Trains with Ray Train's workers as replicas, and parameter servers as actors.

    In the loop `sync_replicas.join()` needs no arguments but a model or variables. A step averages
    the first `aggregate` gradients; training ends after `steps` updates. `settings` are those of
    `join`, and `servers`, `resources_per_server`, `save_every`, `keep` and `patience` those of
    `run`.

    `run_config.storage_path` must be a folder that all nodes see. `failure_config` says how often
    workers are replaced; an exception in the loop counts as such a failure, so a number is safer
    than -1 while a program is new.

    The `Result` has in `metrics` the newest of each (the loss, and what `report` was given), in
    `checkpoint` the servers' newest one, in `return_value` what the chief's loop answered.
    `ray.train.report` waits for all workers, so that one dead holds all: use `report`.
    """

    def __init__(
        self,
        train_loop_per_worker: Loop,
        *,
        optimizer: Optimizer,
        aggregate: int | None = None,
        servers: int = 1,
        steps: int | None = None,
        train_loop_config: dict[str, Any] | None = None,
        scaling_config: ScalingConfig | None = None,
        run_config: RunConfig | None = None,
        resources_per_server: Mapping[str, float] | None = None,
        save_every: int = 100,
        keep: int = 3,
        patience: float = 600.0,
        **settings: Any,
    ) -> None:
        scaling, run = scaling_config or ScalingConfig(), run_config or RunConfig()
        if not isinstance(scaling.num_workers, int):
            raise ArgumentError(
                f"num_workers: expected a number, got {scaling.num_workers}; replicas that are "
                "away hold nobody, so there is nothing to be resized"
            )
        if run.storage_filesystem is not None:
            raise ArgumentError("storage_filesystem: expected none; give storage_path a folder")
        folder = shared_folder(run.storage_path, run.name or "")
        given = {"optimizer": optimizer, "aggregate": aggregate, "steps": steps, **settings}
        # Ray takes no relative one.
        run = dataclasses.replace(run, storage_path=str(folder.parent))
        plan = Plan(folder, scaling.num_workers, servers, save_every, keep, patience, given)
        self._plan, self._resources = plan, resources_per_server

        def replica() -> Any:
            number = ray.train.get_context().get_world_rank()
            return work(plan, number, train_loop_per_worker, train_loop_config)

        super().__init__(
            replica, backend_config=_Config(), scaling_config=scaling, run_config=run
        )

    def fit(self) -> Any:
        """Trains; what came of it, a `ray.train.Result`. Servers end with it."""
        with Servers(self._plan, self._resources) as servers:
            result = super().fit()
            # An error of a server's, which ends training, is raised.
            ended, _ = ray.wait(servers.serving, num_returns=len(servers.serving), timeout=0)
            ray.get(ended)
        folder = self._plan.folder
        found, saved = rows(folder), checkpoint(folder)
        filled: dict[str, Any] = {"metrics": newest(found)}
        if saved is not None:
            filled["checkpoint"] = Checkpoint.from_directory(str(saved[1]))
        if found:
            import pandas

            filled["metrics_dataframe"] = pandas.DataFrame(found)
        return dataclasses.replace(result, **filled)
