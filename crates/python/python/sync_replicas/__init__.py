"""Synchronous data-parallel training in which slow and dead replicas never hold a step.

A step averages the first A fresh gradients of N replicas, drops the late ones, and lets the
replicas go on with tokens.

- `fit` trains with threads; `sync_replicas.torch.fit` and `sync_replicas.jax.fit` do it for models
  of PyTorch and JAX.
- `Trainer`, `Replica` and `Step` are for loops of one's own, `join` for those in a cluster;
  `sync_replicas.ray` runs those under Ray.
- `Table` is a variable whose rows are found by key: embeddings of users, items or words.
- `Batches` and `Stream` are the data.
- `tracking` follows runs: TensorBoard, Weights & Biases, MLflow.
- `Adam` and the other optimizers, with `Cosine` and the other schedules, are descriptions; `Groups`
  has other numbers for some variables.
- `ConditionalAccumulator`, `SparseConditionalAccumulator`, `TokenQueue` and `OptimizerState` are
  the parts by themselves.
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

from . import _native, tracking
from ._cluster import ClusterReplica, Place, join, place, serve
from ._errors import (
    ArgumentError,
    BatchError,
    BusyError,
    CheckpointError,
    ClusterError,
    EndedError,
    Error,
    FencedError,
    ForkError,
    GradientError,
    JoinError,
    NoCheckpointError,
    NotFiniteError,
    OverdueError,
    PlaceError,
    QueueClosedError,
    RefusedError,
    ReplacedError,
    ReplicaFailedWarning,
    StepOverError,
    SupersededError,
    TakeError,
    TooFewReplicasError,
    TrainingError,
    UnreachableError,
    VariableError,
)
from ._fit import Every, Update, Work, fit
from ._native import (
    ConditionalAccumulator,
    IndexedSlices,
    OptimizerState,
    Outcome,
    SparseConditionalAccumulator,
    Taken,
    TokenQueue,
    hash_text,
)
from ._optimizers import (
    Adagrad,
    Adam,
    AdamW,
    Cosine,
    Exponential,
    Ftrl,
    Groups,
    InverseTime,
    LazyAdam,
    Momentum,
    Optimizer,
    Piecewise,
    Polynomial,
    RmsProp,
    Schedule,
    Sgd,
    WarmUp,
)
from ._report import ClusterReport, ReplicaReport, Report
from ._table import Table
from ._trainer import Replica, Step, Trainer
from .data import Batches, Stream

if TYPE_CHECKING:
    from . import jax, ray, torch

__version__ = _native.__version__

Accepted = Outcome.Accepted
Duplicate = Outcome.Duplicate
Ended = Outcome.Ended
Lost = Outcome.Lost
NotFinite = Outcome.NotFinite
Stale = Outcome.Stale

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_native._forked)


def __getattr__(name: str) -> Any:
    # What needs PyTorch, JAX or Ray is read in when it is used.
    if name in {"jax", "ray", "torch"}:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "Accepted",
    "Adagrad",
    "Adam",
    "AdamW",
    "ArgumentError",
    "BatchError",
    "Batches",
    "BusyError",
    "CheckpointError",
    "ClusterError",
    "ClusterReplica",
    "ClusterReport",
    "ConditionalAccumulator",
    "Cosine",
    "Duplicate",
    "Ended",
    "EndedError",
    "Error",
    "Every",
    "Exponential",
    "FencedError",
    "ForkError",
    "Ftrl",
    "GradientError",
    "Groups",
    "IndexedSlices",
    "InverseTime",
    "JoinError",
    "LazyAdam",
    "Lost",
    "Momentum",
    "NoCheckpointError",
    "NotFinite",
    "NotFiniteError",
    "Optimizer",
    "OptimizerState",
    "Outcome",
    "OverdueError",
    "Piecewise",
    "Place",
    "PlaceError",
    "Polynomial",
    "QueueClosedError",
    "RefusedError",
    "ReplacedError",
    "Replica",
    "ReplicaFailedWarning",
    "ReplicaReport",
    "Report",
    "RmsProp",
    "Schedule",
    "Sgd",
    "SparseConditionalAccumulator",
    "Stale",
    "Step",
    "StepOverError",
    "Stream",
    "SupersededError",
    "Table",
    "TakeError",
    "Taken",
    "TokenQueue",
    "TooFewReplicasError",
    "Trainer",
    "TrainingError",
    "UnreachableError",
    "Update",
    "VariableError",
    "WarmUp",
    "Work",
    "fit",
    "hash_text",
    "join",
    "place",
    "serve",
    "tracking",
]
