"""`fit` for modules: one for each replica, and one for evaluation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import torch

from .. import _fit
from .._errors import ArgumentError
from .._fit import Compute, Every, Hook, Plan, Work
from .._optimizers import Optimizer
from .._report import Report
from ..data import Data
from ..tracking import Tracker
from ._attachment import Attachment, Module
from ._buffers import Buffers
from ._optimizer import refuse_torchs

Loss: TypeAlias = Callable[[Module, Any], torch.Tensor]


def fit(
    build: Callable[[], Module],
    *,
    data: Data,
    loss: Loss,
    optimizer: Optimizer,
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
    zeros_for_unused: bool = False,
    trackers: Sequence[Tracker] = (),
    **settings: Any,
) -> TorchReport:
    """Trains a module with threads, as `sync_replicas.fit` does; each replica has one of its own.

    `build()` makes a module and is called once for each replica; the values that training begins
    with are those of the first, or of `state_dict`. `loss(module, batch)` gives the mean loss over
    the batch, a scalar. `evaluate(module)` gets a module of its own, in evaluation mode, without
    gradients. The report's `state_dict` has everything at the end.

    All batches must give the same parameters gradients. `zeros_for_unused` is for a module that
    uses other parameters in other batches: those that a batch does not use have zeros, as with
    `find_unused_parameters` of PyTorch's own `DistributedDataParallel`.
    """
    refuse_torchs(optimizer)

    def net() -> _Net:
        module = build()
        if state_dict is not None:
            module.load_state_dict(state_dict)
        return _Net(module, zeros_for_unused)

    nets = _Nets(net)
    chief = nets.of(0)
    for number in range(1, replicas or aggregate or 1):
        nets.of(number)
    buffers = Buffers(chief.module, keep)

    def evaluated(_: Any) -> Any:
        assert evaluate is not None
        own = nets.of(-1)
        own.attached.fill(trainer)
        own.module.load_state_dict(buffers.now(), strict=False)
        own.module.eval()
        with torch.no_grad():
            return evaluate(own.module)

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
        evaluate=None if evaluate is None else evaluated,
        evaluate_every=evaluate_every,
        keep_best=keep_best,
        trackers=trackers,
        settings=settings,
    )
    trainer = plan.trainer(chief.attached.variables())
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


class _Net:
    """One replica's module."""

    def __init__(self, module: Module, zeros_for_unused: bool) -> None:
        self.module, self.attached = module, Attachment(module, zeros_for_unused)

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

    def __init__(self, make: Callable[[], _Net]) -> None:
        self._make, self._made = make, dict[int, _Net]()

    def of(self, number: int) -> _Net:
        net = self._made.get(number)
        if net is None:
            net = self._make()
            if any(net.module is other.module for other in self._made.values()):
                raise ArgumentError("build: expected a new module at each call, got the same one")
            self._made[number] = net
        return net
