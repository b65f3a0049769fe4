"""PyTorch: a module for each replica, its parameters filled from the variables.

Parameters that are trained travel, by their names in the module; frozen ones and buffers do not.
An `Embedding` is a table by its name in the module, whose rows are looked up for each batch.
Buffers, as BatchNorm's, are those of replica 0, the chief: `fit` saves them, and in a cluster the
program does, with the chief's `state_dict`.
"""

from __future__ import annotations

import dataclasses
import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from . import _fit
from ._cluster import ClusterReplica, join, place, statuses
from ._embedding import Embedding, array_of
from ._errors import ArgumentError, SupersededError, VariableError
from ._fit import Compute, Every, Hook, Plan, Update, Work
from ._native import IndexedSlices, Outcome
from ._optimizers import Groups
from ._optimizers import Optimizer as Rule
from ._report import Lookup, Report
from ._trainer import Replica, Step, Trainer
from .data import Data
from .tracking import Tracker, settings_of

__all__ = [
    "Attachment",
    "Embedding",
    "Loss",
    "Module",
    "Optimizer",
    "TorchReport",
    "fit",
    "groups",
]

Module: TypeAlias = torch.nn.Module
Loss: TypeAlias = Callable[[Module, Any], torch.Tensor]


class Attachment:
    """A module's trained parameters and tables, to be filled, and to give their gradients.

    Parameters in float32 or float64 on the host are written in place; others are converted, and
    those on a GPU come through the host.
    """

    def __init__(self, module: Module) -> None:
        if not isinstance(module, torch.nn.Module):
            kind = type(module).__name__
            raise ArgumentError(f"attach: expected a torch.nn.Module, got {kind}")
        named = module.named_parameters()
        self.parameters = {name: it for name, it in named if it.requires_grad}
        modules = module.named_modules()
        self.tables = {name: it for name, it in modules if isinstance(it, Embedding)}
        if not self.parameters and not self.tables:
            raise ArgumentError("expected a module with parameters to train, got none")
        #: Whether rows are zeros where they are asked for too late, which `late` then says.
        self.forgives, self.late = False, False
        self._direct = {
            name: it.detach().numpy()
            for name, it in self.parameters.items()
            if it.device.type == "cpu" and it.dtype is self._dtype and it.is_contiguous()
        }

    @property
    def _dtype(self) -> torch.dtype:
        """The one type of the variables: float64 when all parameters are."""
        double = all(it.dtype is torch.float64 for it in self.parameters.values())
        return torch.float64 if double else torch.float32

    def variables(self) -> dict[str, Any]:
        """The parameters' values, and the tables, as variables to begin with."""
        found: dict[str, Any] = {name: it.table for name, it in self.tables.items()}
        for name, it in self.parameters.items():
            if it.dtype is torch.float64 and self._dtype is not torch.float64:
                raise VariableError(f"`{name}` is float64 and others are not; expected one type")
            found[name] = it.detach().to("cpu", self._dtype, copy=True).numpy()
        return found

    def fill(self, source: Any) -> None:
        """Writes the variables of a step (or trainer) into the parameters; tables have its rows."""
        self.late = False
        lookup = getattr(source, "lookup", None)
        for table, embedding in self.tables.items():
            embedding.begin(None if lookup is None else partial(self._look_up, lookup, table))
        source.copy_into(self._direct)
        others = self.parameters.keys() - self._direct.keys()
        if others:
            values = source.variables
            with torch.no_grad():
                for name in others:
                    # A copy: PyTorch warns of arrays that are read-only.
                    self.parameters[name].copy_(torch.from_numpy(values[name].copy()))

    def gradients(self) -> dict[str, Any]:
        """The gradients of the last backward pass; a parameter without one has None."""
        found = {name: _gradient(it.grad) for name, it in self.parameters.items()}
        rows = {name: it.gradient() for name, it in self.tables.items()}
        return found | {name: it for name, it in rows.items() if it is not None}

    def _look_up(self, lookup: Lookup, table: str, ids: NDArray[np.int64]) -> NDArray[Any]:
        try:
            return lookup(table, ids)
        except SupersededError:
            if not (self.forgives and torch.is_grad_enabled()):
                raise
            self.late = True
            kind = np.float64 if self.parameters and self._dtype is torch.float64 else np.float32
            return np.zeros((*ids.shape, self.tables[table].table.width), kind)


