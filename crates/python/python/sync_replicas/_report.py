"""What a training did, as objects, and as rows for a DataFrame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from numpy.typing import NDArray

from ._errors import VariableError

Variables = dict[str, NDArray[Any]]
Lookup = Callable[[str, Any], NDArray[Any]]


@dataclass(frozen=True)
class ReplicaReport:
    """What one replica did. Times are seconds."""

    replica: int
    batches: int
    accepted: int
    stale: int
    duplicates: int
    superseded: int
    non_finite: int
    failed_batches: int
    tokens: int
    expired: int
    unused: int
    #: How long it had no token.
    waited: float
    #: How long it had one, from being given it to its push.
    computed: float
    #: "finished", "data ended" or "failed".
    outcome: str
    #: Why, if it failed.
    failure: str | None


@dataclass(frozen=True)
class ClusterReport:
    """What one process of a cluster did; counts are zeros in a parameter server."""

    #: "worker 1".
    task: str
    #: The global step at the end.
    step: int
    #: How long it took part.
    seconds: float
    #: Why training ended.
    stopped: str
    #: Whether it left before the end, as it was asked to.
    left: bool
    accepted: int
    stale: int
    duplicates: int
    superseded: int
    non_finite: int
    #: Pushes whose fate is unknown, as servers began anew meanwhile.
    lost: int
    #: How long it had no token, in seconds.
    waited: float
    #: Those at the end; None in a server, and where none could be had.
    variables: Variables | None = field(repr=False)

    def copy_into(self, arrays: Variables) -> None:
        """Copies the variables into writable arrays of your own, by name."""
        for name, array in arrays.items():
            array[...] = (self.variables or {})[name]


@dataclass(frozen=True)
class Report:
    """What a training did, with the variables at its end."""

    updates: int
    #: The global step at its end.
    step: int
    batches: int
    examples: int
    accepted: int
    stale: int
    duplicates: int
    seconds: float
    #: Why it ended.
    stopped: str
    replicas: list[ReplicaReport]
    variables: Variables = field(default_factory=dict, repr=False)
    #: A row for each update: step, loss.
    history: list[dict[str, Any]] = field(default_factory=list, repr=False)
    #: A row for each evaluation: step, and what was evaluated.
    evaluations: list[dict[str, Any]] = field(default_factory=list, repr=False)
    #: The folder of the best checkpoint, with `keep_best`.
    best: str | None = None
    #: Of the trainer, where it has tables; this process's own, so it is not pickled.
    _lookup: Lookup | None = field(default=None, repr=False, compare=False)

    @property
    def failed(self) -> list[ReplicaReport]:
        """The replicas that failed."""
        return [replica for replica in self.replicas if replica.outcome == "failed"]

    def lookup(self, table: str, ids: Any) -> NDArray[Any]:
        """The rows of a table's keys at its end, as `Trainer.lookup` gives them."""
        if self._lookup is None:
            why = "the training had no tables, or the report comes from another process"
            raise VariableError(f"`{table}` has no rows here: {why}", variable=table)
        return self._lookup(table, ids)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_lookup": None}

    def rows(self) -> list[dict[str, Any]]:
        """One dict a replica, for a DataFrame."""
        return [asdict(replica) for replica in self.replicas]

    def __str__(self) -> str:
        lines = [
            f"{self.updates} updates in {self.seconds:.2f} s, {self.accepted} batches accepted, "
            f"{self.stale} stale ({self.stopped})",
            "replica  accepted  stale  superseded  waited s  computed s  outcome",
        ]
        for it in self.replicas:
            lines.append(
                f"{it.replica:7}  {it.accepted:8}  {it.stale:5}  {it.superseded:10}  "
                f"{it.waited:8.2f}  {it.computed:10.2f}  {it.failure or it.outcome}"
            )
        return "\n".join(lines)
