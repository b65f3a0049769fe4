"""`fit`: every replica a thread, with data, hooks, checkpoints and a report."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from . import _native
from ._errors import ArgumentError, NoCheckpointError, ReplicaFailedWarning, SupersededError
from ._optimizers import Optimizer
from ._report import Report, ReplicaReport
from ._table import Keys, sparse
from ._trainer import Trainer, scalar
from .data import Data, by_number, count
from .tracking import Tracker, Trackers, hyperparameters

Update = _native.Update
Work = _native.Work
Hook = Callable[[Update], object]


class Compute(Protocol):
    """What one replica does with a batch: the mean loss and its gradients by variable."""

    def __call__(self, work: Work, batch: Any) -> tuple[Any, Mapping[str, Any]] | None: ...


@dataclass(frozen=True)
class Every:
    """A hook that is called every so many updates, and not at each."""

    updates: int
    hook: Hook


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What all of the `fit`s take alike; see `sync_replicas.fit`, whose defaults are theirs."""

    data: Data
    optimizer: Optimizer
    steps: int | None
    aggregate: int | None
    replicas: int | None
    hooks: Sequence[Hook | Every]
    out: str | Path | None
    resume: str | Path | None
    save_every: int
    keep: int
    evaluate: Callable[..., Any] | None
    evaluate_every: int
    keep_best: str | None
    trackers: Sequence[Tracker]
    settings: Mapping[str, Any]
    keys: Keys | None = None

    def trainer(self, variables: Mapping[str, Any]) -> Trainer:
        """A training that begins with these variables."""
        return Trainer(
            variables,
            self.optimizer,
            aggregate=self.aggregate,
            replicas=self.replicas,
            **self.settings,
        )

    @property
    def params(self) -> dict[str, Any]:
        """What trackers are told of it."""
        numbers = {"steps": self.steps, "aggregate": self.aggregate, "replicas": self.replicas}
        return hyperparameters(self.optimizer, {**numbers, **self.settings})

    @property
    def checkpoints(self) -> Path | None:
        """The folder of the checkpoints."""
        return None if self.out is None else Path(self.out) / "checkpoints"


def fit(
    model: Callable[[dict[str, Any], Any], tuple[Any, Mapping[str, Any]] | None],
    variables: Mapping[str, Any],
    *,
    data: Data,
    optimizer: Optimizer,
    steps: int | None = None,
    aggregate: int | None = None,
    replicas: int | None = None,
    hooks: Sequence[Hook | Every] = (),
    out: str | Path | None = None,
    resume: str | Path | None = None,
    save_every: int = 100,
    keep: int = 3,
    evaluate: Callable[..., Any] | None = None,
    evaluate_every: int = 100,
    keep_best: str | None = None,
    keys: Keys | None = None,
    trackers: Sequence[Tracker] = (),
    **settings: Any,
) -> Report:
    """Trains with threads until `steps` updates were made, a hook stops it, or the data has ended.

    `model(variables, batch)` gives the mean loss over the batch and its gradients: a dict of arrays
    with the variables' names and shapes. Threads call it at the same time, so it must change
    nothing. None means that the batch was given up.

    `hooks` are called with each `Update`; `Every(n, hook)` with each n-th. `out` is a folder for
    checkpoints (every `save_every` updates, the `keep` newest stay) and `metrics.jsonl`;
    `resume="auto"` goes on from its newest checkpoint, if there is one, and another text is where
    to go on from. `evaluate(variables)` gives a number, or a dict of numbers, every
    `evaluate_every` updates and at the end; `keep_best="accuracy:max"` (or `":min"`) keeps the
    checkpoint that was best in it, in `out/best`. `trackers`, of `sync_replicas.tracking`, are told
    of every update and evaluation, and of the settings. All else is a setting of `Trainer`.

    With `Table`s among the variables, `keys(batch)` is a dict of the keys that the batch names, by
    table. `variables` then has their rows under the table's name, of shape keys.shape + (width,),
    and so is their gradient. `evaluate(variables, lookup)` looks up rows with
    `lookup(table, keys)`, and after training `report.lookup` does.
    """
    plan = Plan(
        data=data,
        optimizer=optimizer,
        steps=steps,
        aggregate=aggregate,
        replicas=replicas,
        hooks=hooks,
        out=out,
        resume=resume,
        save_every=save_every,
        keep=keep,
        evaluate=evaluate,
        evaluate_every=evaluate_every,
        keep_best=keep_best,
        trackers=trackers,
        settings=settings,
        keys=keys,
    )
    return run(plan.trainer(variables), plan, lambda _: computing(model, keys))


def computing(
    model: Callable[[dict[str, Any], Any], tuple[Any, Mapping[str, Any]] | None],
    keys: Keys | None,
) -> Compute:
    """A model as what a replica computes with: it sees the rows of a batch's keys as variables."""

    def compute(work: Work, batch: Any) -> tuple[Any, Mapping[str, Any]] | None:
        ids = {} if keys is None else keys(batch)
        rows = {table: work.lookup(table, of) for table, of in ids.items()}
        computed = model(work.variables | rows, batch)
        if computed is None:
            return None
        loss, gradients = computed
        return loss, sparse(gradients, ids)

    return compute