def groups(
    module: Module,
    optimizer: Rule,
    no_decay: Callable[[str, torch.Tensor], bool] = lambda _, parameter: parameter.ndim < 2,
) -> Groups:
    """An optimizer as `AdamW(3e-4)`, without weight decay for some of a module's parameters.

    `no_decay(name, parameter)` says for which; when not given, for all but matrices and the like:
    biases, and the scales of layers that normalise.
    """
    if not hasattr(optimizer, "weight_decay"):
        kind = type(optimizer).__name__
        raise ArgumentError(f"groups: expected an optimizer with weight decay, got {kind}")
    trained = {name: it for name, it in module.named_parameters() if it.requires_grad}
    chosen = tuple(name for name, it in trained.items() if no_decay(name, it))
    without: Any = dataclasses.replace(optimizer, weight_decay=0.0)  # type: ignore[type-var]
    return Groups(optimizer, {chosen: without} if chosen else {})


def fit(
    build: Callable[[], Module],
    *,
    data: Data,
    loss: Loss,
    optimizer: Rule,
    steps: int | None = None,
    aggregate: int | None = None,
    replicas: int | None = None,
    hooks: Sequence[Hook | Every] = (),
    out: str | Path | None = None,
    resume: str | Path | None = None,
    save_every: int = 100,
    keep: int = 3,
    evaluate: Callable[[Module], Any] | None = None,
    evaluate_every: int = 100,
    keep_best: str | None = None,
    state_dict: Mapping[str, torch.Tensor] | None = None,
    trackers: Sequence[Tracker] = (),
    **settings: Any,
) -> TorchReport:
    """Trains a module with threads, as `sync_replicas.fit` does; each replica has one of its own.

    `build()` makes a module and is called once for each replica; the values that training begins
    with are those of the first, or of `state_dict`. `loss(module, batch)` gives the mean loss over
    the batch, a scalar. `evaluate(module)` gets a module of its own, in evaluation mode, without
    gradients. The report's `state_dict` has everything at the end.
    """
    _refuse_torchs(optimizer)
    nets = _Nets(build, state_dict)
    chief = nets.of(0)
    for number in range(1, replicas or aggregate or 1):
        nets.of(number)
    trainer = Trainer(
        chief.attached.variables(),
        optimizer,
        aggregate=aggregate,
        replicas=replicas,
        **settings,
    )
    buffers = _Buffers(chief.module, keep)

    def evaluated(_: Any) -> Any:
        assert evaluate is not None
        net = nets.of(-1)
        net.attached.fill(trainer)
        net.module.load_state_dict(buffers.now(), strict=False)
        net.module.eval()
        with torch.no_grad():
            return evaluate(net.module)

    told = settings_of(
        optimizer, {"steps": steps, "aggregate": aggregate, "replicas": replicas, **settings}
    )
    plan = Plan(
        data,
        steps,
        hooks,
        out,
        resume,
        save_every,
        keep,
        None if evaluate is None else evaluated,
        evaluate_every,
        keep_best,
        trackers=trackers,
        params=told,
    )
    saving: list[Hook | Every] = []
    if plan.checkpoints is not None and buffers.any:
        folder = plan.checkpoints
        saving.append(Every(save_every, lambda update: buffers.save(folder, update)))

    report = _fit.run(
        trainer, plan, lambda number: nets.of(number).computing(loss), saving, buffers.load
    )
    chief.attached.fill(trainer)
    if plan.checkpoints is not None and buffers.any:
        buffers.write(plan.checkpoints, trainer.global_step)
    return TorchReport(**vars(report), state_dict=chief.module.state_dict())


class TorchReport(Report):
    """A `Report` with the trained module's `state_dict`: parameters, and the chief's buffers."""

    state_dict: dict[str, torch.Tensor]

    def __init__(self, *, state_dict: dict[str, torch.Tensor], **fields: Any) -> None:
        super().__init__(**fields)
        object.__setattr__(self, "state_dict", state_dict)


