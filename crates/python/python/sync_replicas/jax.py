"""JAX: the leaves of a pytree are the variables, by their paths."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from . import _fit
from ._errors import ArgumentError
from ._fit import Every, Hook, Plan
from ._optimizers import Optimizer
from ._report import Report
from ._table import Keys, Table
from .data import Data
from .tracking import Tracker


class Tree:
    """The shape of a pytree: from one to a dict by paths, such as "dense/kernel", and back.

    A leaf may be a `Table`; the pytree of a batch has rows in its place.
    """

    def __init__(self, tree: Any) -> None:
        leaves, self._structure = jax.tree_util.tree_flatten_with_path(tree)
        self._names = [jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in leaves]
        #: The types of arrays, and the tables.
        self._kinds = [it if isinstance(it, Table) else np.asarray(it).dtype for _, it in leaves]
        if len(set(self._names)) < len(self._names):
            raise ValueError(f"expected leaves with different paths, got {self._names}")

    @property
    def tables(self) -> list[str]:
        """The paths of the tables."""
        return [name for name, it in zip(self._names, self._kinds) if isinstance(it, Table)]

    def flat(self, tree: Any) -> dict[str, Any]:
        """The leaves by path; those of JAX's arrays on the host are not copied."""
        leaves = jax.tree_util.tree_leaves(tree)
        if len(leaves) != len(self._names):
            raise ValueError(f"expected {len(self._names)} leaves, got {len(leaves)}")
        pairs = zip(self._names, leaves)
        return {name: it if isinstance(it, Table) else np.asarray(it) for name, it in pairs}

    def tree(self, variables: dict[str, Any]) -> Any:
        """The pytree of variables by path, of JAX's arrays: on the host they are the variables'
        own memory, where the leaves' type is theirs. A table whose rows are not among them stays
        what it is."""
        leaves = [
            variables.get(name, kind)
            if isinstance(kind, Table)
            else np.asarray(variables[name]).astype(kind, copy=False)
            for name, kind in zip(self._names, self._kinds)
        ]
        arrays = [it for it in leaves if not isinstance(it, Table)]
        there = iter(jax.device_put(arrays, may_alias=True))
        leaves = [it if isinstance(it, Table) else next(there) for it in leaves]
        return jax.tree_util.tree_unflatten(self._structure, leaves)


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
    evaluate: Callable[..., Any] | None = None,
    evaluate_every: int = 100,
    keep_best: str | None = None,
    keys: Keys | None = None,
    trackers: Sequence[Tracker] = (),
    **settings: Any,
) -> JaxReport:
    """Trains with threads, as `sync_replicas.fit` does.

    `loss(params, batch)` gives the mean loss over the batch, a scalar; it is differentiated and
    compiled here. `params` is a pytree of arrays. `evaluate(params)` gets one, and so does
    `report.params` hold one at the end.

    Where a leaf is a `Table`, the `params` of a batch have the rows of the keys that `keys(batch)`
    names, a dict by the tables' paths. `evaluate(params, lookup)` looks up others.
    """
    shape = Tree(params)
    gradient = jax.jit(jax.value_and_grad(loss))

    def model(variables: dict[str, Any], batch: Any) -> tuple[Any, dict[str, Any]]:
        for table in shape.tables:
            if table not in variables:
                raise ArgumentError(f"keys: expected those of table `{table}` among a batch's")
        value, gradients = gradient(shape.tree(variables), batch)
        return value, shape.flat(gradients)

    def evaluated(variables: Any, *lookup: Any) -> Any:
        assert evaluate is not None
        return evaluate(shape.tree(variables), *lookup)

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
        keys=keys,
    )
    trainer = plan.trainer(shape.flat(params))
    report = _fit.run(trainer, plan, lambda _: _fit.computing(model, keys))
    return JaxReport(**vars(report), params=shape.tree(report.variables))


class JaxReport(Report):
    """A `Report` with the trained pytree, `params`."""

    params: Any

    def __init__(self, *, params: Any, **fields: Any) -> None:
        super().__init__(**fields)
        object.__setattr__(self, "params", params)
