"""A table in a module of PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .._errors import ArgumentError
from .._native import IndexedSlices
from .._table import Table


class Embedding(torch.nn.Module):
    """Rows of a table by 64-bit id, in the place of `torch.nn.Embedding`: `Embedding(Table(64))`,
    or `Embedding(64, normal=0.01)` with the arguments of `Table`.

    The table has the name that this module has in the whole. For ids of any shape it gives rows of
    shape ids.shape + (width,), as they are at the step that is computed. What backward passes leave
    in them is pushed beside the parameters' gradients. They are no parameters: `state_dict` has
    none of them, checkpoints have.
    """

    def __init__(self, table: Table | int, **declared: Any) -> None:
        super().__init__()
        self.table = table if isinstance(table, Table) else Table(table, **declared)
        self._look_up: Callable[[NDArray[np.int64]], NDArray[Any]] | None = None
        self._used: list[tuple[torch.Tensor, torch.Tensor]] = []

    def extra_repr(self) -> str:
        """The declaration."""
        return str(self.table)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """The rows of ids."""
        if self._look_up is None:
            raise ArgumentError(
                "Embedding: it has rows within a step; train the module with sync_replicas.torch, "
                "or attach it to a replica"
            )
        rows = torch.from_numpy(self._look_up(ids.detach().cpu().numpy())).to(ids.device)
        if torch.is_grad_enabled():
            self._used.append((ids.detach(), rows.requires_grad_()))
        return rows

    def begin(self, look_up: Callable[[NDArray[np.int64]], NDArray[Any]] | None) -> None:
        """Takes rows from there; what was used before is forgotten."""
        self._look_up, self._used = look_up, []

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forgets the gradients."""
        for _, rows in self._used:
            rows.grad = None

    def gradient(self) -> IndexedSlices | None:
        """What backward passes left in the rows since the step began; None if nothing."""
        used = [(ids, rows.grad) for ids, rows in self._used if rows.grad is not None]
        if not used:
            return None
        keys = torch.cat([ids.reshape(-1) for ids, _ in used])
        rows = torch.cat([grad.reshape(-1, self.table.width) for _, grad in used])
        return IndexedSlices(keys.cpu().numpy(), array_of(rows))

    def __getstate__(self) -> dict[str, Any]:
        # Neither a copy nor a file of the module has part in the training.
        return {**self.__dict__, "_look_up": None, "_used": []}


def array_of(tensor: torch.Tensor) -> NDArray[Any]:
    """A tensor as an array, without a copy on the host; bfloat16 as its bits."""
    tensor = tensor.cpu()
    if tensor.dtype is torch.bfloat16:
        return tensor.view(torch.uint16).numpy()
    array: NDArray[np.float32] = tensor.numpy()
    return array
