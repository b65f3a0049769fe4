"""For loops that exist: a replica behind the calls of PyTorch's optimizers."""

from __future__ import annotations

import weakref
from typing import Any

import torch

from .._cluster import ClusterReplica, join, place, statuses
from .._errors import ArgumentError
from .._native import Outcome
from .._optimizers import Optimizer as Rule
from .._trainer import Replica, Step, Trainer
from ._attachment import Attachment, Module


class Optimizer:
    """For a loop that exists: in place of one of PyTorch's, with its two calls.

    `step()` pushes the gradients, waits, and fills the parameters from the newest variables. In a
    process that has a place in a cluster it is that place's replica, with the settings of
    `sync_replicas.join`; without one it trains in this process alone. `replica` is one to use
    instead. When the process ends, so does its part: the training ends with the last one's.
    `zeros_for_unused` is `Attachment`'s.
    """

    def __init__(
        self,
        module: Module,
        optimizer: Rule,
        replica: Replica | None = None,
        *,
        zeros_for_unused: bool = False,
        **settings: Any,
    ) -> None:
        refuse_torchs(optimizer)
        self._attached = Attachment(module, zeros_for_unused)
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


def refuse_torchs(optimizer: Any) -> None:
    """Refuses PyTorch's own: updates are made where the variables are."""
    if isinstance(optimizer, torch.optim.Optimizer) or not isinstance(optimizer, Rule):
        raise ArgumentError(
            "optimizer: expected one as sync_replicas.AdamW(3e-4), or sync_replicas.Groups of "
            f"such for groups of parameters, got {type(optimizer).__name__}"
        )