def run(
    trainer: Trainer,
    plan: Plan,
    replica: Callable[[int], Compute],
    hooks: Sequence[Hook | Every] = (),
    saved: Callable[[Path, int], None] | None = None,
) -> Report:
    """Trains a trainer by a plan; `replica` makes what each replica computes with.

    `hooks` come before the plan's. `saved` is told of the folder and step of a checkpoint that
    training goes on from.
    """
    resumed = _go_on(trainer, plan)
    if resumed is not None and saved is not None:
        saved(resumed, trainer.global_step)
    history: list[dict[str, Any]] = []
    trackers = Trackers(plan.trackers)
    evaluations = Evaluations(trainer, plan, trackers)
    trackers.tell(lambda it: it.params(plan.params))
    trackers.tell(lambda it: it.restored(trainer.global_step))

    def note(update: Update) -> None:
        numbers = {"loss": update.loss, **update.scalars}
        history.append({"step": update.step, **numbers})
        trackers.scalars(update.step, numbers)

    def source(number: int) -> tuple[Callable[[int], Any], Compute]:
        compute = replica(number)

        def counted(work: Work, batch: Any) -> Any:
            try:
                computed = compute(work, batch)
            except SupersededError:
                return None
            if computed is None:
                return None
            loss, gradients = computed
            return scalar(loss), count(batch), gradients

        return by_number(plan.data, number), counted

    chosen: list[Hook | Every] = [note, *hooks]
    if plan.evaluate is not None:
        chosen.append(Every(plan.evaluate_every, evaluations.hook))
    chosen.extend(plan.hooks)
    what = {
        "replica": source,
        "steps": plan.steps,
        "hooks": [named(hook) for hook in chosen],
        "checkpoints": _saving(plan),
        "metrics": None if plan.out is None else Path(plan.out) / "metrics.jsonl",
        "nan_guard": True,
    }
    try:
        numbers = trainer._fit(what)
        evaluations.last()
    except BaseException:
        trackers.tell(lambda it: it.finish(failed=True))
        raise
    trackers.tell(lambda it: it.finish())
    replicas = [ReplicaReport(**it) for it in numbers.pop("replicas")]
    report = Report(
        **numbers,
        replicas=replicas,
        variables=trainer.variables,
        history=history,
        evaluations=evaluations.rows,
        best=evaluations.folder,
        _lookup=trainer.lookup if trainer.tables else None,
    )
    for failed in report.failed:
        message = f"replica {failed.replica} failed, training went on: {failed.failure}"
        warnings.warn(message, ReplicaFailedWarning, stacklevel=3)
    return report


class Evaluations:
    """Evaluates now and then, and keeps the checkpoint that was best."""

    def __init__(self, trainer: Trainer, plan: Plan, trackers: Trackers) -> None:
        self.trainer, self.plan, self.trackers = trainer, plan, trackers
        self.rows: list[dict[str, Any]] = []
        self.folder: str | None = None
        self.best: float | None = None
        self.metric, _, way = (plan.keep_best or "").partition(":")
        self.sign = {"max": 1, "min": -1, "": -1}.get(way)
        if plan.keep_best is not None and (plan.out is None or plan.evaluate is None):
            raise ArgumentError("keep_best: expected out= and evaluate= with it")
        if self.sign is None:
            raise ArgumentError(f'keep_best: expected "metric:min" or "metric:max", got {way!r}')

    def hook(self, update: Update) -> None:
        """Evaluates the variables of an update."""
        self.evaluate(update.step, update.variables)

    def last(self) -> None:
        """Evaluates those at the end, unless that was just done."""
        step = self.trainer.global_step
        if self.plan.evaluate is not None and (not self.rows or self.rows[-1]["step"] != step):
            self.evaluate(step, self.trainer.variables)

    def evaluate(self, step: int, variables: Any) -> None:
        """Evaluates, notes the result, and keeps a checkpoint when it is the best so far."""
        assert self.plan.evaluate is not None
        more = () if self.plan.keys is None else (self.trainer.lookup,)
        value = self.plan.evaluate(variables, *more)
        if not isinstance(value, Mapping):
            value = {"value": value}
        numbers = {name: float(number) for name, number in value.items()}
        row = {"step": step, **numbers}
        self.rows.append(row)
        self.trackers.scalars(step, numbers)
        if self.plan.keep_best is None:
            return
        if self.metric not in row:
            known = ", ".join(name for name in row if name != "step")
            raise ArgumentError(f"keep_best: expected one of {known}, got {self.metric!r}")
        value = row[self.metric] * (self.sign or 1)
        if math.isfinite(value) and (self.best is None or value > self.best):
            assert self.plan.out is not None
            self.best = value
            self.folder = str(self.trainer.save(Path(self.plan.out) / "best", 1))


def named(hook: Hook | Every) -> tuple[str, int, Hook]:
    """A hook with its name, and every how many updates it is called."""
    every, call = (hook.updates, hook.hook) if isinstance(hook, Every) else (1, hook)
    if every < 1:
        raise ArgumentError(f"Every: expected at least 1 update, got {every}")
    return getattr(call, "__qualname__", type(call).__qualname__), every, call


def _saving(plan: Plan) -> tuple[Path, int, int] | None:
    folder = plan.checkpoints
    return None if folder is None else (folder, plan.save_every, plan.keep)


def _go_on(trainer: Trainer, plan: Plan) -> Path | None:
    """Goes on from a checkpoint, if the plan says so; from which folder."""
    folder = plan.checkpoints
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    if plan.resume is None:
        if folder is not None and any(folder.glob("checkpoint-*")):
            raise ArgumentError(
                f'{folder} has checkpoints of an earlier run; expected resume="auto" to go on from '
                "them, or another folder"
            )
        return None
    if plan.resume != "auto":
        trainer.restore(plan.resume)
        return Path(plan.resume)
    if folder is None:
        raise ArgumentError('resume="auto": expected out= with it')
    try:
        trainer.restore(folder)
    except NoCheckpointError:
        return None
    return folder
