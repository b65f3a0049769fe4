"""The package's errors: a class each, with fields."""

from __future__ import annotations

from typing import Any


class Error(Exception):
    """What all of them are. Fields are keyword arguments, and attributes of the error."""

    def __init__(self, message: str = "", **fields: Any) -> None:
        super().__init__(message)
        self.__dict__.update(fields)

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (type(self), str(self), dict(self.__dict__))


def _again(kind: type[Error], message: str, fields: dict[str, Any]) -> Error:
    return kind(message, **fields)


class ArgumentError(Error, ValueError):
    """An argument is none that there is; the message says what is expected."""


class VariableError(Error, ValueError):
    """A variable does not exist, comes twice, or has another shape or type."""

    variable: str | None


class GradientError(Error, ValueError):
    """A gradient does not fit its variable; nothing was changed, and the token went back."""

    variable: str | None


class StepOverError(Error, RuntimeError):
    """The step was pushed or given up already."""


class SupersededError(Error, RuntimeError):
    """Rows were looked up for a step that was over: give it up, its gradients would be dropped."""

    step: int


class BusyError(Error, RuntimeError):
    """Another thread, or another `fit`, uses it."""


class ForkError(Error, RuntimeError):
    """It belongs to the process from which this one was forked."""


class JoinError(Error, RuntimeError):
    """There is no such replica, or it has joined already."""


class EndedError(JoinError):
    """Training has ended; no replica can join."""


class FencedError(Error, RuntimeError):
    """The replica is no member any more: another life of the training began. Join again."""


class OverdueError(Error, TimeoutError):
    """A step took longer than its deadline."""

    step: int
    count: int
    needed: int
    missing: list[int]


class TrainingError(Error, RuntimeError):
    """Training failed as a whole. Its cause is the first exception of a replica or hook."""


class TooFewReplicasError(TrainingError):
    """So many replicas failed that fewer than `min_replicas` are left."""

    total: int
    min_replicas: int
    failed: list[tuple[int, str]]


class BatchError(TrainingError):
    """One batch made several replicas fail."""

    number: int
    failed: list[tuple[int, str]]


class NotFiniteError(TrainingError):
    """A loss, a gradient or an update is NaN or infinite."""

    reason: str


class CheckpointError(Error, OSError):
    """A checkpoint could not be written or read; nothing was loaded."""


class NoCheckpointError(CheckpointError):
    """There is no checkpoint where one was looked for."""


class ClusterError(TrainingError):
    """A process's part in a cluster failed. `exit_status` is what its scheduler should see."""

    exit_status: int


class PlaceError(ClusterError):
    """This process has no place in a cluster, or one that has another part."""


class RefusedError(ClusterError):
    """The cluster does not take this replica: its program differs, or its key does."""


class ReplacedError(ClusterError):
    """Another process has taken the place of this one."""


class UnreachableError(ClusterError):
    """Servers were out of reach for too long; a restart may help."""


class TakeError(Error, RuntimeError):
    """A take cannot be completed: the accumulator is closed, or the number makes no sense."""


class QueueClosedError(Error, RuntimeError):
    """The queue of tokens is closed."""


class ReplicaFailedWarning(RuntimeWarning):
    """A replica failed, and training went on without it."""
