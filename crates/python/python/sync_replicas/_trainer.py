"""A training of this process, with loops of the user's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Protocol

from numpy.typing import NDArray

from . import _native
from ._errors import ArgumentError, SupersededError
from ._optimizers import Optimizer
from .data import Data, by_number, count

Outcome = _native.Outcome


def scalar(loss: Any) -> float:
    """A loss as a number: PyTorch's `float` warns of one that has a gradient."""
    return float(loss.item() if hasattr(loss, "item") else loss)


class Attached(Protocol):
    """A model whose parameters are filled from the variables, and give the gradients."""

    def fill(self, source: Any) -> None:
        """Writes a step's variables into the parameters."""

    def variables(self) -> dict[str, Any]:
        """The parameters' values, for a training that begins with them."""

    def gradients(self) -> dict[str, Any]:
        """What the last backward pass left, by variable."""


class Step:
    """A permission to compute one batch, with the variables to compute it from.

    It is over once it was pushed or given up, or the replica waits for its next.
    """

    def __init__(self, native: _native.Step, replica: Replica) -> None:
        self._native, self._replica, self._examples = native, replica, 0

    @property
    def number(self) -> int:
        """The number of the batch to compute; it never repeats in a run."""
        return self._native.number

    @property
    def step(self) -> int:
        """The step of its variables: how many updates they have."""
        return self._native.step

    @property
    def variables(self) -> dict[str, Any]:
        """The variables as read-only arrays by name, 64-byte aligned, of one step."""
        return self._native.variables

    @property
    def superseded(self) -> bool:
        """Whether its gradients would be dropped, or training has ended: give it up then."""
        return self._native.superseded

    def batch(self, data: Data) -> Any:
        """The batch of this step, of `Batches` or whatever gives batches by number."""
        batch = self._replica._batches(data)(self.number)
        self._examples = count(batch)
        return batch

    def copy_into(self, arrays: dict[str, Any]) -> None:
        """Copies the variables into writable arrays of your own, by name."""
        self._native.copy_into(arrays)

    def lookup(self, table: str, ids: Any) -> NDArray[Any]:
        """The rows of a table's keys as they are at this step, of shape ids.shape + (width,).

        `ids` are whole numbers in any shape and order, and may repeat. Their gradient is pushed as
        `IndexedSlices(ids, rows)`. `SupersededError` says that the step is over: give it up, as
        `with step:` does by itself.
        """
        return self._native.lookup(table, ids)

    def lookup_all(self, ids: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
        """The same for the keys of several tables, by name: in a cluster one round trip."""
        return self._native.lookup_all(dict(ids))

    def push(self, gradients: Any, loss: Any = None, examples: int | None = None) -> Outcome:
        """Pushes the gradients of all variables as one unit, and says what became of them.

        `gradients` is a dict by the variables' names (arrays of their shapes, `IndexedSlices`, as a
        table needs, or None), or the model that was attached. A stale push is no error.
        """
        attached = self._replica._attached
        if not isinstance(gradients, Mapping) and attached is not None:
            gradients = attached.gradients()
        number = self._examples if examples is None else examples
        return self._native.push(gradients, None if loss is None else scalar(loss), number)

    def give_up(self) -> None:
        """Gives the batch up: the token goes back."""
        self._native.give_up()

    def __enter__(self) -> Step:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        """Gives up what was not pushed; that a lookup came too late is then no error."""
        self.give_up()
        return isinstance(error, SupersededError) and error.step == self.step


class Replica:
    """One replica, from joining to leaving; `for step in replica` is its loop.

    Used in a `with`, it leaves at the end; its token then goes to another. It belongs to one
    thread at a time.
    """

    def __init__(self, native: _native.Replica | None) -> None:
        self._joined = native
        self._attached: Attached | None = None
        self._data: tuple[Any, Any] | None = None

    @property
    def _native(self) -> _native.Replica:
        if self._joined is None:
            raise ArgumentError(
                "the replica has no variables to begin with: attach(model), begin(variables), or "
                "join(variables, ...)"
            )
        return self._joined

    @property
    def number(self) -> int:
        """Its number, from 0."""
        return self._native.number

    def attach(self, model: Any) -> None:
        """Fills a model's parameters from the variables at each step: a `torch.nn.Module`, or
        whatever has the methods of `Attached`. It must be this replica's own."""
        if not hasattr(model, "fill"):
            from .torch import Attachment

            model = Attachment(model)
        self._attached = model

    def next_step(self) -> Step | None:
        """Waits for the next step; None when training has ended. An open step is given up.

        Other threads run meanwhile, and a signal's handler is heard within a second.
        """
        native = self._native.next_step()
        if native is None:
            return None
        if self._attached is not None:
            self._attached.fill(native)
        return Step(native, self)

    def prefetch(self, ids: Mapping[str, Any]) -> None:
        """Asks a cluster's servers for the rows of the keys that the next batch will name, by
        table, before its step is there; it waits for nothing. In one process it only looks at the
        names."""
        self._native.prefetch(dict(ids))

    def leave(self) -> None:
        """Leaves; training goes on with the rest."""
        self._native.leave()

    def __iter__(self) -> Iterator[Step]:
        while (step := self.next_step()) is not None:
            yield step

    def __enter__(self) -> Replica:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.leave()

    def _batches(self, data: Data) -> Any:
        if self._data is None or self._data[0] is not data:
            self._data = data, by_number(data, self.number)
        return self._data[1]


def settings_of(
    *,
    aggregate: int,
    replicas: int,
    order: str = "arrival",
    non_finite: str = "fail",
    failing_batch: str = "fail",
    moving_average: float | None = None,
    averaged: list[str] | None = None,
    lease: float | None = None,
    step_timeout: float | None = None,
    step_deadline: float | None = None,
) -> dict[str, Any]:
    """The settings that a training has in one process and in a cluster."""
    return locals()


class Trainer(_native.Trainer):
    """A training in one process, started when it is made; replicas join from threads.

    `variables` are arrays by name: all float64, or float32 and smaller, which become float32; and
    `Table`s, whose rows have the arrays' type.
    A step averages the gradients of the first `aggregate` of `replicas` replicas.

    `order="replica"` makes a run the same to the bit, whatever the timing. `moving_average` is the
    decay of averages of all variables, or of those in `averaged`. `lease`, `step_timeout` and
    `step_deadline` are seconds. `min_replicas` says how many must be left in `fit`; when not given,
    as many as a step needs. `non_finite` and `failing_batch` say what becomes of gradients that
    are NaN or infinite, and of a batch at which replicas fail: "fail", "skip", and "allow".
    """

    def __new__(
        cls,
        variables: Mapping[str, Any],
        optimizer: Optimizer,
        *,
        aggregate: int | None = None,
        replicas: int | None = None,
        min_replicas: int | None = None,
        **settings: Any,
    ) -> Trainer:
        if replicas is None:
            replicas = 1 if aggregate is None else aggregate
        if aggregate is None:
            aggregate = replicas
        if min_replicas is None:
            min_replicas = min(aggregate, replicas)
        given = settings_of(aggregate=aggregate, replicas=replicas, **settings)
        return super().__new__(cls, dict(variables), optimizer, given | {"min_replicas": min_replicas})

    def replica(self, number: int) -> Replica:
        """Takes part as a replica, from a thread of one's own."""
        return Replica(self._join(number))