class Optimizer:
    """For a loop that exists: in place of one of PyTorch's, with its two calls.

    `step()` pushes the gradients, waits, and fills the parameters from the newest variables. In a
    process that has a place in a cluster it is that place's replica, with the settings of
    `sync_replicas.join`; without one it trains in this process alone. `replica` is one to use
    instead. When the process ends, so does its part: the training ends with the last one's.
    """

    def __init__(
        self, module: Module, optimizer: Rule, replica: Replica | None = None, **settings: Any
    ) -> None:
        _refuse_torchs(optimizer)
        self._attached = Attachment(module)
        self._attached.forgives = True
        if replica is None and place() is not None:
            replica = join(optimizer=optimizer, **settings)
            weakref.finalize(self, _finish, replica)
        elif replica is None:
            self._trainer = Trainer(self._attached.variables(), optimizer, **settings)
            replica = self._trainer.replica(0)
        #: Its `number` says which one of the cluster's it is.
        self.replica = replica
        with statuses():
            replica.attach(self._attached)
            self._open: Step | None = replica.next_step()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forgets the gradients."""
        for parameter in self._attached.parameters.values():
            if set_to_none or parameter.grad is None:
                parameter.grad = None
            else:
                parameter.grad.zero_()
        for embedding in self._attached.tables.values():
            embedding.zero_grad()

    def step(self, loss: Any = None) -> Any:
        """Pushes the gradients, says what became of them, and waits for the next step."""
        if self._open is None:
            raise RuntimeError("training has ended; there is no step to push for")
        with statuses():
            if self._attached.late:
                # Some of its rows were of no step: others have made it.
                self._open.give_up()
                outcome: Outcome = Outcome.Stale(self._open.step, self._open.step + 1)
            else:
                outcome = self._open.push(self._attached.gradients(), loss=loss)
            self._open = self.replica.next_step()
        return outcome

    @property
    def ended(self) -> bool:
        """Whether training has ended: there are no more steps."""
        return self._open is None


def _finish(replica: ClusterReplica) -> None:
    """The end of a process's part, where its loop says nothing of it."""
    with statuses():
        replica.finish()


class _Net:
    """One replica's module."""

    def __init__(self, module: Module) -> None:
        self.module, self.attached = module, Attachment(module)

    def computing(self, loss: Loss) -> Compute:
        """What this replica does with a batch."""

        def compute(work: Work, batch: Any) -> tuple[Any, dict[str, Any]]:
            self.attached.fill(work)
            self.module.zero_grad(set_to_none=True)
            value = loss(self.module, batch)
            value.backward()  # type: ignore[no-untyped-call]
            return value, self.attached.gradients()

        return compute


class _Nets:
    """A module for each replica, by number; one for evaluation is -1."""

    def __init__(
        self, build: Callable[[], Module], state: Mapping[str, torch.Tensor] | None
    ) -> None:
        self._build, self._state, self._made = build, state, dict[int, _Net]()

    def of(self, number: int) -> _Net:
        net = self._made.get(number)
        if net is None:
            module = self._build()
            if self._state is not None:
                module.load_state_dict(self._state)
            net = self._made[number] = _Net(module)
            if any(net.module is other.module for at, other in self._made.items() if at != number):
                raise ArgumentError("build: expected a new module at each call, got the same one")
        return net


class _Buffers:
    """The chief's buffers, in a file beside each checkpoint."""

    def __init__(self, module: Module, keep: int) -> None:
        self._module, self._keep = module, max(2, keep)
        self.any = next(module.buffers(), None) is not None

    def now(self) -> dict[str, torch.Tensor]:
        """What is no parameter of the module's state."""
        parameters = {name for name, _ in self._module.named_parameters()}
        state = self._module.state_dict()
        return {name: it.clone() for name, it in state.items() if name not in parameters}

    def save(self, folder: Path, update: Update) -> None:
        """Writes those of an update, and removes old ones."""
        self.write(folder, update.step)

    def write(self, folder: Path, step: int) -> None:
        """Writes them whole, or not at all."""
        target = folder / f"buffers-{step}.pt"
        aside = target.with_suffix(".tmp")
        torch.save(self.now(), aside)
        aside.replace(target)
        files = sorted(folder.glob("buffers-*.pt"), key=lambda it: int(it.stem.split("-")[1]))
        for old in files[: -self._keep]:
            old.unlink(missing_ok=True)

    def load(self, folder: Path, step: int) -> None:
        """Reads those of a step from a folder of checkpoints, or of one of them."""
        for place in (folder, folder.parent):
            found = place / f"buffers-{step}.pt"
            if found.exists():
                self._module.load_state_dict(torch.load(found, weights_only=True), strict=False)
                return


def _gradient(gradient: torch.Tensor | None) -> Any:
    if gradient is None:
        return None
    gradient = gradient.detach()
    if gradient.is_sparse:
        gradient = gradient.coalesce()
        if gradient.sparse_dim() != 1:
            raise ArgumentError("expected a sparse gradient of rows, as torch.nn.Embedding's")
        indices = gradient.indices()[0].cpu().numpy()
        return IndexedSlices(indices, array_of(gradient.values()))
    return array_of(gradient)


def _refuse_torchs(optimizer: Any) -> None:
    if isinstance(optimizer, torch.optim.Optimizer) or not isinstance(optimizer, Rule):
        raise ArgumentError(
            "optimizer: expected one as sync_replicas.AdamW(3e-4), or sync_replicas.Groups of "
            f"such for groups of parameters, got {type(optimizer).__name__}"
        )
