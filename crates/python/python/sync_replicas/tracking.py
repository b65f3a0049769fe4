"""Where runs are followed: TensorBoard, Weights & Biases, MLflow, or a `Tracker` of your own.

`fit` takes `trackers=[...]`; in a loop of your own they are called where you like, in a cluster by
one process. A tracker that fails ends no training, and one warning says so.
"""

from __future__ import annotations

import importlib
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from os import PathLike
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from . import _native
from ._optimizers import Optimizer

__all__ = ["TensorBoard", "Tracker", "TrackerWarning", "mlflow", "wandb"]


class Tracker(Protocol):
    """Somewhere that a run is followed."""

    def params(self, params: Mapping[str, Any]) -> None:
        """What the run was started with: learning rate, batch size, seed."""

    def scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        """Numbers of one step, by name."""

    def restored(self, step: int) -> None:
        """The run goes on from this step: what was told of later ones no longer counts."""

    def finish(self, failed: bool = False) -> None:
        """The run has ended."""


class TrackerWarning(UserWarning):
    """A tracker failed; training goes on."""


class TensorBoard:
    """A folder that `tensorboard --logdir` shows; neither TensorFlow nor PyTorch is needed.

    Each run has a folder of its own; one that goes on gives the same one. A killed process loses
    about its last second.
    """

    def __init__(self, folder: str | PathLike[str]) -> None:
        self._native = _native.TensorBoard(folder)

    def params(self, params: Mapping[str, Any]) -> None:
        """Hyper-parameters: numbers, flags and texts; what is none of them is shown as text."""
        self._native.params([(name, _plain(value)) for name, value in params.items()])

    def scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        """Numbers of one step, by name."""
        self._native.scalars(step, list(scalars.items()))

    def histogram(self, step: int, name: str, values: ArrayLike) -> None:
        """How many values there are of one kind, in any shape; those not finite are left out."""
        self._native.histogram(step, name, np.asarray(values, np.float64).ravel().tolist())

    def text(self, step: int, name: str, text: str) -> None:
        """Words for people, in Markdown."""
        self._native.text(step, name, text)

    def restored(self, step: int) -> None:
        """The run goes on from this step: what was told of later ones is taken back."""
        self._native.restored(step)

    def flush(self) -> None:
        """Hands over what was kept until now."""
        self._native.flush()

    def finish(self, failed: bool = False) -> None:
        """The run has ended; one that failed is not marked as done."""
        self._native.finish(failed)


def wandb(**settings: Any) -> Tracker:
    """A run of Weights & Biases, begun with `wandb.init(**settings)`: `project=`, `name=`, `dir=`.

    `mode="offline"` needs no account and no network; `wandb sync` sends it later.
    """
    return _Wandb(_package("wandb").init(**settings))


class _Wandb:
    def __init__(self, run: Any) -> None:
        self.run = run
        # W&B's own step only grows, and a training's may go back.
        run.define_metric("global_step")
        run.define_metric("*", step_metric="global_step")

    def params(self, params: Mapping[str, Any]) -> None:
        self.run.config.update({name: _plain(it) for name, it in params.items()})

    def scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        self.run.log({"global_step": step, **scalars})

    def restored(self, step: int) -> None:
        pass

    def finish(self, failed: bool = False) -> None:
        self.run.finish(exit_code=int(failed))


def mlflow(
    *, experiment: str, run: str | None = None, uri: str | PathLike[str] | None = None
) -> Tracker:
    """A new run of MLflow, under this name in an experiment, which is made where it is not there.

    `uri` is a server or a database, such as "sqlite:///mlflow.db"; without it MLflow's own setting
    holds. Numbers are sent about once a second.
    """
    return _Mlflow(experiment, run, None if uri is None else str(uri))


class _Mlflow:
    #: MLflow takes no more at once.
    MOST = 1000
    SOON = 1.0

    def __init__(self, experiment: str, name: str | None, uri: str | None) -> None:
        _package("mlflow")
        self._entities = importlib.import_module("mlflow.entities")
        client = importlib.import_module("mlflow.tracking").MlflowClient
        self.client = client() if uri is None else client(tracking_uri=uri)
        found = self.client.get_experiment_by_name(experiment)
        place = self.client.create_experiment(experiment) if found is None else found.experiment_id
        self.run = self.client.create_run(place, run_name=name).info.run_id
        self._waiting: list[Any] = []
        self._sent = time.monotonic()

    def params(self, params: Mapping[str, Any]) -> None:
        given = [self._entities.Param(name, str(value)) for name, value in params.items()]
        self.client.log_batch(self.run, params=given)

    def scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        now = int(time.time() * 1000)
        metric = self._entities.Metric
        self._waiting += [metric(name, value, now, step) for name, value in scalars.items()]
        if len(self._waiting) >= self.MOST or time.monotonic() - self._sent >= self.SOON:
            self._send()

    def restored(self, step: int) -> None:
        pass

    def finish(self, failed: bool = False) -> None:
        self._send()
        self.client.set_terminated(self.run, "FAILED" if failed else "FINISHED")

    def _send(self) -> None:
        # What cannot be sent is given up: it would fill the memory.
        waiting, self._waiting, self._sent = self._waiting, [], time.monotonic()
        for begin in range(0, len(waiting), self.MOST):
            self.client.log_batch(self.run, metrics=waiting[begin : begin + self.MOST])


class Trackers:
    """The trackers of a `fit`; the first failure of each is a warning, and the others nothing."""

    def __init__(self, trackers: Sequence[Tracker]) -> None:
        self._trackers, self._warned = list(trackers), set[int]()

    def tell(self, call: Callable[[Tracker], None]) -> None:
        """Calls each of them."""
        for number, tracker in enumerate(self._trackers):
            try:
                call(tracker)
            except Exception as error:
                if number not in self._warned:
                    self._warned.add(number)
                    name = type(tracker).__name__.lstrip("_")
                    words = f"{name} does not follow all of the run, which goes on: {error!r}"
                    warnings.warn(words, TrackerWarning, stacklevel=2)

    def scalars(self, step: int, scalars: Mapping[str, float | None]) -> None:
        """Tells those that are there."""
        there = {name: value for name, value in scalars.items() if value is not None}
        if self._trackers and there:
            self.tell(lambda it: it.scalars(step, there))


def hyperparameters(optimizer: Optimizer, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What a `fit` was started with, the optimizer's numbers among it, as far as it was said."""
    numbers = {it.name: getattr(optimizer, it.name) for it in fields(optimizer)}  # type: ignore[arg-type]
    given = {name: value for name, value in settings.items() if value is not None}
    return {"optimizer": optimizer.rule, **numbers, **given}


def _plain(value: Any) -> bool | float | str:
    """As a tracker shows it."""
    if hasattr(value, "item") and getattr(value, "size", 1) == 1:
        value = value.item()
    return value if isinstance(value, (bool, int, float, str)) else str(value)


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        words = f"{name} is not installed: pip install 'sync-replicas[{name}]'"
        raise ModuleNotFoundError(words, name=name) from None
