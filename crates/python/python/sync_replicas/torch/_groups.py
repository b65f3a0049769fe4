"""Groups of a module's parameters."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch

from .._errors import ArgumentError
from .._optimizers import Groups, Optimizer
from ._attachment import Module


def groups(
    module: Module,
    optimizer: Optimizer,
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
