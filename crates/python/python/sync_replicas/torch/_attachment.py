"""A module's side of a training: its parameters are filled, and its gradients are read."""

from __future__ import annotations

from functools import partial
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from .._errors import ArgumentError, SupersededError, VariableError
from .._native import IndexedSlices
from .._report import Lookup
from ._embedding import Embedding, array_of

Module: TypeAlias = torch.nn.Module

_EMBEDDINGS = (torch.nn.Embedding, torch.nn.EmbeddingBag)


class Attachment:
    """A module's trained parameters and tables, to be filled, and to give their gradients.

    Parameters in float32 or float64 on the host are written in place; others are converted, and
    those on a GPU come through the host.

    All passes must leave gradients in the same parameters. With `zeros_for_unused` those that a
    pass has not used have zeros, as with `find_unused_parameters` of PyTorch's own
    `DistributedDataParallel`.
    """

    def __init__(self, module: Module, zeros_for_unused: bool = False) -> None:
        if not isinstance(module, torch.nn.Module):
            kind = type(module).__name__
            raise ArgumentError(f"attach: expected a torch.nn.Module, got {kind}")
        named = module.named_parameters()
        self.parameters = {name: it for name, it in named if it.requires_grad}
        modules = dict(module.named_modules())
        self.tables = {name: it for name, it in modules.items() if isinstance(it, Embedding)}
        if not self.parameters and not self.tables:
            raise ArgumentError("expected a module with parameters to train, got none")
        self._zeros_for_unused = zeros_for_unused
        looked_up = [it for it in modules.values() if isinstance(it, _EMBEDDINGS)]
        #: Those whose gradients are rows.
        self._sparse = {it.weight for it in looked_up if it.sparse}
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
        """The gradients of the last backward pass; one that was not used has None, or zeros."""
        found = {name: self._gradient(it) for name, it in self.parameters.items()}
        rows = {name: it.gradient() for name, it in self.tables.items()}
        return found | {name: it for name, it in rows.items() if it is not None}

    def _gradient(self, parameter: torch.nn.Parameter) -> Any:
        if parameter.grad is not None or not self._zeros_for_unused:
            return _gradient(parameter.grad)
        if parameter in self._sparse:
            return IndexedSlices(np.zeros(0, np.int64), array_of(parameter.detach()[:0]))
        return array_of(torch.zeros_like(parameter.detach()))

    def _look_up(self, lookup: Lookup, table: str, ids: NDArray[np.int64]) -> NDArray[Any]:
        try:
            return lookup(table, ids)
        except SupersededError:
            if not (self.forgives and torch.is_grad_enabled()):
                raise
            self.late = True
            kind = np.float64 if self.parameters and self._dtype is torch.float64 else np.float32
            return np.zeros((*ids.shape, self.tables[table].table.width), kind)


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
