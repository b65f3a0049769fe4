"""Training under Ray: it places, watches and restarts the processes; gradients go over connections
of our own.

- `run` needs the package `ray` alone: replicas are actors.
- `SyncReplicasTrainer` is a trainer of Ray Train (`ray[train]`), which replaces a dead worker and
  leaves the others alone.
- `report` adds numbers to the run's metrics, in the chief.

In the loop `sync_replicas.join()` finds its place and its settings by itself.
"""

from typing import TYPE_CHECKING, Any

from ._run import Result, run
from ._work import report

if TYPE_CHECKING:
    from ._train import SyncReplicasTrainer


def __getattr__(name: str) -> Any:
    # Ray Train is an extra of Ray's.
    if name == "SyncReplicasTrainer":
        from ._train import SyncReplicasTrainer

        return SyncReplicasTrainer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["Result", "SyncReplicasTrainer", "report", "run"]
