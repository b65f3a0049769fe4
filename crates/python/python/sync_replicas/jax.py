"""JAX: the leaves of a pytree are the variables, by their paths."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from . import _fit
from ._fit import Every, Hook, Plan, Work
from ._optimizers import Optimizer
from ._report import Report
from ._trainer import Trainer
from .data import Data


class Tree:
    """The shape of a pytree: from one to a dict by paths, such as "dense/kernel", and back."""

    def __init__(self, tree: Any) -> None:
        leaves, self._structure = jax.tree_util.tree_flatten_with_path(tree)
        self._names = [jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in leaves]
        self._types = [np.asarray(leaf).dtype for _, leaf in leaves]
        if len(set(self._names)) < len(self._names):
            raise ValueError(f"expected leaves with different paths, got {self._names}")

    def flat(self, tree: Any) -> dict[str, NDArray[Any]]:
        """The leaves by path; those of JAX's arrays on the host are not copied."""
        leaves = jax.tree_util.tree_leaves(tree)
        if len(leaves) != len(self._names):
            raise ValueError(f"expected {len(self._names)} leaves, got {len(leaves)}")
        return {name: np.asarray(leaf) for name, leaf in zip(self._names, leaves)}

    def tree(self, variables: dict[str, Any]) -> Any:
        """The pytree of variables by path, of JAX's arrays: on the host they are the variables'
        own memory, where the leaves' type is theirs."""
        pairs = zip(self._names, self._types)
        leaves = [np.asarray(variables[name]).astype(kind, copy=False) for name, kind in pairs]
        return jax.tree_util.tree_unflatten(
            self._structure, jax.device_put(leaves, may_alias=True)
        )


def fit(
    loss: Callable[[Any, Any], Any],
    params: Any,
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
    evaluate: Callable[[Any], Any] | None = None,
    evaluate_every: int = 100,
    keep_best: str | None = None,
    **settings: Any,
) -> JaxReport:
    """Trains with threads, as `sync_replicas.fit` does.

    `loss(params, batch)` gives the mean loss over the batch, a scalar; it is differentiated and
    compiled here. `params` is a pytree of arrays. `evaluate(params)` gets one, and so does
    `report.params` hold one at the end.
    """
    shape = Tree(params)
    trainer = Trainer(
        shape.flat(params), optimizer, aggregate=aggregate, replicas=replicas, **settings
    )
    gradient = jax.jit(jax.value_and_grad(loss))

    def compute(work: Work, batch: Any) -> tuple[Any, dict[str, Any]]:
        value, gradients = gradient(shape.tree(work.variables), batch)
        return value, shape.flat(gradients)

    def evaluated(variables: Any) -> Any:
        assert evaluate is not None
        return evaluate(shape.tree(variables))

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
    )
    report = _fit.run(trainer, plan, lambda _: compute)
    return JaxReport(**vars(report), params=shape.tree(report.variables))


class JaxReport(Report):
    """A `Report` with the trained pytree, `params`."""

    params: Any

    def __init__(self, *, params: Any, **fields: Any) -> None:
        super().__init__(**fields)
        object.__setattr__(self, "params", params)
